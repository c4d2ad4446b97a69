/* ---- Global_avgpool1: acc[c] = sum over y, x of input[y,x,c] ---------------------------------------------------- */

static void global_avgpool(run *r, const layer *l, const layer *x)
{
    int32_t *acc = accumulators_of(r, l, 0);

    begin_layer(r, l);
    memset(acc, 0, l->channels * sizeof *acc);
    for (size_t pixel = 0; pixel < x->height * x->width; pixel++)
        for (size_t c = 0; c < l->channels; c++)
            acc[c] += value_at(r, x, pixel * l->channels + c);
    end_pixel(r, l, 0, acc);
    end_layer(r, l);
}
