/* ---- Layers that pass codes through ----------------------------------------------------------------------------- */

/* D5: the exponent goes with the codes. */
static void passes_exponent(run *r, const layer *l, const layer *x)
{
    r->arena->coarser[l->position] = r->arena->coarser[x->position];
}

/* The codes of a layer that passes them through are complete: shown to taps, and logits if the layer is the last. */
static void end_passing(run *r, const layer *l)
{
    if (l->dynamic > 0 && r->taps != NULL && r->taps->exponent != NULL)
        r->taps->exponent(r->taps->context, l->position, l->exponent + r->arena->coarser[l->position]);
    for (size_t pixel = 0; pixel < l->height * l->width; pixel++) {
        int32_t *code = r->arena->row;
        const size_t first = pixel * l->channels;
        for (size_t c = 0; c < l->channels; c++)
            code[c] = code_at(r, l, first + c);
        if (l->gives_logits)
            memcpy(r->logits + first, code, l->channels * sizeof *code); /* L1 */
        if (r->taps != NULL && r->taps->codes != NULL)
            r->taps->codes(r->taps->context, l->position, first, l->channels, code);
    }
}
