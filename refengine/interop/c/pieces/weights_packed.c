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
    const uint32_t sign = (uint32_t)1 << ((1u << w->log2_bits) - 1);
    const uint32_t word = w->code[index >> (5 - w->log2_bits)];
    const uint32_t field = (word >> ((index << w->log2_bits) & 31)) & (2 * sign - 1);
    return (int32_t)(field ^ sign) - (int32_t)sign; /* two's complement of few bits */
}
