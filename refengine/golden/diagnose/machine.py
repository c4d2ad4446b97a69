"""How a layer is computed, with everything in it that a fault can change.

``Case`` is a layer with the codes that it reads.  ``Machine`` is a computation of it: its codes, constants and windows
as plain arrays, and the few steps of arithmetic as functions.  ``machine_of(case)`` is the layer as the contract has
it; a hypothesis turns one machine into another, and ``recompute`` says what it would have written, everywhere or at
single elements.  A fault that only changes an array or a number is one ``replace``; one that changes the arithmetic
replaces one of the functions ``add``, ``pool``, ``total`` and ``codes``.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ...errors import RangeError
from ...network.int_network import IntLayer, IntNetwork
from ...numbers import requantize as numbers
from ...numbers.accumulator import confine
from ...numbers.requantize import Requantize
from ...numbers.rounding import STOCHASTIC, round_shift
from ...numbers.stochastic import random_bits
from ...ops import OPS, avgpool, conv, flatten

STAGES = ("accumulator", "total", "code")
POOLS = ("maxpool", "avgpool", "global_avgpool")
EDGE = "edge"
_ELEMENTS_AT_ONCE = 1 << 21
_INT16 = 2**15 - 1


@dataclass(frozen=True, eq=False)
class Case:
    """A layer and the codes it read: ``operands`` (N, ...) in the order of its inputs, ``residual`` like its result.

    ``first_image`` is the first one's number in the run, for stochastic rounding.  ``others`` may hold codes of other
    layers, which a hypothesis may try as a residual.  ``skipped``: images of the dump before the first one.
    """

    network: IntNetwork
    layer: IntLayer
    operands: tuple[np.ndarray, ...]
    residual: np.ndarray | None = None
    first_image: int = 0
    others: Mapping[str, np.ndarray] = field(default_factory=dict)
    skipped: int = 0

    def __post_init__(self) -> None:
        wanted = [self.network.shapes[name] for name in self.layer.inputs] or [self.network.input_shape]
        found = [array.shape[1:] for array in self.operands]
        if found != [tuple(shape) for shape in wanted]:
            raise RangeError(f"layer {self.layer.name!r} reads {wanted}, found operands of {found}")
        if (self.residual is None) != (self.layer.residual is None):
            raise RangeError(f"layer {self.layer.name!r}: its residual is {self.layer.residual!r}, which must be given")

    @property
    def count(self) -> int:
        """How many images there are."""
        return len(self.operands[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the result of one image."""
        return tuple(self.network.shapes[self.layer.name])

    @property
    def position(self) -> int:
        """The layer's place in the network, which stochastic rounding looks at."""
        return [layer.name for layer in self.network.layers].index(self.layer.name)

    def images(self, start: int, stop: int) -> "Case":
        """The case of images ``start..stop``."""
        return replace(
            self,
            operands=tuple(codes[start:stop] for codes in self.operands),
            residual=None if self.residual is None else self.residual[start:stop],
            first_image=self.first_image + start,
            others={name: codes[start:stop] for name, codes in self.others.items()},
            skipped=self.skipped + start,
        )


@dataclass(frozen=True, eq=False)
class Parts:
    """What a requantization starts from: int64 accumulators and residual (..., C), its constants, its random bits.

    ``bias``: what the contract's accumulator begins with, whatever this one did.
    """

    acc: np.ndarray
    step: Requantize
    residual: np.ndarray | None
    bits: np.ndarray | None
    bias: np.ndarray | int = 0

    @property
    def product(self) -> np.ndarray:
        """acc * multiplier."""
        return self.acc * self.step.multiplier

    @property
    def aligned(self) -> np.ndarray:
        """The residual in the unit of the product; 0 where there is none."""
        if self.residual is None:
            return np.zeros_like(self.acc)
        return self.residual << self.step.residual_shift


def plain_total(parts: Parts) -> np.ndarray:
    """What is rounded (contract Q1)."""
    return numbers.total(parts.acc, parts.step, parts.residual)


def plain_rounding(parts: Parts, total: np.ndarray) -> np.ndarray:
    """Rounded, not yet clipped (contract Q2)."""
    return round_shift(total, parts.step.shift, parts.step.rounding, parts.bits)


def plain_codes(parts: Parts, total: np.ndarray) -> np.ndarray:
    """Rounded and clipped (contract Q2, Q3)."""
    return numbers.clip(plain_rounding(parts, total), parts.step)


def plain_pool(values: np.ndarray, valid: np.ndarray, machine: "Machine") -> np.ndarray:
    """The largest valid code, or the sum of the valid ones times L / count: (S, K), (S, K) -> (S,)."""
    if machine.op == "maxpool":
        return np.where(valid, values, np.iinfo(np.int64).min).max(axis=1)
    sums = np.where(valid, values, 0).sum(axis=1)
    if machine.op == "global_avgpool":
        return sums
    return sums * (common_count(machine) // np.maximum(np.count_nonzero(valid, axis=1), 1))


Add = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
Products = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
Lines = Callable[[np.ndarray, np.ndarray], np.ndarray]
NOWHERE = -(1 << 20)  # a line of the input that no image has: it reads as the padding
Pool = Callable[[np.ndarray, np.ndarray, "Machine"], np.ndarray]


@dataclass(frozen=True, eq=False)
class Machine:
    """A computation of a layer.

    ``op`` is the operator, ``conv`` for an fc as well.  A conv's ``constants`` are weight (O, I/group, KH, KW) and
    scale (O, I/group), one for each input channel, and bias (O).  ``origin``: rows and columns by which every window is
    moved; ``fill``: what lies outside the image, a number, one a channel, or ``EDGE``.  ``add(acc, partial, scale)``
    takes in one cluster's sum after the other, None where their order cannot matter; ``products(products, scales,
    bias)`` adds the single products (S, KH, KW, I) with the scales of their channels (S, I), where their grouping
    matters. ``lines``: for rows and for columns, what a window at some positions (S, 1) reads for the lines (S, K).
    ``packed``: of two neighbouring channels the one, 0 or 1, that is one less where the other's products are negative.
    ``narrow``: width and policy of the accumulator.  ``kept``: what it is not cleared of, a key of ``KEPT``, and the
    runs over which it goes on, a key of ``RUNS``.  ``remembers``: something of one image comes into the next.
    ``order`` permutes a result (N, ...), image by image; ``shown`` changes its written values.
    """

    case: Case
    op: str
    operands: tuple[np.ndarray, ...]
    residual: np.ndarray | None
    constants: Mapping[str, np.ndarray]
    attributes: Mapping[str, Any]
    step: Requantize | None
    narrow: tuple[int, str] | None
    first_image: int
    position: int
    origin: tuple[int, int] = (0, 0)
    fill: Any = 0
    add: Add | None = None
    products: Products | None = None
    lines: tuple[Lines | None, Lines | None] = (None, None)
    packed: int | None = None
    kept: tuple[str, str] | None = None
    remembers: bool = False
    pool: Pool = plain_pool
    total: Callable[[Parts], np.ndarray] = plain_total
    codes: Callable[[Parts, np.ndarray], np.ndarray] = plain_codes
    order: tuple[Callable[[np.ndarray], np.ndarray], ...] = ()
    shown: tuple[Callable[[np.ndarray], np.ndarray], ...] = ()

    def constant(self, **changed: np.ndarray) -> "Machine":
        """The same with other constants."""
        return replace(self, constants={**self.constants, **changed})

    def attribute(self, **changed: Any) -> "Machine":
        """The same with other attributes."""
        return replace(self, attributes={**self.attributes, **changed})

    def stepping(self, **changed: Any) -> "Machine | None":
        """The same with another requantization; None where there is none, or where its numbers cannot be."""
        try:
            return None if self.step is None else replace(self, step=replace(self.step, **changed))
        except RangeError:
            return None

    @property
    def clusters(self) -> np.ndarray:
        """Which cluster each input channel of a conv belongs to."""
        return np.arange(self.constants["weight"].shape[1]) // self.attributes["cluster"]


def machine_of(case: Case) -> Machine:
    """The layer as the contract computes it."""
    layer = case.layer
    op, operands = layer.op, case.operands
    constants, attributes = dict(layer.constants), dict(layer.attributes)
    if op == "fc":
        op, operands = "conv", (flatten.reference(operands[0])[:, None, None, :],)
        constants["weight"] = constants["weight"][:, :, None, None]
        attributes |= {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1}
    if op == "conv":
        weight = constants["weight"].astype(np.int32)
        scale = constants["scale"].astype(np.int32)[:, np.arange(weight.shape[1]) // attributes["cluster"]]
        constants |= {"weight": weight, "scale": scale}
    if op == "global_avgpool":
        height, width = operands[0].shape[1:3]
        attributes = {
            "kernel_shape": (height, width), "strides": (1, 1), "pads": (0, 0, 0, 0), "ceil_mode": False,
        }  # fmt: skip
    narrow = (layer.accumulator_bits, layer.accumulator_policy) if layer.accumulator_bits < 32 else None
    return Machine(
        case, op, operands, case.residual, constants, attributes, layer.requantize, narrow, case.first_image,
        case.position,
    )  # fmt: skip


def stages_of_case(case: Case) -> tuple[str, ...]:
    """The stages that a dump of the layer can hold."""
    if not OPS[case.layer.op].ACCUMULATES:
        return ("code",)
    return STAGES if case.layer.requantize is not None else ("accumulator",)


@dataclass(frozen=True, eq=False)
class Known:
    """What a machine computes at the flat positions ``where`` (S,): another that is alike need not compute it again."""

    machine: Machine
    where: np.ndarray

    @cached_property
    def acc(self) -> np.ndarray:
        """The accumulators."""
        found = accumulators(self.machine, self.where)
        found.setflags(write=False)
        return found

    @cached_property
    def parts(self) -> Parts | None:
        """What the requantization starts from."""
        return None if self.machine.step is None else _parts(self.machine, self.machine.step, self.acc, self.where)


_OF_SUMS = (
    "case", "op", "operands", "constants", "attributes", "narrow", "origin", "fill", "add", "products", "lines",
    "packed", "kept", "pool",
)  # fmt: skip
_OF_PARTS = ("case", "step", "residual", "first_image", "position")


def _alike(one: Machine, other: Machine, names: Sequence[str]) -> bool:
    """Whether two machines share these, the same objects, not only equal ones."""
    return all(getattr(one, name) is getattr(other, name) for name in names)


def recompute(
    machine: Machine,
    stages: Sequence[str],
    where: np.ndarray | None = None,
    written: Sequence[str] = (),
    known: Known | None = None,
) -> dict[str, np.ndarray]:
    """What a machine writes: {stage: int64}, at the flat positions ``where`` (S,), or everything (N, ...) if None.

    ``order`` and ``shown`` belong to the writing and touch only the stages ``written``.  ``known``: of the same places.
    """
    plain = [stage for stage in stages if stage not in written]
    moved = [stage for stage in stages if stage in written]
    if not (machine.order or machine.shown) or not moved:
        return _computed(machine, stages, where, known)
    found = _computed(machine, plain, where, known) if plain else {}
    if machine.order:
        found |= _computed(machine, moved, None if where is None else _moved(machine, where))
    else:
        found |= _computed(machine, moved, where, known)
    for stage in moved:
        values = found[stage]
        if where is None:
            for order in machine.order:
                values = order(values)
        for shown in machine.shown:
            values = shown(values)
        found[stage] = values
    return found


def _moved(machine: Machine, where: np.ndarray) -> np.ndarray:
    """Where the elements that end up at ``where`` come from."""
    size = int(np.prod(machine.case.shape))
    sources = np.arange(size).reshape(1, *machine.case.shape)
    for order in machine.order:
        sources = order(sources)
    return where // size * size + sources.reshape(-1)[where % size]


def _computed(
    machine: Machine, stages: Sequence[str], where: np.ndarray | None, known: Known | None = None
) -> dict[str, np.ndarray]:
    acc = known.acc if known is not None and _alike(machine, known.machine, _OF_SUMS) else accumulators(machine, where)
    if not OPS[machine.case.layer.op].ACCUMULATES:
        return dict.fromkeys(stages, acc)
    if {"total", "code"}.isdisjoint(stages):
        return {"accumulator": acc}
    found = stages_at(machine, acc, where, known)
    return {stage: found[stage] for stage in stages}


def stages_at(
    machine: Machine, acc: np.ndarray, where: np.ndarray | None, known: Known | None = None
) -> dict[str, np.ndarray]:
    """All stages of given accumulators, at the flat positions ``where`` or everywhere: {stage: int64}."""
    if machine.step is None:
        return {"accumulator": acc}
    if known is not None and known.parts is not None and _alike(machine, known.machine, _OF_PARTS):
        parts = replace(known.parts, acc=acc)
    else:
        parts = _parts(machine, machine.step, acc, where)
    total = machine.total(parts)
    return {"accumulator": acc, "total": total, "code": np.asarray(machine.codes(parts, total), np.int64)}


def accumulators(machine: Machine, where: np.ndarray | None) -> np.ndarray:
    """The sums, as the accumulator holds them: int64 (S,) or (N, ...)."""
    if machine.kept is not None:
        return _kept(machine, where)
    if machine.packed is not None:
        return _packed(machine, where)
    if machine.op == "conv":
        acc = _conv(machine) if where is None else _in_blocks(_conv_at, machine, where)
    elif machine.op in POOLS:
        acc = _in_blocks(_pool_at, machine, _everywhere(machine) if where is None else where)
    else:
        acc = OPS[machine.op].reference(*machine.operands, **machine.constants, **machine.attributes)
        acc = acc if where is None else acc.reshape(-1)[where]
    if where is None:
        acc = acc.reshape(machine.case.count, *machine.case.shape)
    if machine.narrow is not None:
        bits, policy = machine.narrow
        acc, _ = confine(acc, bits, "wrap" if policy == "error" else policy)
    return acc.astype(np.int64)


def _and_the_last(sums: np.ndarray, bias: np.ndarray, axis: int) -> np.ndarray:
    """Each sum with the one before it."""
    before = np.roll(sums, 1, axis)
    before[(slice(None),) * axis + (0,)] = 0
    return sums + before


def _bias_once(sums: np.ndarray, bias: np.ndarray, axis: int) -> np.ndarray:
    """Each sum of products with all those before it, and the first one's bias."""
    return np.cumsum(sums - bias, axis) + bias.take([0], axis)


KEPT: Mapping[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "all": lambda sums, bias, axis: np.cumsum(sums, axis),
    "last": _and_the_last,
    "products": _bias_once,
}
RUNS: Mapping[str, Callable[[int, int, int, int], tuple[tuple[int, ...], int]]] = {  # (N, H, W, C) -> shape and axis
    "channel": lambda n, h, w, c: ((n, h * w, c), 2),
    "pixel": lambda n, h, w, c: ((n, h * w, c), 1),
    "row": lambda n, h, w, c: ((n * h, w, c), 1),
    "result": lambda n, h, w, c: ((n, h * w * c), 1),
    "image": lambda n, h, w, c: ((n, h * w, c), 0),
}


def _kept(machine: Machine, where: np.ndarray | None) -> np.ndarray:
    """Sums of an accumulator that is not cleared: each contains those before it, or the last one."""
    what, over = machine.kept or ("", "")
    sums = accumulators(replace(machine, kept=None), None)
    shape, axis = RUNS[over](*_hwc(machine))
    bias = np.broadcast_to(machine.constants["bias"].astype(np.int64), sums.shape).reshape(shape)
    runs = KEPT[what](sums.reshape(shape), bias, axis)
    bits, policy = machine.narrow or (32, "wrap")
    held, _ = confine(runs.reshape(sums.shape), bits, "wrap" if policy == "error" else policy)
    return (held if where is None else held.reshape(-1)[where]).astype(np.int64)


def _packed(machine: Machine, where: np.ndarray | None) -> np.ndarray:
    """Sums of which each second one is too small by one where its neighbour's products are negative."""
    plain = replace(machine, packed=None)
    constants, channels = machine.constants, machine.case.shape[-1]
    other = np.minimum(np.arange(channels) ^ 1, channels - 1)
    neighbour = plain.constant(
        weight=np.ascontiguousarray(constants["weight"][other]),
        scale=constants["scale"][other],
        bias=np.zeros_like(constants["bias"]),
    )
    channel = np.arange(channels) if where is None else where % channels
    borrows = (channel % 2 == machine.packed) & (channel < channels // 2 * 2)
    return accumulators(plain, where) - (borrows & (accumulators(neighbour, where) < 0))


def requantized(machine: Machine, acc: np.ndarray) -> np.ndarray:
    """The codes of other accumulators, all of them: int64 (N, ...).  RangeError where there is no requantization."""
    if machine.step is None:
        raise RangeError(f"layer {machine.case.layer.name!r} gives accumulators and requantizes nothing")
    return stages_at(machine, acc, None)["code"]


def taps(machine: Machine) -> int:
    """How many codes under its window one element is computed from; 1 where there is no window."""
    if machine.op == "conv":
        return int(np.prod(machine.constants["weight"].shape[1:]))
    if machine.op in POOLS:
        return int(np.prod(kernel(machine)))
    return 1


def _everywhere(machine: Machine) -> np.ndarray:
    return np.arange(machine.case.count * int(np.prod(machine.case.shape)))


def _parts(machine: Machine, step: Requantize, acc: np.ndarray, where: np.ndarray | None) -> Parts:
    """What the requantization starts from; at single elements the constants are picked, one for each."""
    residual, bits = machine.residual, None
    bias = machine.case.layer.constants.get("bias", np.zeros(1)).astype(np.int64)
    if step.rounding == STOCHASTIC:
        bits = random_bits(step.seed, machine.position, machine.first_image, (machine.case.count, *machine.case.shape))
    if where is not None:
        channel = where % machine.case.shape[-1]
        bias = bias[channel] if len(bias) > 1 else bias
        step = replace(step, **{
            name: values[channel]
            for name in ("multiplier", "shift", "residual_shift")
            if (values := getattr(step, name)) is not None and len(values) > 1
        })  # fmt: skip
        residual = None if residual is None else residual.reshape(-1)[where]
        bits = None if bits is None else bits.reshape(-1)[where]
    return Parts(acc, step, None if residual is None else residual.astype(np.int64), bits, bias)


# ------------------------------------------------------------------------------------------------------------- windows


def _in_blocks(function: Callable, machine: Machine, where: np.ndarray) -> np.ndarray:
    """``function`` of a few positions at a time, so that their windows fit into the memory."""
    block = max(1, _ELEMENTS_AT_ONCE // taps(machine))
    parts = [function(machine, where[first : first + block]) for first in range(0, len(where), block)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def kernel(machine: Machine) -> tuple[int, int]:
    """Rows and columns of the window of a conv or a pool."""
    if machine.op == "conv":
        return machine.constants["weight"].shape[2:]
    return machine.attributes["kernel_shape"]


def _rows(machine: Machine, axis: int, positions: np.ndarray) -> np.ndarray:
    """Rows (axis 0) or columns (axis 1) of the input under the windows at ``positions``: (S,) -> (S, K)."""
    start = positions * machine.attributes["strides"][axis] - machine.attributes["pads"][axis] + machine.origin[axis]
    lines = start[:, None] + np.arange(kernel(machine)[axis])
    read = machine.lines[axis]
    return lines if read is None else read(positions[:, None], lines)


def _windows_at(
    machine: Machine, images: np.ndarray, rows: np.ndarray, columns: np.ndarray, channels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The codes under single windows and which of them lie in the image: (S, KH, KW, I) and (S, KH, KW, 1)."""
    x = machine.operands[0]
    height, width = x.shape[1:3]
    inside = (((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :])[..., None]
    pixels = (images[:, None] * height + np.clip(rows, 0, height - 1))[:, :, None] * width
    pixels = pixels + np.clip(columns, 0, width - 1)[:, None, :]
    places = pixels[..., None] * x.shape[3] + channels[:, None, None, :]
    codes = x.reshape(-1).take(places).astype(np.int32)
    if isinstance(machine.fill, str) or inside.all():
        return codes, inside
    fill = np.broadcast_to(np.asarray(machine.fill, np.int32), x.shape[3])[channels][:, None, None, :]
    return np.where(inside, codes, fill), inside


def _conv_at(machine: Machine, where: np.ndarray) -> np.ndarray:
    """Accumulators at single elements; sums are modulo 2**32, as in an INT32 accumulator."""
    weight, scale, bias = (machine.constants[name] for name in ("weight", "scale", "bias"))
    images, y, x, o = np.unravel_index(where, _hwc(machine))
    first = o // (len(weight) // machine.attributes["group"]) * weight.shape[1]
    channels = first[:, None] + np.arange(weight.shape[1])
    windows, _ = _windows_at(machine, images, _rows(machine, 0, y), _rows(machine, 1, x), channels)
    if machine.products is not None:
        products = windows * weight[o].transpose(0, 2, 3, 1)
        return machine.products(products, scale[o], bias[o].astype(np.int64)).astype(np.int32)
    sums = np.einsum("syxi,siyx->si", windows, weight[o])
    if machine.add is None:
        return (np.einsum("si,si->s", sums, scale[o]) + bias[o]).astype(np.int32)
    starts = np.flatnonzero(np.diff(machine.clusters, prepend=-1))
    acc = bias[o].astype(np.int64)
    for partial, channel in zip(np.add.reduceat(sums, starts, axis=1).T, starts, strict=True):
        acc = machine.add(acc, partial.astype(np.int64), scale[o, channel].astype(np.int64))
    return acc.astype(np.int32)


def _hwc(machine: Machine) -> tuple[int, ...]:
    """(N, H, W, C) of the result, 1 x 1 pixel where it has none."""
    shape = machine.case.shape
    return (machine.case.count, *((1, 1, *shape) if len(shape) == 1 else shape))


def _conv(machine: Machine) -> np.ndarray:
    """All accumulators: by the kernel wherever its 16-bit operands hold the codes and weights."""
    weight, scale = machine.constants["weight"], machine.constants["scale"]
    if machine.products is not None or machine.lines != (None, None):
        return _in_blocks(_conv_at, machine, _everywhere(machine))
    products = weight * scale[:, :, None, None]
    x = _padded(machine)
    if max(int(np.abs(products).max(initial=0)), int(np.abs(x).max(initial=0))) > _INT16:
        return _in_blocks(_conv_at, machine, _everywhere(machine))
    bias = machine.constants["bias"].astype(np.int32)
    if machine.add is None:
        return _dense(machine, x, products, bias)
    acc = np.broadcast_to(bias.astype(np.int64), _hwc(machine))
    zeros, group, inputs = np.zeros_like(bias), machine.attributes["group"], weight.shape[1]
    for g in range(int(machine.clusters.max()) + 1):
        members = np.flatnonzero(machine.clusters == g)
        channels = (np.arange(group)[:, None] * inputs + members).reshape(-1)
        partial = _dense(machine, np.ascontiguousarray(x[..., channels]), weight[:, members], zeros)
        acc = machine.add(acc, partial.astype(np.int64), scale[:, members[0]].astype(np.int64))
    return acc.astype(np.int32)


def _dense(machine: Machine, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The plain sum of products over windows that lie inside ``x``."""
    return conv.dense(
        x,
        weight=weight,
        scale=np.ones((len(weight), 1), np.int32),
        bias=bias,
        strides=machine.attributes["strides"],
        pads=(0, 0, 0, 0),
        group=machine.attributes["group"],
        cluster=weight.shape[1],
    )


def _padded(machine: Machine) -> np.ndarray:
    """The codes under all windows, what lies outside the image filled in: int32 (N, rows, columns, I)."""
    x = machine.operands[0]
    _, out_h, out_w, _ = _hwc(machine)
    rows, columns = (
        np.arange((count - 1) * machine.attributes["strides"][axis] + kernel(machine)[axis])
        + machine.origin[axis] - machine.attributes["pads"][axis]
        for axis, count in enumerate((out_h, out_w))
    )  # fmt: skip
    height, width = x.shape[1:3]
    codes = x[:, np.clip(rows, 0, height - 1)][:, :, np.clip(columns, 0, width - 1)].astype(np.int32)
    if isinstance(machine.fill, str):
        return codes
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    return np.where(inside[:, :, None], codes, np.asarray(machine.fill, np.int32))


def common_count(machine: Machine) -> int:
    """L of an average (contract Avgpool1); of a global one its number of pixels."""
    if machine.op == "global_avgpool":
        return int(np.prod(kernel(machine)))
    return avgpool.common_count(machine.case.operands[0].shape[1:], **machine.case.layer.attributes)


def _pool_at(machine: Machine, where: np.ndarray) -> np.ndarray:
    images, y, x, channel = np.unravel_index(where, _hwc(machine))
    codes, inside = _windows_at(machine, images, _rows(machine, 0, y), _rows(machine, 1, x), channel[:, None])
    count = len(where)
    inside = np.broadcast_to(inside, codes.shape)
    return machine.pool(codes.reshape(count, -1).astype(np.int64), inside.reshape(count, -1), machine)
