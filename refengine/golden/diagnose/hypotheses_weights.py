"""Hypotheses in the weights and scales: how codes are decoded, stored and unpacked, where a scale begins.

Each function takes a ``Machine`` and gives the faulty one, or None where the layer has nothing to which the fault could
happen.  ``golden/diagnose/hypotheses.py`` gives them their names and says what they mean.
"""

from collections.abc import Callable

import numpy as np

from ...numbers.formats import WEIGHT_FORMATS
from .clues import Fault
from .hypotheses_sums import wrapped
from .machine import Machine


def weight(change: Callable[[np.ndarray, Machine], np.ndarray | None]) -> Fault:
    """Other weight codes: int32 (O, I, KH, KW) -> the same."""

    def fault(machine: Machine) -> Machine | None:
        changed = change(machine.constants["weight"], machine) if machine.op == "conv" else None
        return None if changed is None else machine.constant(weight=np.ascontiguousarray(changed))

    return fault


def mapped(*pairs: tuple[int, int]) -> Callable[[np.ndarray, Machine], np.ndarray | None]:
    """Ternary codes decoded by another table: (code, what is read instead)."""

    def change(codes: np.ndarray, machine: Machine) -> np.ndarray | None:
        if machine.case.layer.weight_format != "ternary":
            return None
        table = {-1: -1, 0: 0, 1: 1, **dict(pairs)}
        return np.array([table[-1], table[0], table[1]], np.int32)[codes + 1]

    return change


def weight_bits(machine: Machine) -> int:
    """Width of a stored weight code: 2, 4 or 8."""
    return WEIGHT_FORMATS[machine.case.layer.weight_format or "int8"].bits


def zero_extended(codes: np.ndarray, machine: Machine) -> np.ndarray:
    """Weight codes read without their sign."""
    return codes & ((1 << weight_bits(machine)) - 1)


def reversed_bits(codes: np.ndarray, machine: Machine) -> np.ndarray:
    """The bits of each code read in the reverse order."""
    bits = weight_bits(machine)
    unsigned = codes & ((1 << bits) - 1)
    turned_bits = np.zeros_like(unsigned)
    for bit in range(bits):
        turned_bits |= ((unsigned >> bit) & 1) << (bits - 1 - bit)
    return wrapped(turned_bits, bits).astype(np.int32)


def reversed_words(lanes: int, inner: str) -> Callable[[np.ndarray, Machine], np.ndarray]:
    """The order of ``lanes`` codes of one word reversed; consecutive codes are kernel taps or input channels."""

    def change(codes: np.ndarray, machine: Machine) -> np.ndarray:
        axes = (0, 1, 2, 3) if inner == "taps" else (0, 2, 3, 1)
        stored = codes.transpose(axes)
        flat = stored.reshape(-1).copy()
        whole = len(flat) // lanes * lanes
        flat[:whole] = flat[:whole].reshape(-1, lanes)[:, ::-1].reshape(-1)
        return flat.reshape(stored.shape).transpose(np.argsort(axes))

    return change


def reversed_in_clusters(codes: np.ndarray, machine: Machine) -> np.ndarray:
    """The input channels of each cluster in the reverse order."""
    channels, cluster = np.arange(codes.shape[1]), machine.clusters
    return codes[:, np.lexsort((-channels, cluster))]


def halved(codes: np.ndarray, machine: Machine) -> np.ndarray | None:
    """Codes shifted right by one bit; of ternary codes this is a table of its own."""
    return None if machine.case.layer.weight_format == "ternary" else codes >> 1


def by_channel(codes: np.ndarray, machine: Machine) -> np.ndarray | None:
    """Codes stored with the input channels fastest, read with the taps fastest."""
    if codes.shape[1] == 1 or codes.shape[2] * codes.shape[3] == 1:
        return None
    return codes.transpose(0, 2, 3, 1).reshape(codes.shape)


def by_tap(codes: np.ndarray, machine: Machine) -> np.ndarray | None:
    """Codes stored with the taps fastest, read with the input channels fastest."""
    outputs, inputs, height, width = codes.shape
    if inputs == 1 or height * width == 1:
        return None
    return codes.reshape(outputs, height, width, inputs).transpose(0, 3, 1, 2)


def borrowed(lanes: int) -> Callable[[np.ndarray, Machine], np.ndarray]:
    """Words of ``lanes`` codes unpacked by one subtraction: a negative code takes one from the one above it."""

    def change(codes: np.ndarray, machine: Machine) -> np.ndarray:
        flat = codes.reshape(len(codes), -1).copy()
        whole = flat.shape[1] // lanes * lanes
        words = flat[:, :whole].reshape(len(flat), -1, lanes)
        words[:, :, 1:] -= words[:, :, :-1] < 0
        flat[:, :whole] = words.reshape(len(flat), -1)
        return flat.reshape(codes.shape)

    return change


def stored_by_input(codes: np.ndarray, machine: Machine) -> np.ndarray | None:
    """Codes stored with the output channels inside the input channels, read the other way round."""
    return None if 1 in codes.shape[:2] else codes.swapaxes(0, 1).reshape(codes.shape)


def read_by_input(codes: np.ndarray, machine: Machine) -> np.ndarray | None:
    """Codes stored with the input channels inside the output channels, read the other way round."""
    outputs, inputs, *taps = codes.shape
    if outputs == inputs or 1 in (outputs, inputs):
        return None
    return codes.reshape(inputs, outputs, *taps).swapaxes(0, 1)


def transposed(codes: np.ndarray, machine: Machine) -> np.ndarray | None:
    """Rows and columns of each kernel exchanged."""
    return codes.swapaxes(2, 3) if codes.shape[2] == codes.shape[3] else None


def scale(change: Callable[[np.ndarray, Machine], np.ndarray]) -> Fault:
    """Other scale codes: int32 (O, G) -> the same."""

    def fault(machine: Machine) -> Machine | None:
        if machine.op != "conv":
            return None
        firsts = np.flatnonzero(np.diff(machine.clusters, prepend=-1))
        changed = np.asarray(change(machine.constants["scale"][:, firsts], machine), np.int32)
        return machine.constant(scale=changed[:, machine.clusters])

    return fault


def moved_clusters(by: int) -> Fault:
    """Scales change one input channel early or late."""

    def fault(machine: Machine) -> Machine | None:
        if machine.op != "conv":
            return None
        channels = np.clip(np.arange(len(machine.clusters)) + by, 0, len(machine.clusters) - 1)
        return machine.constant(scale=machine.constants["scale"][:, channels])

    return fault
