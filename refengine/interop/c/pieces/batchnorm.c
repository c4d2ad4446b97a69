/* ---- Batchnorm1: acc = sign[c] * (x << 8) + bias[c] ------------------------------------------------------------- */

static void batchnorm(run *r, const layer *l, const layer *x, const int8_t *sign, const int32_t *bias)
{
    begin_layer(r, l);
    for (size_t pixel = 0; pixel < l->height * l->width; pixel++) {
        int32_t *acc = accumulators_of(r, l, pixel);
        for (size_t c = 0; c < l->channels; c++)
            acc[c] = sign[c] * (value_at(r, x, pixel * l->channels + c) * 256) + bias[c];
        end_pixel(r, l, pixel, acc);
    }
    end_layer(r, l);
}
