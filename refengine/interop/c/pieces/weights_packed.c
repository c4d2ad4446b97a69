/* ---- C: weights, their clusters and scales ---------------------------------------------------------------------- */

/* Codes (O, I, KH, KW) in two's complement of `bits` bits, the first in the lowest bits of the first word. */
typedef struct {
    const uint32_t *code;
    const uint8_t *scale; /* (O, G) */
    const int32_t *bias;  /* (O) */
    size_t inputs, cluster, clusters;
    unsigned log2_bits; /* 1: ternary, 2: INT4, 3: INT8 */
} weights;

static int32_t weight_at(const weights *w, size_t index)
{
    const unsigned bits = 1u << w->log2_bits;
    const uint32_t word = w->code[index >> (5 - w->log2_bits)];
    const int32_t field = (int32_t)(word >> ((index << w->log2_bits) & 31) & ((1u << bits) - 1));
    return field >= (1 << (bits - 1)) ? field - (1 << bits) : field;
}
