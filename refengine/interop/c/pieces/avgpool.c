/* ---- Avgpool1: acc = (sum over the valid pixels) * (L / count), L the least common multiple of all counts -------- */

static void avgpool(run *r, const layer *l, const layer *x, const window *w, int32_t common)
{
    begin_layer(r, l);
    for (size_t pixel = 0; pixel < l->height * l->width; pixel++) {
        const valid v = valid_pixels(w, l, x, pixel);
        const int32_t count = (int32_t)((v.end_y - v.first_y) * (v.end_x - v.first_x));
        int32_t *acc = accumulators_of(r, l, pixel);
        for (size_t c = 0; c < l->channels; c++) {
            acc[c] = 0;
            for (size_t y = v.first_y; y < v.end_y; y++)
                for (size_t z = v.first_x; z < v.end_x; z++)
                    acc[c] += value_at(r, x, (y * x->width + z) * x->channels + c);
            acc[c] *= common / count;
        }
        end_pixel(r, l, pixel, acc);
    }
    end_layer(r, l);
}
