"""What puts cases of operators together: operands and constants that are drawn, and the wish that a layer answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import numpy as np

from ..numbers.accumulator import confine
from ..numbers.formats import INT8, UINT8, CodeFormat
from ..numbers.requantize import values
from ..numbers.rounding import ROUNDINGS
from ..ops import OPS
from .alone import position
from .answers import LAYER, attribute
from .case import Array, Case
from .numbers_cases import FORMS, words_of
from .stream import Stream

IMAGES = 2
FORMATS = (UINT8, INT8)


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


def clusters_among(inputs: int) -> tuple[tuple[int, tuple[str, ...], str], ...]:
    """Sizes of clusters among ``inputs`` channels: cluster, clauses, why."""
    return (
        (1, ("C3",), "clusters of 1"),
        (2, ("C1", "C3"), "the last cluster is shorter" if inputs % 2 else "clusters of 2"),
        (3, ("C1", "C3"), "the last cluster is shorter" if inputs % 3 else "clusters of 3"),
        (inputs, ("C3",), "one cluster"),
        (inputs + 2, ("C1",), "a cluster larger than its channels"),
    )
