/* ---- Flatten1: out[(c*H + y)*W + x] = input[y,x,c] -------------------------------------------------------------- */

static void flatten(run *r, const layer *l, const layer *x)
{
    const size_t image = x->height * x->width;
    for (size_t i = 0; i < l->channels; i++)
        r->arena->codes[l->offset + i] = r->arena->codes[x->offset + i % image * x->channels + i / image];
    passes_exponent(r, l, x);
    end_passing(r, l);
}
