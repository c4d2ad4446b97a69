"""Mistakes out of public reports, written down before any hypothesis of a diagnosis was written for them.

Each row says what went wrong, who reported it (OWNER/REPOSITORY#NUMBER; empty for a neighbour of a reported one, which
nobody reported), and how it is planted on ``Datapath``.  Where a report's own width would change nothing in a layer at
hand, the width is a few bits less than its values need (``_short``), so that no diagnosis can have it in a list.  A
report is the reason why a kind of mistake is here; its numbers are those of the design at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np

from mutation.datapath import Datapath, held, rounded
from mutation.fault import Break, Fault
from refengine.golden.dumps.difference import Array

Change = Callable[[Array], Array]


def _short(values: Array, by: int) -> int:
    """The width, ``by`` bits less than the values need as signed numbers."""
    return max(2, max(int(values.max()), ~int(values.min())).bit_length() + 1 - by)


def _sums(d: Datapath) -> bool:
    return d.weight is not None


def _steps(d: Datapath) -> bool:
    return d.layer.requantize is not None


def _put(name: str, change: Callable[[Datapath], object], possible: Callable[[Datapath], bool] = _steps) -> Break:
    """Another function for one step of the datapath."""

    def break_it(d: Datapath) -> bool:
        if not possible(d):
            return False
        setattr(d, name, change(d))
        return True

    return break_it


# -------------------------------------------------------------------- widths of the sums


def _accumulator(by: int, saturate: bool) -> Break:
    """A narrow accumulator, applied to the finished sum."""

    def change(d: Datapath) -> Change:
        hold = d.hold
        return lambda acc: held(hold(acc), _short(acc, by), saturate)

    return _put("hold", change, _sums)


def _each_addition(by: int, channels_first: bool = False) -> Break:
    """Saturates after every product that is added, the bias first."""

    def sums(d: Datapath) -> Array:
        bits = _short(d._convolved(), by)
        acc = held(d.bias, bits, True)
        for product, scale in d.products(channels_first):
            acc = held(acc + product * scale, bits, True)
        return acc

    return _put("sums", lambda d: lambda: sums(d), _sums)


def _each_cluster(by: int, bias_last: bool = False) -> Break:
    """Saturates after every cluster; with the bias first, or last."""

    def break_it(d: Datapath) -> bool:
        if not _sums(d):
            return False
        bits, bias = _short(d._convolved(), by), d.bias
        d.add_cluster = lambda acc, sums, scale: held(acc + sums * scale, bits, True)
        if bias_last:
            d.bias = np.zeros_like(bias)
            hold = d.hold
            d.hold = lambda acc: hold(held(acc + bias, bits, True))
        return True

    return break_it


def _groups(d: Datapath, size: int, scaled: bool, channels_first: bool = False) -> Iterator[tuple[Array, Array]]:
    """Sums of ``size`` consecutive products, with or without their scales, and the scale that is still to come."""
    products = iter(d.products(channels_first))
    while True:
        group = [*islice(products, size)]
        if not group:
            return
        if scaled:
            yield np.sum([product * scale for product, scale in group], axis=0), np.ones_like(group[0][1])
        else:
            yield np.sum([product for product, _ in group], axis=0), group[0][1]


def _product_groups(size: int, by: int, saturate: bool, scaled: bool = True, channels_first: bool = False) -> Break:
    """Every sum of ``size`` consecutive products is held in few bits before it is added."""

    def possible(d: Datapath) -> bool:
        if not _sums(d) or d.weight[0].size % size:
            return False
        return scaled or d.layer.attributes["cluster"] % size == 0

    def sums(d: Datapath) -> Array:
        groups = [*_groups(d, size, scaled, channels_first)]
        bits = min(_short(values, by) for values in [np.stack([group for group, _ in groups])])
        return d.bias + sum(held(group, bits, saturate) * scale for group, scale in groups)

    return _put("sums", lambda d: lambda: sums(d), possible)


def _tap_sums(by: int, saturate: bool) -> Break:
    """The sum over the channels of one kernel tap is held in few bits (lanes added up in a tree)."""

    def sums(d: Datapath) -> Array:
        groups = [*_groups(d, d.weight.shape[1], True)]
        bits = _short(np.stack([group for group, _ in groups]), by)
        return d.bias + sum(held(group, bits, saturate) for group, _ in groups)

    return _put("sums", lambda d: lambda: sums(d), _sums)


def _cluster_sums(by: int, saturate: bool) -> Break:
    def break_it(d: Datapath) -> bool:
        if not _sums(d):
            return False
        seen: list[Array] = []

        def look(acc: Array, sums: Array, scale: Array) -> Array:
            seen.append(sums)
            return acc

        d.add_cluster = look
        d._convolved()
        bits = _short(np.stack(seen), by)
        d.add_cluster = lambda acc, sums, scale: acc + held(sums, bits, saturate) * scale
        return True

    return break_it


def _total(by: int, saturate: bool) -> Break:
    """Product and residual meet in a narrow sum."""

    def change(d: Datapath) -> Change:
        combine = d.combine

        def total(acc: Array) -> Array:
            wide = combine(acc)
            return held(wide, _short(wide, by), saturate)

        return total

    return _put("combine", change)


def _read_narrow(by: int) -> Break:
    """The accumulator is right, what the requantization reads of it is cut."""
    return _put("read", lambda d: lambda acc: held(acc, _short(acc, by), False))


def _read_unsigned(by: int) -> Break:
    """A signed accumulator meets an unsigned multiplier: the product is unsigned."""
    return _put("read", lambda d: lambda acc: acc & ((1 << (_short(acc, 0) + by)) - 1))


def _read_floored(bits: int) -> Break:
    """The accumulator loses its low bits before it is multiplied."""
    return _put("read", lambda d: lambda acc: acc >> bits << bits)


def _logical(bits: int) -> Break:
    """A logical for an arithmetic shift, behind the rounding offset."""

    def change(d: Datapath) -> Callable[[Array, Array], Array]:
        def divide(total: Array, shift: Array) -> Array:
            half = (np.int64(1) << shift) >> 1
            return ((total + half) & ((1 << bits) - 1)) >> shift

        return divide

    return _put("divide", change, lambda d: _steps(d) and d.mode == "half_up")


def _quotient_narrow(by: int) -> Break:
    """The quotient is held in few bits while its rounding bit is still there."""

    def change(d: Datapath) -> Callable[[Array, Array], Array]:
        def divide(total: Array, shift: Array) -> Array:
            kept = total >> (shift - 1)
            return (held(kept, max(10, _short(kept, by)), False) + 1) >> 1

        return divide

    return _put("divide", change, lambda d: _steps(d) and d.shift.min() > 0)


def _rounded_twice(first: int) -> Break:
    """Two roundings: ``first`` bits, then the rest, half up both times."""

    def change(d: Datapath) -> Callable[[Array, Array], Array]:
        one, up = np.array(first, np.int64), "half_up"
        return lambda total, shift: rounded(rounded(total, one, up), shift - one, up)

    return _put("divide", change, lambda d: _steps(d) and d.shift.min() > first)


def _clip_at(hi: int) -> Break:
    """ReLU6 with its 6 in the wrong unit, or the clip of another type."""

    def change(d: Datapath) -> Change:
        return lambda codes: np.minimum(np.maximum(codes, d.lo), hi)

    return _put("clip", change, lambda d: _steps(d) and d.hi > hi)


def _other_type(d: Datapath) -> bool:
    """Clipped as the other type would be, and then only the byte is kept."""
    if not _steps(d):
        return False
    lo, hi = (-128, 127) if d.lo >= 0 else (0, 255)
    d.clip = lambda codes: (np.minimum(np.maximum(codes, lo), hi) + 128 * (d.lo < 0)) % 256 - 128 * (d.lo < 0)
    return True


def _residual_aligned_narrow(by: int) -> Break:
    """The residual is shifted left in a register that is too narrow."""

    def change(d: Datapath) -> Change:
        aligned = d.residual << d.residual_shift
        narrow = held(aligned, _short(aligned, by), False)
        return lambda acc: acc * d.multiplier + narrow

    return _put("combine", change, lambda d: d.residual is not None)


# -------------------------------------------------------------------- constants and where they come from


def _table(name: str, change: Change, axis: int = 0, least: int = 2) -> Break:
    """Constants read from other places, or changed on their way."""

    def break_it(d: Datapath) -> bool:
        value = getattr(d, name, None)
        if value is None or value.shape[axis] < least or (name == "scale" and d.layer.weight_format == "int8"):
            return False
        setattr(d, name, change(value))
        return True

    return break_it


def _taken(pattern: Callable[[Array, int], Array], axis: int = 0) -> Change:
    """``pattern(places, count)`` says which place each one is read from."""

    def change(values: Array) -> Array:
        count = values.shape[axis]
        places = np.arange(count)
        source = pattern(places, count)
        return values.take(np.where((source >= 0) & (source < count), source, places), axis)

    return change


def _xor(k: int) -> Callable[[Array, int], Array]:
    return lambda places, count: places ^ k


def _by_group(places: Array, count: int) -> Array:
    return places // 4


def _first_of_four(places: Array, count: int) -> Array:
    return places // 4 * 4


def _blocks_reversed(size: int) -> Callable[[Array, int], Array]:
    return lambda places, count: places // size * size + (size - 1 - places % size)


def _interleaved(places: Array, count: int) -> Array:
    """Two banks of half of them each, read alternately."""
    half = count // 2
    return np.where(places < 2 * half, places % 2 * half + places // 2, places)


def _late_from_half(places: Array, count: int) -> Array:
    return np.where(places >= count // 2, places - 1, places)


def _last_scale_next(scale: Array) -> Array:
    """The address counter runs over: the last cluster's scale is that of the next output channel."""
    changed = scale.copy()
    changed[:-1, -1] = scale[1:, -1]
    return changed


def _bits_lost(bits: int) -> Change:
    return lambda bias: bias >> bits << bits


def _bias_rounded(bits: int) -> Change:
    return lambda bias: (bias + (1 << bits >> 1)) >> bits << bits


def _bias_short(by: int, saturate: bool) -> Change:
    return lambda bias: held(bias, _short(bias, by), saturate)


def _loops_reordered(weight: Array) -> Array:
    """Stored tap by tap, read channel by channel."""
    outputs, inputs, height, width = weight.shape
    return weight.transpose(0, 2, 3, 1).reshape(outputs, inputs, height, width)


def _borrow(weight: Array) -> Array:
    """Unpacked with one subtraction a word: a negative code takes one from the next code of its pair."""
    flat = weight.copy().reshape(len(weight), -1)
    whole = flat.shape[1] // 2 * 2
    flat[:, 1:whole:2] -= (flat[:, 0:whole:2] < 0).astype(np.int64)
    return flat.reshape(weight.shape)


def _weights(change: Change, possible: Callable[[Datapath], bool] = lambda d: True) -> Break:
    def break_it(d: Datapath) -> bool:
        if not _sums(d) or not possible(d):
            return False
        d.weight = change(d.weight)
        return True

    return break_it


def _tail_short(weight: Array) -> Array:
    """The last two output channels stop before the last input channels."""
    changed = weight.copy()
    changed[-2:, -max(1, weight.shape[1] // 4) :] = 0
    return changed


def _last_output_of_first(weight: Array) -> Array:
    changed = weight.copy()
    changed[-1] = weight[0]
    return changed


def _multiplier_of_image(d: Datapath) -> bool:
    """Image n is multiplied by the multiplier of channel n."""
    if not _steps(d) or len(d.x[0]) < 2 or len(d.multiplier) < len(d.x[0]):
        return False
    shape = (len(d.x[0]),) + (1,) * len(d.shape)
    d.multiplier = d.multiplier[: len(d.x[0])].reshape(shape)
    return True


# -------------------------------------------------------------------- windows, tiles, inputs


def _tall(least: int = 4) -> Callable[[Datapath], bool]:
    return lambda d: d.op == "conv" and len(d.shape) == 3 and min(d.shape[:2]) >= least


def _kernel_tall(d: Datapath) -> bool:
    return d.op == "conv" and d.weight.shape[2] > 1 and d.shape[0] > 3


def _tap(change: Callable[[Datapath], Callable], possible: Callable[[Datapath], bool]) -> Break:
    return _put("tap", change, possible)


def _stale_kernel_row(d: Datapath) -> Callable[[Array, tuple[int, int], Array, Array], Array]:
    """The last line buffer was not advanced: the last kernel row sees the row of the one above."""
    last = d.weight.shape[2] - 1

    def tap(codes: Array, place: tuple[int, int], rows: Array, columns: Array) -> Array:
        if place[0] != last:
            return codes
        x, above = d.x[0], rows - 1
        seen = x[:, above.clip(0, x.shape[1] - 1)][:, :, columns.clip(0, x.shape[2] - 1)]
        inside = ((above >= 0) & (above < x.shape[1]))[:, None] & ((columns >= 0) & (columns < x.shape[2]))
        return np.where(inside[:, :, None], seen, 0)

    return tap


def _halo(size: int, above: bool, below: bool, axis: int = 0) -> Break:
    """Tiles of ``size`` rows or columns are computed alone: what lies in the tile beside reads as 0."""

    def change(d: Datapath) -> Callable[[Array, tuple[int, int], Array, Array], Array]:
        stride = d.strides[axis]

        def tap(codes: Array, place: tuple[int, int], rows: Array, columns: Array) -> Array:
            source = (rows, columns)[axis]
            tile = np.arange(len(source)) // size
            gone = np.zeros(len(source), bool)
            if above:
                gone |= source < tile * size * stride
            if below:
                gone |= source >= (tile + 1) * size * stride
            shape = (-1, 1, 1) if axis == 0 else (-1, 1)
            return np.where(gone.reshape(shape), 0, codes)

        return tap

    def possible(d: Datapath) -> bool:
        return d.op == "conv" and d.weight.shape[2 + axis] > 1 and d.shape[axis] > size

    return _tap(change, possible)


def _twice_at_tiles(size: int, axis: int) -> Break:
    """The last row or column of each tile is accumulated twice, without its bias the second time."""

    def change(d: Datapath) -> Callable[[], Array]:
        def sums() -> Array:
            acc = d._convolved()
            places = np.arange(size - 1, d.shape[axis], size)
            changed = acc.copy()
            at = (slice(None),) * (1 + axis) + (places,)
            changed[at] += acc[at] - d.bias
            return changed

        return sums

    return _put("sums", change, lambda d: _tall(size + 1)(d))


def _first_column_of_tiles(size: int) -> Break:
    """Columns at the border of a tile are taken for the border of the image: the left tap is left out there."""

    def change(d: Datapath) -> Callable[[Array, tuple[int, int], Array, Array], Array]:
        def tap(codes: Array, place: tuple[int, int], rows: Array, columns: Array) -> Array:
            border = (np.arange(len(columns)) % size == 0) & (place[1] == 0)
            return np.where(border[:, None], 0, codes)

        return tap

    return _tap(change, lambda d: d.op == "conv" and d.weight.shape[3] > 1 and d.shape[1] > size)


def _runs_on(d: Datapath) -> Callable[[Array, tuple[int, int], Array, Array], Array]:
    """No padding at the bottom: the address runs on into the next image, behind the last one into zeros."""

    def tap(codes: Array, place: tuple[int, int], rows: Array, columns: Array) -> Array:
        x = d.x[0]
        following = np.concatenate([x[1:], np.zeros_like(x[:1])])
        below = rows >= x.shape[1]
        inside = (columns >= 0) & (columns < x.shape[2])
        seen = following[:, (rows - x.shape[1]).clip(0, x.shape[1] - 1)][:, :, columns.clip(0, x.shape[2] - 1)]
        return np.where(below[:, None, None], np.where(inside[:, None], seen, 0), codes)

    return tap


def _inputs(change: Callable[[Array, Datapath], Array], possible: Callable[[Datapath], bool] = _sums) -> Break:
    def break_it(d: Datapath) -> bool:
        if not possible(d):
            return False
        d.x[0] = change(d.x[0], d)
        return True

    return break_it


def _first_cluster_again(x: Array, d: Datapath) -> Array:
    """The input pointer is not moved on: each cluster reads the channels of the first."""
    size = d.layer.attributes["cluster"]
    return x[..., np.arange(x.shape[-1]) // d.weight.shape[1] * d.weight.shape[1] + np.arange(x.shape[-1]) % size]


def _phase_of_pool(d: Datapath) -> bool:
    d.late = (int(d.strides[0] > 1), int(d.strides[1] > 1))
    return d.op in ("maxpool", "avgpool") and any(d.late)


def _all_before(d: Datapath) -> bool:
    top, left, bottom, right = d.pads
    d.pads = (top + bottom, left + right, 0, 0)
    return bool(bottom or right)


def _padded(value: int) -> Break:
    def break_it(d: Datapath) -> bool:
        d.pad = value
        return d.weight is not None and any(d.pads)

    return break_it


# -------------------------------------------------------------------- how a result is written


def _written(change: Change, possible: Callable[[Datapath], bool] = lambda d: True) -> Break:
    return _put("write", lambda d: change, possible)


def _flat(change: Change) -> Change:
    """The words of all images one behind the other."""
    return lambda result: change(result.reshape(-1)).reshape(result.shape)


def _stalled(word: int) -> Change:
    """The word comes twice, and those behind it are one late."""
    return lambda flat: np.concatenate([flat[: word + 1], flat[word:-1]]) if len(flat) > word + 1 else flat


def _dropped(word: int) -> Change:
    """The word is lost, those behind it are one early, and the last one is read twice."""
    return lambda flat: np.concatenate([flat[:word], flat[word + 1 :], flat[-1:]]) if len(flat) > word else flat


def _every(period: int) -> Change:
    """Every so many words the word before is read once more."""

    def change(flat: Array) -> Array:
        changed = flat.copy()
        changed[period::period] = flat[period - 1 : -1 : period]
        return changed

    return change


def _blocked(size: int) -> Change:
    """Written in blocks of channels: N, C / size, H, W, size."""

    def change(result: Array) -> Array:
        images, height, width, channels = result.shape
        blocks = result.reshape(images, height, width, channels // size, size)
        return np.ascontiguousarray(blocks.transpose(0, 3, 1, 2, 4)).reshape(result.shape)

    return change


def _blocks_of(size: int) -> Callable[[Datapath], bool]:
    return lambda d: len(d.shape) == 3 and d.shape[-1] % size == 0 and d.shape[-1] > size and d.shape[0] > 1


def _odd_tiles_empty(result: Array) -> Array:
    return np.where(np.arange(result.shape[-1]) // 4 % 2 == 1, 0, result)


def _last_pixels_empty(result: Array) -> Array:
    changed = result.copy().reshape(len(result), -1, result.shape[-1])
    changed[:, -3:] = 0
    return changed.reshape(result.shape)


def _packed_carry(d: Datapath) -> Change:
    """Two products share a multiplier: the upper one is one too small where the lower one is negative."""
    bias = d.bias

    def hold(acc: Array) -> Array:
        sums = acc - bias
        changed = acc.copy()
        even = acc.shape[-1] // 2 * 2
        changed[..., 1:even:2] -= (sums[..., 0:even:2] < 0).astype(np.int64)
        return changed

    return hold


def _residual_late(d: Datapath) -> bool:
    """Each channel adds the residual of the channel before it."""
    if d.residual is None or d.shape[-1] < 2:
        return False
    d.residual = np.roll(d.residual, 1, axis=-1)
    return True


# -------------------------------------------------------------------- the table

_IMAGE = _blocks_of(1)

# the causes that name each truly, added when hypotheses were written; a mistake without one must never be certain
_NAMES: dict[str, tuple[str, ...]] = {
    "acc_short_wrap": ("accumulator_wraps",),
    "acc_shorter_wrap": ("accumulator_wraps",),
    "acc_short_saturate": ("accumulator_saturates",),
    "acc_shorter_saturate": ("accumulator_saturates",),
    "acc_each_product": ("accumulator_saturates_stepwise",),
    "acc_each_product_channels": ("accumulator_saturates_stepwise",),
    "acc_each_cluster": ("accumulator_saturates_stepwise",),
    "acc_each_cluster_bias_last": ("accumulator_saturates_stepwise",),
    "pair_saturate": ("partial_sums_saturate",),
    "pair_saturate_unscaled": ("partial_sums_saturate",),
    "pair_wrap": ("partial_sums_wrap",),
    "pair_wrap_taps": ("partial_sums_wrap",),
    "product_saturate": ("partial_sums_saturate",),
    "quad_wrap": ("partial_sums_wrap",),
    "lanes_wrap": ("partial_sums_wrap",),
    "lanes_saturate": ("partial_sums_saturate",),
    "cluster_wrap": ("partial_sums_wrap",),
    "cluster_saturate": ("partial_sums_saturate",),
    "total_wrap": ("total_wraps",),
    "total_wrap_more": ("total_wraps",),
    "total_saturate": ("total_saturates",),
    "acc_read_narrow": ("accumulator_read_wrapped",),
    "acc_read_unsigned": ("accumulator_read_unsigned",),
    "acc_floored": ("accumulator_read_cut",),
    "shift_logical_32": ("logical_shift",),
    "shift_logical_26": ("logical_shift",),
    "shift_logical_40": ("logical_shift",),
    "quotient_narrow": ("unrounded_quotient_wraps",),
    "round_twice_4": ("rounds_twice",),
    "round_twice_half": ("rounds_twice",),
    "clip_6": ("upper_end",),
    "clip_100": ("upper_end",),
    "clip_of_other_type": ("relu_missing", "read_as_other_sign"),
    "residual_short": ("residual_wraps",),
    "residual_channel_late": ("residual_order",),
    "bias_low_bits": ("bias_low_bits_lost",),
    "bias_rounded": ("bias_rounded",),
    "bias_short": ("bias_wraps",),
    "bias_saturated": ("bias_saturates",),
    "bias_lanes": ("bias_order",),
    "bias_interleaved": ("bias_order",),
    "scale_pairs": ("scale_clusters_order", "scale_of_next_cluster"),
    "scale_first_of_four": ("scale_outputs_order",),
    "scale_last_next": ("scale_last_order", "scale_outputs_order"),
    "scale_outputs_blocks": ("scale_outputs_order",),
    "multiplier_by_group": ("multiplier_order",),
    "multiplier_pairs": ("multiplier_order",),
    "shift_fours": ("shift_order",),
    "weights_reordered": ("weights_read_by_channel",),
    "weights_late_half": ("weight_outputs_order",),
    "weights_halved": ("ternary_plus_lost", "weights_halved"),
    "weights_borrow": ("weights_borrow_2",),
    "outputs_pairs": ("weight_outputs_order",),
    "tail_short": ("cluster_missing", "input_channel_missing"),
    "last_output_first": ("weight_outputs_order",),
    "padding_5": ("padding_constant",),
    "padding_minus_3": ("padding_constant",),
    "padding_128_shift": ("padding_minus_128",),
    "pads_before": ("pads_before",),
    "bottom_runs_on": ("bottom_runs_on",),
    "kernel_row_stale": ("kernel_line_stale",),
    "input_not_advanced": ("input_order",),
    "pool_phase": ("stride_phase",),
    "halo_7": ("tile_without_halo",),
    "halo_4_above": ("tile_without_halo", "tile_border_tap"),
    "halo_5_columns": ("tile_without_halo",),
    "tile_column_twice": ("products_twice",),
    "tile_row_twice": ("products_twice",),
    "tile_left_tap": ("tile_without_halo", "tile_border_tap"),
    "packed_carry": ("packed_carry_second",),
    "stall": ("words_late",),
    "stall_late": ("words_late",),
    "word_dropped": ("words_early",),
    "word_repeated": ("word_repeated",),
    "write_nchwc8": ("written_blocked",),
    "write_nchwc4": ("written_blocked",),
    "odd_tiles_empty": ("not_written",),
    "last_pixels_empty": ("not_written",),
    "last_words_empty": ("not_written",),
}

REPORTED: tuple[Fault, ...] = tuple(
    Fault(name, sentence, break_it, _NAMES.get(name, ()), report)
    for name, report, sentence, break_it in (
        ("acc_short_wrap", "Xilinx/finn#723", "a minimized accumulator wraps, one bit short", _accumulator(1, False)),
        ("acc_shorter_wrap", "Xilinx/finn#47", "an accumulator wraps, three bits short", _accumulator(3, False)),
        ("acc_short_saturate", "", "an accumulator saturates at the end, one bit short",
         _accumulator(1, True)),
        ("acc_shorter_saturate", "", "an accumulator saturates at the end, two bits short",
         _accumulator(2, True)),
        ("acc_each_product", "apytypes/apytypes#857", "an accumulator saturates at each product", _each_addition(1)),
        ("acc_each_product_channels", "riscv-software-src/riscv-isa-sim#2318",
         "an accumulator saturates at each product, channel by channel", _each_addition(2, True)),
        ("acc_each_cluster", "", "an accumulator saturates after each cluster", _each_cluster(1)),
        ("acc_each_cluster_bias_last", "KhronosGroup/OpenVX-cts#36",
         "an accumulator saturates after each cluster, the bias comes last", _each_cluster(2, True)),
        ("pair_saturate", "microsoft/onnxruntime#16105", "sums of two neighbouring products saturate",
         _product_groups(2, 1, True)),
        ("pair_saturate_unscaled", "uxlfoundation/oneDNN#375", "pairs of products saturate before their scale",
         _product_groups(2, 1, True, scaled=False)),
        ("pair_wrap", "Tencent/ncnn#717", "sums of two products wrap", _product_groups(2, 1, False)),
        ("pair_wrap_taps", "alibaba/MNN#301", "sums of two products of neighbouring taps wrap",
         _product_groups(2, 1, False, channels_first=True)),
        ("product_saturate", "Xilinx/finn#1692", "each product saturates", _product_groups(1, 1, True)),
        ("quad_wrap", "Tencent/ncnn#783", "sums of four products wrap", _product_groups(4, 1, False)),
        ("lanes_wrap", "Xilinx/finn#1076", "the sum over the lanes of a tap wraps", _tap_sums(1, False)),
        ("lanes_saturate", "openvinotoolkit/openvino#11658", "the sum over the lanes of a tap saturates",
         _tap_sums(2, True)),
        ("cluster_wrap", "Tencent/ncnn#746", "cluster sums wrap, one bit short", _cluster_sums(1, False)),
        ("cluster_saturate", "pytorch/pytorch#76390", "cluster sums saturate, two bits short", _cluster_sums(2, True)),
        ("total_wrap", "pulp-platform/dory#13", "the total wraps", _total(1, False)),
        ("total_wrap_more", "apache/mxnet#21079", "the total wraps, three bits short", _total(3, False)),
        ("total_saturate", "apache/tvm#3531", "the total saturates", _total(1, True)),
        ("acc_read_narrow", "Xilinx/finn#1561", "what is requantized is the accumulator's low bits", _read_narrow(1)),
        ("acc_read_unsigned", "YosysHQ/yosys#3090", "the accumulator meets an unsigned multiplier", _read_unsigned(1)),
        ("acc_floored", "fastmachinelearning/hls4ml#133", "the accumulator is cast before it is multiplied",
         _read_floored(4)),
        ("shift_logical_32", "verilator/verilator#6531", "a logical for an arithmetic shift, 32 bits", _logical(32)),
        ("shift_logical_26", "chipsalliance/yosys-f4pga-plugins#535", "a logical shift of 26 bits", _logical(26)),
        ("shift_logical_40", "vmware-archive/cascade#41", "a logical shift of 40 bits", _logical(40)),
        ("quotient_narrow", "ARM-software/CMSIS-NN#220", "the quotient overflows before its last bit is rounded off",
         _quotient_narrow(1)),
        ("round_twice_4", "tensorflow/tensorflow#25087", "rounded twice, 4 bits first", _rounded_twice(4)),
        ("round_twice_half", "apache/tvm#15929", "rounded twice, 2 bits first", _rounded_twice(2)),
        ("clip_6", "ARM-software/CMSIS_5#1236", "clipped at 6, not at 6 in the unit of the codes", _clip_at(6)),
        ("clip_100", "PaddlePaddle/Paddle-Lite#3572", "clipped at 100", _clip_at(100)),
        ("clip_of_other_type", "microsoft/onnxruntime#29727", "clipped as the other byte type, and the byte kept",
         _other_type),
        ("residual_short", "xmos/ai_tools#339", "the residual is shifted left in too few bits",
         _residual_aligned_narrow(1)),
        ("residual_channel_late", "", "the residual comes one channel late", _residual_late),
        ("bias_low_bits", "fastmachinelearning/hls4ml#1065", "the bias loses its low 4 bits",
         _table("bias", _bits_lost(4))),
        ("bias_rounded", "analogdevicesinc/ai8x-synthesis#137", "the bias is rounded to multiples of 32",
         _table("bias", _bias_rounded(5))),
        ("bias_short", "ARM-software/CMSIS_5#665", "the bias wraps, two bits short",
         _table("bias", _bias_short(2, False))),
        ("bias_saturated", "fastmachinelearning/hls4ml#229", "the bias saturates, one bit short",
         _table("bias", _bias_short(1, True))),
        ("bias_lanes", "ARM-software/CMSIS_5#760", "the biases of neighbouring lanes are exchanged",
         _table("bias", _taken(_xor(1)))),
        ("bias_interleaved", "", "biases come from two banks in turn",
         _table("bias", _taken(_interleaved), least=4)),
        ("scale_pairs", "", "scales are swapped in pairs",
         _table("scale", _taken(_xor(1), 1), axis=1)),
        ("scale_first_of_four", "ROCm/composable_kernel#3771", "one scale for each 4 output channels",
         _table("scale", _taken(_first_of_four), least=5)),
        ("scale_last_next", "vllm-project/vllm#37329", "the last cluster's scale is that of the next output channel",
         _table("scale", _last_scale_next)),
        ("scale_outputs_blocks", "", "scales of 4 output channels in reverse order",
         _table("scale", _taken(_blocks_reversed(4)), least=4)),
        ("multiplier_by_group", "Tencent/ncnn#1304", "multipliers addressed by c / 4",
         _table("multiplier", _taken(_by_group), least=5)),
        ("multiplier_pairs", "Tencent/ncnn#1234", "multipliers exchanged in pairs",
         _table("multiplier", _taken(_xor(1)))),
        ("multiplier_of_image", "apache/tvm#10162", "image n takes the multiplier of channel n", _multiplier_of_image),
        ("shift_fours", "", "shifts of 4 channels in reverse order",
         _table("shift", _taken(_blocks_reversed(4)), least=4)),
        ("weights_reordered", "fastmachinelearning/hls4ml#448", "stored tap by tap, read channel by channel",
         _weights(_loops_reordered, lambda d: d.weight.shape[2] > 1)),
        ("weights_late_half", "ARM-software/CMSIS_5#811", "from half of the outputs on, weights of the one before",
         _weights(_taken(_late_from_half), lambda d: len(d.weight) > 2)),
        ("weights_halved", "uxlfoundation/oneDNN#375", "weights shifted right by one bit", _weights(lambda w: w >> 1)),
        ("weights_borrow", "gittensor-ai-lab/sparkinfer#723", "a negative weight takes one from its neighbour",
         _weights(_borrow)),
        ("outputs_pairs", "", "weights of neighbouring outputs exchanged",
         _weights(_taken(_xor(1)), lambda d: len(d.weight) > 1)),
        ("tail_short", "espressif/esp-nn#34", "the last 2 outputs stop before the last inputs", _weights(_tail_short)),
        ("last_output_first", "openxla/xla#49123", "the last output has the weights of the first",
         _weights(_last_output_of_first, lambda d: len(d.weight) > 1)),
        ("padding_5", "apache/tvm#13364", "pads with 5, as a folded zero point does", _padded(5)),
        ("padding_minus_3", "apache/tvm#4807", "pads with -3", _padded(-3)),
        ("padding_128_shift", "uxlfoundation/oneDNN#5115", "the shift by 128 is missing in the padding", _padded(-128)),
        ("pads_before", "ARM-software/CMSIS_5#831", "all padding at the top and at the left", _all_before),
        ("bottom_runs_on", "espressif/esp-nn#31", "no padding at the bottom, the address runs on",
         _tap(_runs_on, lambda d: d.op == "conv" and d.pads[2] > 0)),
        ("kernel_row_stale", "Xilinx/QNN-MO-PYNQ#2", "the last kernel row sees the row above its own",
         _tap(_stale_kernel_row, _kernel_tall)),
        ("input_not_advanced", "ucb-bar/gemmini-rocc-tests#21", "every cluster reads the channels of the first",
         _inputs(_first_cluster_again, lambda d: _sums(d) and d.weight.shape[1] > d.layer.attributes["cluster"])),
        ("pool_phase", "fastmachinelearning/hls4ml#995", "a strided pool begins one pixel late", _phase_of_pool),
        ("halo_7", "tenstorrent/tt-metal#33980", "tiles of 7 rows without the rows around them", _halo(7, True, True)),
        ("halo_4_above", "", "tiles of 4 rows without the row above them",
         _halo(4, True, False)),
        ("halo_5_columns", "huggingface/candle#3404", "tiles of 5 columns without the columns around them",
         _halo(5, True, True, axis=1)),
        ("tile_column_twice", "", "the last column of each tile of 7 is accumulated twice",
         _twice_at_tiles(7, 1)),
        ("tile_row_twice", "jofrfu/tinyTPU#46", "the last row of each tile of 4 is accumulated twice",
         _twice_at_tiles(4, 0)),
        ("tile_left_tap", "modular/modular#6712", "columns at a tile's border taken for the image's border",
         _first_column_of_tiles(6)),
        ("packed_carry", "adamgallas/SpinalDLA#1", "one too small where the neighbour's sum is negative",
         _put("hold", _packed_carry, lambda d: _sums(d) and d.shape[-1] > 1)),
        ("stall", "openhwgroup/cvw#1139", "word 503 comes twice, the rest one late", _written(_flat(_stalled(503)))),
        ("stall_late", "pavel-demin/red-pitaya-notes#1206", "word 91 comes twice", _written(_flat(_stalled(91)))),
        ("word_dropped", "bmartini/zynq-axis#2", "word 301 is lost, the rest one early",
         _written(_flat(_dropped(301)))),
        ("word_repeated", "paulscherrerinstitute/psi_common#56", "every 64th word is the one before",
         _written(_flat(_every(64)))),
        ("write_nchwc8", "nvdla/sw#63", "written in blocks of 8 channels", _written(_blocked(8), _blocks_of(8))),
        ("write_nchwc4", "NVIDIA/cutlass#263", "written in blocks of 4 channels", _written(_blocked(4), _blocks_of(4))),
        ("odd_tiles_empty", "cornell-zhang/allo#473", "odd tiles of 4 channels are 0",
         _written(_odd_tiles_empty, _blocks_of(4))),
        ("last_pixels_empty", "Tencent/ncnn#1014", "the last 3 pixels are not computed",
         _written(_last_pixels_empty, _IMAGE)),
        ("last_words_empty", "Xilinx/finn#1698", "the last 5 words are never written",
         _written(lambda r: np.where(np.arange(r.size).reshape(r.shape) >= r.size - 5, 0, r))),
    )
)  # fmt: skip
