/* ---- C: weights, their clusters and scales ---------------------------------------------------------------------- */

/* Codes (O, I, KH, KW), a byte each. */
typedef struct {
    const int8_t *code;
    const uint8_t *scale; /* (O, G) */
    const int32_t *bias;  /* (O) */
    size_t inputs, cluster, clusters;
} weights;

static int32_t weight_at(const weights *w, size_t index)
{
    return w->code[index];
}
