/* ---- Concat1: the channels of one input, from channel `first` of the result; once for each input ----------------- */

static void concat(run *r, const layer *l, const layer *x, size_t first)
{
    for (size_t pixel = 0; pixel < l->height * l->width; pixel++)
        memcpy(r->arena->codes + l->offset + pixel * l->channels + first,
               r->arena->codes + x->offset + pixel * x->channels, x->channels);
    passes_exponent(r, l, x);
    if (first + x->channels == l->channels)
        end_passing(r, l);
}
