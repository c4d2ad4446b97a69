"""Cases of operators: a layer with its operands, its constants and the requantization that ends it.

Sizes are those of a few pixels, so that a simulation of all cases is short; each factor of an operator that a clause
names is gone through, the others are drawn beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle, product
from typing import Any

import numpy as np

from ..numbers.accumulator import confine
from ..numbers.formats import INT8, INT32, UINT8, WEIGHT_FORMATS, CodeFormat
from ..numbers.requantize import values
from ..numbers.rounding import MODES, ROUNDINGS
from ..ops import OPS
from .alone import position
from .answers import LAYER, attribute
from .case import Array, Case
from .numbers_cases import FORMS, words_of
from .stream import Stream

_LARGE = 2**31 - 1
_IMAGES = 2
_FORMATS = (UINT8, INT8)


@dataclass(frozen=True, eq=False)
class Operand:
    """Codes (N, ..., C) of a format, and what each image chose where exponents are dynamic."""

    codes: Array
    format: CodeFormat
    dynamic: int = 0
    d: Array | None = None

    @property
    def ends(self) -> tuple[int, int]:
        """Of the integers that are read."""
        return min(self.format.lo, 0) << self.dynamic, self.format.hi << self.dynamic


@dataclass(frozen=True)
class Wish:
    """What a case's layer shall be like beside its operator; what is None is drawn.

    residual: the format of one that is drawn; added: one that is there.
    """

    clauses: tuple[str, ...]
    why: str
    rounding: str | None = None
    form: tuple[CodeFormat, str] | None = None
    bits: int | None = None
    accumulator: tuple[int, str] = (32, "error")
    residual: CodeFormat | None = None
    residual_dynamic: int = 0
    added: Operand | None = None
    dynamic: int = 0
    logits: bool = False
    shift: int | None = None


class Maker:
    """Puts cases of one group together."""

    def __init__(self, op: str, turn: int) -> None:
        self.op, self.stream = op, Stream(f"{op} {turn}")
        self._roundings, self._forms = cycle(ROUNDINGS), cycle(FORMS)

    def codes(self, shape: tuple[int, ...], fmt: CodeFormat) -> Operand:
        """An operand of that shape."""
        return Operand(self.stream.codes(fmt.lo, fmt.hi, shape, fmt.dtype), fmt)

    def dynamic(self, shape: tuple[int, ...], fmt: CodeFormat, dynamic: int) -> Operand:
        """An operand whose images have chosen: 0, the most, and what lies between; the largest code fills its bits."""
        d = np.array([0, dynamic, *self.stream.integers(0, dynamic, (max(0, shape[0] - 2),)).tolist()])[: shape[0]]
        codes = self.stream.codes(fmt.lo, fmt.hi, shape, fmt.dtype)
        codes.reshape(len(codes), -1)[:, 0] = fmt.hi
        return Operand(codes, fmt, dynamic, d.astype(np.int64))

    def layer(
        self,
        operands: Sequence[Operand],
        constants: Mapping[str, Array],
        attributes: Mapping[str, Any],
        wish: Wish,
        weight_format: str | None = None,
    ) -> Case:
        """The case; operators that pass codes have no requantization."""
        inputs: dict[str, Array] = {}
        told: dict[str, Any] = {}
        for number, operand in enumerate(operands):
            self._put(inputs, told, f"input_{number}", operand)
        inputs |= constants
        parameters: dict[str, Any] = {
            "op": self.op,
            "attributes": dict(attributes),
            "operands": told,
            "weight_format": weight_format,
            "accumulator": list(wish.accumulator),
            "requantize": None,
            "layer": 0,
            "first_image": 0,
        }
        if OPS[self.op].ACCUMULATES and not wish.logits:
            arguments = {**constants, **{key: attribute(value) for key, value in attributes.items()}}
            read = [values(operand.codes, operand.d) for operand in operands]
            acc = confine(OPS[self.op].reference(*read, **arguments), *wish.accumulator)[0]
            parameters["requantize"] = self._requantized(inputs, told, acc, wish)
            parameters["first_image"] = self.stream.integer(0, 500)
        parameters["layer"] = 0 if self.op == "input" else position(inputs)
        return Case(f"{LAYER}_{self.op}", wish.clauses, wish.why, parameters, inputs)

    def _put(self, inputs: dict[str, Array], told: dict[str, Any], name: str, operand: Operand) -> None:
        inputs[name] = operand.codes
        told[name] = {"format": operand.format.name, "dynamic": operand.dynamic}
        if operand.d is not None:
            inputs[f"{name}_d"] = operand.d

    def _requantized(self, inputs: dict[str, Array], told: dict[str, Any], acc: Array, wish: Wish) -> dict[str, Any]:
        """Shifts that bring the largest sums to some hundred codes, so that few vanish and some are clipped."""
        stream, channels = self.stream, acc.shape[-1]
        rounding, form = wish.rounding or next(self._roundings), wish.form or next(self._forms)
        if wish.dynamic and form[1] == "clip":
            form = (form[0], "none")
        words = words_of(form, rounding, stream, wish.dynamic)
        count = stream.pick([channels, 1])
        adds = wish.residual is not None or wish.added is not None
        bits = wish.bits or stream.pick([1, 8] if adds else [1, 8, 15, 31])
        multiplier = stream.integers(2 ** (bits - 1), 2**bits - 1, (count,))
        widest = int(np.abs(acc.astype(np.int64)).max()) * int(multiplier.max())
        fitting = widest.bit_length() - 8 - wish.dynamic + stream.integers(-1, 1, (count,))
        shift = np.clip(fitting if wish.shift is None else np.full(count, wish.shift), 0, 40)
        inputs |= {"multiplier": multiplier, "shift": shift}
        residual = wish.added or self._residual(wish, acc.shape)
        if residual is not None:
            self._put(inputs, told, "residual", residual)
            inputs["residual_shift"] = shift + stream.integer(-min(3, int(shift.min())), 2)
        return words

    def _residual(self, wish: Wish, shape: tuple[int, ...]) -> Operand | None:
        if wish.residual is None:
            return None
        if wish.residual_dynamic:
            return self.dynamic(shape, wish.residual, wish.residual_dynamic)
        return self.codes(shape, wish.residual)

    def weights(
        self, fmt: CodeFormat, outputs: int, inputs: int, kernel: tuple[int, ...], cluster: int
    ) -> dict[str, Array]:
        """Codes of which many are 0 or ends, scales with 0 and 127 among them, small biases; the cluster as it is."""
        stream = self.stream
        return {
            "weight": stream.codes(fmt.lo, fmt.hi, (outputs, inputs, *kernel), np.int8),
            "scale": stream.codes(0, 127, (outputs, -(-inputs // cluster)), np.int8),
            "bias": stream.integers(-999, 999, (outputs,), np.int32),
        }


def _clusters(inputs: int) -> tuple[tuple[int, tuple[str, ...], str], ...]:
    """Sizes of clusters among ``inputs`` channels: cluster, clauses, why."""
    return (
        (1, ("C3",), "clusters of 1"),
        (2, ("C1", "C3"), "the last cluster is shorter" if inputs % 2 else "clusters of 2"),
        (3, ("C1", "C3"), "the last cluster is shorter" if inputs % 3 else "clusters of 3"),
        (inputs, ("C3",), "one cluster"),
        (inputs + 2, ("C1",), "a cluster larger than its channels"),
    )


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
    for fmt, number, x_format, padding, group in product(WEIGHT_FORMATS.values(), range(5), _FORMATS, _PADS, (1, 2)):
        inputs = 5 if group == 1 else 3
        yield _conv(maker, fmt, x_format, padding, group, inputs, 2, _clusters(inputs)[number])
    for fmt, x_format, padding in product(WEIGHT_FORMATS.values(), _FORMATS, _PADS):
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
    x = maker.codes((_IMAGES, stream.integer(3, 5), stream.integer(3, 6), group * inputs), x_format)
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
        x = maker.codes((_IMAGES, 4, 4, 4), INT8)
        for arrays, size, fmt in ((constants, cluster, "ternary"), (plain, 4, "int8")):
            attributes = {"strides": [1, 1], "pads": [0, 1, 1, 0], "group": 1, "cluster": size}
            wish = Wish(("C5", "C3", "A2"), f"the same sums by {fmt} weights", "half_up", (INT8, "none"), logits=True)
            yield maker.layer([x], arrays, attributes, wish, fmt)


def fc(turn: int) -> Iterator[Case]:
    """Formats by clusters, of codes in a row and of images, which are flattened; accumulators at both ends of INT32."""
    maker = Maker("fc", turn)
    for fmt, number, x_format, image in product(WEIGHT_FORMATS.values(), range(5), _FORMATS, (False, True)):
        shape = (2, 2, 3) if image else (7,)
        inputs = int(np.prod(shape))
        cluster, clauses, why = _clusters(inputs)[number]
        constants = maker.weights(fmt, 3, inputs, (), cluster)
        of_image = ("Flatten1",) if image else ()
        wish = Wish(("Fc1", *clauses, *of_image), f"{fmt.name}, {why}{', an image' if image else ''}")
        x = maker.codes((_IMAGES, *shape), x_format)
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
        pixels = maker.codes((_IMAGES, 2, 3, channels), UINT8)
        yield maker.layer([pixels], {"bias": bias}, {"flip": flip}, Wish(("Input1", "Input2"), why, rounding, form))


def batchnorm(turn: int) -> Iterator[Case]:
    """Signs -1, 0 and 1 by every rounding, of images and of codes in a row; biases near the ends of INT32."""
    maker = Maker("batchnorm", turn)
    for rounding, fmt, image in product(ROUNDINGS, _FORMATS, (False, True)):
        channels = 6
        sign = np.array([1, -1, 0, 1, -1, 0], np.int8)
        bias = maker.stream.integers(-9000, 9000, (channels,), np.int32)
        bias[3:5] = (_LARGE - 2**16, -_LARGE + 2**16)
        x = maker.codes((_IMAGES, *((2, 2) if image else ()), channels), fmt)
        wish = Wish(("Batchnorm1",), f"{fmt.name}, {rounding}", rounding, bits=8)
        yield maker.layer([x], {"sign": sign, "bias": bias}, {}, wish)


def add(turn: int) -> Iterator[Case]:
    """Every shift of either operand, every pair of formats."""
    maker = Maker("add", turn)
    formats = cycle(product(_FORMATS, repeat=2))
    for shift, first in product(range(23), (True, False)):
        shifts = [shift, 0] if first else [0, shift]
        shape = (_IMAGES, 2, 2, 3) if shift % 3 else (_IMAGES, 5)
        operands = [maker.codes(shape, fmt) for fmt in next(formats)]
        yield maker.layer(operands, {}, {"shifts": shifts}, Wish(("Add1", "N3"), f"shifts {shifts}"))
    for one, other in product(_FORMATS, repeat=2):  # both at the ends that are farthest apart
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
    for (words, size, clauses, why), fmt in zip(_windows(), cycle(_FORMATS), strict=False):
        x = maker.codes((_IMAGES, *size, 2), fmt)
        if fmt is INT8:
            np.minimum(x.codes, -1, out=x.codes)
        yield maker.layer([x], {}, words, Wish(("Maxpool1", *clauses), f"{why}, {fmt.name}"))


def avgpool(turn: int) -> Iterator[Case]:
    """Windows that have fewer pixels at the borders, of which the average is taken all the same."""
    maker = Maker("avgpool", turn)
    for (words, size, clauses, why), fmt in zip(_windows(), cycle(_FORMATS), strict=False):
        x = maker.codes((_IMAGES, *size, 2), fmt)
        wish = Wish(("Avgpool1", "Avgpool2", *clauses), f"{why}, {fmt.name}", bits=maker.stream.pick([8, 15]))
        yield maker.layer([x], {}, words, wish)


def global_avgpool(turn: int) -> Iterator[Case]:
    """Images of 1 to 49 pixels by every rounding."""
    maker = Maker("global_avgpool", turn)
    for rounding, fmt, size in product(ROUNDINGS, _FORMATS, ((1, 1), (2, 3), (7, 7))):
        x = maker.codes((_IMAGES, *size, 3), fmt)
        wish = Wish(("Global_avgpool1",), f"{size[0]}x{size[1]}, {fmt.name}, {rounding}", rounding, bits=8)
        yield maker.layer([x], {}, {}, wish)


def requantize(turn: int) -> Iterator[Case]:
    """Codes by every rounding and clip under short shifts: every fourth code and more is a tie."""
    maker = Maker("requantize", turn)
    for rounding, form, fmt in product(ROUNDINGS, FORMS, _FORMATS):
        shift = maker.stream.integer(1, 3)
        x = maker.codes((_IMAGES, 4, 4, 2), fmt)
        clauses = ("Requantize1", "Q2", "Q3", "R2") if rounding in MODES else ("Requantize1", "Q2", "Q3")
        wish = Wish(clauses, f"{rounding}, {fmt.name} to {form[0].name} {form[1]}, shift {shift}", rounding, form, 1)
        yield maker.layer([x], {}, {}, _with(wish, shift=shift))


def _with(wish: Wish, **changed: Any) -> Wish:
    return Wish(**{**vars(wish), **changed})


def concat(turn: int) -> Iterator[Case]:
    """One to three operands of different numbers of channels, images and rows of codes."""
    maker = Maker("concat", turn)
    for fmt, count, image, _ in product(_FORMATS, (1, 2, 3), (False, True), range(4)):
        place = (maker.stream.integer(1, 3), maker.stream.integer(1, 3)) if image else ()
        operands = [maker.codes((_IMAGES, *place, maker.stream.integer(1, 4)), fmt) for _ in range(count)]
        yield maker.layer(operands, {}, {}, Wish(("Concat1",), f"{count} operands of {fmt.name}"))


def pad_channels(turn: int) -> Iterator[Case]:
    """Channels of code 0 before and after."""
    maker = Maker("pad_channels", turn)
    for fmt, before, after in product(_FORMATS, range(4), range(4)):
        x = maker.codes((_IMAGES, 2, 3, maker.stream.integer(1, 3)), fmt)
        wish = Wish(("Pad_channels1", "N2"), f"{before} before, {after} after, {fmt.name}")
        yield maker.layer([x], {}, {"before": before, "after": after}, wish)


def flatten(turn: int) -> Iterator[Case]:
    """Images whose sides and channels differ."""
    maker = Maker("flatten", turn)
    for fmt, shape in product(_FORMATS, product((1, 2, 3), (1, 2), (1, 3))):
        x = maker.codes((_IMAGES, *shape), fmt)
        yield maker.layer([x], {}, {}, Wish(("Flatten1",), f"{'x'.join(map(str, shape))} of {fmt.name}"))


def gather_channels(turn: int) -> Iterator[Case]:
    """Permutations, choices and repetitions of channels, of images and of codes in a row."""
    maker = Maker("gather_channels", turn)
    for fmt, image, count in product(_FORMATS, (False, True), range(1, 7)):
        channels = maker.stream.integer(1, 5)
        order = maker.stream.integers(0, channels - 1, (count,), np.int32)
        x = maker.codes((_IMAGES, *((2, 2) if image else ()), channels), fmt)
        yield maker.layer([x], {"order": order}, {}, Wish(("Gather_channels1",), f"{count} of {channels} channels"))


def lookup(turn: int) -> Iterator[Case]:
    """Every code of either format, tables of either format, for all channels and one for each, by every rounding."""
    maker = Maker("lookup", turn)
    for rounding, fmt, gives, each in product(ROUNDINGS, _FORMATS, _FORMATS, (False, True)):
        x = maker.codes((_IMAGES, 8, 16, 2), fmt)
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
    for rounding, one, other, pixel in product(ROUNDINGS, _FORMATS, _FORMATS, (False, True)):
        operands = [
            maker.codes((_IMAGES, 2, 3, 3), one),
            maker.codes((_IMAGES, *((1, 1) if pixel else (2, 3)), 3), other),
        ]
        for operand in operands:
            operand.codes[0, 0, 0, :2] = operand.format.lo, operand.format.hi
        why = f"{one.name} by {other.name}, {'one pixel' if pixel else 'one shape'}, {rounding}"
        yield maker.layer(operands, {}, {}, Wish(("Mul1",), why, rounding, bits=8))


# ----------------------------------------------------------------------------- what every operator has: by one network

_Plain = Callable[[Maker, list[Operand], Wish], Case]


@dataclass(frozen=True)
class _Shape:
    """An operator in its plainest form: how many operands, of what shape, with which constants and attributes."""

    shapes: tuple[tuple[int, ...], ...]
    constants: Callable[[Maker], dict[str, Array]] = lambda maker: {}
    attributes: Mapping[str, Any] = field(default_factory=dict)
    weight_format: str | None = None


def _ternary(maker: Maker, *shape: int) -> dict[str, Array]:
    """Small sums, which have room for values of 15 bits."""
    made = maker.weights(WEIGHT_FORMATS["ternary"], shape[0], shape[1], shape[2:], 2)
    made["scale"] = np.minimum(made["scale"], 20)
    return made


_SHAPES = {
    "conv": _Shape(
        ((3, 3, 4),),
        lambda maker: _ternary(maker, 3, 4, 2, 2),
        {"strides": [1, 1], "pads": [1, 0, 0, 1], "group": 1, "cluster": 2},
        "ternary",
    ),
    "fc": _Shape(((5,),), lambda maker: _ternary(maker, 3, 5), {"cluster": 2}, "ternary"),
    "batchnorm": _Shape(
        ((2, 2, 3),),
        lambda maker: {
            "sign": np.array([1, -1, 0], np.int8),
            "bias": maker.stream.integers(-5000, 5000, (3,), np.int32),
        },
    ),
    "add": _Shape(((2, 2, 3), (2, 2, 3)), attributes={"shifts": [2, 0]}),
    "avgpool": _Shape(
        ((3, 3, 2),),
        attributes={"kernel_shape": [2, 2], "strides": [1, 1], "pads": [1, 0, 0, 1], "ceil_mode": False},
    ),
    "global_avgpool": _Shape(((3, 2, 3),)),
    "requantize": _Shape(((2, 3, 3),)),
    "maxpool": _Shape(
        ((3, 3, 2),),
        attributes={"kernel_shape": [2, 2], "strides": [1, 1], "pads": [1, 0, 0, 1], "ceil_mode": False},
    ),
    "pad_channels": _Shape(((2, 2, 2),), attributes={"before": 1, "after": 1}),
    "flatten": _Shape(((2, 3, 2),)),
    "concat": _Shape(((2, 2, 2),)),
    "gather_channels": _Shape(((2, 2, 3),), lambda maker: {"order": np.array([2, 0, 0, 1], np.int32)}),
    "mul": _Shape(((2, 2, 3), (1, 1, 3))),
}


def residuals(turn: int) -> Iterator[Case]:
    """A residual of either format behind every operator that accumulates, by every rounding (Q5)."""
    for op in (op for op in _SHAPES if OPS[op].ACCUMULATES):
        maker = Maker(op, 1000 + turn)
        for rounding, residual in product(ROUNDINGS, _FORMATS):
            wish = Wish(("Q1", "Q5"), f"residual {residual.name}, {rounding}", rounding, residual=residual)
            yield _plain(maker, op, [maker.stream.pick(_FORMATS)] * 2, 0, _with(wish, bits=8))


def dynamics(turn: int) -> Iterator[Case]:
    """Operands, residuals and results whose exponents images choose, of every operator (D4, D5, D1 to D3)."""
    for op in _SHAPES:
        maker = Maker(op, 2000 + turn)
        for dynamic, fmt in product((1, 3, 7), _FORMATS):
            passes = not OPS[op].ACCUMULATES
            why = f"operands dynamic by up to {dynamic}, {fmt.name}"
            yield _plain(maker, op, [fmt] * 2, dynamic, Wish(("D5",) if passes else ("D4",), why, bits=8))
            if not passes:
                clauses, why = ("D1", "D2", "D3", "D6"), f"result dynamic by up to {dynamic}"
                wish = Wish(clauses, why, form=(fmt, "none"), dynamic=dynamic, bits=8)
                yield _plain(maker, op, [fmt] * 2, 0, wish)
                wish = Wish(("D4", "Q5"), f"residual dynamic by up to {dynamic}", residual=fmt, bits=8)
                yield _plain(maker, op, [fmt] * 2, 0, _with(wish, residual_dynamic=dynamic))


def accumulators_as_logits(turn: int) -> Iterator[Case]:
    """The last layer, whose sums are not requantized, of every operator that accumulates (L1)."""
    for op in (op for op in _SHAPES if OPS[op].ACCUMULATES):
        maker = Maker(op, 3000 + turn)
        for fmt in _FORMATS:
            yield _plain(maker, op, [fmt] * 2, 0, Wish(("L1",), "sums as logits", logits=True))
            wish = Wish(("L1", "Q3"), "codes of INT32 as logits", form=(INT32, "none"), bits=1, shift=1)
            yield _plain(maker, op, [fmt] * 2, 0, wish)


def _plain(maker: Maker, op: str, formats: Sequence[CodeFormat], dynamic: int, wish: Wish) -> Case:
    shape = _SHAPES[op]
    operands = [
        maker.dynamic((4, *sides), fmt, dynamic) if dynamic else maker.codes((4, *sides), fmt)
        for sides, fmt in zip(shape.shapes, formats, strict=False)
    ]
    if dynamic and op == "concat":
        operands = operands[:1]
    return maker.layer(operands, shape.constants(maker), shape.attributes, wish, shape.weight_format)


def bound(turn: int) -> Iterator[Case]:
    """The bounds of all operators that accumulate, over the ranges of codes, dynamic ones and clips (A2, A6)."""
    stream = Stream(f"bound {turn}")
    ranges = ((0, 255), (-128, 127), (0, 6), (0, 255 << 3), (-128 << 7, 127 << 7))
    for op, ends in product((op for op in _SHAPES if OPS[op].ACCUMULATES), ranges):
        maker, shape = Maker(op, 4000 + turn), _SHAPES[op]
        constants = shape.constants(maker)
        parameters = {
            "op": op,
            "attributes": dict(shape.attributes),
            "ranges": [list(ends), list(stream.pick(ranges))][: len(shape.shapes)],
            "shape": list(shape.shapes[0]),
        }
        clauses = ("A2",) if "weight" in constants else ("A6",)
        yield Case("bound", clauses, f"{op}, codes {ends[0]}..{ends[1]}", parameters, constants)
    for flip, negative in product((False, True), repeat=2):
        bias = stream.integers(-9000 if negative else 0, 9000, (3,), np.int32)
        parameters = {"op": "input", "attributes": {"flip": flip}, "ranges": [[0, 255]], "shape": [2, 2, 3]}
        yield Case("bound", ("A6",), f"input, flip {flip}", parameters, {"bias": bias})
