/* ---- Q: from accumulators to codes, the only place that rounds and clips ---------------------------------------- */

/* Q1: total = acc * multiplier[c] + (residual << residual_shift[c]) */
static int64_t total_of(const run *r, const layer *l, size_t index, size_t c, int32_t acc)
{
    const step *s = l->requantize;
    int64_t total = (int64_t)acc * s->multiplier[c * s->stride];
    if (s->residual != NULL)
        total += value_at(r, s->residual, index) * ((int64_t)1 << s->residual_shift[c * s->stride]);
    return total;
}

/* Q2, Q3: code = min(max(round_shift(total, shift[c] + d), lo), hi), for all channels of one pixel. */
static void requantize_pixel(run *r, const layer *l, size_t pixel, const int32_t *acc)
{
    const step *s = l->requantize;
    const size_t first = pixel * l->channels;
    int64_t *total = r->arena->totals;
    int32_t *code = r->arena->row;

    for (size_t c = 0; c < l->channels; c++)
        total[c] = total_of(r, l, first + c, c, acc[c]);
    for (size_t c = 0; c < l->channels; c++) {
        const int32_t shift = s->shift[c * s->stride] + r->arena->coarser[l->position];
        const uint64_t bits = s->rounding == STOCHASTIC ? splitmix64(r->key, first + c) : 0;
        const int64_t rounded = round_shift(total[c], shift, s->rounding, bits);
        code[c] = rounded < s->lo ? s->lo : rounded > s->hi ? s->hi : (int32_t)rounded;
        if (l->gives_logits)
            r->logits[first + c] = code[c]; /* L1 */
        else
            r->arena->codes[l->offset + first + c] = (uint8_t)code[c];
    }
    if (r->taps != NULL && r->taps->totals != NULL)
        r->taps->totals(r->taps->context, l->position, first, l->channels, total);
    if (r->taps != NULL && r->taps->codes != NULL)
        r->taps->codes(r->taps->context, l->position, first, l->channels, code);
}

/* D2: what an image adds to the exponent: the bits of its largest total, rounded down, beyond those of a code. */
static uint8_t chosen(const run *r, const layer *l)
{
    int32_t d = -l->requantize->code_bits;
    for (uint64_t m = r->occupied; m != 0; m >>= 1)
        d++;
    return (uint8_t)(d < 0 ? 0 : d > l->dynamic ? l->dynamic : d);
}

/* Where the sums of a pixel, and of those after it, are put: a dynamic layer keeps all of them (D6). */
static int32_t *accumulators_of(const run *r, const layer *l, size_t pixel)
{
    return r->arena->accumulators + (l->requantize != NULL && l->dynamic > 0 ? pixel * l->channels : 0);
}

static void begin_layer(run *r, const layer *l)
{
    r->arena->coarser[l->position] = 0;
    r->occupied = 0;
    r->key = 0;
    if (l->requantize != NULL && l->requantize->rounding == STOCHASTIC) /* R5 */
        r->key = splitmix64(splitmix64(splitmix64(l->requantize->seed, 0), (uint64_t)l->position), r->image);
}

/* The sums of one pixel are complete. */
static void end_pixel(run *r, const layer *l, size_t pixel, int32_t *acc)
{
    const size_t first = pixel * l->channels;

    for (size_t c = 0; c < l->channels; c++)
        acc[c] = confined(acc[c], l);
    if (r->taps != NULL && r->taps->accumulators != NULL)
        r->taps->accumulators(r->taps->context, l->position, first, l->channels, acc);
    if (l->requantize == NULL) { /* L1: the logits are the last layer's accumulators */
        memcpy(r->logits + first, acc, l->channels * sizeof *acc);
    } else if (l->dynamic == 0) {
        requantize_pixel(r, l, pixel, acc);
    } else {
        for (size_t c = 0; c < l->channels; c++) { /* D2: v = total >> shift[c], m = v, its complement or 0 */
            const step *s = l->requantize;
            const int64_t v = shifted_right(total_of(r, l, first + c, c, acc[c]), s->shift[c * s->stride]);
            r->occupied |= (uint64_t)(v >= 0 ? v : s->lo < 0 ? -1 - v : 0);
        }
    }
}

/* The sums of all pixels are complete: a dynamic exponent is known now, and its codes are made (D3). */
static void end_layer(run *r, const layer *l)
{
    if (l->requantize == NULL || l->dynamic == 0)
        return;
    r->arena->coarser[l->position] = chosen(r, l);
    if (r->taps != NULL && r->taps->exponent != NULL)
        r->taps->exponent(r->taps->context, l->position, l->exponent + r->arena->coarser[l->position]);
    for (size_t pixel = 0; pixel < l->height * l->width; pixel++)
        requantize_pixel(r, l, pixel, accumulators_of(r, l, pixel));
}
