"""One operator a file: its formula, its definition in NumPy integers, and its kernel.

An operator is a module; this dictionary is the registry.  Tensors are N H W C (or N K after a flatten).  Each module
has the facts of ``interface.py``, from which other rooms derive what they do with an operator that they do not know,
and

    output_shape(...)    shape of one image's result, or NetworkError
    bound(...)           lowest and highest value that any partial sum can reach, per channel, where it accumulates
    reference(...)       the definition
    kernels(...)         the same integers from the Numba kernel

called with the layer's operands first, then its constants and attributes as keywords.
"""

from . import (
    add,
    avgpool,
    batchnorm,
    concat,
    conv,
    fc,
    flatten,
    gather_channels,
    global_avgpool,
    input,
    lookup,
    maxpool,
    mul,
    pad_channels,
    requantize,
)
from .interface import Operator

OPS: dict[str, Operator] = {
    "input": input,
    "conv": conv,
    "fc": fc,
    "batchnorm": batchnorm,
    "add": add,
    "maxpool": maxpool,
    "avgpool": avgpool,
    "global_avgpool": global_avgpool,
    "concat": concat,
    "pad_channels": pad_channels,
    "flatten": flatten,
    "requantize": requantize,
    "lookup": lookup,
    "gather_channels": gather_channels,
    "mul": mul,
}
