/* ---- R: dividing by 2^shift and rounding once is an addition and a shift ---------------------------------------- */

/* R1: (t + addend) >> shift; R3: the addend depends on the sign of t and on whether q = t >> shift is odd. */
static int64_t round_shift(int64_t t, int32_t shift, int rounding, uint64_t bits)
{
    const int64_t unit = (int64_t)1 << shift;
    const int64_t half = unit / 2;
    const int64_t q = shifted_right(t, shift);
    int64_t addend = 0;

    if (rounding == STOCHASTIC) /* R5: the `shift` highest of 64 random bits */
        return shifted_right(t + (int64_t)((bits >> 1) >> (63 - shift)), shift);
    switch (ADDENDS[rounding][2 * (t < 0) + (int)(q & 1)]) {
    case UNDER:
        addend = half > 0 ? half - 1 : 0;
        break;
    case HALF:
        addend = half;
        break;
    case ALL:
        addend = unit - 1;
        break;
    default: /* NOTHING */
        break;
    }
    if (rounding == DOUBLE_ROUND && shift > 31) /* R4: the first of two roundings, to 2^31 */
        addend += t >= 0 ? (int64_t)1 << 30 : -((int64_t)1 << 30);
    return shifted_right(t + addend, shift);
}

/* R5: output number `index` of SplitMix64 started at `word`. */
static uint64_t splitmix64(uint64_t word, uint64_t index)
{
    uint64_t z = word + (index + 1) * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}
