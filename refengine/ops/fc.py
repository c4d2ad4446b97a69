"""Fully connected layer: the 1x1 convolution of a 1x1 image (contract, section Fc).

    acc[n,o] = bias[o] + sum_g scale[o,g] * sum_{i in cluster g} x[n,i] * weight[o,i]

=========  ==============  =====================  =================================
operand    shape           codes                  one step is worth
=========  ==============  =====================  =================================
x          (N, I)          UINT8 or INT8          2**x.exponent
           or (N, H, W, C)                        flattened in the order C, H, W
weight     (O, I)          TERNARY, INT4, INT8    1
scale      (O, G)          0..127                 2**weight_exponent[o]
bias       (O,)            INT32                  as the result
result     (N, O)          INT32                  2**(x.exponent + weight_exponent[o])
=========  ==============  =====================  =================================
"""

import math
from typing import Any

from ..numbers.formats import INT32, SCALE
from . import conv, flatten
from .interface import Array, Attribute, Constant, Pair, Shape

ACCUMULATES = True
MOVES = False
PADS = False
CHANNELWISE = False
INPUTS = 1
CONSTANTS = {"weight": Constant(None, 2), "scale": Constant(SCALE, 2), "bias": Constant(INT32, 1)}
ATTRIBUTES = {"cluster": Attribute(1)}
_ONE_PIXEL: dict[str, Any] = {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1}


def output_shape(shape: Shape, *, weight: Array, scale: Array, bias: Array, cluster: int) -> Shape:
    """(I,) or (H, W, C) -> (O,)."""
    pixel = (1, 1, math.prod(shape))
    return conv.output_shape(pixel, weight=_filters(weight), scale=scale, bias=bias, cluster=cluster, **_ONE_PIXEL)[2:]


def bound(
    codes: Pair, *, weight: Array, scale: Array, bias: Array, cluster: int, shape: Shape | None = None
) -> tuple[Array, Array]:
    """As ``conv.bound``."""
    return conv.bound(codes, weight=_filters(weight), scale=scale, bias=bias, cluster=cluster)


def partial_sums(
    x: Array, *, weight: Array, cluster: int, scale: Array | None = None, bias: Array | None = None
) -> Array:
    """The sum of each cluster: int64 (N, O, G)."""
    return conv.partial_sums(_pixel(x), weight=_filters(weight), cluster=cluster, **_ONE_PIXEL)[:, 0, 0]


def reference(x: Array, *, weight: Array, scale: Array, bias: Array, cluster: int) -> Array:
    """The definition.

    >>> import numpy as np
    >>> reference(np.array([[1, 2, 3]], np.uint8), weight=np.array([[1, -1, 1]], np.int8),
    ...           scale=np.array([[10, 7]], np.int8), bias=np.array([0], np.int32), cluster=2)
    array([[11]], dtype=int32)
    """
    return conv.reference(_pixel(x), weight=_filters(weight), scale=scale, bias=bias, cluster=cluster, **_ONE_PIXEL)[
        :, 0, 0
    ]


def kernels(x: Array, *, weight: Array, scale: Array, bias: Array, cluster: int) -> Array:
    """The same integers from the kernels of conv."""
    return conv.kernels(_pixel(x), weight=_filters(weight), scale=scale, bias=bias, cluster=cluster, **_ONE_PIXEL)[
        :, 0, 0
    ]


def _pixel(x: Array) -> Array:
    return flatten.reference(x)[:, None, None, :]


def _filters(weight: Array) -> Array:
    return weight[:, :, None, None]
