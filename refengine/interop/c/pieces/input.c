/* ---- Input1: acc = (pixel << 8) + bias[c] ----------------------------------------------------------------------- */

static void input(run *r, const layer *l, const uint8_t *image, const int32_t *bias, int flip)
{
    begin_layer(r, l);
    for (size_t pixel = 0; pixel < l->height * l->width; pixel++) {
        int32_t *acc = accumulators_of(r, l, pixel);
        for (size_t c = 0; c < l->channels; c++) {
            const size_t from = flip ? l->channels - 1 - c : c;
            acc[c] = image[pixel * l->channels + from] * (int32_t)256 + bias[c];
        }
        end_pixel(r, l, pixel, acc);
    }
    end_layer(r, l);
}
