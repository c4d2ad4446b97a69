"""Faults as hardware has them, each stated once, by itself: what a designer got wrong in one layer.

A fault changes the wires or the steps of a ``Datapath`` and says by returning False that the layer has nothing to which
it could happen.  ``names`` are the causes, of those that a diagnosis knows, that describe it truly; a fault without a
name is one that no diagnosis knows, and must not be certain of.  No line here is shared with the functions that
diagnose, so that a mistake in those cannot hide itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from mutation.datapath import Datapath, Stages, held, rounded
from mutation.fault import Break, Fault
from mutation.reported import REPORTED
from mutation.trials import TRIALS
from refengine.golden.diagnose.machine import Case
from refengine.golden.dumps.difference import Array

# ----------------------------------------------------------------------------------------- rounding, clip, multipliers


def _rounds(d: Datapath) -> bool:
    return d.layer.requantize is not None


def _mode(mode: str) -> Break:
    def break_it(d: Datapath) -> bool:
        different = _rounds(d) and d.mode != mode
        d.mode = mode
        return different

    return break_it


def _offset_twice(d: Datapath) -> bool:
    if not _rounds(d):
        return False
    d.divide = lambda t, s: rounded(t + ((np.int64(1) << s) >> 1), s, d.mode)
    return True


def _offset_halved(d: Datapath) -> bool:
    """The rounding bit is one place too low, and the fraction is cut."""
    if not _rounds(d):
        return False
    d.divide = lambda t, s: (t + ((np.int64(1) << s) >> 2)) // (np.int64(1) << s)
    return True


def _product_rounded(d: Datapath) -> bool:
    """Two roundings: of the product, and of its sum with the residual, which then has the output's unit."""
    if d.residual is None:
        return False
    multiplier, shift = d.multiplier, d.shift

    def epilogue(acc: Array, total: Array) -> Array:
        product = rounded(acc * multiplier, shift, d.mode)
        return d.clip(rounded((product << shift) + (d.residual << d.residual_shift), shift, d.mode))

    d.epilogue = epilogue
    return True


def _residual_after_clip(d: Datapath) -> bool:
    if d.residual is None:
        return False

    def epilogue(acc: Array, total: Array) -> Array:
        branch = d.clip(rounded(acc * d.multiplier, d.shift, d.mode))
        return d.clip(rounded((branch << d.shift) + (d.residual << d.residual_shift), d.shift, d.mode))

    d.epilogue = epilogue
    return True


def _ends_moved(low: int, high: int) -> Break:
    def break_it(d: Datapath) -> bool:
        if not _rounds(d):
            return False
        lo, hi = d.lo + low, d.hi + high
        d.clip = lambda codes: np.minimum(np.maximum(codes, lo), hi)
        return True

    return break_it


def _signed_top(d: Datapath) -> bool:
    """Unsigned codes end where signed ones do."""
    if not _rounds(d) or d.lo < 0 or d.hi <= 127:
        return False
    d.clip = lambda codes: np.minimum(np.maximum(codes, d.lo), 127)
    return True


def _wraps(d: Datapath) -> bool:
    """ReLU, and then the low byte: what is too large comes around."""
    if not _rounds(d):
        return False
    d.clip = (lambda codes: np.maximum(codes, 0) & 0xFF) if d.lo == 0 else (lambda codes: codes & 0xFF)
    return d.activation != "clip"


def _low_byte(d: Datapath) -> bool:
    if not _rounds(d):
        return False
    d.clip = lambda codes: codes & 0xFF
    return True


def _clip_then_round(d: Datapath) -> bool:
    """The quotient is clipped first, the rounding bit is added to what is left."""
    if not _rounds(d) or d.mode != "half_up":
        return False

    def epilogue(acc: Array, total: Array) -> Array:
        half = np.where(d.shift > 0, np.int64(1) << np.maximum(d.shift - 1, 0), 0)
        return d.clip(total // (np.int64(1) << d.shift)) + ((total & half) != 0)

    d.epilogue = epilogue
    return True


def _relu_missing(d: Datapath) -> bool:
    if not _rounds(d) or d.activation == "none":
        return False
    d.clip = lambda codes: np.minimum(np.maximum(codes, -128), 127)
    return True


def _relu_before_residual(d: Datapath) -> bool:
    if d.residual is None or d.activation == "none":
        return False
    d.combine = lambda acc: np.maximum(acc * d.multiplier, 0) + (d.residual << d.residual_shift)
    return True


def _wire(name: str, change: Callable[[Array], Array]) -> Break:
    """One wire carries something else."""

    def break_it(d: Datapath) -> bool:
        value = getattr(d, name, None)
        if value is None:
            return False
        setattr(d, name, change(value))
        return True

    return break_it


def _shift_by(amount: int) -> Break:
    def break_it(d: Datapath) -> bool:
        if not _rounds(d) or (d.shift + amount).min() < 0:
            return False
        right = d.shift + amount
        d.divide = lambda t, s: rounded(t, right, d.mode)
        return True

    return break_it


def _factor_of_previous_channel(d: Datapath) -> bool:
    if not _rounds(d):
        return False
    d.multiplier, d.shift = np.roll(d.multiplier, 1), np.roll(d.shift, 1)
    return True


def _bias_unscaled(d: Datapath) -> bool:
    """The bias comes in behind the multiplier."""
    if not _rounds(d) or d.bias is None:
        return False
    combine = d.combine
    d.combine = lambda acc: combine(acc - d.bias) + d.bias
    return True


# ---------------------------------------------------------------------------------------- accumulators, bias, weights


def _narrow(bits: int, saturate: bool) -> Break:
    def break_it(d: Datapath) -> bool:
        d.hold = lambda acc: held(acc, bits, saturate)
        return d.op not in ("maxpool", "concat", "flatten", "pad_channels")

    return break_it


def _clusters(change: Callable[[Array, Array, Array], Array]) -> Break:
    def break_it(d: Datapath) -> bool:
        d.add_cluster = change
        return d.weight is not None

    return break_it


def _not_cleared(axis: int) -> Break:
    """Accumulators begin with what the sum before left in them: over images (0), pixels (1) or channels (2)."""

    def break_it(d: Datapath) -> bool:
        hold, images, channels = d.hold, len(d.x[0]), d.shape[-1]
        several = (images, int(np.prod(d.shape[:-1])), channels)[axis] > 1

        def keep(acc: Array) -> Array:
            runs = np.cumsum(acc.reshape(images, -1, channels), axis=axis)
            return hold(held(runs, 32, False)).reshape(acc.shape)

        d.hold = keep
        return d.weight is not None and several

    return break_it


def _biased_channel(d: Datapath) -> bool:
    """One channel's bias is one too large: one word of a memory."""
    if d.bias is None:
        return False
    d.bias = d.bias.copy()
    d.bias[len(d.bias) // 2] += 1 << 12
    return True


def _low_bits_lost(d: Datapath) -> bool:
    hold = d.hold
    d.hold = lambda acc: hold(acc) & ~np.int64(15)
    return d.weight is not None


def _weights(change: Callable[[Array], Array], ternary: bool = False, kernel: int = 1) -> Break:
    def break_it(d: Datapath) -> bool:
        if d.weight is None or min(d.weight.shape[2:]) < kernel or (ternary and d.layer.weight_format != "ternary"):
            return False
        d.weight = change(d.weight)
        return True

    return break_it


def _decoded(minus: int, zero: int, plus: int) -> Break:
    """A table of ternary codes."""
    return _weights(lambda w: np.where(w < 0, minus, np.where(w > 0, plus, zero)), ternary=True)


def _without(axis: int) -> Callable[[Array], Array]:
    def change(weight: Array) -> Array:
        changed = weight.copy()
        last = [slice(None)] * 4
        last[axis] = slice(-1, None)
        if axis == 2:
            last[3] = slice(-1, None)
        changed[tuple(last)] = 0
        return changed

    return change


def _words_reversed(weight: Array) -> Array:
    """Four input channels share a word, and its bytes come out in the wrong order."""
    stored = weight.transpose(0, 2, 3, 1).reshape(-1)
    whole = stored.size // 4 * 4
    turned = np.concatenate([stored[:whole].reshape(-1, 4)[:, ::-1].reshape(-1), stored[whole:]])
    outputs, inputs, height, width = weight.shape
    return turned.reshape(outputs, height, width, inputs).transpose(0, 3, 1, 2)


def _scales(change: Callable[[Array], Array], clusters: int = 1) -> Break:
    def break_it(d: Datapath) -> bool:
        if d.scale is None or d.layer.weight_format == "int8" or d.scale.shape[1] < clusters:
            return False
        d.scale = change(d.scale)
        return True

    return break_it


def _one_weight_negated(d: Datapath) -> bool:
    """The first weight that is not 0 has the other sign, one of several: a bit of a memory."""
    if d.weight is None or np.count_nonzero(d.weight) < 2:
        return False
    d.weight = d.weight.copy()
    d.weight.reshape(-1)[np.flatnonzero(d.weight)[0]] *= -1
    return True


def _last_cluster_dropped(scale: Array) -> Array:
    return np.concatenate([scale[:, :-1], 0 * scale[:, -1:]], axis=1)


def _clusters_late(d: Datapath) -> bool:
    if d.scale is None or d.scale.shape[1] < 2:
        return False
    d.clusters = np.concatenate([d.clusters[:1], d.clusters[:-1]])
    return True


# ---------------------------------------------------------------------------------------------- what comes in, windows


def _operand(index: int, change: Callable[[Array], Array | None], raw: bool = False) -> Break:
    def break_it(d: Datapath) -> bool:
        if index >= len(d.x) or (d.op == "input" and not raw):
            return False
        changed = change(d.x[index])
        if changed is None:
            return False
        d.x[index] = changed
        return True

    return break_it


def _other_sign(codes: Array) -> Array:
    return np.where(codes > 127, codes - 256, codes) if codes.min() >= 0 else np.where(codes < 0, codes + 256, codes)


def _image_only(change: Callable[[Array], Array]) -> Callable[[Array], Array | None]:
    return lambda codes: change(codes.copy()) if codes.ndim == 4 and codes.shape[1] > 1 and codes.shape[2] > 1 else None


def _first_row_zero(codes: Array) -> Array:
    codes[:, 0] = 0
    return codes


def _row_repeated(codes: Array) -> Array:
    """A line buffer that was not advanced: row 1 reads row 0."""
    codes[:, 1] = codes[:, 0]
    return codes


def _last_row_stale(codes: Array) -> Array:
    """A tile buffer whose last row is still that of the image before."""
    codes[1:, -1] = codes[:-1, -1].copy()
    return codes


def _pixel_stuck(codes: Array) -> Array:
    """One place of the input memory always reads 7."""
    codes[:, codes.shape[1] // 2, codes.shape[2] // 2] = 7
    return codes


def _padded(with_what: int | str) -> Break:
    def break_it(d: Datapath) -> bool:
        d.pad = with_what
        return d.weight is not None and any(d.pads)

    return break_it


def _pads_after(d: Datapath) -> bool:
    top, left, bottom, right = d.pads
    d.pads = (0, 0, top + bottom, left + right)
    return bool(top or left)


def _late(rows: int, columns: int) -> Break:
    def break_it(d: Datapath) -> bool:
        d.late = (rows, columns)
        return d.op == "conv"

    return break_it


def _stride_phase(d: Datapath) -> bool:
    d.late = (int(d.strides[0] > 1), int(d.strides[1] > 1))
    return d.op == "conv" and any(d.late)


def _residual_is_input(d: Datapath) -> bool:
    if d.residual is None or d.case.operands[0].shape != d.residual.shape:
        return False
    d.residual = d.case.operands[0].astype(np.int64)
    return True


# ------------------------------------------------------------------------------------------------ pools, adds, joins


def _of(op: str, break_it: Callable[[Datapath], object]) -> Break:
    def guarded(d: Datapath) -> bool:
        return d.op == op and break_it(d) is not False

    return guarded


def _set(name: str, value: object) -> Callable[[Datapath], None]:
    return lambda d: setattr(d, name, value)


def _padding_wins(values: Array, valid: Array) -> Array:
    return np.where(valid, values, 0).max(axis=0)


def _compares_bytes(values: Array, valid: Array) -> Array:
    signs = _other_sign(values)
    best = np.where(valid, signs, -(10**6)).argmax(axis=0)
    return np.take_along_axis(values, best[None], axis=0)[0]


def _minimum(values: Array, valid: Array) -> Array:
    return np.where(valid, values, 10**6).min(axis=0)


def _full_window(d: Datapath) -> bool:
    if 0 in d.case.operands[0].shape or np.prod(d.kernel) == 1:
        return False
    d.average_of = lambda counts: np.broadcast_to(counts.max(), counts.shape)
    return True


def _flattened_by_pixel(d: Datapath) -> bool:
    codes = d.case.operands[0].astype(np.int64)
    if codes.ndim != 4 or d.op not in ("fc", "flatten") or codes.shape[1] * codes.shape[2] == 1 or codes.shape[3] == 1:
        return False
    flat = codes.reshape(len(codes), -1)
    d.x = [flat if d.op == "flatten" else flat[:, None, None, :]]
    return True


# ------------------------------------------------------------------------------------------------- memories and order


def _written(change: Callable[[Array], Array | None]) -> Break:
    """What is written into the memory of results; what is no image of several channels stays out of it."""

    def break_it(d: Datapath) -> bool:
        def write(result: Array) -> Array:
            changed = change(result)
            return result if changed is None else changed

        d.write = write
        return change(np.zeros((len(d.x[0]), *d.shape), np.int64)) is not None

    return break_it


def _needs(rows: int, channels: int, change: Callable[[Array], Array]) -> Callable[[Array], Array | None]:
    def guarded(result: Array) -> Array | None:
        tall = result.ndim == 4 and min(result.shape[1:3]) >= rows
        return change(result) if (tall or not rows) and result.shape[-1] >= channels else None

    return guarded


def _nchw(result: Array) -> Array:
    return np.ascontiguousarray(result.transpose(0, 3, 1, 2)).reshape(result.shape)


def _moved(axis: int) -> Callable[[Array], Array]:
    return lambda result: np.roll(result, 1, axis=axis)


def _pixels_exchanged(result: Array) -> Array:
    changed = result.copy()
    even = result.shape[2] // 2 * 2
    changed[:, :, 0:even:2], changed[:, :, 1:even:2] = result[:, :, 1:even:2], result[:, :, 0:even:2]
    return changed


def _one_bit(result: Array) -> Array:
    changed = result.copy()
    changed.reshape(-1)[changed.size // 3] ^= 2
    return changed


def _tile(result: Array) -> Array:
    height, width = result.shape[1] // 2, result.shape[2] // 2
    changed = result.copy()
    changed[:, height : 2 * height, :width] = result[:, :height, :width]
    return changed


def _every_16th_lost(result: Array) -> Array:
    """One lane of sixteen writes nothing, and finds the byte 0xA5 of the memory test."""
    changed = result.copy()
    changed.reshape(-1)[5::16] = 0x25
    return changed


def _images_moved(result: Array) -> Array | None:
    return np.roll(result, 1, axis=0) if len(result) > 1 else None


_FAULTS: tuple[tuple[str, str, Break, tuple[str, ...]], ...] = (
    ("round_floor", "the rounding offset is missing", _mode("floor"), ("rounds_floor",)),
    ("round_ceil", "every fraction is rounded up", _mode("ceil"), ("rounds_ceil",)),
    ("round_toward_zero", "fractions are cut toward zero", _mode("toward_zero"), ("rounds_toward_zero",)),
    ("round_away", "every fraction is rounded away from zero", _mode("away_from_zero"), ("rounds_away_from_zero",)),
    ("round_half_up", "ties are rounded up", _mode("half_up"), ("rounds_half_up",)),
    ("round_half_down", "ties are rounded down", _mode("half_down"), ("rounds_half_down",)),
    ("round_half_away", "ties are rounded away from zero", _mode("half_away"), ("rounds_half_away",)),
    ("round_half_even", "ties are rounded to even", _mode("half_even"), ("rounds_half_even",)),
    ("round_half_zero", "ties go toward zero", _mode("half_toward_zero"), ("rounds_half_toward_zero",)),
    ("round_twice_offset", "the rounding offset is added twice", _offset_twice, ("rounding_offset_twice",)),
    ("round_half_offset", "half of the rounding offset is added", _offset_halved, ("rounding_offset_halved",)),
    ("round_product", "rounded before the residual, and after it", _product_rounded, ("product_rounded_first",)),
    ("residual_late", "the residual is added after the clip", _residual_after_clip, ("residual_after_clip",)),
    ("wrap", "codes wrap instead of saturating", _wraps, ("wraps",)),
    (
        "low_byte",
        "the low byte is taken and nothing clipped",
        _low_byte,
        ("wraps_unclipped", "relu_missing_unclipped", "wraps"),
    ),
    ("clip_127", "UINT8 codes saturate at 127", _signed_top, ("upper_end_127",)),
    ("clip_top_low", "the clip ends one below the top", _ends_moved(0, -1), ("upper_end_low",)),
    ("clip_bottom_high", "the clip begins one above the bottom", _ends_moved(1, 0), ("lower_end_high",)),
    ("clip_then_round", "the rounding bit is added after the clip", _clip_then_round, ("clips_before_rounding",)),
    ("relu_missing", "there is no ReLU", _relu_missing, ("relu_missing",)),
    ("relu_early", "ReLU comes before the residual", _relu_before_residual, ("relu_before_residual",)),
    ("shift_more", "one bit too far right", _shift_by(1), ("shift_more",)),
    ("shift_less", "one bit too far left", _shift_by(-1), ("shift_less",)),
    (
        "multiplier_next",
        "the multiplier of the next channel",
        _wire("multiplier", lambda m: np.roll(m, -1)),
        ("multiplier_of_next_channel",),
    ),
    (
        "multiplier_cut",
        "the multiplier has lost its lowest bit",
        _wire("multiplier", lambda m: m & ~np.int64(1)),
        ("multiplier_cut_by_1",),
    ),
    (
        "multiplier_signed",
        "8-bit multipliers are taken for signed ones",
        _wire("multiplier", lambda m: np.where(m > 127, m - 256, m)),
        ("multiplier_signed",),
    ),
    (
        "shift_0",
        "the shift of channel 0 for all",
        _wire("shift", lambda s: np.full_like(s, s[0])),
        ("shift_of_channel_0",),
    ),
    (
        "factor_previous",
        "multiplier and shift of the channel before",
        _factor_of_previous_channel,
        ("factor_of_previous_channel",),
    ),
    ("bias_missing", "there is no bias", _wire("bias", np.zeros_like), ("bias_missing",)),
    ("bias_twice", "the bias is added twice", _wire("bias", lambda b: b + b), ("bias_doubled",)),
    ("bias_negated", "the bias is subtracted", _wire("bias", np.negative), ("bias_negated",)),
    ("bias_next", "the bias of the next channel", _wire("bias", lambda b: np.roll(b, -1)), ("bias_of_next_channel",)),
    ("bias_16", "16 bits of the bias", _wire("bias", lambda b: held(b, 16, False)), ("bias_wraps",)),
    ("bias_word", "one word of the biases is wrong", _biased_channel, ("channel_offsets",)),
    ("bias_unscaled", "the bias is added behind the multiplier", _bias_unscaled, ("bias_after_multiplier",)),
    ("acc_16_wrap", "an accumulator of 16 bits wraps", _narrow(16, False), ("accumulator_wraps",)),
    ("acc_16_saturate", "an accumulator of 16 bits saturates", _narrow(16, True), ("accumulator_saturates",)),
    ("acc_18_wrap", "an accumulator of 18 bits wraps", _narrow(18, False), ("accumulator_wraps",)),
    (
        "acc_16_steps",
        "16 bits saturate after each cluster",
        _clusters(lambda acc, sums, by: held(acc + sums * by, 16, True)),
        ("accumulator_saturates_stepwise",),
    ),
    (
        "partial_8_wrap",
        "cluster sums wrap in 8 bits",
        _clusters(lambda acc, sums, by: acc + held(sums, 8, False) * by),
        ("partial_sums_wrap",),
    ),
    (
        "partial_8_saturate",
        "cluster sums saturate in 8 bits",
        _clusters(lambda acc, sums, by: acc + held(sums, 8, True) * by),
        ("partial_sums_saturate",),
    ),
    (
        "partial_unsigned",
        "cluster sums of 12 bits lose their sign",
        _clusters(lambda acc, sums, by: acc + sums % 4096 * by),
        ("sum_zero_extended",),
    ),
    ("acc_not_cleared", "accumulators keep the image before", _not_cleared(0), ("accumulator_kept_images",)),
    ("acc_kept_pixels", "accumulators keep the pixel before", _not_cleared(1), ("accumulator_kept_pixels",)),
    ("acc_kept_channels", "accumulators keep the channel before", _not_cleared(2), ("accumulator_kept_channels",)),
    ("acc_low_bits", "the lowest 4 bits of the sum are lost", _low_bits_lost, ("stuck_bits",)),
    (
        "kernel_turned",
        "kernels are turned by 180 degrees",
        _weights(lambda w: w[:, :, ::-1, ::-1], kernel=2),
        ("kernel_flipped",),
    ),
    (
        "kernel_transposed",
        "kernel rows are columns",
        _weights(lambda w: w.swapaxes(2, 3), kernel=2),
        ("kernel_transposed",),
    ),
    ("weights_negated", "weights have the wrong sign", _weights(np.negative), ("weights_negated",)),
    ("ternary_no_sign", "code -1 is read as +1", _decoded(1, 0, 1), ("ternary_sign_lost",)),
    ("ternary_no_minus", "code -1 is read as 0", _decoded(0, 0, 1), ("ternary_minus_lost",)),
    ("ternary_exchanged", "codes 0 and +1 are exchanged", _decoded(-1, 1, 0), ("ternary_zero_is_plus",)),
    (
        "weights_next",
        "weights of the next output",
        _weights(lambda w: np.roll(w, -1, axis=0)),
        ("weights_of_next_output",),
    ),
    (
        "channel_dropped",
        "the last input channel is left out",
        _weights(_without(1)),
        ("input_channel_missing", "cluster_missing"),
    ),
    ("tap_dropped", "the last tap of the kernel is left out", _weights(_without(2), kernel=2), ("tap_dropped",)),
    ("weight_word", "one weight has the wrong sign", _one_weight_negated, ()),
    (
        "weight_words",
        "words of 4 weights come out reversed",
        _weights(_words_reversed),
        ("words_of_4_channels_reversed", "cluster_reversed"),
    ),
    (
        "scale_next",
        "the scale of the next cluster",
        _scales(lambda s: np.roll(s, -1, axis=1), 2),
        ("scale_of_next_cluster", "scale_of_next_address"),
    ),
    ("scale_missing", "there are no scales", _scales(np.ones_like), ("scale_missing",)),
    (
        "scale_0",
        "the scale of the first cluster for all",
        _scales(lambda s: np.repeat(s[:, :1], s.shape[1], axis=1), 2),
        ("scale_of_cluster_0",),
    ),
    (
        "scale_next_output",
        "scales of the next output",
        _scales(lambda s: np.roll(s, -1, axis=0)),
        ("scale_of_next_output",),
    ),
    ("scale_6_bits", "the highest bit of the scales is lost", _scales(lambda s: s & 63), ("scale_low_6_bits",)),
    ("cluster_late", "clusters begin a channel late", _clusters_late, ("cluster_late",)),
    ("cluster_dropped", "the last cluster is left out", _scales(_last_cluster_dropped, 2), ("cluster_missing",)),
    ("input_sign", "input bytes read with the wrong sign", _operand(0, _other_sign), ("first_input_other_sign",)),
    (
        "input_reversed",
        "input channels in reverse order",
        _operand(0, lambda x: x[..., ::-1]),
        ("input_channels_reversed",),
    ),
    (
        "input_row_0",
        "the first row of the input is 0",
        _operand(0, _image_only(_first_row_zero)),
        ("input_first_row_missing",),
    ),
    ("line_buffer", "row 1 of the input is row 0", _operand(0, _image_only(_row_repeated)), ("input_row_repeated",)),
    (
        "stale_row",
        "the last row of the input is that of the image before",
        _operand(0, _image_only(_last_row_stale)),
        ("input_row_of_image_before",),
    ),
    ("input_pixel", "one pixel of the input is stuck", _operand(0, _image_only(_pixel_stuck)), ()),
    ("pad_edge", "padding repeats the edge", _padded("edge"), ("padding_edge",)),
    ("pad_128", "padding is 128", _padded(128), ("padding_128",)),
    ("pad_7", "padding is 7", _padded(7), ("padding_constant",)),
    ("pads_after", "all padding comes after the image", _pads_after, ("pads_after", "windows_down", "windows_right")),
    ("window_right", "windows are a column late", _late(0, 1), ("windows_right",)),
    ("stride_phase", "strided windows begin at pixel 1", _stride_phase, ("stride_phase",)),
    ("residual_missing", "there is no residual", _wire("residual", np.zeros_like), ("residual_missing",)),
    ("residual_negated", "the residual is subtracted", _wire("residual", np.negative), ("residual_negated",)),
    ("residual_left", "the residual is a bit too far left", _wire("residual", lambda r: r * 2), ("residual_doubled",)),
    ("residual_sign", "residual bytes have the wrong sign", _wire("residual", _other_sign), ("residual_other_sign",)),
    (
        "residual_is_input",
        "the layer's input for the residual",
        _residual_is_input,
        ("residual_is_input", "residual_of_other_layer"),
    ),
    (
        "add_one",
        "an addition without its second input",
        _of("add", _operand(1, np.zeros_like)),
        ("add_without_second",),
    ),
    (
        "add_shifts",
        "alignments of an addition exchanged",
        _of("add", lambda d: setattr(d, "shifts", d.shifts[::-1])),
        ("add_shifts_exchanged",),
    ),
    ("padding_wins", "padding wins a maximum", _of("maxpool", _set("maximum", _padding_wins)), ("padding_wins",)),
    (
        "maximum_sign",
        "a maximum of bytes of the wrong sign",
        _of("maxpool", _set("maximum", _compares_bytes)),
        ("maximum_other_sign",),
    ),
    ("minimum", "the minimum for the maximum", _of("maxpool", _set("maximum", _minimum)), ("minimum",)),
    (
        "average_full",
        "an average divided by the full window",
        _of("avgpool", _full_window),
        ("average_of_full_window",),
    ),
    (
        "concat_reversed",
        "tensors joined in reverse order",
        _of("concat", lambda d: d.x.reverse()),
        ("concat_reversed",),
    ),
    ("flatten_hwc", "flattened pixel by pixel", _flattened_by_pixel, ("flattened_h_w_c",)),
    ("write_nchw", "written channel by channel", _written(_needs(2, 2, _nchw)), ("written_nchw",)),
    (
        "write_reversed",
        "channels written in reverse",
        _written(_needs(0, 2, lambda r: r[..., ::-1])),
        ("channels_reversed",),
    ),
    (
        "write_rows_reversed",
        "rows written in reverse",
        _written(_needs(2, 1, lambda r: r[:, ::-1])),
        ("rows_reversed",),
    ),
    ("write_row_late", "each row holds the one above", _written(_needs(2, 1, _moved(1))), ("row_late",)),
    ("write_channel_late", "each channel holds the one before", _written(_needs(0, 2, _moved(-1))), ("channel_late",)),
    ("write_pairs", "neighbouring pixels exchanged", _written(_needs(2, 1, _pixels_exchanged)), ("pixels_swapped",)),
    ("write_zeros", "nothing is written", _written(np.zeros_like), ("all_zero",)),
    ("write_bit_2", "bit 2 is stuck at 0", _written(lambda r: r & ~np.int64(4)), ("stuck_bits",)),
    ("write_plus_1", "everything is one too large", _written(lambda r: r + 1), ("constant_offset",)),
    ("write_images_late", "each image holds the one before", _written(_images_moved), ("images_rotated",)),
    ("write_tile", "a tile is repeated in the one below", _written(_needs(4, 1, _tile)), ("stale_tile",)),
    ("write_lane", "one lane of 16 is never written", _written(_every_16th_lost), ("not_written",)),
    ("write_bit", "one bit of one value is wrong", _written(_one_bit), ()),
)

FAULTS: dict[str, Fault] = {fault.name: fault for fault in (*(Fault(*row) for row in _FAULTS), *REPORTED, *TRIALS)}


def faulty(case: Case) -> Iterator[tuple[Fault, Stages]]:
    """Every fault that can happen to a layer, with what the layer then gives."""
    for fault in FAULTS.values():
        stages = fault.stages(case)
        if stages is not None:
            yield fault, stages
