"""2-D convolution of activation codes with clustered weight codes (contract, section Conv).

    P[n,y,x,o,g] = sum_{i in cluster g} sum_{ky,kx} x[n, y*sy + ky - top, x*sx + kx - left, first(o) + i] * w[o,i,ky,kx]
    acc[n,y,x,o] = bias[o] + sum_g scale[o,g] * P[n,y,x,o,g]

=========  ==================  =====================  ==========================================
operand    shape               codes                  one step is worth
=========  ==================  =====================  ==========================================
x          (N, H, W, I)        UINT8 or INT8          2**x.exponent
weight     (O, I/group, KH,    TERNARY, INT4, INT8    1: the scale carries the unit
           KW)
scale      (O, G)              0..127                 2**weight_exponent[o]
bias       (O,)                INT32                  as the result
result     (N, OH, OW, O)      INT32                  2**(x.exponent + weight_exponent[o])
=========  ==================  =====================  ==========================================

A filter is one KH x KW kernel w[o,i].  A cluster is ``cluster`` consecutive input channels' filters of one output
channel; G = ceil(I/group / cluster), the last cluster may be shorter, and clusters stay inside their group, whose first
input channel is first(o).  INT8 weights are a single cluster with scale 1.  Padding is code 0 and adds nothing.
With ternary codes P takes N*KH*KW additions or subtractions and one multiplication by the scale.
Nothing here rounds or clips.
"""

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..errors import NetworkError
from ..numbers.formats import INT32, SCALE
from .interface import Array, Attribute, Constant, Pair, Shape, Sides
from .window import output_hw

ACCUMULATES = True
MOVES = False
PADS = False
CHANNELWISE = False
INPUTS = 1
CONSTANTS = {"weight": Constant(None, 4), "scale": Constant(SCALE, 2), "bias": Constant(INT32, 1)}
ATTRIBUTES = {
    "strides": Attribute(1, count=2),
    "pads": Attribute(0, count=4),
    "group": Attribute(1),
    "cluster": Attribute(1),
}


def clusters_of(inputs: int, cluster: int) -> int:
    """Number of clusters among ``inputs`` channels."""
    return -(-inputs // cluster)


def output_shape(
    shape: Shape,
    *,
    weight: Array,
    scale: Array,
    bias: Array,
    strides: Pair,
    pads: Sides,
    group: int,
    cluster: int,
) -> Shape:
    """(H, W, I) -> (OH, OW, O); NetworkError where operands do not meet (contract, section Conv)."""
    outputs, inputs, *kernel = weight.shape
    if len(shape) != 3 or shape[2] != inputs * group:
        raise NetworkError(f"input of shape {shape} has not the {inputs * group} channels that the weights expect")
    if outputs % group:
        raise NetworkError(f"{outputs} output channels do not divide into {group} groups")
    wanted = (outputs, clusters_of(inputs, cluster))
    if scale.shape != wanted:
        raise NetworkError(f"scale has shape {scale.shape}, clusters of {cluster} need {wanted}")
    if bias.shape != (outputs,):
        raise NetworkError(f"bias has shape {bias.shape}, {outputs} output channels need {(outputs,)}")
    return (*output_hw(shape[:2], kernel, strides, pads), outputs)


def integer_weights(weight: Array, scale: Array, cluster: int) -> Array:
    """scale[o,g] * weight[o,i,...]: weights whose plain sum of products is the same accumulator; int32, like weight.

    Weights are those of a conv (O, I/group, KH, KW) or of an fc (O, I).
    """
    per_channel = scale.astype(np.int32)[:, np.arange(weight.shape[1]) // cluster]
    products: Array = weight.astype(np.int32) * per_channel.reshape(*per_channel.shape, *[1] * (weight.ndim - 2))
    return products


def bound(
    codes: Pair,
    *,
    weight: Array,
    scale: Array,
    bias: Array,
    cluster: int,
    shape: Shape | None = None,
    strides: Pair | None = None,
    pads: Sides | None = None,
    group: int = 1,
) -> tuple[Array, Array]:
    """What any partial sum, in any order, can reach when inputs lie in ``codes`` = (lo, hi) with lo <= 0 <= hi.

    int64 (O,) twice (contract A2): the sum of all negative contributions and the sum of all positive ones.
    """
    up, down = np.empty(len(weight), np.int64), np.empty(len(weight), np.int64)
    for o in range(len(weight)):  # one channel at a time: all products at once take 20 bytes a weight
        products = integer_weights(weight[o : o + 1], scale[o : o + 1], cluster)
        up[o] = np.maximum(products, 0).sum(dtype=np.int64)
        down[o] = np.minimum(products, 0).sum(dtype=np.int64)
    lo, hi = codes
    return up * lo + down * hi + np.minimum(bias, 0), up * hi + down * lo + np.maximum(bias, 0)


def partial_sums(
    x: Array,
    *,
    weight: Array,
    cluster: int,
    strides: Pair,
    pads: Sides,
    group: int,
    scale: Array | None = None,
    bias: Array | None = None,
) -> Array:
    """P, the sum of each cluster: int64 (N, OH, OW, O, G)."""
    top, left, bottom, right = pads
    padded = np.pad(x.astype(np.int64), ((0, 0), (top, bottom), (left, right), (0, 0)))
    windows = sliding_window_view(padded, weight.shape[2:], axis=(1, 2))[:, :: strides[0], :: strides[1]]
    outputs, inputs = len(weight) // group, weight.shape[1]
    groups = []
    for q in range(group):
        w = weight[q * outputs : (q + 1) * outputs].astype(np.int64)
        x_of_group = windows[..., q * inputs : (q + 1) * inputs, :, :]
        sums = [
            np.tensordot(x_of_group[..., i : i + cluster, :, :], w[:, i : i + cluster], axes=((3, 4, 5), (1, 2, 3)))
            for i in range(0, inputs, cluster)
        ]
        groups.append(np.stack(sums, axis=-1))
    return np.concatenate(groups, axis=3)


def reference(
    x: Array,
    *,
    weight: Array,
    scale: Array,
    bias: Array,
    strides: Pair,
    pads: Sides,
    group: int,
    cluster: int,
) -> Array:
    """The definition.

    >>> row = np.array([[[[1], [2], [3]]]], np.uint8)                      # one row of three pixels
    >>> edge = np.array([[[[1, 0, -1]]]], np.int8)                         # left minus right
    >>> reference(row, weight=edge, scale=np.array([[5]], np.int8), bias=np.array([100], np.int32),
    ...           strides=(1, 1), pads=(0, 1, 0, 1), group=1, cluster=1).ravel()
    array([ 90,  90, 110], dtype=int32)
    """
    partial = partial_sums(x, weight=weight, cluster=cluster, strides=strides, pads=pads, group=group)
    acc: Array = (bias + (scale * partial).sum(axis=-1)).astype(np.int32)
    return acc


def kernels(
    x: Array,
    *,
    weight: Array,
    scale: Array,
    bias: Array,
    strides: Pair,
    pads: Sides,
    group: int,
    cluster: int,
) -> Array:
    """The same integers: additions and subtractions where the codes are ternary and clustered, products otherwise."""
    if is_ternary(weight):
        return ternary(x, weight, scale, bias, strides, pads, group, cluster, with_partial=False)[0]
    return dense(x, weight, scale, bias, strides, pads, group, cluster)


def is_ternary(weight: Array) -> bool:
    """True where a multiplication can be an addition: every code is -1, 0 or 1."""
    return int(np.abs(weight).max(initial=0)) <= 1


def ternary(
    x: Array,
    weight: Array,
    scale: Array,
    bias: Array,
    strides: Pair,
    pads: Sides,
    group: int,
    cluster: int,
    with_partial: bool = True,
) -> tuple[Array, Array | None]:
    """Accumulators and, on request, the sums of the clusters (int32, as ``partial_sums``), by the ternary kernel."""
    from ..kernels import conv as kernel

    out_h, out_w, outputs = output_shape(
        x.shape[1:], weight=weight, scale=scale, bias=bias, strides=strides, pads=pads, group=group, cluster=cluster
    )
    acc = np.empty((len(x), out_h * out_w, outputs), np.int32)
    partial = np.empty((*acc.shape, scale.shape[1]) if with_partial else (0, 0, 0, 0), np.int32)
    taps, starts = signed_taps(weight, cluster)
    window = (*weight.shape[2:], *strides, out_w)
    kernel.ternary(_padded(x, pads), taps, starts, scale.astype(np.int32), bias, window, group, acc, partial)
    shape = (len(x), out_h, out_w, outputs)
    return acc.reshape(shape), partial.reshape(*shape, -1) if with_partial else None


def dense(
    x: Array,
    weight: Array,
    scale: Array,
    bias: Array,
    strides: Pair,
    pads: Sides,
    group: int,
    cluster: int,
) -> Array:
    """Accumulators from the integer weights, by the dense kernels."""
    from ..kernels import conv as kernel

    out_h, out_w, outputs = output_shape(
        x.shape[1:], weight=weight, scale=scale, bias=bias, strides=strides, pads=pads, group=group, cluster=cluster
    )
    acc = np.empty((len(x), out_h * out_w, outputs), np.int32)
    rows = integer_weights(weight, scale, cluster).transpose(0, 2, 3, 1).reshape(outputs, -1).astype(np.int16)
    window = (*weight.shape[2:], *strides, out_w)
    if group == outputs == x.shape[3]:
        kernel.depthwise(_padded(x, pads), np.ascontiguousarray(rows.T), bias, window, acc)
    else:
        kernel.dense(_padded(x, pads), rows, bias, window, group, acc)
    return acc.reshape(len(x), out_h, out_w, outputs)


def signed_taps(weight: Array, cluster: int) -> tuple[Array, Array]:
    """Which taps each cluster adds, and which it subtracts.

    -> taps int32, starts int32 (2*O*G + 1): for each output, for each cluster, the taps with code 1, then those with
    code -1, numbered (i, ky, kx).
    """
    outputs, inputs = weight.shape[:2]
    clusters = clusters_of(inputs, cluster)
    codes = weight.reshape(outputs, -1)
    o, tap = np.nonzero(codes)
    here = 2 * (o * clusters + tap // (cluster * weight.shape[2] * weight.shape[3])) + (codes[o, tap] < 0)
    order = np.argsort(here, kind="stable")
    starts = np.searchsorted(here[order], np.arange(2 * outputs * clusters + 1))
    return tap[order].astype(np.int32), starts.astype(np.int32)


def _padded(x: Array, pads: Sides) -> Array:
    top, left, bottom, right = pads
    return np.pad(x.astype(np.int16), ((0, 0), (top, bottom), (left, right), (0, 0)))
