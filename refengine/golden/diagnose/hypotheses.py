"""The fault hypotheses: what hardware does instead of the contract, each with a name and one sentence.

``HYPOTHESES`` maps a name to a ``Hypothesis``, whose ``fault`` turns the ``Machine`` of a layer into the faulty one, or
gives None where the layer has nothing to which it could happen.  A new one is a line here, and a function in one of

    hypotheses_sums      what is added up: bias, signs, inputs, accumulators
    hypotheses_weights   codes and scales of the weights
    hypotheses_windows   padding, strides, pools
    hypotheses_codes     rounding, clip, multiplier, shift, residual
    hypotheses_layout    the order in which a result was written

``FAMILIES`` are hypotheses with open numbers; a member is named ``tap_dropped=2,1``, and ``named`` gives a hypothesis
or a member by its name.  They are in

    hypotheses_accumulator  widths of accumulator and partial sums, which are solved for
    hypotheses_widths       widths between accumulator and code, which are solved for: total, residual, quotient
    hypotheses_bias         widths, shifts and channels of the bias
    hypotheses_orders       orders of constants and channels, blocked layouts
    hypotheses_tiles        tiles without a halo, lines of the kernel, clusters and channels left out
    hypotheses_residual     other codes for the residual, other places at which it is added
    hypotheses_numbers      a padding, a tap, a row

Faults that need no recomputation, of memories and bits, are in ``golden/diagnose/structure.py``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ...errors import RefengineError
from ...numbers.rounding import DOUBLE_ROUND, MODES
from . import (
    hypotheses_accumulator,
    hypotheses_bias,
    hypotheses_numbers,
    hypotheses_orders,
    hypotheses_residual,
    hypotheses_tiles,
    hypotheses_widths,
)
from . import hypotheses_codes as codes
from . import hypotheses_layout as layout
from . import hypotheses_sums as sums
from . import hypotheses_weights as weights
from . import hypotheses_windows as windows
from .clues import Clues, Family, Fault
from .machine import Case, Machine, machine_of

__all__ = ["FAMILIES", "GROUPS", "HYPOTHESES", "Case", "Hypothesis", "candidates", "faulty", "is_hypothesis", "kind",
           "named", "rows"]  # fmt: skip


@dataclass(frozen=True)
class Hypothesis:
    """A fault: its name, what it does in one sentence, the group it belongs to, and what becomes of a machine."""

    name: str
    sentence: str
    group: str
    fault: Fault

    def __call__(self, machine: Machine) -> Machine | None:
        """The faulty machine; None where the fault cannot happen to it, or would need numbers that do not exist."""
        try:
            return self.fault(machine)
        except RefengineError:
            return None


GROUPS = {
    "rounding": "rounding",
    "clip": "clip and activation",
    "scale": "multiplier and shift",
    "residual": "residual",
    "bias": "bias",
    "accumulator": "accumulator",
    "input": "the codes that come in",
    "window": "padding, stride and windows",
    "weights": "weights",
    "clusters": "clusters and their scales",
    "pools": "pools, additions, joins",
    "tables": "tables, products, orders of channels",
    "widths": "widths between accumulator and code",
    "layout": "order of the result",
}

_MODES = {
    "floor": "fractions are cut, the rounding offset is missing",
    "ceil": "every fraction is rounded up",
    "toward_zero": "fractions are cut toward zero, as integer division in C does",
    "away_from_zero": "every fraction is rounded away from zero",
    "half_up": "ties are rounded up",
    "half_down": "ties are rounded down",
    "half_away": "ties are rounded away from zero",
    "half_toward_zero": "ties are rounded toward zero",
    "half_even": "ties are rounded to the even neighbour",
}


def _rounding() -> Iterator[tuple[str, str, Fault]]:
    for mode in MODES:
        yield f"rounds_{mode}", _MODES.get(mode, f"rounds by the mode {mode}"), codes.rounding(mode)
    yield DOUBLE_ROUND, "rounds twice, as gemmlowp does beyond 31 bits", codes.rounding(DOUBLE_ROUND)
    sentence = "rounds twice, by the multiplier's width and by the rest, as TFLite and CMSIS-NN do"
    yield "rounds_two_steps", sentence, codes.coded(codes.computed_as("two_steps", "exact"))
    yield "product_in_float32", "the product is computed in float32", codes.coded(codes.computed_as(None, "float32"))
    sentence = "the product is computed in float32 and rounded half to even, as ONNX Runtime does"
    yield "rounds_as_onnxruntime", sentence, codes.coded(codes.computed_as("half_even", "float32"))
    yield "rounding_offset_twice", "half a unit is added once too often", codes.coded(codes.offset_twice)
    sentence = "a quarter of a unit is added before the shift, not half of one"
    yield "rounding_offset_halved", sentence, codes.coded(codes.offset_halved)
    cuts: tuple[tuple[str | None, str, str], ...] = (
        (None, "rounded", "rounded"),
        ("toward_zero", "cut", "cut toward zero"),
        ("floor", "floored", "floored"),
    )
    for first, word, how in cuts:
        sentence = f"the product is {how} before the residual is added, the sum is rounded again"
        fault = codes.coded(codes.product_rounded_first(first), needs_residual=True)
        yield f"product_{word}_first", sentence, fault
    sentence = "the residual is floored to the output's unit before it is added"
    yield "residual_floored_first", sentence, codes.coded(codes.residual_rounded_first, needs_residual=True)
    yield "draws_from_image_0", "stochastic rounding counts the images from 0", codes.draws_from(0)
    yield "draws_from_image_1", "stochastic rounding counts the images from 1", codes.draws_from(1)


def _clip() -> Iterator[tuple[str, str, Fault]]:
    yield "wraps", "codes beyond the ends wrap instead of saturating", codes.coded(codes.overflows("wrap"))
    yield "saturates_to_zero", "codes beyond the ends become 0", codes.coded(codes.overflows("saturate_to_zero"))
    yield (
        "wraps_unclipped",
        "the lowest bits are taken and nothing is clipped, ReLU included",
        codes.activated(codes.bits_alone),
    )
    sentence = "the lowest bits are taken first, the activation looks at them"
    yield "wraps_before_activation", sentence, codes.activated(codes.wraps_before_activation)
    yield "upper_end_low", "the clip's upper end is one too low (126, 254)", codes.coded(codes.ends(0, -1))
    yield "upper_end_high", "the clip's upper end is one too high (128, 256)", codes.coded(codes.ends(0, 1))
    yield "lower_end_high", "the clip's lower end is one too high: a symmetric clip", codes.coded(codes.ends(1, 0))
    yield "lower_end_low", "the clip's lower end is one too low", codes.coded(codes.ends(-1, 0))
    yield "upper_end_127", "unsigned codes saturate at 127, as signed ones do", codes.ends_at_127
    sentence = "saturates before rounding, and the rounding then adds to the end"
    yield "clips_before_rounding", sentence, codes.coded(codes.clipped_first)
    yield "relu_missing", "no ReLU: codes saturate as signed bytes", codes.activated(codes.activation_missing)
    sentence = "no ReLU: negative values show their lowest bits"
    yield "relu_missing_unclipped", sentence, codes.activated(codes.lower_end_missing)
    yield "relu_added", "a ReLU where there is none", codes.coded(codes.relu_of_everything)
    sentence = "ReLU comes before the residual is added"
    yield "relu_before_residual", sentence, codes.summed(codes.relu_before_residual, activation=True)
    yield "relu6_end_missing", "the upper end of a ReLU6 is missing", codes.upper_end_missing
    yield "read_as_other_sign", "result bytes read as int8 for uint8, or the reverse", codes.read_as_other_sign


def _scale() -> Iterator[tuple[str, str, Fault]]:
    yield "shift_more", "shifts right by one bit too many", codes.shift(lambda values: values + 1)
    yield "shift_less", "shifts right by one bit too few", codes.shift(lambda values: values - 1)
    yield "multiplier_more", "multipliers are one too large", codes.multiplier(lambda values: values + 1)
    yield "multiplier_less", "multipliers are one too small", codes.multiplier(lambda values: values - 1)
    for name, change in (("shift", codes.shift), ("multiplier", codes.multiplier), ("factor", codes.both)):
        what = "multiplier and shift" if name == "factor" else name
        yield f"{name}_of_next_channel", f"{what} of the next channel", change(lambda values: np.roll(values, -1))
        yield (
            f"{name}_of_previous_channel",
            f"{what} of the previous channel",
            change(lambda values: np.roll(values, 1)),
        )
        yield f"{name}_of_channel_0", f"{what} of channel 0 for all", change(lambda values: values[:1])
    yield "multiplier_cut_by_1", "multipliers lose their lowest bit", codes.multiplier(lambda values: values >> 1 << 1)
    yield (
        "multiplier_cut_by_2",
        "multipliers lose their lowest 2 bits",
        codes.multiplier(lambda values: values >> 2 << 2),
    )
    yield "multiplier_cut_to_8", "multipliers keep their highest 8 bits", codes.multiplier(codes.cut_to(8))
    yield "multiplier_low_7_bits", "multipliers lose bit 7, taken for a sign", codes.multiplier(codes.low_bits(7))
    sentence = "the highest bit of the multipliers is taken for a sign, and they become negative"
    yield "multiplier_signed", sentence, codes.signed_multiplier
    yield "multiplier_1", "multipliers are missing (1)", codes.multiplier(np.ones_like)


def _residual() -> Iterator[tuple[str, str, Fault]]:
    yield "residual_missing", "the residual is missing", codes.residual(np.zeros_like)
    yield "residual_negated", "the residual is subtracted", codes.residual(lambda values: -values.astype(np.int32))
    yield "residual_doubled", "the residual is aligned one bit too far left", codes.residual_shift(1)
    yield "residual_halved", "the residual is aligned one bit too far right", codes.residual_shift(-1)
    yield "residual_unshifted", "the residual is added to the lowest bits, not aligned at all", codes.residual_unshifted
    sentence = "the residual is added after the clip, and the sum clipped again"
    yield "residual_after_clip", sentence, codes.coded(codes.after_clip, needs_residual=True)
    yield "residual_before_scale", "the residual is added before the multiplier", codes.summed(codes.before_scale)
    yield "residual_other_sign", "residual bytes extended with the wrong sign", codes.sign_of_residual
    yield "residual_is_input", "the layer's own input is added for the residual", codes.residual_is_operand


def _bias() -> Iterator[tuple[str, str, Fault]]:
    changes: tuple[tuple[str, str, Callable[[np.ndarray], np.ndarray]], ...] = (
        ("bias_missing", "the bias (of an input layer: the mean) is missing", np.zeros_like),
        ("bias_doubled", "the bias is added twice, or one bit too far left", lambda values: 2 * values),
        ("bias_halved", "the bias is one bit too far right", lambda values: values >> 1),
        ("bias_negated", "the bias is subtracted", lambda values: -values),
        ("bias_of_next_channel", "bias of the next channel", lambda values: np.roll(values, -1)),
        ("bias_of_previous_channel", "bias of the previous channel", lambda values: np.roll(values, 1)),
        ("bias_of_channel_0", "bias of channel 0 for all", lambda values: values[:1] + 0 * values),
        ("bias_16_unsigned", "the bias's lowest 16 bits without sign", lambda values: sums.wrapped(values, 16, False)),
    )
    for name, sentence, change in changes:
        yield name, sentence, sums.bias(change)
    yield "sign_missing", "signs of a batch norm are missing", sums.sign(np.abs)
    yield "sign_negated", "signs of a batch norm are inverted", sums.sign(np.negative)


def _accumulator() -> Iterator[tuple[str, str, Fault]]:
    yield "accumulator_other_policy", "the accumulator saturates for wrap, or the reverse", sums.other_policy
    yield "accumulator_32", "the accumulator is not narrow", sums.full_width
    yield "accumulator_twice", "the finished sum is accumulated twice", sums.doubled(True)
    sentence = "two products share a multiplier, and the {} channel of each two is one less where the other is negative"
    for upper, which in ((1, "second"), (0, "first")):
        yield f"packed_carry_{which}", sentence.format(which), sums.packed_carry(upper)
    yield "products_twice", "all products are accumulated twice", sums.doubled(False)
    for over, what in (
        ("channel", "from channel to channel of a pixel"),
        ("pixel", "from pixel to pixel of a channel"),
        ("row", "from pixel to pixel of a row"),
        ("result", "from result to result of an image"),
        ("image", "from image to image"),
    ):
        yield f"accumulator_kept_{over}s", f"the accumulator is not cleared {what}", sums.not_cleared("all", over)
        sentence = f"the accumulator keeps the last sum {what}"
        yield f"accumulator_keeps_last_{over}", sentence, sums.not_cleared("last", over)
        sentence = f"the accumulator is not cleared {what}, and its bias comes once"
        yield f"accumulator_kept_{over}s_bias_once", sentence, sums.not_cleared("products", over)


def _input() -> Iterator[tuple[str, str, Fault]]:
    for index, name in enumerate(("first", "second")):
        sentence = f"bytes of the {name} input extended with the wrong sign"
        yield f"{name}_input_other_sign", sentence, sums.operand_of_other_sign(index)
    yield "input_last_row_missing", "the input's last row reads as 0", sums.operand(sums.without_row(-1))
    yield "input_first_row_missing", "the input's first row reads as 0", sums.operand(sums.without_row(0))
    yield "input_last_column_missing", "the input's last column reads as 0", sums.operand(sums.without_column(-1))
    yield "input_first_column_missing", "the input's first column reads as 0", sums.operand(sums.without_column(0))
    yield "input_turned", "rows and columns of the input exchanged", sums.operand(sums.turned)
    reverse = sums.operand(lambda values, _: values[..., ::-1])
    yield "input_channels_reversed", "the input's channels in reverse order (RGB for BGR)", reverse
    rotate = sums.operand(lambda values, _: np.roll(values, 1, axis=-1))
    yield "input_channels_rotated", "the input's channels are off by one", rotate
    yield "input_bgr", "the image's channels BGR for RGB, or the reverse", sums.flipped_channels
    yield "group_0_for_all", "every group reads the channels of the first", sums.operand(sums.group_0_for_all)
    yield "flattened_h_w_c", "flattened pixel by pixel, not channel by channel", sums.flattened_h_w_c


def _window() -> Iterator[tuple[str, str, Fault]]:
    for value in (127, 128, -128, 255):
        yield f"padding_{value}".replace("-", "minus_"), f"pads with {value} instead of 0", windows.filled(value)
    yield "padding_edge", "pads with the pixels at the edge", windows.REPLICATED
    yield "padding_lowest", "pads with the lowest code of the input", windows.filled_with_lowest
    yield "padding_black", "pads the raw image with 0, before its mean is taken off", windows.filled_with_black
    after = "all padding at bottom and right: windows begin at the first pixel"
    for name, sentence, change in (
        ("pads_exchanged", "padding top and left exchanged with bottom and right", lambda p: (*p[2:], *p[:2])),
        ("pads_after", after, lambda p: (0, 0, p[0] + p[2], p[1] + p[3])),
        ("pads_before", "all padding at top and left", lambda p: (p[0] + p[2], p[1] + p[3], 0, 0)),
        ("pads_turned", "vertical and horizontal padding exchanged", lambda p: (p[1], p[0], p[3], p[2])),
    ):
        yield name, sentence, windows.other_pads(change)
    for name, where, rows, columns in (
        ("down", "one row too low", 1, 0),
        ("up", "one row too high", -1, 0),
        ("right", "one column too far right", 0, 1),
        ("left", "one column too far left", 0, -1),
    ):
        yield f"windows_{name}", f"every window lies {where}", windows.moved_windows(rows, columns)
    yield "bottom_runs_on", "no padding at the bottom: the address runs on into the next image", sums.runs_on
    yield "stride_phase", "strided windows begin at pixel 1 instead of 0", windows.late_phase
    yield "strides_turned", "vertical and horizontal stride exchanged", windows.exchanged_strides


def _weights() -> Iterator[tuple[str, str, Fault]]:
    yield (
        "kernel_flipped",
        "kernels turned by 180 degrees: convolution for correlation",
        weights.weight(lambda w, _: w[..., ::-1, ::-1]),
    )
    yield "kernel_rows_flipped", "kernel rows in reverse order", weights.weight(lambda w, _: w[..., ::-1, :])
    yield "kernel_columns_flipped", "kernel columns in reverse order", weights.weight(lambda w, _: w[..., ::-1])
    yield "kernel_transposed", "kernel rows and columns exchanged", weights.weight(weights.transposed)
    yield "weights_negated", "weights have the wrong sign: codes +1 and -1 exchanged", weights.weight(lambda w, _: -w)
    yield (
        "weights_of_next_output",
        "weight codes of the next output channel",
        weights.weight(lambda w, _: np.roll(w, -1, 0)),
    )
    yield (
        "weights_of_previous_output",
        "weight codes of the previous output channel",
        weights.weight(lambda w, _: np.roll(w, 1, 0)),
    )
    for name, sentence, pairs in (
        ("ternary_zero_is_plus", "ternary codes 0 and +1 exchanged", ((0, 1), (1, 0))),
        ("ternary_zero_is_minus", "ternary codes 0 and -1 exchanged", ((0, -1), (-1, 0))),
        ("ternary_rotated", "ternary codes off by one: -1, 0, +1 read as 0, +1, -1", ((-1, 0), (0, 1), (1, -1))),
        ("ternary_rotated_back", "ternary codes off by one: -1, 0, +1 read as +1, -1, 0", ((-1, 1), (0, -1), (1, 0))),
        ("ternary_sign_lost", "ternary code -1 read as +1", ((-1, 1),)),
        ("ternary_minus_lost", "ternary code -1 read as 0", ((-1, 0),)),
        ("ternary_plus_lost", "ternary code +1 read as 0", ((1, 0),)),
        ("ternary_low_bit_only", "ternary code 11 (-1) read as -2", ((-1, -2),)),
    ):
        yield name, sentence, weights.weight(weights.mapped(*pairs))
    yield (
        "weights_stored_i_o",
        "weights stored by input channel, read by output channel",
        weights.weight(weights.stored_by_input),
    )
    yield (
        "weights_read_i_o",
        "weights stored by output channel, read by input channel",
        weights.weight(weights.read_by_input),
    )
    yield "weights_halved", "weight codes are shifted right by one bit", weights.weight(weights.halved)
    yield (
        "weights_read_by_channel",
        "weights stored tap by tap, read channel by channel",
        weights.weight(weights.by_channel),
    )
    yield "weights_read_by_tap", "weights stored channel by channel, read tap by tap", weights.weight(weights.by_tap)
    sentence = "a negative weight code takes one from the next one of its {}, as one subtraction for several does"
    for lanes, what in ((2, "pair"), (4, "four")):
        yield f"weights_borrow_{lanes}", sentence.format(what), weights.weight(weights.borrowed(lanes))
    yield "weights_unsigned", "weight codes extended without their sign", weights.weight(weights.zero_extended)
    yield "weight_bits_reversed", "the bits of each weight code in reverse order", weights.weight(weights.reversed_bits)
    for lanes in (2, 4, 8, 16):
        for inner, what in (("taps", "taps"), ("channels", "input channels")):
            sentence = f"words of {lanes} weight codes in reverse order, consecutive {what} in a word"
            yield f"words_of_{lanes}_{inner}_reversed", sentence, weights.weight(weights.reversed_words(lanes, inner))


def _clusters() -> Iterator[tuple[str, str, Fault]]:
    changes: tuple[tuple[str, str, Callable[[np.ndarray, Machine], np.ndarray]], ...] = (
        ("scale_of_next_cluster", "scale of the next cluster", lambda s, _: np.roll(s, -1, 1)),
        ("scale_of_previous_cluster", "scale of the previous cluster", lambda s, _: np.roll(s, 1, 1)),
        ("scale_of_next_address", "scales read one address ahead", lambda s, _: np.roll(s, -1)),
        ("scale_of_previous_address", "scales read one address behind", lambda s, _: np.roll(s, 1)),
        ("scale_of_next_output", "scales of the next output channel", lambda s, _: np.roll(s, -1, 0)),
        ("scale_of_previous_output", "scales of the previous output channel", lambda s, _: np.roll(s, 1, 0)),
        ("scale_of_cluster_0", "scale of the first cluster for all", lambda s, _: np.repeat(s[:, :1], s.shape[1], 1)),
        ("scale_turned", "scales addressed by cluster, then output", lambda s, _: s.T.reshape(s.shape)),
        ("scale_missing", "scales are missing (1)", lambda s, _: np.ones_like(s)),
        ("scale_7_bits", "scales read as signed 7-bit numbers", lambda s, _: sums.wrapped(s, 7)),
        ("scale_halved", "scales lose their lowest bit", lambda s, _: s >> 1 << 1),
        ("scale_low_6_bits", "the highest bit of the scales is lost", lambda s, _: s & 63),
    )
    for name, sentence, change in changes:
        yield name, sentence, weights.scale(change)
    yield "cluster_late", "clusters begin one input channel late", weights.moved_clusters(-1)
    yield "cluster_early", "clusters begin one input channel early", weights.moved_clusters(1)
    sentence = "the input channels of each cluster in reverse order"
    yield "cluster_reversed", sentence, weights.weight(weights.reversed_in_clusters)


def _pools() -> Iterator[tuple[str, str, Fault]]:
    yield "padding_wins", "padding takes part in the maximum as 0", windows.pooling("maxpool", windows.padding_wins)
    sentence = "the maximum compares bytes of the wrong sign"
    yield "maximum_other_sign", sentence, windows.pooling("maxpool", windows.compared_by_other_sign)
    yield "minimum", "the minimum for the maximum", windows.pooling("maxpool", windows.smallest)
    yield (
        "first_of_window",
        "the first pixel of each window for the maximum",
        windows.pooling("maxpool", windows.first_of_window),
    )
    yield "average_of_full_window", "the average is divided by the full window at the border", windows.by_full_window
    yield "maximum_for_average", "the maximum for the average", windows.pooling("avgpool", windows.largest)
    for name, index in (("last", -1), ("first", 0)):
        sentence = f"the {name} pixel of each window is left out of the average"
        yield f"average_without_{name}", sentence, windows.pooling("avgpool", windows.without_pixel(index))
    sentence = "the average is cut to an integer before it is requantized"
    yield "average_cut", sentence, windows.pooling("avgpool", windows.cut_average)
    yield "add_shifts_exchanged", "the two alignments of an addition exchanged", sums.exchanged_shifts
    yield "add_without_first", "an addition without its first input", sums.missing_operand(0)
    yield "add_without_second", "an addition without its second input", sums.missing_operand(1)
    yield "concat_reversed", "tensors joined in reverse order", sums.reversed_concat
    yield "channel_pads_exchanged", "zero channels before and after exchanged", sums.exchanged_channel_pads


def _tables_and_products() -> Iterator[tuple[str, str, Fault]]:
    yield "table_missing", "codes pass, the table is not there", sums.no_table
    changes: tuple[tuple[str, str, Callable[[np.ndarray], np.ndarray]], ...] = (
        ("table_of_next_address", "the table is read one address ahead", lambda t: np.roll(t, -1, 1)),
        ("table_of_previous_address", "the table is read one address behind", lambda t: np.roll(t, 1, 1)),
        ("table_from_other_end", "the highest bit of the table's address is inverted", lambda t: np.roll(t, 128, 1)),
        ("table_reversed", "the table's addresses run backwards", lambda t: t[:, ::-1]),
        ("table_of_next_channel", "the table of the next channel", lambda t: np.roll(t, -1, 0)),
        ("table_of_previous_channel", "the table of the previous channel", lambda t: np.roll(t, 1, 0)),
        ("table_of_channel_0", "the table of channel 0 for all", lambda t: t[:1]),
    )
    for name, sentence, change in changes:
        yield name, sentence, sums.entries(change)
    yield "order_inverse", "channels are written where they should be read from", sums.channel_order(sums.inverse_order)
    sentence = "channels are not moved: the first ones for those that the order names"
    yield "order_missing", sentence, sums.channel_order(lambda order, count: np.arange(len(order)) % count)
    sentence = "each channel is the one {} that which the order names"
    yield "order_late", sentence.format("before"), sums.channel_order(lambda order, count: (order - 1) % count)
    yield "order_early", sentence.format("behind"), sums.channel_order(lambda order, count: (order + 1) % count)
    yield "factor_missing", "a product without its second factor (1)", sums.other_factor(np.ones_like)
    sentence = "a product by the second factor of the next channel"
    yield "factor_of_next_position", sentence, sums.other_factor(lambda codes: np.roll(codes, -1, -1))


def _layout() -> Iterator[tuple[str, str, Fault]]:
    for name, sentence, order in (
        ("written_nchw", "written N C H W, read as N H W C", layout.channels_first),
        ("turned_to_nchw_twice", "written N H W C, but turned as if it were N C H W", layout.channels_last),
        ("written_column_by_column", "rows and columns exchanged", layout.columns_first),
        ("rows_reversed", "rows in reverse order", layout.rows_reversed),
        ("columns_reversed", "columns in reverse order", layout.columns_reversed),
        ("turned_around", "rows and columns in reverse order", layout.turned_around),
        ("row_late", "each row holds the one above", layout.rows_moved(1)),
        ("row_early", "each row holds the one below", layout.rows_moved(-1)),
        ("column_late", "each column holds the one to the left", layout.columns_moved(1)),
        ("column_early", "each column holds the one to the right", layout.columns_moved(-1)),
        ("pixels_swapped", "neighbouring pixels of a row exchanged in pairs", layout.pixels_swapped),
    ):
        yield name, sentence, layout.written(order)
    for name, sentence, order in (
        ("channels_reversed", "channels in reverse order", layout.channels_reversed),
        ("channel_late", "each channel holds the one before it", layout.channels_rotated(1)),
        ("channel_early", "each channel holds the one after it", layout.channels_rotated(-1)),
        ("address_late", "each address holds the value before it", layout.addresses_moved(1)),
        ("address_early", "each address holds the value after it", layout.addresses_moved(-1)),
        *(
            (f"words_of_{n}_reversed", f"{n} consecutive values in reverse order", layout.words_reversed(n))
            for n in (2, 4, 8)
        ),
    ):
        yield name, sentence, layout.written(order, pixels=False)
    yield "bytes_swapped", "the bytes of 32-bit words in reverse order", layout.shown(layout.bytes_swapped)
    yield "halves_swapped", "the halves of 32-bit words exchanged", layout.shown(layout.halves_swapped)


_TABLES = {
    "rounding": _rounding, "clip": _clip, "scale": _scale, "residual": _residual, "bias": _bias,
    "accumulator": _accumulator, "input": _input, "window": _window, "weights": _weights, "clusters": _clusters,
    "pools": _pools, "tables": _tables_and_products, "widths": lambda: iter(()), "layout": _layout,
}  # fmt: skip

HYPOTHESES = {
    name: Hypothesis(name, sentence, group, fault) for group in GROUPS for name, sentence, fault in _TABLES[group]()
}


FAMILIES = {
    family.name: family
    for module in (
        hypotheses_numbers,
        hypotheses_accumulator,
        hypotheses_widths,
        hypotheses_bias,
        hypotheses_residual,
        hypotheses_orders,
        hypotheses_tiles,
    )
    for family in module.families()
}


def is_hypothesis(name: str) -> bool:
    """Whether ``named`` knows the name."""
    return name in HYPOTHESES or kind(name) in FAMILIES


def kind(name: str) -> str:
    """The hypothesis, or of a member the family: what is wrong, without its numbers.

    >>> kind("tap_dropped=2,1"), kind("bias_missing")
    ('tap_dropped', 'bias_missing')
    """
    return name.split("=")[0]


def named(name: str) -> Hypothesis:
    """A hypothesis, or the member of a family that its numbers mean.

    >>> named("tap_dropped=2,1").sentence
    "the kernel's tap in row 2, column 1 is left out"
    """
    if name in HYPOTHESES:
        return HYPOTHESES[name]
    family, numbers = FAMILIES[kind(name)], [int(number) for number in name.partition("=")[2].split(",")]
    return Hypothesis(name, family.sentence_of(tuple(numbers)), family.group, family.fault(*numbers))


def candidates(clues: Clues) -> Iterator[Hypothesis]:
    """All hypotheses, and of the families the members that a dump gives reason for."""
    yield from HYPOTHESES.values()
    for family in FAMILIES.values():
        for numbers in family.numbers(clues):
            yield named(f"{family.name}={','.join(map(str, numbers))}")


def faulty(case: Case, *names: str) -> Machine | None:
    """The layer with the faults of these hypotheses, one after the other; None where one cannot happen to it."""
    machine: Machine | None = machine_of(case)
    for name in names:
        machine = None if machine is None else named(name)(machine)
    return machine


def rows() -> Iterator[tuple[str, str, str]]:
    """(group, name, sentence) of every hypothesis and every family, group by group, for a table.

    >>> next(rows())
    ('rounding', 'rounds_floor', 'fractions are cut, the rounding offset is missing')
    """
    every: list[Hypothesis | Family] = [*HYPOTHESES.values(), *FAMILIES.values()]
    for group in GROUPS:
        for hypothesis in every:
            if hypothesis.group == group:
                yield group, hypothesis.name, hypothesis.sentence
