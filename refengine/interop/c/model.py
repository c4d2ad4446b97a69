"""An integer network as C99: one file and its header, every integer of every layer as the contract has it.

    NAME.c     pieces of C, one for each operator and rule; the network's integers as static tables; a call a layer
    NAME.h     NAME_run(image, logits, taps), its callbacks, the arena

Nothing is allocated, nothing is called but memcpy and memset, and nothing is left to the compiler.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ... import __version__
from ...network.int_network import IntLayer, IntNetwork
from .header import header, layer_table, pixel_order
from .identifiers import check_name, check_stem, comment_text
from .layers import PACKED, Emitted, Naming, emitted, naming
from .memory import PIXELS, Memory, memory
from .pieces import named, pieces, words

_RUN = """\
/* ---- A run, layer after layer ----------------------------------------------------------------------------------- */

int {name}_run_in({name}_arena *arena, uint64_t number, const uint8_t *image, int32_t *logits,
                  const {name}_taps *taps)
{{
    run r = {{arena, logits, taps, number, 0, 0}};

    if (arena == NULL || image == NULL || logits == NULL)
        return 1;
{calls}
    return 0;
}}

/* Compile with -D{NAME}_NO_ARENA where every caller has an arena of its own. */
#ifndef {NAME}_NO_ARENA
int {name}_run(const uint8_t *image, int32_t *logits, const {name}_taps *taps)
{{
    static {name}_arena arena;

    return {name}_run_in(&arena, 0, image, logits, taps);
}}
#endif
"""


@dataclass(frozen=True)
class CModel:
    """A network in C: the texts of its two files, and the arena that a run takes.

    name: what its functions begin with.  stem: what its files are called, before ``.c`` and ``.h``.
    """

    name: str
    stem: str
    source: str
    header: str
    memory: Memory
    table_bytes: int
    names: Naming


def to_c(network: IntNetwork, name: str, weights: str = PACKED, stem: str | None = None) -> CModel:
    """The network in C, its functions called ``name``_run and so on; ``weights``: packed or bytes.

    ``stem``: what the files are called, where it is not ``name``.

    NetworkError for a name that C cannot have, or an operator that has no piece of C; RangeError where the sum of a
    cluster that is multiplied by 0 can leave INT32, which the contract does not forbid.
    """
    check_name(name)
    stem = check_stem(name if stem is None else stem)
    names = naming(network, memory(network), weights)
    layers = {layer.name: emitted(layer, names) for layer in network.layers}
    about = "\n".join(["/*", *(f" * {line}".rstrip() for line in _about(names, name, stem)), " */"])
    source = _source(names, name, stem, about, layers)
    table_bytes = sum(table.bytes for made in layers.values() for table in made.constants)
    return CModel(name, stem, source, header(names, name, about), names.memory, table_bytes, names)


def _about(names: Naming, name: str, stem: str) -> Iterator[str]:
    network = names.network
    height, width, channels = network.input_shape
    made = {word: comment_text(network.made_with.get(word, "")) for word in ("source", "licence", "weights")}
    yield f"{name}: the golden model of {comment_text(network.name)!r} in integers, made by refengine {__version__}."
    yield ""
    yield f"model hash     {network.hash}"
    yield f"contract       {network.contract} (docs/contract.md of refengine; comments name its clauses)"
    yield f"weights        {made['weights'] or 'as in the model'}; source: {made['source'] or 'not stated'}"
    yield f"licence        of the weights: {made['licence'] or 'not stated in the model'}"
    yield f"image          uint8 {height} x {width} x {channels}, {pixel_order(network)}"
    yield f"logits         int32 {network.classes}; {len(network.layers)} layers, {network.macs:,} multiply-accumulates"
    yield f"memory         {names.memory.bytes:,} bytes in one arena; constants are const"
    yield f"compile        cc -std=c99 -O2 -c {stem}.c"
    yield ""
    yield "C99, with <stdint.h>, <string.h> and int of 32 bits or more. Every compiler gives the same integers: signed"
    yield "arithmetic never overflows, and no negative number is shifted."


def _source(names: Naming, name: str, stem: str, about: str, layers: dict[str, Emitted]) -> str:
    operators = dict.fromkeys(layer.op for layer in names.network.layers)
    return "\n".join(
        [
            about,
            f'#include "{stem}.h"\n',
            f"enum {{ PIXELS = {PIXELS} }}; /* output pixels of a convolution that are computed together */",
            words(),
            *(named(text, name) for text in pieces(operators, names.weights)),
            *(part for layer in names.network.layers for part in _constants(layer, names, layers[layer.name])),
            layer_table(names, name) + "\n",
            _RUN.format(name=name, NAME=name.upper(), calls=_calls(layers)),
        ]
    )


def _constants(layer: IntLayer, names: Naming, made: Emitted) -> Iterator[str]:
    shape = "x".join(map(str, names.network.shapes[layer.name]))
    cluster = layer.attributes.get("cluster")
    form = "" if cluster is None else f", {layer.weight_format} in clusters of {cluster}"
    yield f"/* ---- {comment_text(layer.name)}: {layer.op}, {shape}{form} ---- */\n"
    yield "\n".join(table.text for table in made.constants) + "\n"


def _calls(layers: dict[str, Emitted]) -> str:
    return "\n".join(f"    {call}" for made in layers.values() for call in made.calls)
