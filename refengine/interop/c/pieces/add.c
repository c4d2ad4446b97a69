/* ---- Add1: acc = (a << sa) + (b << sb) -------------------------------------------------------------------------- */

static void add(run *r, const layer *l, const layer *a, const layer *b, int32_t sa, int32_t sb)
{
    begin_layer(r, l);
    for (size_t pixel = 0; pixel < l->height * l->width; pixel++) {
        int32_t *acc = accumulators_of(r, l, pixel);
        for (size_t c = 0; c < l->channels; c++) {
            const size_t index = pixel * l->channels + c;
            acc[c] = value_at(r, a, index) * ((int32_t)1 << sa) + value_at(r, b, index) * ((int32_t)1 << sb);
        }
        end_pixel(r, l, pixel, acc);
    }
    end_layer(r, l);
}
