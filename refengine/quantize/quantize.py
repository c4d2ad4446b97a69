"""quantize: a float network, calibration images and a scheme give an integer network.

One walk through the layers in execution order.  The calibration images run through the integer layers as they are
made, so each layer is calibrated on the codes that it will really read: accumulate, re-estimate batch norm, fold,
choose the output's exponent, requantize, go on.
"""

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np

from ..errors import RefengineError, SchemeError
from ..network.float_network import FloatNetwork, with_input_shape
from ..network.int_network import IntLayer, IntNetwork
from ..numbers.accumulator import confine
from ..numbers.formats import ACTIVATION_FORMATS, INT8, INT32, UINT8, CodeFormat
from ..numbers.requantize import Requantize
from ..numbers.rescale import multiplier_and_shift, power_of_two, smallest_exponent
from ..numbers.rounding import MAX_SHIFT, nearest
from ..ops import OPS, conv
from ..ops.avgpool import common_count
from ..ops.input import PIXEL_SHIFT
from ..ops.requantize import Draws, rescale_kernels
from . import fold
from .calibrate import Reals, output_exponent
from .float_moments import float_moments
from .fold import Affine
from .fuse import Group, fuse
from .scheme import Scheme, stem
from .weights import IntWeights, WeightChoice, choose, erased

Progress = Callable[[str, int, int], None]

_RESIDUAL_MAX_SHIFT = 40
_CONSTANT_BITS = 15
_CHUNK = 8
_PLAIN_MULTIPLIER_BITS = 8
_ONE_PIXEL = {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1}


@dataclass(frozen=True, eq=False)
class Tensor:
    """Codes of all calibration images at one point of the network."""

    layer: str
    codes: np.ndarray
    exponent: int
    format: CodeFormat
    lo: int
    hi: int


@dataclass(eq=False)
class _Walk:
    """Where the walk stands: what is decided, what was made, and the tensors that later layers still read."""

    network: FloatNetwork
    scheme: Scheme
    images: np.ndarray
    groups: tuple[Group, ...]
    reestimate: bool
    formats: dict[str, str]
    moments: dict[str, fold.Moments]
    threads: int
    layers: list[IntLayer] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)

    def name(self, group_name: str) -> str:
        return f"{len(self.layers):03d}_{stem(group_name)}"

    def last(self, group: Group) -> bool:
        return group is self.groups[-1]


def quantize(
    network: FloatNetwork,
    images: np.ndarray,
    scheme: Scheme = Scheme(),  # noqa: B008  (frozen)
    progress: Progress | None = None,
    threads: int = 1,
) -> IntNetwork:
    """Quantize ``network`` by ``scheme``, calibrated on uint8 images (N, H, W, C).

    A pure function: the same network, images and scheme give the same integers, whatever the number of threads.  Where
    the images' height and width are not the network's, the network is made for theirs, if its layers allow it.
    ``progress(layer, done, total)`` is called before each layer.  NetworkError, SchemeError or AccumulatorOverflow,
    naming the layer, where it cannot be done.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        raise SchemeError(f"calibration needs uint8 images (N, H, W, C), found {images.dtype} of shape {images.shape}")
    if images.shape[1:3] != tuple(network.input_shape[:2]):
        network = with_input_shape(network, images.shape[1:3])
    groups = fuse(network)
    formats = _weight_formats(groups, scheme)
    reestimate = "ternary" in formats.values() if scheme.reestimate is None else scheme.reestimate
    folded = [group.core.name for group in groups if group.weighted and group.batchnorm is None]
    moments = float_moments(network, images, folded, progress) if reestimate and folded else {}
    walk = _Walk(network, scheme, images, groups, reestimate, formats, moments, threads)
    for done, group in enumerate(groups):
        if progress is not None:
            progress(group.core.name, done, len(groups))
        try:
            _STEPS[group.core.op](walk, group)
        except RefengineError as error:
            raise type(error)(f"layer {group.core.name!r} ({group.core.op}): {error}") from error
        _forget(walk, done)
    made_with = {"network": network.name, "source": network.source, "licence": network.licence, **scheme.described()}
    made_with |= {"calibration_images": str(len(images)), "reestimated": str(reestimate)}
    return IntNetwork(
        network.name, tuple(network.input_shape), network.classes, network.channels, tuple(walk.layers), made_with
    )


def _weight_formats(groups: tuple[Group, ...], scheme: Scheme) -> dict[str, str]:
    weighted = [group for group in groups if group.weighted and group.core.op != "batchnorm"]
    formats = {group.core.name: "int8" for group in groups if group.core.op == "batchnorm"}
    for group in weighted:
        roles = _roles(group, first=group is weighted[0], last=group is weighted[-1])
        formats[group.core.name] = scheme.format_of(group.core.name, roles)
    return formats


def _roles(group: Group, first: bool, last: bool) -> tuple[str, ...]:
    roles = [name for name, plays in (("first", first), ("last", last)) if plays]
    if group.core.op == "conv":
        _, inputs, *kernel = group.core.constants["weight"].shape
        if inputs == 1 and group.core.attributes["group"] > 1:
            roles.append("depthwise")
        elif kernel == [1, 1]:
            roles.append("pointwise")
    return tuple(roles)


def _forget(walk: _Walk, done: int) -> None:
    """Free the tensors that no later layer reads."""
    needed = {name for group in walk.groups[done + 1 :] for name in (*group.inputs, group.residual)}
    for name in set(walk.tensors) - needed:
        del walk.tensors[name]


# ------------------------------------------------------------------------------------------------ layers with weights


def _weighted(walk: _Walk, group: Group) -> None:
    """conv, fc, or a batch norm of its own: codes and scales, fold, then requantize."""
    x = walk.tensors[group.inputs[0]]
    weight, bias, attributes, norm = _operands(group, x)
    scope = "layer" if walk.last(group) else walk.scheme.scale_exponent
    choice = choose(weight, walk.formats[group.core.name], walk.scheme.cluster, walk.scheme.method, scope)
    first = choice.at()
    acc = _accumulate(x, first, attributes, walk.threads)
    affine = _fold(walk, group, fold.units(first.exponent + x.exponent), bias, norm, acc)
    slopes = None
    if walk.last(group) or walk.scheme.multiplier_bits == 1:
        slopes, affine = _absorbed(choice, first, affine, x)
    weights, factor, bias_codes = _with_room(choice, slopes, affine, x, attributes)
    if not _same(weights, first):
        acc = _accumulate(x, weights, attributes, walk.threads)
    acc += bias_codes
    layer = _weighted_layer(walk, group, weights, bias_codes, attributes)
    if layer.op == "fc":
        acc = acc[:, 0, 0]
    if walk.last(group) and group.relu is None and group.residual is None:
        _append(walk, group, replace(layer, exponent=x.exponent + int(weights.exponent[0])), None)
    else:
        _finish(walk, group, layer, acc, factor, INT8)


def _operands(group: Group, x: Tensor):
    """Weights (O, I, KH, KW), conv bias, conv attributes and batch norm, signs turned so that no gamma is negative."""
    core = group.core
    norm = fold.norm_of(core if core.op == "batchnorm" else group.batchnorm)
    if core.op == "batchnorm":
        channels = x.codes.shape[-1]
        attributes = {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": channels}
        weight, bias = np.ones((channels, 1, 1, 1)), np.zeros(channels)
    else:
        weight = core.constants["weight"] if core.op == "conv" else core.constants["weight"][:, :, None, None]
        names = ("strides", "pads", "group")
        attributes = {name: core.attributes[name] for name in names} if core.op == "conv" else _ONE_PIXEL
        bias = core.constants.get("bias", np.zeros(len(weight)))
    signs = np.ones(len(weight)) if norm is None else norm.signs
    turned = [Fraction(float(value)) for value in bias * signs]
    return weight * signs[:, None, None, None], turned, attributes, norm


def _fold(walk: _Walk, group: Group, unit, bias, norm, acc) -> Affine:
    measured = fold.accumulator_moments(acc) if walk.reestimate else None
    if norm is not None:
        return fold.batchnorm(unit, bias, norm, measured)
    if measured is not None:
        return fold.corrected(unit, measured, walk.moments[group.core.name])
    return fold.stored(unit, bias)


def _absorbed(choice: WeightChoice, weights: IntWeights, affine: Affine, x: Tensor):
    """Slopes for weights that carry their channels' factors themselves: what is left is a power of two."""
    unit = fold.units(weights.exponent + x.exponent)
    slopes = np.array([float(f / u) for f, u in zip(affine.factor, unit, strict=True)])
    return slopes, Affine(tuple(fold.units(choice.at(slopes).exponent + x.exponent)), affine.offset)


def _with_room(choice: WeightChoice, slopes, affine: Affine, x: Tensor, attributes):
    """Integer weights and bias that INT32 has room for (contract F3, F4): weights, factors > 0, bias int32 (O).

    A channel whose sums and bias exceed INT32 gets a coarser exponent, and with it a smaller bias, until they fit.  A
    factor of 0 makes a channel constant: no codes, a bias that holds the offset.
    """
    constant = np.array([f == 0 for f in affine.factor])
    coarser = np.zeros(len(constant), np.int64)
    while True:
        weights = erased(choice.at(slopes, coarser), constant)
        factor = [
            _constant_unit(offset, x) if f == 0 else f * power_of_two(int(k))
            for f, offset, k in zip(affine.factor, affine.offset, coarser, strict=True)
        ]
        bias = [nearest((b / f).numerator, (b / f).denominator) for b, f in zip(affine.offset, factor, strict=True)]
        excess = _excess_bits(weights, bias, x, attributes)
        if not excess.any():
            return weights, factor, np.array(bias, np.int32)
        coarser += excess.max() if choice.scope == "layer" else excess


def _constant_unit(offset: Fraction, x: Tensor) -> Fraction:
    """The unit of a constant channel's bias: the offset in 15 bits."""
    return power_of_two(smallest_exponent(abs(offset), 2**_CONSTANT_BITS) if offset else x.exponent)


def _excess_bits(weights: IntWeights, bias: list[int], x: Tensor, attributes) -> np.ndarray:
    """By how many bits each channel's worst case exceeds INT32."""
    none = np.zeros(len(bias), np.int32)
    lo, hi = conv.bound(
        (min(x.lo, 0), max(x.hi, 0)), weight=weights.codes, scale=weights.scale, bias=none, cluster=weights.cluster
    )
    peaks = [max(int(h), -int(low)) + abs(b) for low, h, b in zip(lo, hi, bias, strict=True)]
    return np.array([max(0, peak.bit_length() - 31) for peak in peaks], np.int64)


def _same(weights: IntWeights, other: IntWeights) -> bool:
    return np.array_equal(weights.codes, other.codes) and np.array_equal(weights.scale, other.scale)


def _accumulate(x: Tensor, weights: IntWeights, attributes, threads: int) -> np.ndarray:
    """Accumulators of all calibration images, without a bias: int32 (N, OH, OW, O)."""
    channels = weights.codes.shape[1] * attributes["group"]
    whole = x.codes.ndim == 4 and x.codes.shape[-1] == channels
    codes = x.codes if whole else OPS["flatten"].reference(x.codes)[:, None, None, :]
    bias = np.zeros(len(weights.codes), np.int32)

    def chunk(start):
        part = codes[start : start + _CHUNK]
        return conv.dense(part, weights.codes, weights.scale, bias, cluster=weights.cluster, **attributes)

    with ThreadPoolExecutor(threads) as pool:
        return np.concatenate(list(pool.map(chunk, range(0, len(codes), _CHUNK))))


def _weighted_layer(walk: _Walk, group: Group, weights: IntWeights, bias, attributes) -> IntLayer:
    fully_connected = group.core.op == "fc"
    codes = weights.codes[:, :, 0, 0] if fully_connected else weights.codes
    return replace(
        _layer(walk, group, "fc" if fully_connected else "conv"),
        constants={"weight": np.ascontiguousarray(codes), "scale": weights.scale, "bias": bias},
        attributes={**({} if fully_connected else attributes), "cluster": weights.cluster},
        weight_format=weights.format,
        weight_exponent=weights.exponent,
    )


# --------------------------------------------------------------------------------------------- layers without weights


def _input(walk: _Walk, group: Group) -> None:
    network = walk.network
    mean, std = ([Fraction(value) for value in values] for values in (network.mean, network.std))
    bias = [nearest((-m * 2**PIXEL_SHIFT).numerator, (-m * 2**PIXEL_SHIFT).denominator) for m in mean]
    layer = replace(
        _layer(walk, group, "input"),
        constants={"bias": np.array(bias, np.int32)},
        attributes={"flip": network.channels == "BGR"},
    )
    acc = OPS["input"].reference(walk.images, **layer.arguments)
    factor = [1 / (s * 2**PIXEL_SHIFT) for s in std]
    _finish(walk, group, layer, acc, factor, UINT8 if min(bias) >= 0 else INT8)


def _add(walk: _Walk, group: Group) -> None:
    a, b = (walk.tensors[name] for name in group.inputs)
    finer = min(a.exponent, b.exponent)
    shifts = (a.exponent - finer, b.exponent - finer)
    layer = replace(_layer(walk, group, "add"), attributes={"shifts": shifts})
    acc = OPS["add"].reference(a.codes, b.codes, shifts=shifts)
    _finish(walk, group, layer, acc, [power_of_two(finer)], _sign_of(a, b))


def _average(walk: _Walk, group: Group) -> None:
    """avgpool and global_avgpool: sums whose unit is that of the codes, divided by the number of pixels."""
    x = walk.tensors[group.inputs[0]]
    layer = replace(_layer(walk, group, group.core.op), attributes=dict(group.core.attributes))
    shape = x.codes.shape[1:]
    count = common_count(shape, **layer.attributes) if layer.op == "avgpool" else shape[0] * shape[1]
    acc = OPS[layer.op].kernels(x.codes, **layer.attributes)
    if walk.last(group) and group.relu is None:
        _append(walk, group, replace(layer, exponent=x.exponent), None)
    else:
        _finish(walk, group, layer, acc, [power_of_two(x.exponent) / count], _sign_of(x))


def _relu(walk: _Walk, group: Group) -> None:
    x = walk.tensors[group.inputs[0]]
    _finish(walk, group, _layer(walk, group, "requantize"), x.codes.astype(np.int32), [power_of_two(x.exponent)], INT8)


def _passed(walk: _Walk, group: Group) -> None:
    """maxpool, concat, pad_channels, flatten: codes of one exponent in, the same codes out."""
    tensors = _aligned(walk, [walk.tensors[name] for name in group.inputs])
    op = group.core.op
    layer = replace(_layer(walk, group, op), inputs=tuple(tensor.layer for tensor in tensors))
    layer = replace(layer, attributes=dict(group.core.attributes), exponent=tensors[0].exponent)
    codes = OPS[op].kernels(*(tensor.codes for tensor in tensors), **layer.attributes)
    lo, hi = min(tensor.lo for tensor in tensors), max(tensor.hi for tensor in tensors)
    _append(walk, group, layer, Tensor(layer.name, codes, layer.exponent, tensors[0].format, lo, hi))


def _aligned(walk: _Walk, tensors: list[Tensor]) -> list[Tensor]:
    """Tensors brought to one format and the coarsest of their exponents, by requantize layers where they differ."""
    fmt = _sign_of(*tensors)
    wanted = max(tensor.exponent + (tensor.format is UINT8 and fmt is INT8) for tensor in tensors)
    return [
        tensor if (tensor.exponent, tensor.format) == (wanted, fmt) else _at_exponent(walk, tensor, wanted, fmt)
        for tensor in tensors
    ]


def _at_exponent(walk: _Walk, tensor: Tensor, exponent: int, fmt: CodeFormat) -> Tensor:
    """A tensor requantized to a coarser exponent, by a layer of its own."""
    layer = IntLayer(walk.name(f"{stem(tensor.layer)}.requantize"), "requantize", (tensor.layer,), exponent)
    step = _requantize(walk, [power_of_two(tensor.exponent - exponent)], fmt, None, exponent)
    codes, _ = rescale_kernels(tensor.codes.astype(np.int32), step, None, Draws(len(walk.layers)))
    walk.layers.append(replace(layer, requantize=step))
    return Tensor(layer.name, codes, exponent, fmt, step.lo, step.hi)


def _sign_of(*tensors: Tensor) -> CodeFormat:
    """UINT8 where nothing can be negative."""
    return UINT8 if all(tensor.format is UINT8 for tensor in tensors) else INT8


# ------------------------------------------------------------------------------------------------- the end of a layer


def _layer(walk: _Walk, group: Group, op: str) -> IntLayer:
    scheme = walk.scheme
    return IntLayer(
        name=walk.name(group.core.name),
        op=op,
        inputs=tuple(walk.tensors[name].layer for name in group.inputs),
        exponent=0,
        accumulator_bits=scheme.accumulator_bits if group.weighted else 32,
        accumulator_policy=scheme.accumulator_policy if group.weighted else "error",
        covers=group.covers,
    )


def _finish(walk: _Walk, group: Group, layer: IntLayer, acc, factor: list[Fraction], fmt: CodeFormat) -> None:
    """Choose the output's exponent and end the layer with its requantization; acc (N, ..., C) is worth ``factor``."""
    if layer.accumulator_bits < INT32.bits:
        acc, _ = confine(acc, layer.accumulator_bits, layer.accumulator_policy)
    if group.relu is not None:
        fmt = ACTIVATION_FORMATS[walk.scheme.activations]
    residual = None if group.residual is None else walk.tensors[group.residual]
    top = None if group.relu is None else group.relu.attributes.get("max")
    reals = Reals(
        acc,
        Affine(tuple(factor), (Fraction(0),) * len(factor)),
        None if residual is None else residual.codes,
        0 if residual is None else residual.exponent,
        -math.inf if group.relu is None else 0.0,
        math.inf if top is None else float(top),
    )
    exponent = output_exponent(reals, fmt, walk.scheme.exponents)
    in_output = [f * power_of_two(-exponent) for f in factor]
    step = _requantize(walk, in_output, fmt, group.relu, exponent, residual, weighted=group.weighted)
    if residual is not None:
        residual, step = _aligned_residual(walk, residual, exponent, step)
        layer = replace(layer, name=walk.name(group.core.name), residual=residual.layer)
    codes, _ = rescale_kernels(acc, step, None if residual is None else residual.codes, Draws(len(walk.layers)))
    tensor = Tensor(layer.name, codes, exponent, fmt, step.lo, step.hi)
    _append(walk, group, replace(layer, exponent=exponent, requantize=step), tensor)


def _requantize(walk, in_output, fmt, relu, exponent, residual=None, weighted=False) -> Requantize:
    """Multipliers, shifts and clip for accumulators worth ``in_output`` output codes."""
    bits = walk.scheme.multiplier_bits if weighted else max(walk.scheme.multiplier_bits, _PLAIN_MULTIPLIER_BITS)
    max_shift = MAX_SHIFT if residual is None else _RESIDUAL_MAX_SHIFT
    largest = Fraction(2**bits - 1)
    pairs = [multiplier_and_shift(min(f, largest), bits, max_shift) for f in in_output]
    multiplier, shift = (np.array(values, np.int64) for values in zip(*pairs, strict=True))
    lo, hi, activation = fmt.lo, fmt.hi, "none"
    if relu is not None:
        lo, activation = 0, "relu"
        if "max" in relu.attributes:
            top = Fraction(relu.attributes["max"]) * power_of_two(-exponent)
            hi, activation = min(hi, nearest(top.numerator, top.denominator)), "clip"
    return Requantize(
        multiplier, shift, None, walk.scheme.rounding, fmt, activation, lo, hi, walk.scheme.seed
    )  # fmt: skip


def _aligned_residual(walk: _Walk, residual: Tensor, exponent: int, step: Requantize) -> tuple[Tensor, Requantize]:
    """The residual and the left shifts to the products' units; a residual finer than they are is requantized first."""
    missing = -int(step.shift.min()) - (residual.exponent - exponent)
    if missing > 0:
        residual = _at_exponent(walk, residual, residual.exponent + missing, residual.format)
    return residual, replace(step, residual_shift=step.shift + (residual.exponent - exponent))


def _append(walk: _Walk, group: Group, layer: IntLayer, tensor: Tensor | None) -> None:
    walk.layers.append(layer)
    if tensor is not None:
        walk.tensors[group.output] = tensor


_STEPS = {
    "input": _input,
    "conv": _weighted,
    "fc": _weighted,
    "batchnorm": _weighted,
    "add": _add,
    "avgpool": _average,
    "global_avgpool": _average,
    "relu": _relu,
    "maxpool": _passed,
    "concat": _passed,
    "pad_channels": _passed,
    "flatten": _passed,
}
