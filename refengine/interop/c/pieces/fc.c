/* ---- Fc1: acc[o] = bias[o] + sum over i of input[i] * scale[o, i // cluster] * w[o,i] --------------------------- */

static void fc(run *r, const layer *l, const layer *x, const weights *w)
{
    const size_t image = x->height * x->width;
    int32_t *acc = accumulators_of(r, l, 0);

    begin_layer(r, l);
    for (size_t i = 0; i < w->inputs; i++) /* Flatten1: in the order C, H, W */
        r->arena->patch[i] = (int16_t)value_at(r, x, i % image * x->channels + i / image);
    for (size_t o = 0; o < l->channels; o++) {
        acc[o] = w->bias[o];
        for (size_t g = 0; g < w->clusters; g++) {
            const size_t i = g * w->cluster, left = w->inputs - i;
            const size_t end = i + (left < w->cluster ? left : w->cluster);
            int32_t part = 0; /* C3: P[o,g] */
            for (size_t k = i; k < end; k++)
                part += r->arena->patch[k] * weight_at(w, o * w->inputs + k);
            if (r->taps != NULL && r->taps->partial_sums != NULL)
                r->taps->partial_sums(r->taps->context, l->position, o * w->clusters + g, 1, 1, &part);
            acc[o] += w->scale[o * w->clusters + g] * part;
        }
    }
    end_pixel(r, l, 0, acc);
    end_layer(r, l);
}
