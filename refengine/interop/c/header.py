"""The header of a C model: what a caller needs, and nothing of how it is computed."""

from __future__ import annotations

from ...network.int_network import IntNetwork
from ...network.units import result_divisor
from .identifiers import comment_text
from .layers import Naming, accumulates, image_shape

_TEXT = """\
{about}
#ifndef {NAME}_H
#define {NAME}_H

#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {{
#endif

#define {NAME}_MODEL_HASH "{hash}"
#define {NAME}_CONTRACT {contract}
#define {NAME}_HEIGHT {height}
#define {NAME}_WIDTH {width}
#define {NAME}_CHANNELS {channels}
#define {NAME}_CLASSES {classes}
#define {NAME}_LOGITS_EXPONENT {exponent} /* a step of a logit is worth 2^exponent / divisor */
#define {NAME}_LOGITS_DIVISOR {divisor}
#define {NAME}_LAYERS {layers}

/* The layers in execution order, by their positions. */
enum {{
{positions}
}};

/* What a layer has: the shape of its result, clusters of an output channel (0: no weights), and its stages. */
typedef struct {{
    const char *name, *op;
    uint32_t height, width, channels, clusters;
    uint8_t has_accumulators, has_totals, has_exponent, has_codes;
}} {name}_layer;

extern const {name}_layer {name}_layers[{NAME}_LAYERS];

/* Callbacks that see the integers of every layer as they are made; any of them may be NULL. Values come in pieces, the
 * channels of one pixel at a time: `first` is the position of the first in the layer's result, (y * width + x) *
 * channels + c. A sum of a cluster is at ((y * width + x) * channels + c) * clusters + g, and values[k] is at first +
 * k * step. Arrays belong to the model and change after the call. */
typedef struct {{
    void *context; /* handed to each of them */
    void (*partial_sums)(void *context, int layer, size_t first, size_t step, size_t count, const int32_t *values);
    void (*accumulators)(void *context, int layer, size_t first, size_t count, const int32_t *values);
    void (*totals)(void *context, int layer, size_t first, size_t count, const int64_t *values);
    void (*exponent)(void *context, int layer, int32_t exponent);
    void (*codes)(void *context, int layer, size_t first, size_t count, const int32_t *values);
}} {name}_taps;

/* All memory that a run needs, {bytes} bytes; nothing in it lasts from one run to the next. */
typedef struct {{
    int64_t totals[{memory.totals}];
    int32_t accumulators[{memory.accumulators}];
    int32_t row[{memory.row}];
    int16_t patch[{memory.patch}];
    uint8_t codes[{memory.codes}];
    uint8_t coarser[{NAME}_LAYERS];
}} {name}_arena;

/* One image, uint8 height x width x channels, {order}: its logits, int32 (classes). taps may be NULL. Returns 0, or 1
 * where image or logits is NULL. Uses an arena of its own, so that one run must end before the next one begins. */
int {name}_run(const uint8_t *image, int32_t *logits, const {name}_taps *taps);

/* The same in an arena of the caller's, for the image of that number in its file, which stochastic rounding alone asks
 * for (R5). Returns 1 where arena is NULL, too. */
int {name}_run_in({name}_arena *arena, uint64_t number, const uint8_t *image, int32_t *logits,
                  const {name}_taps *taps);

#ifdef __cplusplus
}}
#endif

#endif
"""


def header(names: Naming, name: str, about: str) -> str:
    """The text of ``NAME.h``; ``about`` is the comment at its top."""
    network = names.network
    height, width, channels = network.input_shape
    last = network.layers[-1]
    return _TEXT.format(
        about=about,
        name=name,
        NAME=name.upper(),
        hash=network.hash,
        contract=network.contract,
        height=height,
        width=width,
        channels=channels,
        classes=network.classes,
        exponent=last.exponent,
        divisor=result_divisor(network, last),
        layers=len(network.layers),
        positions=_positions(names, name.upper()),
        memory=names.memory,
        bytes=names.memory.bytes,
        order=pixel_order(network),
    )


def pixel_order(network: IntNetwork) -> str:
    """The order of the channels that a run takes: a network of BGR channels flips RGB images itself."""
    return "gray" if network.input_shape[2] == 1 else "RGB"


def layer_table(names: Naming, name: str) -> str:
    """The definition of ``NAME_layers``."""
    network, rows = names.network, []
    for layer in network.layers:
        height, width, channels = image_shape(network.shapes[layer.name])
        clusters = layer.constants["scale"].shape[1] if "scale" in layer.constants else 0
        stages = (
            accumulates(layer),
            layer.requantize is not None,
            network.dynamic[layer.name] > 0,
            layer.requantize is not None or not accumulates(layer),
        )
        numbers = ", ".join(map(str, (height, width, channels, clusters, *map(int, stages))))
        rows.append(f'    {{"{comment_text(layer.name)}", "{layer.op}", {numbers}}},')
    return f"const {name}_layer {name}_layers[{name.upper()}_LAYERS] = {{\n" + "\n".join(rows) + "\n};"


def _positions(names: Naming, prefix: str) -> str:
    own = list(names.identifiers.values())
    return ",\n".join(f"    {prefix}_LAYER_{one.upper()} = {position}" for position, one in enumerate(own))
