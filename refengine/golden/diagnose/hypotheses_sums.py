"""Hypotheses in what is added up: bias, signs, the codes that come in, accumulators.

Each function takes a ``Machine`` and gives the faulty one, or None where the layer has nothing to which the fault could
happen.  ``golden/diagnose/hypotheses.py`` gives them their names and says what they mean.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...numbers.accumulator import confine
from ...numbers.formats import INT8
from .accumulators import RUNS
from .clues import Fault
from .machine import Machine

Arrays = Callable[[np.ndarray], np.ndarray]


def wrapped(values: np.ndarray, bits: int, signed: bool = True) -> np.ndarray:
    """The lowest bits of integers, read as signed or unsigned."""
    return confine(values, bits, "wrap")[0].astype(np.int64) if signed else values & ((1 << bits) - 1)


# ------------------------------------------------------------------------------------------------- bias, sign, operands


def bias(change: Arrays) -> Fault:
    """Another bias: int64 (C,) -> the same."""

    def fault(machine: Machine) -> Machine | None:
        if "bias" not in machine.constants:
            return None
        return machine.constant(bias=np.asarray(change(machine.constants["bias"].astype(np.int64)), np.int64))

    return fault


def sign(change: Arrays) -> Fault:
    """Another sign of a batch norm."""

    def fault(machine: Machine) -> Machine | None:
        if "sign" not in machine.constants:
            return None
        return machine.constant(sign=change(machine.constants["sign"].astype(np.int32)))

    return fault


def operand(change: Callable[[np.ndarray, Machine], np.ndarray | None], index: int = 0) -> Fault:
    """Other codes come in."""

    def fault(machine: Machine) -> Machine | None:
        if index >= len(machine.operands):
            return None
        changed = change(machine.operands[index], machine)
        if changed is None:
            return None
        return replace(machine, operands=(*machine.operands[:index], changed, *machine.operands[index + 1 :]))

    return fault


def other_sign(codes: np.ndarray, machine: Machine | None = None) -> np.ndarray:
    """The same bytes read as the other of int8 and uint8."""
    return codes.view(np.uint8 if codes.dtype == np.int8 else np.int8)


def operand_of_other_sign(index: int) -> Fault:
    """Operand ``index`` read as the other of int8 and uint8; a code that only passes leaves as the byte it was."""

    def fault(machine: Machine) -> Machine | None:
        changed = operand(other_sign, index)(machine)
        if changed is None or machine.op != "maxpool":
            return changed
        signed = machine.operands[0].dtype == INT8.dtype
        return replace(changed, shown=(*changed.shown, lambda values: wrapped(values, 8, signed)))

    return fault


def without_row(index: int) -> Callable[[np.ndarray, Machine], np.ndarray | None]:
    """Row ``index`` of every image reads as 0."""

    def change(codes: np.ndarray, machine: Machine) -> np.ndarray | None:
        if codes.ndim != 4:
            return None
        changed = codes.copy()
        changed[:, index] = 0
        return changed

    return change


def without_column(index: int) -> Callable[[np.ndarray, Machine], np.ndarray | None]:
    """Column ``index`` of every image reads as 0."""

    def change(codes: np.ndarray, machine: Machine) -> np.ndarray | None:
        if codes.ndim != 4:
            return None
        changed = codes.copy()
        changed[:, :, index] = 0
        return changed

    return change


def runs_on(machine: Machine) -> Machine | None:
    """No padding at the bottom: the address runs on into the next image, behind the last one into zeros."""
    x = machine.operands[0]
    if machine.op != "conv" or x.ndim != 4 or not machine.attributes["pads"][2] or machine.case.layer.op == "fc":
        return None
    bottom = machine.attributes["pads"][2]
    following = np.concatenate([x[1:], np.zeros_like(x[:1])])[:, :bottom]
    if following.shape[1] < bottom:
        return None
    longer = np.concatenate([x, following], axis=1)
    return replace(machine, operands=(longer, *machine.operands[1:]), remembers=True)


def group_0_for_all(codes: np.ndarray, machine: Machine) -> np.ndarray | None:
    """Every group of a grouped convolution reads the channels of the first."""
    group = machine.attributes.get("group", 1)
    if group == 1:
        return None
    return np.concatenate([codes[..., : codes.shape[-1] // group]] * group, axis=-1)


def turned(codes: np.ndarray, machine: Machine) -> np.ndarray | None:
    """Rows and columns of square images exchanged."""
    return codes.swapaxes(1, 2) if codes.ndim == 4 and codes.shape[1] == codes.shape[2] else None


def flattened_h_w_c(machine: Machine) -> Machine | None:
    """An fc or a flatten that takes pixel after pixel instead of channel after channel."""
    layer, network = machine.case.layer, machine.case.network
    codes = machine.case.operands[0]
    if layer.op == "flatten" and codes.ndim == 4:
        height, width, channels = codes.shape[1:]
        order = np.arange(codes[0].size).reshape(channels, height, width).transpose(1, 2, 0).reshape(-1)
        return replace(machine, order=(*machine.order, lambda result: result[:, order]))
    if layer.op != "fc":
        return None
    if codes.ndim == 4:
        pixelwise = codes.reshape(len(codes), -1)
    else:
        source = network.layer(layer.inputs[0])
        if source.op != "flatten" or len(network.shapes[source.inputs[0]]) != 3:
            return None
        height, width, channels = network.shapes[source.inputs[0]]
        pixelwise = codes.reshape(-1, channels, height, width).transpose(0, 2, 3, 1).reshape(len(codes), -1)
    return replace(machine, operands=(pixelwise[:, None, None, :],))


def flipped_channels(machine: Machine) -> Machine | None:
    """An input layer that reads BGR for RGB, or the reverse."""
    return machine.attribute(flip=not machine.attributes["flip"]) if machine.op == "input" else None


def exchanged_shifts(machine: Machine) -> Machine | None:
    """An addition whose two alignments are exchanged."""
    return machine.attribute(shifts=machine.attributes["shifts"][::-1]) if machine.op == "add" else None


def missing_operand(index: int) -> Fault:
    """An addition that leaves one side out."""

    def fault(machine: Machine) -> Machine | None:
        return operand(lambda codes, _: np.zeros_like(codes), index)(machine) if machine.op == "add" else None

    return fault


def reversed_concat(machine: Machine) -> Machine | None:
    """Tensors joined in the reverse order."""
    return replace(machine, operands=machine.operands[::-1]) if machine.op == "concat" else None


def exchanged_channel_pads(machine: Machine) -> Machine | None:
    """Zero channels before and after exchanged."""
    if machine.op != "pad_channels":
        return None
    return machine.attribute(before=machine.attributes["after"], after=machine.attributes["before"])


# --------------------------------------------------------------------------------- tables, orders of channels, products


def entries(change: Callable[[np.ndarray], np.ndarray | None]) -> Fault:
    """A lookup with other entries: int16 (C or 1, 256) -> the same."""

    def fault(machine: Machine) -> Machine | None:
        changed = change(machine.constants["table"]) if machine.op == "lookup" else None
        return None if changed is None else machine.constant(table=changed)

    return fault


def no_table(machine: Machine) -> Machine | None:
    """A lookup that gives the codes that it reads."""
    if machine.op != "lookup":
        return None
    codes = np.arange(256, dtype=np.int16)
    signed = machine.operands[0].dtype == np.int8
    return machine.constant(table=np.where(codes > 127, codes - 256, codes)[None] if signed else codes[None])


def channel_order(change: Callable[[np.ndarray, int], np.ndarray | None]) -> Fault:
    """Other channels than those that a gather names: order (C), channels that it reads -> order."""

    def fault(machine: Machine) -> Machine | None:
        if machine.op != "gather_channels":
            return None
        changed = change(machine.constants["order"], machine.operands[0].shape[-1])
        return None if changed is None else machine.constant(order=changed)

    return fault


def inverse_order(order: np.ndarray, channels: int) -> np.ndarray | None:
    """Written where it should be read: the inverse of a permutation."""
    return np.argsort(order) if len(order) == channels == len(set(order.tolist())) else None


def other_factor(change: Callable[[np.ndarray], np.ndarray]) -> Fault:
    """A product by other codes of its second operand."""

    def fault(machine: Machine) -> Machine | None:
        return operand(lambda codes, _: change(codes), 1)(machine) if machine.op == "mul" else None

    return fault


# --------------------------------------------------------------------------------------------------------- accumulators


def other_policy(machine: Machine) -> Machine | None:
    """A narrow accumulator that saturates for wrap, or wraps for saturate."""
    if machine.narrow is None or machine.narrow[1] == "error":
        return None
    bits, policy = machine.narrow
    return replace(machine, narrow=(bits, "saturate" if policy == "wrap" else "wrap"))


def full_width(machine: Machine) -> Machine | None:
    """The narrow accumulator is not narrow."""
    return None if machine.narrow is None else replace(machine, narrow=None)


def not_cleared(what: str, over: str) -> Fault:
    """Each sum contains those before it, or what ``KEPT`` has of them, over the runs of ``RUNS``."""

    def fault(machine: Machine) -> Machine | None:
        height, width = (1, 1, *machine.case.shape)[-3:-1]
        shape, axis = RUNS[over](machine.case.count, height, width, machine.case.shape[-1])
        if machine.op != "conv" or shape[axis] == 1 or height * width * (over == "row") == width:
            return None
        if over == "result" and height * width == 1:
            return None
        return replace(machine, kept=(what, over), remembers=over == "image")

    return fault


def doubled(with_bias: bool) -> Fault:
    """Every sum is accumulated twice, its bias once or twice."""

    def fault(machine: Machine) -> Machine | None:
        if machine.op != "conv":
            return None
        changed = {name: machine.constants[name] * 2 for name in (("scale", "bias") if with_bias else ("scale",))}
        return machine.constant(**changed)

    return fault


def packed_carry(upper: int) -> Fault:
    """Two sums share a multiplier: the upper channel is one less where the other one, without bias, is negative."""

    def fault(machine: Machine) -> Machine | None:
        if machine.op != "conv" or machine.case.shape[-1] < 2:
            return None
        return replace(machine, packed=upper)

    return fault
