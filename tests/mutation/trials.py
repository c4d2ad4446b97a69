"""Faults as a hardware engineer planted them in a design of his own, before any hypothesis knew them.

Stated in wires and steps of a ``Datapath`` as those of ``tests/mutation/faults.py`` are, and without a line of what
diagnoses.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mutation.datapath import Datapath, held, rounded
from mutation.fault import Break, Fault
from refengine.golden.dumps.difference import Array

# ----------------------------------------------------------------------------------------------- windows, what comes in


def _tap(change: Callable[[Datapath, Array, Array, Array], Array], needs_padding: bool = True) -> Break:
    """Each tap of every window changed: codes (N, OH, OW, C) of input rows and columns."""

    def break_it(d: Datapath) -> bool:
        d.tap = lambda codes, place, rows, columns: change(d, codes, rows, columns)
        return d.op == "conv" and min(d.weight.shape[2:]) > 1 and (any(d.pads) or not needs_padding)

    return break_it


def _tiles(rows: int, columns: int) -> Break:
    """Every tile sees zeros around itself."""

    def change(d: Datapath, codes: Array, y: Array, x: Array) -> Array:
        own = [np.arange(len(lines)) // size * size * stride for lines, size, stride
               in ((y, rows, d.strides[0]), (x, columns, d.strides[1]))]  # fmt: skip
        inside = [(lines >= first) & (lines < first + size * stride) for lines, first, size, stride
                  in ((y, own[0], rows, d.strides[0]), (x, own[1], columns, d.strides[1]))]  # fmt: skip
        return np.where((inside[0][:, None] & inside[1][None, :])[..., None], codes, 0)

    return _tap(change, needs_padding=False)


def _mirrored(d: Datapath, codes: Array, y: Array, x: Array) -> Array:
    height, width = d.x[0].shape[1:3]
    rows, columns = (np.where(n >= size, 2 * (size - 1) - n, np.abs(n)) for n, size in ((y, height), (x, width)))
    return d.x[0][:, rows][:, :, columns]


def _next_row(d: Datapath, codes: Array, y: Array, x: Array) -> Array:
    """Left and right of a row lies the memory's next word; above and below the image are zeros."""
    images, height, width, channels = d.x[0].shape
    word = y[:, None] * width + x[None, :]
    there = ((y >= 0) & (y < height))[:, None] & (word >= 0) & (word < height * width)
    flat = d.x[0].reshape(images, height * width, channels)
    return np.where(there[..., None], flat[:, word.clip(0, height * width - 1)], 0)


def _left_edge(d: Datapath, codes: Array, y: Array, x: Array) -> Array:
    height = d.x[0].shape[1]
    edge = np.where(((y >= 0) & (y < height))[:, None], d.x[0][:, y.clip(0, height - 1), 0], 0)
    return np.where((x < 0)[:, None], edge[:, :, None], codes)


def _coming_in(change: Callable[[Array], Array], rows: int = 1) -> Break:
    def break_it(d: Datapath) -> bool:
        codes = d.x[0]
        if d.op not in ("conv", "fc") or codes.min() < 0 or codes.shape[1] < rows:
            return False
        d.x[0] = change(codes)
        return True

    return break_it


def _wrong_pitch(by: int) -> Callable[[Array], Array]:
    """Row y of the input begins ``by`` pixels too early for each row above it."""

    def change(codes: Array) -> Array:
        images, height, width, channels = codes.shape
        flat = codes.reshape(images * height * width, channels)
        changed = codes.copy()
        for n in range(images):
            for y in range(height):
                begin = n * height * width + y * (width - by)
                changed[n, y] = flat[begin : begin + width]
        return changed

    return change


# -------------------------------------------------------------------------------------------------------- sums and bias


def _sums(change: Callable[[Datapath, Array], Array], rows: int = 1) -> Break:
    """Accumulators (N, H, W, C) that hold something else."""

    def break_it(d: Datapath) -> bool:
        hold, shape = d.hold, (len(d.x[0]), *((1, 1, *d.shape)[-3:]))
        d.hold = lambda acc: change(d, hold(acc).reshape(shape)).reshape(acc.shape)
        return d.weight is not None and len(d.shape) == 3 and min(d.shape[:2]) >= rows and d.shape[2] > 1

    return break_it


def _running(axis: int) -> Callable[[Datapath, Array], Array]:
    return lambda d, acc: held(np.cumsum(acc, axis=axis), 32, False)


def _with_the_last(d: Datapath, acc: Array) -> Array:
    changed = acc.copy()
    changed[:, :, 1:] += acc[:, :, :-1]
    return held(changed, 32, False)


def _loaded_once(d: Datapath, acc: Array) -> Array:
    return held(np.cumsum(acc - d.bias, axis=3) + d.bias[0], 32, False)


def _bias_late(by: int, in_sums: bool) -> Break:
    """The bias comes behind the multiplier; ``in_sums``: what is dumped as the accumulator has it all the same."""

    def break_it(d: Datapath) -> bool:
        if d.layer.requantize is None or d.bias is None:
            return False
        bias, combine = d.bias, d.combine
        if in_sums:
            d.combine = lambda acc: combine(acc - bias) + bias * 2**by
        else:
            d.bias, d.combine = 0 * bias, lambda acc: combine(acc) + bias * 2**by
        return True

    return break_it


def _saturates_before_bias(d: Datapath) -> bool:
    """The sum of products is a bit short and saturates, the bias is added with all its bits."""
    if d.weight is None:
        return False
    hold = d.hold

    def keep(acc: Array) -> Array:
        products = acc - d.bias
        return hold(held(products, int(np.abs(products).max()).bit_length(), True) + d.bias)

    d.hold = keep
    return True


def _two_channels_without_bias(d: Datapath) -> bool:
    if d.bias is None or len(d.bias) < 6:
        return False
    d.bias = d.bias.copy()
    d.bias[[1, 4]] = 0
    return True


# ------------------------------------------------------------------------------------------------- residual and product


def _residual(change: Callable[[Array], Array]) -> Break:
    def break_it(d: Datapath) -> bool:
        if d.residual is None or d.residual.ndim != 4 or min(d.residual.shape) < 2:
            return False
        d.residual = change(d.residual)
        return True

    return break_it


def _pixel_late(codes: Array) -> Array:
    return np.concatenate([0 * codes[:, :, :1], codes[:, :, :-1]], axis=2)


def _row_late(codes: Array) -> Array:
    return np.concatenate([0 * codes[:, :1], codes[:, :-1]], axis=1)


def _value_late(codes: Array) -> Array:
    flat = codes.reshape(-1)
    return np.concatenate([[0], flat[:-1]]).reshape(codes.shape)


def _short_product(saturate: bool) -> Break:
    """The product is a bit too short for its largest number, the sum with the residual is not."""

    def break_it(d: Datapath) -> bool:
        if d.residual is None:
            return False

        def combine(acc: Array) -> Array:
            product = acc * d.multiplier
            bits = int(np.abs(product).max()).bit_length()
            return held(product, bits, saturate) + (d.residual << d.residual_shift)

        d.combine = combine
        return True

    return break_it


def _residual_behind_total(d: Datapath) -> bool:
    """The residual is added to the clipped code, and the total has never seen it."""
    if d.residual is None:
        return False
    d.combine = lambda acc: acc * d.multiplier

    def epilogue(acc: Array, total: Array) -> Array:
        branch = d.clip(rounded(total, d.shift, d.mode))
        return d.clip(rounded((branch << d.shift) + (d.residual << d.residual_shift), d.shift, d.mode))

    d.epilogue = epilogue
    return True


def _field(name: str, lost: int) -> Break:
    """A field that is too short for the largest number."""

    def break_it(d: Datapath) -> bool:
        if d.layer.requantize is None:
            return False
        values = getattr(d, name)
        bits = int(values.max()).bit_length() - lost
        if bits < 2:
            return False
        short = values & ((1 << bits) - 1)
        if name == "shift":
            d.divide = lambda t, s: rounded(t, short, d.mode)
        else:
            d.multiplier = short
        return True

    return break_it


# ------------------------------------------------------------------------------------------------------ weights, pools


def _stored_by_input(d: Datapath) -> bool:
    if d.weight is None or min(d.weight.shape[:2]) < 2:
        return False
    d.weight = d.weight.transpose(1, 0, 2, 3).reshape(d.weight.shape)
    return True


def _pooled(change: Callable[[Array], Array]) -> Break:
    """Another sum of all pixels (N, H * W, C)."""

    def break_it(d: Datapath) -> bool:
        if d.op != "global_avgpool" or d.x[0].shape[1] * d.x[0].shape[2] < 2:
            return False
        pixels = d.x[0].reshape(len(d.x[0]), -1, d.x[0].shape[-1])
        d.sums = lambda: change(pixels)
        return True

    return break_it


def _other_divisor(d: Datapath) -> bool:
    """The multiplier is made for one pixel more."""
    if d.op != "global_avgpool":
        return False
    count = d.x[0].shape[1] * d.x[0].shape[2]
    d.multiplier = np.floor(d.multiplier * count / (count + 1) + 0.5).astype(np.int64)
    return True


# ------------------------------------------------------------------------------------------------------------- results


def _written(change: Callable[[Array], Array]) -> Break:
    def break_it(d: Datapath) -> bool:
        d.write = change
        return len(d.shape) == 3 and min(d.shape[:2]) > 3

    return break_it


def _words_late(result: Array) -> Array:
    flat = result.reshape(len(result), -1)
    return np.concatenate([0 * flat[:, :5], flat[:, :-5]], axis=1).reshape(result.shape)


def _rows_apart(result: Array) -> Array:
    """Each row begins three pixels behind the end of the one before it."""
    images, height, width, channels = result.shape
    memory = np.zeros((images, height * (width + 3), channels), result.dtype)
    for y in range(height):
        memory[:, y * (width + 3) : y * (width + 3) + width] = result[:, y]
    return memory[:, : height * width].reshape(result.shape)


TRIALS: tuple[Fault, ...] = tuple(Fault(*row) for row in (
    ("tiles_4_by_3", "tiles of 4 x 3 pixels have no halo", _tiles(4, 3), ("tiles_without_halo",)),
    ("pad_mirror", "padding mirrors the image", _tap(_mirrored), ("padding_reads",)),
    ("pad_left_edge", "left padding repeats the edge", _tap(_left_edge), ("padding_reads",)),
    ("pad_next_row", "padding beside a row is the row next to it", _tap(_next_row), ("padding_reads",)),
    ("input_bit_low", "bit 2 of the input is 0", _coming_in(lambda x: x & ~np.int64(4)), ("input_bits",)),
    ("input_bit_high", "bit 0 of the input is 1", _coming_in(lambda x: x | 1), ("input_bits",)),
    ("input_5_bits", "the input has 5 bits", _coming_in(lambda x: x & 31), ("input_narrow",)),
    ("input_3_cut", "the lowest 3 bits of the input are lost", _coming_in(lambda x: x & ~np.int64(7)),
     ("input_bits_lost",)),
    ("input_pitch", "rows of the input are read a pixel too near", _coming_in(_wrong_pitch(1), 4), ("input_pitch",)),
    ("acc_row", "accumulators are cleared once a row", _sums(_running(2), 2),
     ("accumulator_kept_rows", "accumulator_kept_pixels")),
    ("acc_last", "accumulators begin with the sum before", _sums(_with_the_last, 2), ("accumulator_keeps_last_row",)),
    ("acc_loaded_once", "accumulators are loaded once a pixel", _sums(_loaded_once),
     ("accumulator_kept_channels_bias_once",)),
    ("bias_behind_7", "the bias comes behind the multiplier, 7 bits up", _bias_late(7, True),
     ("bias_after_multiplier",)),
    ("bias_behind", "the bias is in no sum, and comes behind the multiplier", _bias_late(0, False),
     ("bias_after_multiplier",)),
    ("bias_two", "two channels have no bias", _two_channels_without_bias, ("bias_missing_in",)),
    ("sum_saturates_before_bias", "the sum saturates before its bias comes", _saturates_before_bias, ()),
    ("write_odd_up", "odd results are one more", _written(lambda r: r + (r & 1)), ()),
    ("residual_pixel", "the residual is a pixel late", _residual(_pixel_late), ("residual_late",)),
    ("residual_row", "the residual is a row late", _residual(_row_late), ("residual_late",)),
    ("residual_value", "the residual is a value late", _residual(_value_late), ("residual_late",)),
    ("residual_image", "the residual is that of another image", _residual(lambda r: np.roll(r, 1, axis=0)),
     ("residual_late",)),
    ("residual_bit_3", "bit 3 of the residual is 0", _residual(lambda r: r & ~np.int64(8)), ("residual_bits",)),
    ("product_short_wrap", "the product wraps before the residual", _short_product(False), ("product_wraps",)),
    ("product_short_saturate", "the product saturates before the residual", _short_product(True),
     ("product_saturates",)),
    ("residual_behind_total", "the residual is added behind clip and total", _residual_behind_total,
     ("residual_after_clip_outside_total",)),
    ("shift_field", "the field of the shift is a bit short", _field("shift", 1), ("shift_bits_lost",)),
    ("multiplier_field", "the field of the multiplier is two bits short", _field("multiplier", 2),
     ("multiplier_bits_lost",)),
    ("weights_by_input", "weights are stored by input channel", _stored_by_input, ("weights_stored_i_o",)),
    ("pool_maximum", "the maximum of all pixels for their mean",
     _pooled(lambda x: x.max(axis=1) * x.shape[1]), ("maximum_for_average",)),
    ("pool_short", "the last pixel is left out of a mean", _pooled(lambda x: x[:, :-1].sum(axis=1)),
     ("average_without_last",)),
    ("pool_divisor", "a mean of a pixel too many", _other_divisor, ("average_divisor",)),
    ("write_late_5", "results come 5 words late", _written(_words_late), ("words_late",)),
    ("write_pitch", "rows of results lie three pixels apart", _written(_rows_apart), ("row_pitch",)),
))  # fmt: skip
