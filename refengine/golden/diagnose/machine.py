"""How a layer is computed, with everything in it that a fault can change.

``Case`` is a layer with the codes that it reads.  ``Machine`` is a computation of it: its codes, constants and windows
as plain arrays, and the few steps of arithmetic as functions.  ``machine_of(case)`` is the layer as the contract has
it; a hypothesis turns one machine into another, and ``recompute`` says what it would have written.  A fault that only
changes an array or a number is one ``replace``; one that changes the arithmetic replaces one of the functions ``add``,
``pool``, ``total`` and ``codes``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import RangeError
from ...network.int_network import IntLayer, IntNetwork
from ...numbers import requantize as numbers
from ...numbers.requantize import Requantize
from ...numbers.rounding import round_shift
from ...ops import OPS, avgpool, flatten

STAGES = ("accumulator", "total", "code")
POOLS = ("maxpool", "avgpool", "global_avgpool")
EDGE = "edge"


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


def kernel(machine: Machine) -> tuple[int, int]:
    """Rows and columns of the window of a conv or a pool."""
    if machine.op == "conv":
        return machine.constants["weight"].shape[2:]
    return machine.attributes["kernel_shape"]


def taps(machine: Machine) -> int:
    """How many codes under its window one element is computed from; 1 where there is no window."""
    if machine.op == "conv":
        return int(np.prod(machine.constants["weight"].shape[1:]))
    if machine.op in POOLS:
        return int(np.prod(kernel(machine)))
    return 1


def common_count(machine: Machine) -> int:
    """L of an average (contract Avgpool1); of a global one its number of pixels."""
    if machine.op == "global_avgpool":
        return int(np.prod(kernel(machine)))
    return avgpool.common_count(machine.case.operands[0].shape[1:], **machine.case.layer.attributes)
