"""Hypotheses in what is added up: bias, weights, scales, the codes that come in, windows, pools, accumulators.

Each function takes a ``Machine`` and gives the faulty one, or None where the layer has nothing to which the fault could
happen.  ``golden/diagnose/hypotheses.py`` gives them their names and says what they mean.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ...engine.run import run_layer
from ...network.int_network import IntLayer
from ...numbers.accumulator import confine
from ...numbers.formats import INT8, WEIGHT_FORMATS
from ...ops.requantize import Draws
from .clues import Fault
from .machine import EDGE, POOLS, RUNS, Machine, common_count, plain_pool

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


# -------------------------------------------------------------------------------------------------- weights and scales


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


# -------------------------------------------------------------------------------------------------------------- windows


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


# ---------------------------------------------------------------------------------------------------------------- pools


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


REPLICATED = filled(EDGE)
