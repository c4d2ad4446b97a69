/* ---- A: what an accumulator of fewer than 32 bits holds of a sum ------------------------------------------------ */

static int32_t confined(int32_t sum, const layer *l)
{
    const int32_t top = (int32_t)(((int64_t)1 << (l->accumulator_bits - 1)) - 1);

    if (l->policy == WRAP && l->accumulator_bits < 32) { /* A3: modulo 2^bits, in two's complement */
        const uint32_t half = (uint32_t)1 << (l->accumulator_bits - 1);
        return (int32_t)(((uint32_t)sum + half) & (2 * half - 1)) - (int32_t)half;
    }
    if (l->policy == SATURATE) /* A4: the finished sum, clipped once */
        return sum > top ? top : sum < -1 - top ? -1 - top : sum;
    return sum; /* `error`: the exporter's bounds say that it fits */
}
