/* ---- Gather_channels1: channel c is channel order[c] of the input ----------------------------------------------- */

static void gather_channels(run *r, const layer *l, const layer *x, const int32_t *order)
{
    for (size_t pixel = 0; pixel < l->height * l->width; pixel++)
        for (size_t c = 0; c < l->channels; c++)
            r->arena->codes[l->offset + pixel * l->channels + c] =
                r->arena->codes[x->offset + pixel * x->channels + (size_t)order[c]];
    passes_exponent(r, l, x);
    end_passing(r, l);
}
