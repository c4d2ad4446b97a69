/* ---- Maxpool1: the largest code among the valid pixels of the window -------------------------------------------- */

static void maxpool(run *r, const layer *l, const layer *x, const window *w)
{
    for (size_t pixel = 0; pixel < l->height * l->width; pixel++) {
        const valid v = valid_pixels(w, l, x, pixel);
        for (size_t c = 0; c < l->channels; c++) {
            int32_t largest = INT32_MIN;
            for (size_t y = v.first_y; y < v.end_y; y++)
                for (size_t z = v.first_x; z < v.end_x; z++) {
                    const int32_t code = code_at(r, x, (y * x->width + z) * x->channels + c);
                    largest = code > largest ? code : largest;
                }
            r->arena->codes[l->offset + pixel * l->channels + c] = (uint8_t)largest;
        }
    }
    passes_exponent(r, l, x);
    end_passing(r, l);
}
