/* ---- What SystemVerilog asks for: the image to run, and every integer that the run gave ------------------------- */

#include <stdio.h>
#include <stdlib.h>

/* All integers of the last run, layer by layer: 16 bytes for each element of each layer. */
static struct {
    int64_t *total;
    int32_t *accumulator, *code;
} seen[NAME_LAYERS];
static int32_t exponents[NAME_LAYERS], logits[NAME_CLASSES];
static uint8_t image[NAME_HEIGHT * NAME_WIDTH * NAME_CHANNELS];

static void refuse(const char *what, int index)
{
    fprintf(stderr, "NAME_dpi: there is no %s %d\n", what, index);
    exit(2);
}

static const NAME_layer *layer_at(int layer)
{
    if (layer < 0 || layer >= NAME_LAYERS)
        refuse("layer", layer);
    return &NAME_layers[layer];
}

/* How many elements a layer's result has. */
static size_t elements(int layer)
{
    const NAME_layer *l = layer_at(layer);
    return (size_t)l->height * l->width * l->channels;
}

static void see_accumulators(void *context, int layer, size_t first, size_t count, const int32_t *values)
{
    (void)context;
    memcpy(seen[layer].accumulator + first, values, count * sizeof *values);
}

static void see_totals(void *context, int layer, size_t first, size_t count, const int64_t *values)
{
    (void)context;
    memcpy(seen[layer].total + first, values, count * sizeof *values);
}

static void see_exponent(void *context, int layer, int32_t exponent)
{
    (void)context;
    exponents[layer] = exponent;
}

static void see_codes(void *context, int layer, size_t first, size_t count, const int32_t *values)
{
    (void)context;
    memcpy(seen[layer].code + first, values, count * sizeof *values);
}

void NAME_dpi_pixel(int index, int value)
{
    if (index < 0 || (size_t)index >= sizeof image)
        refuse("pixel", index);
    image[index] = (uint8_t)(value & 255);
}

void NAME_dpi_run(long long number)
{
    static NAME_arena arena;
    static const NAME_taps taps = {NULL, NULL, see_accumulators, see_totals, see_exponent, see_codes};

    for (int layer = 0; layer < NAME_LAYERS; layer++) {
        const size_t count = elements(layer);
        exponents[layer] = EXPONENTS[layer];
        if (seen[layer].total != NULL)
            continue;
        seen[layer].total = calloc(count, sizeof(int64_t));
        seen[layer].accumulator = calloc(count, sizeof(int32_t));
        seen[layer].code = calloc(count, sizeof(int32_t));
        if (seen[layer].total == NULL || seen[layer].accumulator == NULL || seen[layer].code == NULL)
            refuse("memory for layer", layer);
    }
    NAME_run_in(&arena, (uint64_t)number, image, logits, &taps);
}

/* The place of an element that the last run gave. */
static size_t place(const char *what, int layer, int index)
{
    if (index < 0 || (size_t)index >= elements(layer))
        refuse(what, index);
    if (seen[layer].total == NULL)
        refuse("run before the question for layer", layer);
    return (size_t)index;
}

int NAME_dpi_accumulator(int layer, int index)
{
    const size_t at = place("accumulator", layer, index);
    return seen[layer].accumulator[at];
}

long long NAME_dpi_total(int layer, int index)
{
    const size_t at = place("total", layer, index);
    return seen[layer].total[at];
}

int NAME_dpi_code(int layer, int index)
{
    const size_t at = place("code", layer, index);
    return seen[layer].code[at];
}

/* N3, D1: what a code of the last run is worth. */
int NAME_dpi_exponent(int layer)
{
    layer_at(layer);
    return exponents[layer];
}

int NAME_dpi_logit(int index)
{
    if (index < 0 || index >= NAME_CLASSES)
        refuse("logit", index);
    return logits[index];
}

const char *NAME_dpi_name(int layer)
{
    return layer_at(layer)->name;
}

/* Height, width, channels and clusters of a layer, by the number of the axis. */
int NAME_dpi_size(int layer, int axis)
{
    const NAME_layer *l = layer_at(layer);
    const uint32_t sizes[] = {l->height, l->width, l->channels, l->clusters};

    if (axis < 0 || axis > 3)
        refuse("axis", axis);
    return (int)sizes[axis];
}

/* An integer of the layer itself: 0 weight code (O, I, KH, KW), 1 scale (O, G), 2 bias (O), 3 multiplier (O), 4 shift (O),
 * 5 residual_shift (O). */
long long NAME_dpi_constant(int layer, int kind, int index)
{
    const size_t channels = layer_at(layer)->channels, at = (size_t)index;
    const step *s = CONSTANTS[layer].step;

    if (index < 0)
        refuse("constant", index);
#if WEIGHTED
    {
        const weights *w = CONSTANTS[layer].weights;
        if (w != NULL && kind == 0 && at < CONSTANTS[layer].codes)
            return weight_at(w, at);
        if (w != NULL && kind == 1 && at < channels * w->clusters)
            return w->scale[at];
        if (w != NULL && kind == 2 && at < channels)
            return w->bias[at];
    }
#endif
    if (s != NULL && kind == 3 && at < channels)
        return s->multiplier[at * s->stride];
    if (s != NULL && kind == 4 && at < channels)
        return s->shift[at * s->stride];
    if (s != NULL && kind == 5 && at < channels && s->residual_shift != NULL)
        return s->residual_shift[at * s->stride];
    refuse("constant", index);
    return 0;
}
