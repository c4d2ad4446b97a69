/* ---- Conv1, C3: acc[o] = bias[o] + sum over g of scale[o,g] * P[o,g], PIXELS pixels at a time -------------------- */

typedef struct {
    weights w;
    size_t kernel_h, kernel_w, stride_h, stride_w, top, left, group;
} convolution;

/* What the windows of `count` pixels read of group q: patch[tap][pixel], taps in the order (i, ky, kx) of the weights.
 * Padding is code 0 (W3). */
static void gather(run *r, const layer *l, const layer *x, const convolution *k, size_t q, size_t first, size_t count)
{
    const size_t window = k->kernel_h * k->kernel_w;
    int16_t *patch = r->arena->patch;

    memset(patch, 0, k->w.inputs * window * PIXELS * sizeof *patch);
    for (size_t p = 0; p < count; p++) {
        const size_t row = (first + p) / l->width * k->stride_h, column = (first + p) % l->width * k->stride_w;
        for (size_t tap = 0; tap < window; tap++) {
            const size_t y = row + tap / k->kernel_w, z = column + tap % k->kernel_w;
            if (y < k->top || y - k->top >= x->height || z < k->left || z - k->left >= x->width)
                continue;
            const size_t from = ((y - k->top) * x->width + z - k->left) * x->channels + q * k->w.inputs;
            for (size_t i = 0; i < k->w.inputs; i++)
                patch[(i * window + tap) * PIXELS + p] = (int16_t)value_at(r, x, from + i);
        }
    }
}

/* P[o,g] of all pixels; the products of ternary codes are additions and subtractions. */
static void sum_of_cluster(const run *r, const weights *w, size_t code, size_t tap, size_t end, int32_t *part)
{
    memset(part, 0, PIXELS * sizeof *part);
    for (; tap < end; tap++, code++) {
        const int16_t *x = r->arena->patch + tap * PIXELS;
        const int16_t weight = (int16_t)weight_at(w, code);
        for (size_t p = 0; p < PIXELS; p++)
            part[p] += (int32_t)weight * x[p];
    }
}

static void conv(run *r, const layer *l, const layer *x, const convolution *k)
{
    const weights *w = &k->w;
    const size_t pixels = l->height * l->width, outputs = l->channels / k->group, window = k->kernel_h * k->kernel_w;
    int32_t part[PIXELS];

    begin_layer(r, l);
    for (size_t first = 0; first < pixels; first += PIXELS) {
        const size_t count = pixels - first < PIXELS ? pixels - first : (size_t)PIXELS;
        int32_t *acc = accumulators_of(r, l, first);
        for (size_t o = 0; o < l->channels; o++) {
            if (o % outputs == 0)
                gather(r, l, x, k, o / outputs, first, count);
            for (size_t p = 0; p < count; p++)
                acc[p * l->channels + o] = w->bias[o];
            for (size_t g = 0; g < w->clusters; g++) {
                const size_t i = g * w->cluster, left = w->inputs - i;
                const size_t end = i + (left < w->cluster ? left : w->cluster);
                const int32_t scale = w->scale[o * w->clusters + g];
                sum_of_cluster(r, w, (o * w->inputs + i) * window, i * window, end * window, part);
                if (r->taps != NULL && r->taps->partial_sums != NULL)
                    r->taps->partial_sums(r->taps->context, l->position, (first * l->channels + o) * w->clusters + g,
                                          l->channels * w->clusters, count, part);
                for (size_t p = 0; p < count; p++)
                    acc[p * l->channels + o] += scale * part[p];
            }
        }
        for (size_t p = 0; p < count; p++)
            end_pixel(r, l, first + p, acc + p * l->channels);
    }
    end_layer(r, l);
}
