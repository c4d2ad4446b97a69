"""Cases of each operator: a layer with its operands, its constants and the requantization that ends it.

Sizes are those of a few pixels, so that a simulation of all cases is short; each factor of an operator that a clause
names is gone through, the others are drawn beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle, product
from typing import Any

import numpy as np

from ..numbers.formats import INT8, UINT8, WEIGHT_FORMATS, CodeFormat
from ..numbers.rounding import MODES, ROUNDINGS
from ..ops import OPS
from .case import Array, Case
from .case_maker import FORMATS, IMAGES, Maker, Wish, clusters_among
from .numbers_cases import FORMS

_LARGE = 2**31 - 1

# ------------------------------------------------------------------------------------------------------- with weights

_PADS = (
    ((0, 0, 0, 0), (), ""),
    ((1, 1, 1, 1), ("N2", "W3"), "padding"),
    ((2, 0, 1, 3), ("N2", "W1", "W3"), "uneven padding"),
    ((4, 5, 4, 6), ("N2", "W3"), "padding larger than the kernel"),
)
_KERNELS = ((3, 3), (1, 1), (2, 3), (3, 1))
_STRIDES = ((1, 1), (2, 2), (1, 2), (3, 1))


def conv(turn: int) -> Iterator[Case]:
    """Formats by clusters by padding by groups; depthwise; the ends of accumulators; everything else beside it."""
    maker = Maker("conv", turn)
    for fmt, number, x_format, padding, group in product(WEIGHT_FORMATS.values(), range(5), FORMATS, _PADS, (1, 2)):
        inputs = 5 if group == 1 else 3
        yield _conv(maker, fmt, x_format, padding, group, inputs, 2, clusters_among(inputs)[number])
    for fmt, x_format, padding in product(WEIGHT_FORMATS.values(), FORMATS, _PADS):
        yield _conv(maker, fmt, x_format, padding, 4, 1, 1, (1, ("C2",), "depthwise"))
    yield from _expanded(maker)


def _conv(
    maker: Maker,
    fmt: CodeFormat,
    x_format: CodeFormat,
    padding: tuple[tuple[int, ...], tuple[str, ...], str],
    group: int,
    inputs: int,
    outputs: int,
    clustering: tuple[int, tuple[str, ...], str],
    wish: Wish | None = None,
) -> Case:
    stream = maker.stream
    pads, of_pads, in_words = padding
    cluster, of_clusters, clusters_in_words = clustering
    kernel = stream.pick(_KERNELS)
    attributes = {"strides": list(stream.pick(_STRIDES)), "pads": list(pads), "group": group, "cluster": cluster}
    constants = maker.weights(fmt, group * outputs, inputs, kernel, cluster)
    x = maker.codes((IMAGES, stream.integer(3, 5), stream.integer(3, 6), group * inputs), x_format)
    clauses = ("Conv1", "Conv2", *of_clusters, *of_pads)
    clauses += ("C2",) * (group > 1) + ("C4",) * (fmt.name != "ternary")
    parts = (f"{fmt.name} on {x_format.name}", clusters_in_words, in_words, f"{group} groups" if group > 1 else "")
    wish = wish or Wish(tuple(dict.fromkeys(clauses)), ", ".join(filter(None, parts)))
    return maker.layer([x], constants, attributes, wish, fmt.name)


def _expanded(maker: Maker) -> Iterator[Case]:
    """The same sums twice: ternary codes by clusters, and scale * code as plain weights of one cluster (C5)."""
    for cluster in (1, 2, 3):
        constants = maker.weights(WEIGHT_FORMATS["ternary"], 3, 4, (2, 2), cluster)
        plain = dict(constants)
        plain["weight"] = vars(OPS["conv"])["integer_weights"](constants["weight"], constants["scale"], cluster)
        plain["weight"] = plain["weight"].astype(np.int8)
        plain["scale"] = np.ones((3, 1), np.int8)
        x = maker.codes((IMAGES, 4, 4, 4), INT8)
        for arrays, size, fmt in ((constants, cluster, "ternary"), (plain, 4, "int8")):
            attributes = {"strides": [1, 1], "pads": [0, 1, 1, 0], "group": 1, "cluster": size}
            wish = Wish(("C5", "C3", "A2"), f"the same sums by {fmt} weights", "half_up", (INT8, "none"), logits=True)
            yield maker.layer([x], arrays, attributes, wish, fmt)


def fc(turn: int) -> Iterator[Case]:
    """Formats by clusters, of codes in a row and of images, which are flattened; accumulators at both ends of INT32."""
    maker = Maker("fc", turn)
    for fmt, number, x_format, image in product(WEIGHT_FORMATS.values(), range(5), FORMATS, (False, True)):
        shape = (2, 2, 3) if image else (7,)
        inputs = int(np.prod(shape))
        cluster, clauses, why = clusters_among(inputs)[number]
        constants = maker.weights(fmt, 3, inputs, (), cluster)
        of_image = ("Flatten1",) if image else ()
        wish = Wish(("Fc1", *clauses, *of_image), f"{fmt.name}, {why}{', an image' if image else ''}")
        x = maker.codes((IMAGES, *shape), x_format)
        yield maker.layer([x], constants, {"cluster": cluster}, wish, fmt.name)
    yield from _ends_of_int32(maker)
    yield from _narrow(maker)


def _ends_of_int32(maker: Maker) -> Iterator[Case]:
    """Sums that are exactly 2**31 - 1 and -2**31, by every mode: 31-bit multipliers bring totals near 2**62."""
    for rounding, bits in product(ROUNDINGS, (8, 31)):
        inputs = 9
        weight = np.full((2, inputs), 127, np.int8)
        weight[1] = -127
        reach = inputs * 127 * 255
        bias = np.array([_LARGE - reach, -_LARGE - 1 + reach], np.int64).astype(np.int32)
        constants: dict[str, Array] = {"weight": weight, "scale": np.ones((2, 1), np.int8), "bias": bias}
        x = maker.codes((3, inputs), UINT8)
        x.codes[0] = 255
        wish = Wish(
            ("A1", "A2", "Q1", "S1"), f"sums at both ends of INT32, {bits} bits", rounding, (INT8, "none"), bits
        )
        yield maker.layer([x], constants, {"cluster": inputs}, wish, "int8")


def _narrow(maker: Maker) -> Iterator[Case]:
    """Accumulators of every width and policy, with sums on both sides of their ends; ``error``: the bits needed."""
    for bits, policy in product(range(16, 32), ("wrap", "saturate")):
        clauses = ("A3", "A5") if policy == "wrap" else ("A4", "A5")
        yield _of_width(maker, bits, policy, Wish(clauses, f"{policy}, {bits} bits", accumulator=(bits, policy)))
    for bits in range(16, 33):
        wish = Wish(("A3", "A2"), f"error, {bits} bits, all of which the bound needs", accumulator=(bits, "error"))
        yield _of_width(maker, bits, "error", wish)


def _of_width(maker: Maker, bits: int, policy: str, wish: Wish) -> Case:
    """Sums of some 2**(bits - 1), by the bias: half of them beyond ``bits`` bits, or none where the policy is error."""
    top = 2 ** (bits - 1)
    inputs, outputs = 4, 4
    weight = maker.stream.codes(-1, 1, (outputs, inputs), np.int8)
    reach = 255 * inputs
    if policy == "error":
        bias = [top - reach - 1, -top + reach] * 2
    else:
        bias = [top - 300, -top + 300, top + reach, -top - 1 - reach]
    constants = {
        "weight": weight,
        "scale": np.ones((outputs, 1), np.int8),
        "bias": np.clip(np.array(bias, np.int64), -_LARGE + reach, _LARGE - reach).astype(np.int32),
    }
    x = maker.codes((3, inputs), UINT8)
    return maker.layer([x], constants, {"cluster": inputs}, wish, "ternary")


# ---------------------------------------------------------------------------------------------------- without weights


def input(turn: int) -> Iterator[Case]:
    """Gray, RGB and BGR by every rounding; biases of both signs, a multiplier for each channel."""
    maker = Maker("input", turn)
    for rounding, (channels, flip), negative in product(ROUNDINGS, ((1, False), (3, False), (3, True)), (False, True)):
        bias = maker.stream.integers(-65000 if negative else 0, 0 if negative else 9000, (channels,), np.int32)
        form = (INT8, "none") if negative else (UINT8, "none")
        why = f"{'BGR' if flip else 'RGB' if channels == 3 else 'gray'}, {rounding}"
        pixels = maker.codes((IMAGES, 2, 3, channels), UINT8)
        yield maker.layer([pixels], {"bias": bias}, {"flip": flip}, Wish(("Input1", "Input2"), why, rounding, form))


def batchnorm(turn: int) -> Iterator[Case]:
    """Signs -1, 0 and 1 by every rounding, of images and of codes in a row; biases near the ends of INT32."""
    maker = Maker("batchnorm", turn)
    for rounding, fmt, image in product(ROUNDINGS, FORMATS, (False, True)):
        channels = 6
        sign = np.array([1, -1, 0, 1, -1, 0], np.int8)
        bias = maker.stream.integers(-9000, 9000, (channels,), np.int32)
        bias[3:5] = (_LARGE - 2**16, -_LARGE + 2**16)
        x = maker.codes((IMAGES, *((2, 2) if image else ()), channels), fmt)
        wish = Wish(("Batchnorm1",), f"{fmt.name}, {rounding}", rounding, bits=8)
        yield maker.layer([x], {"sign": sign, "bias": bias}, {}, wish)


def add(turn: int) -> Iterator[Case]:
    """Every shift of either operand, every pair of formats."""
    maker = Maker("add", turn)
    formats = cycle(product(FORMATS, repeat=2))
    for shift, first in product(range(23), (True, False)):
        shifts = [shift, 0] if first else [0, shift]
        shape = (IMAGES, 2, 2, 3) if shift % 3 else (IMAGES, 5)
        operands = [maker.codes(shape, fmt) for fmt in next(formats)]
        yield maker.layer(operands, {}, {"shifts": shifts}, Wish(("Add1", "N3"), f"shifts {shifts}"))
    for one, other in product(FORMATS, repeat=2):  # both at the ends that are farthest apart
        for shifts in ([22, 0], [0, 22], [0, 0]):
            operands = [maker.codes((3, 4), fmt) for fmt in (one, other)]
            for operand in operands:
                operand.codes[0], operand.codes[1] = operand.format.lo, operand.format.hi
            yield maker.layer(operands, {}, {"shifts": shifts}, Wish(("Add1", "A6"), f"ends of codes, shifts {shifts}"))


def _windows() -> Iterator[tuple[dict[str, Any], tuple[int, int], tuple[str, ...], str]]:
    """Attributes of pools, an image size, clauses, why: every kernel with every stride, padding and ``ceil_mode``."""
    kernels, strides = ((1, 1), (2, 2), (3, 3), (1, 3), (3, 2)), ((1, 1), (2, 2), (3, 2))
    sizes = cycle(((5, 6), (4, 4), (6, 5), (3, 7)))
    for kernel, stride, padding, ceil_mode in product(kernels, strides, range(3), (False, True)):
        most = [kernel[axis % 2] - 1 for axis in range(4)]
        pads = ([0] * 4, most, [most[0], 0, 0, most[3]])[padding]
        clauses = ("W1",) + ("W2",) * ceil_mode + ("W3",) * any(pads)
        words = {"kernel_shape": list(kernel), "strides": list(stride), "pads": pads, "ceil_mode": ceil_mode}
        why = f"{kernel[0]}x{kernel[1]} by {stride[0]}x{stride[1]}, pads {pads}{', ceil' if ceil_mode else ''}"
        yield words, next(sizes), clauses, why


def maxpool(turn: int) -> Iterator[Case]:
    """Windows over the borders; of signed codes all are negative, so that a padding of 0 would win."""
    maker = Maker("maxpool", turn)
    for (words, size, clauses, why), fmt in zip(_windows(), cycle(FORMATS), strict=False):
        x = maker.codes((IMAGES, *size, 2), fmt)
        if fmt is INT8:
            np.minimum(x.codes, -1, out=x.codes)
        yield maker.layer([x], {}, words, Wish(("Maxpool1", *clauses), f"{why}, {fmt.name}"))


def avgpool(turn: int) -> Iterator[Case]:
    """Windows that have fewer pixels at the borders, of which the average is taken all the same."""
    maker = Maker("avgpool", turn)
    for (words, size, clauses, why), fmt in zip(_windows(), cycle(FORMATS), strict=False):
        x = maker.codes((IMAGES, *size, 2), fmt)
        wish = Wish(("Avgpool1", "Avgpool2", *clauses), f"{why}, {fmt.name}", bits=maker.stream.pick([8, 15]))
        yield maker.layer([x], {}, words, wish)


def global_avgpool(turn: int) -> Iterator[Case]:
    """Images of 1 to 49 pixels by every rounding."""
    maker = Maker("global_avgpool", turn)
    for rounding, fmt, size in product(ROUNDINGS, FORMATS, ((1, 1), (2, 3), (7, 7))):
        x = maker.codes((IMAGES, *size, 3), fmt)
        wish = Wish(("Global_avgpool1",), f"{size[0]}x{size[1]}, {fmt.name}, {rounding}", rounding, bits=8)
        yield maker.layer([x], {}, {}, wish)


def requantize(turn: int) -> Iterator[Case]:
    """Codes by every rounding and clip under short shifts: every fourth code and more is a tie."""
    maker = Maker("requantize", turn)
    for rounding, form, fmt in product(ROUNDINGS, FORMS, FORMATS):
        shift = maker.stream.integer(1, 3)
        x = maker.codes((IMAGES, 4, 4, 2), fmt)
        clauses = ("Requantize1", "Q2", "Q3", "R2") if rounding in MODES else ("Requantize1", "Q2", "Q3")
        wish = Wish(clauses, f"{rounding}, {fmt.name} to {form[0].name} {form[1]}, shift {shift}", rounding, form, 1)
        yield maker.layer([x], {}, {}, replace(wish, shift=shift))


def concat(turn: int) -> Iterator[Case]:
    """One to three operands of different numbers of channels, images and rows of codes."""
    maker = Maker("concat", turn)
    for fmt, count, image, _ in product(FORMATS, (1, 2, 3), (False, True), range(4)):
        place = (maker.stream.integer(1, 3), maker.stream.integer(1, 3)) if image else ()
        operands = [maker.codes((IMAGES, *place, maker.stream.integer(1, 4)), fmt) for _ in range(count)]
        yield maker.layer(operands, {}, {}, Wish(("Concat1",), f"{count} operands of {fmt.name}"))


def pad_channels(turn: int) -> Iterator[Case]:
    """Channels of code 0 before and after."""
    maker = Maker("pad_channels", turn)
    for fmt, before, after in product(FORMATS, range(4), range(4)):
        x = maker.codes((IMAGES, 2, 3, maker.stream.integer(1, 3)), fmt)
        wish = Wish(("Pad_channels1", "N2"), f"{before} before, {after} after, {fmt.name}")
        yield maker.layer([x], {}, {"before": before, "after": after}, wish)


def flatten(turn: int) -> Iterator[Case]:
    """Images whose sides and channels differ."""
    maker = Maker("flatten", turn)
    for fmt, shape in product(FORMATS, product((1, 2, 3), (1, 2), (1, 3))):
        x = maker.codes((IMAGES, *shape), fmt)
        yield maker.layer([x], {}, {}, Wish(("Flatten1",), f"{'x'.join(map(str, shape))} of {fmt.name}"))


def gather_channels(turn: int) -> Iterator[Case]:
    """Permutations, choices and repetitions of channels, of images and of codes in a row."""
    maker = Maker("gather_channels", turn)
    for fmt, image, count in product(FORMATS, (False, True), range(1, 7)):
        channels = maker.stream.integer(1, 5)
        order = maker.stream.integers(0, channels - 1, (count,), np.int32)
        x = maker.codes((IMAGES, *((2, 2) if image else ()), channels), fmt)
        yield maker.layer([x], {"order": order}, {}, Wish(("Gather_channels1",), f"{count} of {channels} channels"))


def lookup(turn: int) -> Iterator[Case]:
    """Every code of either format, tables of either format, for all channels and one for each, by every rounding."""
    maker = Maker("lookup", turn)
    for rounding, fmt, gives, each in product(ROUNDINGS, FORMATS, FORMATS, (False, True)):
        x = maker.codes((IMAGES, 8, 16, 2), fmt)
        x.codes[0].reshape(-1)[:] = np.arange(fmt.lo, fmt.hi + 1)
        table = maker.stream.integers(gives.lo, gives.hi, (2 if each else 1, 256), np.int16)
        why = f"{fmt.name} to {gives.name}, {'a table a channel' if each else 'one table'}, {rounding}"
        wish = Wish(("Lookup1", "Lookup2"), why, rounding, (gives, "none"), bits=1, shift=0)
        yield maker.layer([x], {"table": table}, {}, wish)
        if rounding == ROUNDINGS[0]:
            yield maker.layer([x], {"table": table}, {}, Wish(("Lookup1", "L1"), "entries as logits", logits=True))


def mul(turn: int) -> Iterator[Case]:
    """Every pair of formats by every rounding, of one shape and by one pixel; the ends of codes."""
    maker = Maker("mul", turn)
    for rounding, one, other, pixel in product(ROUNDINGS, FORMATS, FORMATS, (False, True)):
        operands = [
            maker.codes((IMAGES, 2, 3, 3), one),
            maker.codes((IMAGES, *((1, 1) if pixel else (2, 3)), 3), other),
        ]
        for operand in operands:
            operand.codes[0, 0, 0, :2] = operand.format.lo, operand.format.hi
        why = f"{one.name} by {other.name}, {'one pixel' if pixel else 'one shape'}, {rounding}"
        yield maker.layer(operands, {}, {}, Wish(("Mul1",), why, rounding, bits=8))
