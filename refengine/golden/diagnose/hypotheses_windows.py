"""Hypotheses in windows and pools: what lies outside the image, where a window begins, what a pool does inside it.

Each function takes a ``Machine`` and gives the faulty one, or None where the layer has nothing to which the fault could
happen.  ``golden/diagnose/hypotheses.py`` gives them their names and says what they mean.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...engine.run import run_layer
from ...network.int_network import IntLayer
from ...numbers.formats import INT8
from ...ops.requantize import Draws
from .clues import Fault
from .hypotheses_sums import wrapped
from .machine import EDGE, POOLS, Machine, common_count, plain_pool


def filled(value: int | str) -> Fault:
    """Something else than code 0 lies outside the image."""

    def fault(machine: Machine) -> Machine | None:
        return replace(machine, fill=value) if _has_padding(machine) and machine.op == "conv" else None

    return fault


def _has_padding(machine: Machine) -> bool:
    return any(machine.attributes.get("pads", ()))


def filled_with_lowest(machine: Machine) -> Machine | None:
    """The lowest code of the input lies outside the image."""
    if not machine.case.layer.inputs:
        return None
    lowest = machine.case.network.ranges[machine.case.layer.inputs[0]][0]
    return filled(lowest)(machine)


def filled_with_black(machine: Machine) -> Machine | None:
    """What the input layer makes of pixel 0 lies outside the image, where the layer reads the input layer."""
    network = machine.case.network
    if not machine.case.layer.inputs or network.layer(machine.case.layer.inputs[0]).op != "input":
        return None
    source: IntLayer = network.layers[0]
    black = np.zeros((1, *network.input_shape), np.uint8)[:, :1, :1]
    if machine.op != "conv" or not _has_padding(machine):
        return None
    return replace(
        machine, fill=run_layer(source, [black], None, "reference", Draws()).result[0, 0, 0].astype(np.int32)
    )


def other_pads(change: Callable[[tuple[int, ...]], tuple[int, ...]]) -> Fault:
    """Padding on other sides: (top, left, bottom, right) -> the same."""

    def fault(machine: Machine) -> Machine | None:
        return machine.attribute(pads=change(machine.attributes["pads"])) if _has_padding(machine) else None

    return fault


def moved_windows(rows: int, columns: int) -> Fault:
    """Every window begins that much later."""

    def fault(machine: Machine) -> Machine | None:
        if machine.op not in ("conv", *POOLS) or machine.case.layer.op in ("fc", "global_avgpool"):
            return None
        return replace(machine, origin=(rows, columns))

    return fault


def late_phase(machine: Machine) -> Machine | None:
    """A strided window that begins at pixel 1 instead of 0, along each axis that is strided."""
    strides = machine.attributes.get("strides", (1, 1))
    moved = tuple(int(stride > 1) for stride in strides)
    return moved_windows(*moved)(machine) if any(moved) else None


def exchanged_strides(machine: Machine) -> Machine | None:
    """Vertical and horizontal stride exchanged."""
    strides = machine.attributes.get("strides", (1, 1))
    return machine.attribute(strides=strides[::-1]) if strides[0] != strides[1] else None


def pooling(op: str, pool: Callable[[np.ndarray, np.ndarray, Machine], np.ndarray]) -> Fault:
    """Another arithmetic in each window of a pool."""

    def fault(machine: Machine) -> Machine | None:
        return replace(machine, pool=pool) if machine.op in (op, f"global_{op}") else None

    return fault


def padding_wins(values: np.ndarray, valid: np.ndarray, machine: Machine) -> np.ndarray:
    """A maximum in which padding counts as code 0."""
    return np.where(valid, values, 0).max(axis=1)


def compared_by_other_sign(values: np.ndarray, valid: np.ndarray, machine: Machine) -> np.ndarray:
    """The code whose byte is largest when read as the other of int8 and uint8."""
    signed = machine.operands[0].dtype == INT8.dtype
    keys = np.where(valid, wrapped(values, 8, not signed), -(1 << 30))
    return values[np.arange(len(values)), keys.argmax(axis=1)]


def smallest(values: np.ndarray, valid: np.ndarray, machine: Machine) -> np.ndarray:
    """A minimum for the maximum."""
    return np.where(valid, values, np.iinfo(np.int64).max).min(axis=1)


def first_of_window(values: np.ndarray, valid: np.ndarray, machine: Machine) -> np.ndarray:
    """The first valid code of the window, nothing compared."""
    return values[np.arange(len(values)), valid.argmax(axis=1)]


def by_full_window(machine: Machine) -> Machine | None:
    """An average divided by the size of the window, padding counted."""
    if machine.op != "avgpool":
        return None
    count = int(np.prod(machine.attributes["kernel_shape"]))
    if common_count(machine) % count:
        return None
    return replace(
        machine, pool=lambda values, valid, m: np.where(valid, values, 0).sum(axis=1) * (common_count(m) // count)
    )


def largest(values: np.ndarray, valid: np.ndarray, machine: Machine) -> np.ndarray:
    """The maximum for the average, as if every code were it."""
    return np.where(valid, values, np.iinfo(np.int64).min).max(axis=1) * common_count(machine)


def without_pixel(index: int) -> Callable[[np.ndarray, np.ndarray, Machine], np.ndarray]:
    """One pixel of each window is left out of the sum, whose divisor stays."""

    def pool(values: np.ndarray, valid: np.ndarray, machine: Machine) -> np.ndarray:
        left = values.copy()
        left[:, index] = 0
        return plain_pool(left, valid, machine)

    return pool


def cut_average(values: np.ndarray, valid: np.ndarray, machine: Machine) -> np.ndarray:
    """An average cut to an integer before it is requantized."""
    count = np.maximum(np.count_nonzero(valid, axis=1), 1)
    return np.where(valid, values, 0).sum(axis=1) // count * common_count(machine)


REPLICATED = filled(EDGE)
