/* ---- Mul1: acc = a * b, of b the same place or its one pixel ---------------------------------------------------- */

static void mul(run *r, const layer *l, const layer *a, const layer *b)
{
    const size_t stride = b->height * b->width == l->height * l->width ? l->channels : 0;
    begin_layer(r, l);
    for (size_t pixel = 0; pixel < l->height * l->width; pixel++) {
        int32_t *acc = accumulators_of(r, l, pixel);
        for (size_t c = 0; c < l->channels; c++)
            acc[c] = value_at(r, a, pixel * l->channels + c) * value_at(r, b, pixel * stride + c);
        end_pixel(r, l, pixel, acc);
    }
    end_layer(r, l);
}
