/* ---- Pad_channels1: `before` channels of code 0, the input's, and code 0 to the end ------------------------------ */

static void pad_channels(run *r, const layer *l, const layer *x, size_t before)
{
    for (size_t pixel = 0; pixel < l->height * l->width; pixel++) {
        uint8_t *to = r->arena->codes + l->offset + pixel * l->channels;
        memset(to, 0, l->channels);
        memcpy(to + before, r->arena->codes + x->offset + pixel * x->channels, x->channels);
    }
    passes_exponent(r, l, x);
    end_passing(r, l);
}
