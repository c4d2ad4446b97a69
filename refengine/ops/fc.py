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

from . import conv, flatten

ACCUMULATES = True
_ONE_PIXEL = {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1}


def output_shape(shape, *, weight, scale, bias, cluster):
    """(I,) or (H, W, C) -> (O,)."""
    pixel = (1, 1, math.prod(shape))
    return conv.output_shape(pixel, weight=_filters(weight), scale=scale, bias=bias, cluster=cluster, **_ONE_PIXEL)[2:]


def bound(codes, *, weight, scale, bias, cluster, shape=None):
    """As ``conv.bound``."""
    return conv.bound(codes, weight=_filters(weight), scale=scale, bias=bias, cluster=cluster)


def partial_sums(x, *, weight, cluster, scale=None, bias=None):
    """The sum of each cluster: int64 (N, O, G)."""
    return conv.partial_sums(_pixel(x), weight=_filters(weight), cluster=cluster, **_ONE_PIXEL)[:, 0, 0]


def reference(x, *, weight, scale, bias, cluster):
    """The definition.

    >>> import numpy as np
    >>> reference(np.array([[1, 2, 3]], np.uint8), weight=np.array([[1, -1, 1]], np.int8),
    ...           scale=np.array([[10, 7]], np.int8), bias=np.array([0], np.int32), cluster=2)
    array([[11]], dtype=int32)
    """
    return conv.reference(_pixel(x), weight=_filters(weight), scale=scale, bias=bias, cluster=cluster, **_ONE_PIXEL)[
        :, 0, 0
    ]


def kernels(x, *, weight, scale, bias, cluster):
    """The same integers from the kernels of conv."""
    return conv.kernels(_pixel(x), weight=_filters(weight), scale=scale, bias=bias, cluster=cluster, **_ONE_PIXEL)[
        :, 0, 0
    ]


def _pixel(x):
    return flatten.reference(x)[:, None, None, :]


def _filters(weight):
    return weight[:, :, None, None]
