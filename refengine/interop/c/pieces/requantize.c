/* ---- Requantize1: acc = code, then Q ---------------------------------------------------------------------------- */

static void requantize(run *r, const layer *l, const layer *x)
{
    begin_layer(r, l);
    for (size_t pixel = 0; pixel < l->height * l->width; pixel++) {
        int32_t *acc = accumulators_of(r, l, pixel);
        for (size_t c = 0; c < l->channels; c++)
            acc[c] = value_at(r, x, pixel * l->channels + c);
        end_pixel(r, l, pixel, acc);
    }
    end_layer(r, l);
}
