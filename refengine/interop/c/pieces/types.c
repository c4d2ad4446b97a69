/* ---- What a layer is, and what a run knows of it ---------------------------------------------------------------- */

struct layer;

/* Q: how the sums of a layer become codes. */
typedef struct {
    const int32_t *multiplier;
    const uint8_t *shift;
    const uint8_t *residual_shift;
    size_t stride;                /* 1: the three have an entry a channel; 0: one entry for all channels */
    const struct layer *residual; /* what is added, or NULL */
    int rounding;
    int32_t lo, hi;
    int32_t code_bits; /* D2: B, the bits of a positive code */
    uint64_t seed;     /* R5 */
} step;

/* The result of a layer for one image: codes of height x width x channels, row after row, pixel after pixel. */
typedef struct layer {
    int position;  /* in the network; the input is 0 */
    size_t offset; /* of its codes in the arena */
    size_t height, width, channels;
    int is_signed;   /* INT8 codes, else UINT8 */
    int gives_logits; /* the last layer: its codes, if it has any, are logits */
    int32_t exponent; /* N3: a code is worth 2^exponent, or 2^(exponent + d) where dynamic */
    int32_t dynamic;  /* D1: the largest d, 0 where the exponent is static */
    int32_t accumulator_bits;
    int policy;             /* A3, A4 */
    const step *requantize; /* NULL where codes pass through, or the sums are the logits */
} layer;

typedef struct {
    NAME_arena *arena;
    int32_t *logits;
    const NAME_taps *taps;
    uint64_t image;    /* its number in the run, which R5 alone asks for */
    uint64_t key;      /* R5, of the layer at hand */
    uint64_t occupied; /* D2: the disjunction of all m of the layer at hand */
} run;

/* t / 2^shift rounded down: "t >> shift" of the contract; C leaves that shift of a negative number to its compiler. */
static int64_t shifted_right(int64_t t, int32_t shift)
{
    return t >= 0 ? t >> shift : -1 - ((-1 - t) >> shift);
}

/* The code at a place of a layer's result. */
static int32_t code_at(const run *r, const layer *x, size_t index)
{
    const int32_t byte = r->arena->codes[x->offset + index];
    return x->is_signed && byte > 127 ? byte - 256 : byte;
}

/* D4: the integer that is computed with, code << d, in 16 bits. */
static int32_t value_at(const run *r, const layer *x, size_t index)
{
    return code_at(r, x, index) * ((int32_t)1 << r->arena->coarser[x->position]);
}
