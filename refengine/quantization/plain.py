"""Layers without weights: the input, batch norms of their own, sums, averages, ReLUs, and what passes codes through."""

from dataclasses import replace
from fractions import Fraction

import numpy as np

from ..network.int_network import IntLayer
from ..numbers.formats import INT8, UINT8
from ..numbers.rescale import power_of_two
from ..numbers.rounding import nearest
from ..ops import OPS
from ..ops.avgpool import common_count
from ..ops.batchnorm import CODE_SHIFT
from ..ops.input import PIXEL_SHIFT
from . import fold
from .epilogue import add_epilogue, at_exponent
from .fuse import Group
from .walk import Made, Tensor, Walk, new_layer, sign_of
from .weighted import constant_unit

_BATCHNORM_MAX_BIAS = 2**30


def input_layer(walk: Walk, group: Group) -> Made:
    """Codes of the normalised image: UINT8 where no pixel can be negative."""
    network = walk.network
    mean, std = ([Fraction(value) for value in values] for values in (network.mean, network.std))
    bias = [nearest((-m * 2**PIXEL_SHIFT).numerator, (-m * 2**PIXEL_SHIFT).denominator) for m in mean]
    layer = replace(
        new_layer(walk, group, "input"),
        constants={"bias": np.array(bias, np.int32)},
        attributes={"flip": network.channels == "BGR"},
    )
    acc = OPS["input"].reference(walk.images[: walk.seen], **layer.arguments)
    factor = [1 / (s * 2**PIXEL_SHIFT) for s in std]
    return add_epilogue(walk, group, layer, acc, factor, UINT8 if min(bias) >= 0 else INT8)


def batchnorm(walk: Walk, group: Group) -> Made:
    """A batch norm that no convolution takes in: one step of its accumulators is 2**-CODE_SHIFT codes."""
    x = walk.tensors[group.inputs[0]]
    norm = fold.norm_of(group.core)
    channels = x.codes.shape[-1]
    unit = [power_of_two(x.exponent - CODE_SHIFT)] * channels
    sign = norm.signs.astype(np.int8)
    measured = None
    if walk.reestimate and group.core.name not in walk.not_normalising:
        acc = OPS["batchnorm"].reference(x.codes, sign=sign, bias=np.zeros(channels, np.int32))
        measured = fold.accumulator_moments(acc)
    affine = fold.batchnorm(unit, [Fraction(0)] * channels, norm, measured)
    factor, bias = list(affine.factor), []
    for c, (f, b) in enumerate(zip(affine.factor, affine.offset, strict=True)):
        if f == 0 or abs(b / f) > _BATCHNORM_MAX_BIAS:
            sign[c], factor[c] = 0, constant_unit(b, x)
        bias.append(nearest((b / factor[c]).numerator, (b / factor[c]).denominator))
    constants: dict[str, np.ndarray] = {"sign": sign, "bias": np.array(bias, np.int32)}
    layer = replace(new_layer(walk, group, "batchnorm"), constants=constants)
    return add_epilogue(walk, group, layer, OPS["batchnorm"].reference(x.codes, **constants), factor, INT8)


def add(walk: Walk, group: Group) -> Made:
    """Two tensors that no convolution takes in, brought to the finer of their exponents."""
    a, b = (walk.tensors[name] for name in group.inputs)
    finer = min(a.exponent, b.exponent)
    shifts = (a.exponent - finer, b.exponent - finer)
    layer = replace(new_layer(walk, group, "add"), attributes={"shifts": shifts})
    acc = OPS["add"].reference(a.codes, b.codes, shifts=shifts)
    return add_epilogue(walk, group, layer, acc, [power_of_two(finer)], sign_of(a, b))


def mul(walk: Walk, group: Group) -> Made:
    """The product of two tensors."""
    a, b = (walk.tensors[name] for name in group.inputs)
    acc = OPS["mul"].reference(a.codes, b.codes)
    return add_epilogue(
        walk, group, new_layer(walk, group, "mul"), acc, [power_of_two(a.exponent + b.exponent)], sign_of(a, b)
    )


def average(walk: Walk, group: Group) -> Made:
    """avgpool and global_avgpool: sums whose unit is that of the codes, divided by the number of pixels."""
    x = walk.tensors[group.inputs[0]]
    layer = replace(new_layer(walk, group, group.core.op), attributes=dict(group.core.attributes))
    shape = x.codes.shape[1:]
    count = common_count(shape, **layer.attributes) if layer.op == "avgpool" else shape[0] * shape[1]
    acc = OPS[layer.op].kernels(x.codes, **layer.attributes)
    if walk.last(group) and group.relu is None:
        return Made((replace(layer, exponent=x.exponent),), None)
    return add_epilogue(walk, group, layer, acc, [power_of_two(x.exponent) / count], sign_of(x))


def relu(walk: Walk, group: Group) -> Made:
    """A ReLU that no accumulating layer takes in: a requantize layer whose clip it is."""
    x = walk.tensors[group.inputs[0]]
    layer = new_layer(walk, group, "requantize")
    return add_epilogue(walk, group, layer, OPS["requantize"].reference(x.codes), [power_of_two(x.exponent)], INT8)


def passed(walk: Walk, group: Group) -> Made:
    """maxpool, concat, pad_channels, flatten, gather_channels: codes of one exponent in, the same codes out."""
    before, tensors = _aligned(walk, [walk.tensors[name] for name in group.inputs])
    op = group.core.op
    layer = replace(new_layer(walk.after(before), group, op), inputs=tuple(tensor.layer for tensor in tensors))
    constants = {name: array.astype(np.int32) for name, array in group.core.constants.items()}
    attributes = dict(group.core.attributes)
    layer = replace(layer, constants=constants, attributes=attributes, exponent=tensors[0].exponent)
    codes = OPS[op].kernels(*(tensor.codes for tensor in tensors), **layer.arguments)
    lo, hi = min(tensor.lo for tensor in tensors), max(tensor.hi for tensor in tensors)
    return Made((*before, layer), Tensor(layer.name, codes, layer.exponent, tensors[0].format, lo, hi))


def _aligned(walk: Walk, tensors: list[Tensor]) -> tuple[list[IntLayer], list[Tensor]]:
    """Tensors brought to one format and the coarsest of their exponents, and the requantize layers that do so."""
    fmt = sign_of(*tensors)
    wanted = max(tensor.exponent + (tensor.format == UINT8 and fmt == INT8) for tensor in tensors)
    layers: list[IntLayer] = []
    aligned: list[Tensor] = []
    for tensor in tensors:
        if (tensor.exponent, tensor.format) != (wanted, fmt):
            layer, tensor = at_exponent(walk.after(layers), tensor, wanted, fmt)
            layers.append(layer)
        aligned.append(tensor)
    return layers, aligned
