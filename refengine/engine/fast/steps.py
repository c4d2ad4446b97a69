"""From layers to steps: which kernel computes each operator of the fast plan, and the file that says what it is handed.

    conv, fc                                   CONV, CLUSTERS, CROSSED    products.py
    depthwise conv, average pools, batchnorm,  DEPTHWISE                  channelwise.py
    add, requantize
    input, lookup                              LOOKUP                     tables.py
    maxpool, whatever only moves codes         LARGEST, COPY, FILL        moves.py

``steps_of`` gives None for the little that is left (stochastic rounding, pools whose windows differ in size, extreme
shifts, operators without an entry in ``COMPILERS``): that runs through ``run_layer``.
"""

from collections.abc import Callable

from ...network.int_network import IntLayer
from ...numbers.formats import ACTIVATION_FORMATS
from ...numbers.rounding import STOCHASTIC
from ...ops import OPS
from .channelwise import add, avgpool, batchnorm, global_avgpool, requantize
from .compiler import Compiler, Fields, border
from .moves import maxpool, moved
from .products import conv, fc
from .tables import code_table, pixel_table


def steps_of(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    """The steps of one layer, None where no kernel of the plan covers it."""
    if not _covered(layer):
        return None
    made = COMPILERS.get(layer.op, moved if OPS[layer.op].MOVES else None)
    found = None if made is None else made(compiler, layer)
    return None if found is None else [*border(compiler, compiler.buffers[layer.name]), *found]


def _covered(layer: IntLayer) -> bool:
    rescale = layer.requantize
    return rescale is None or (rescale.rounding != STOCHASTIC and rescale.format.name in ACTIVATION_FORMATS)


COMPILERS: dict[str, Callable[[Compiler, IntLayer], list[Fields] | None]] = {
    "input": pixel_table,
    "conv": conv,
    "fc": fc,
    "batchnorm": batchnorm,
    "add": add,
    "maxpool": maxpool,
    "avgpool": avgpool,
    "global_avgpool": global_avgpool,
    "requantize": requantize,
    "lookup": code_table,
    "mul": lambda compiler, layer: None,  # by itself: its two tensors are seldom of one size
}
