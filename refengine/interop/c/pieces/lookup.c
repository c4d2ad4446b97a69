/* ---- Lookup1: acc = table[x & 255], a table for all channels or one for each ------------------------------------ */

static void lookup(run *r, const layer *l, const layer *x, const int16_t *table, size_t stride)
{
    begin_layer(r, l);
    for (size_t pixel = 0; pixel < l->height * l->width; pixel++) {
        int32_t *acc = accumulators_of(r, l, pixel);
        for (size_t c = 0; c < l->channels; c++)
            acc[c] = table[c * stride + r->arena->codes[x->offset + pixel * l->channels + c]];
        end_pixel(r, l, pixel, acc);
    }
    end_layer(r, l);
}
