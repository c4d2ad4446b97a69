"""Coverage counts what an oracle in plain integers counts, and an unreached point hides a mistake."""

from collections import Counter
from dataclasses import replace

import networks
import numpy as np
import oracle
import pytest
from hypothesis import example, given

from refengine.analysis.coverage import BORDERS, accumulating, coverage, figures, points, summary
from refengine.analysis.intervals import reach
from refengine.analysis.terms import accumulates
from refengine.engine.run import run
from refengine.errors import NetworkError, RangeError
from refengine.numbers.rounding import ROUNDINGS, STOCHASTIC

STATIC = [rounding for rounding in ROUNDINGS if rounding != STOCHASTIC]


def runs_of(network, images):
    """(layer, operands, result) of every accumulating layer."""
    found = []
    run(network, images, "reference", lambda *seen: found.append(seen) if accumulates(seen[0]) else None)
    return found


def at(values, channel):
    """One entry a channel, or a single one for all."""
    return int(values[channel % len(values)])


def code_of(layer, total, channel):
    """The code of a total, by the oracle; the total itself where nothing is requantized."""
    step = layer.requantize
    if step is None:
        return total
    rounded = oracle.round_shift(total, at(step.shift, channel), step.rounding)
    return max(step.lo, min(step.hi, rounded))


def counted(layer, operands, result):
    """The counts of a layer whose exponents are static, output by output."""
    counts, step = Counter(), layer.requantize
    sums, bias = result.accumulator, layer.constants.get("bias")
    paddings = dict(padding_sums(layer, operands)) if layer.op == "conv" else {}
    for index in np.ndindex(*sums.shape):
        channel, acc = index[-1], int(sums[index])
        multiplier = 1 if step is None else at(step.multiplier, channel)
        added = 0
        if result.residual is not None:
            added = int(result.residual[index]) << at(step.residual_shift, channel)
        total = acc * multiplier + added
        if step is not None:
            unit = 2 ** at(step.shift, channel)
            rounded = oracle.round_shift(total, at(step.shift, channel), step.rounding)
            counts["clip_low"] += rounded < step.lo
            counts["clip_high"] += rounded > step.hi
            counts["tie"] += 2 * (total % unit) == unit
            counts["total_negative"] += total < 0
            counts["total_positive"] += total > 0
            if result.residual is not None:
                counts["residual"] += code_of(layer, acc * multiplier, channel) != code_of(layer, total, channel)
        if bias is not None:
            changed = total - at(bias, channel) * multiplier
            counts["bias"] += code_of(layer, changed, channel) != code_of(layer, total, channel)
        for border, sums_of_ones in paddings.items():
            changed = total + sums_of_ones[index[1:]] * multiplier
            counts[f"pad_{border}"] += code_of(layer, changed, channel) != code_of(layer, total, channel)
    return counts


def padding_sums(layer, operands):
    """Of each padded border: what each output adds up if the padding there is 1 and all else is 0."""
    (height, width, channels), pads = operands[0].shape[1:], layer.attributes["pads"]
    top, left, bottom, right = pads
    for border, pad in zip(BORDERS, pads, strict=True):
        if pad:
            image = np.zeros((1, top + height + bottom, left + width + right, channels), np.uint8)
            rows, columns = np.indices(image.shape[1:3])
            inside = {
                "top": rows < top,
                "left": columns < left,
                "bottom": rows >= top + height,
                "right": columns >= left + width,
            }[border]
            image[0, inside] = 1
            zero = np.zeros(len(layer.constants["weight"]), np.int32)
            arguments = {**layer.arguments, "pads": (0, 0, 0, 0), "bias": zero}
            yield border, {index[1:]: value for index, value in oracle.conv(image, **arguments).items()}


def weights_met(layer, x):
    """By weight code: how many weights meet an activation other than 0 in some image and at some output."""
    weight, counts = layer.constants["weight"], Counter()
    for index in np.ndindex(*weight.shape):
        one = np.zeros_like(weight)
        one[index] = 1
        if layer.op == "fc":
            scale = np.ones((len(weight), 1), np.int8)
            met = oracle.fc(
                abs(x.astype(int)), weight=one, scale=scale, bias=np.zeros(len(weight)), cluster=weight.shape[1]
            )
        else:
            spans = {name: layer.attributes[name] for name in ("strides", "pads", "group")}
            met = oracle.conv_partial_sums(abs(x.astype(int)), weight=one, cluster=weight.shape[1], **spans)
        counts[f"weight_{weight[index]}"] += any(met.values())
    return counts


@given(networks.int_networks(steps=2, roundings=STATIC))
@example(networks.every_op())
def test_counts_are_those_of_the_oracle(network):
    images = networks.random_images(network, 2)
    found = {one.layer: one for one in coverage(network, images, backend="reference")}
    seen = runs_of(network, images)
    assert [*found] == [layer.name for layer, _, _ in seen]
    for layer, operands, result in seen:
        wanted = counted(layer, operands, result)
        if "weight" in layer.constants and layer.constants["weight"].size <= 60:
            wanted |= weights_met(layer, operands[0])
        for point in found[layer.name].points:
            if point.name in wanted or not point.name.startswith(("weight_", "last_cluster")):
                assert point.count == wanted[point.name], (layer.name, point)
        reached = {name for name, count in wanted.items() if count}
        assert reached - {f"weight_{code}" for code in range(-128, 128)} <= {
            point.name for point in found[layer.name].points
        }


@given(networks.int_networks(steps=3))
@example(networks.every_op())
@example(networks.dynamic())
def test_batches_threads_and_backends_change_no_count(network):
    images = networks.random_images(network, 5)
    whole = coverage(network, images, backend="reference")
    assert coverage(network, images, backend="fast", threads=2) == whole
    parts = [coverage(network, images, only=range(start, stop), first_image=start) for start, stop in ((0, 2), (2, 5))]
    for one, first, second in zip(whole, *parts, strict=True):
        for point, a, b in zip(one.points, first.points, second.points, strict=True):
            if point.name.startswith(("weight_", "last_cluster")):
                assert max(a.count, b.count) <= point.count <= a.count + b.count
            else:
                assert point.count == a.count + b.count


def test_black_images_meet_no_weight_behind_a_relu():
    network = networks.small()
    conv = network.layer("001_conv")
    assert {point.name for point in coverage(network, networks.random_images(network, 2))[1].points} >= {"bias"}
    dark = replace(conv, constants={**conv.constants, "weight": np.zeros_like(conv.constants["weight"])})
    found = coverage(
        networks.with_layer(network, "001_conv", constants=dark.constants), networks.random_images(network, 2)
    )
    assert [point.name for point in found[1].points if point.name.startswith("weight_")] == ["weight_0"]


def test_the_summary_counts_and_names_what_was_not_reached():
    network = networks.every_op()
    found = coverage(network, networks.random_images(network, 3))
    reached, whole = sum(len(one.reached) for one in found), sum(len(one.points) for one in found)
    sentence = summary(found)
    assert sentence.startswith(f"exercised: {reached} of {whole} points of the arithmetic in {len(found)} layers; ")
    first = next(one for one in found if one.missed)
    assert f"{first.layer}: {', '.join(first.missed)}" in sentence
    complete = [replace(one, points=tuple(point for point in one.points if point.count)) for one in found]
    assert "not reached" not in summary(complete)
    assert all(point.sentence for one in found for point in one.points)
    assert figures(found[0])["missed"] == [*found[0].missed]


def test_what_cannot_be_covered_is_refused():
    network = networks.every_op()
    passing = [layer for layer in network.layers if not accumulates(layer)]
    with pytest.raises(NetworkError, match="no chosen layer accumulates"):
        accumulating(network, passing)
    with pytest.raises(RangeError, match="0 images"):
        coverage(network, networks.random_images(network, 1)[:0])


def test_padding_that_no_window_reads_is_no_point():
    """Windows of 2x2 begin at rows 0 and 2 of 1 + 3 + 1: the padding at the bottom and right is not read."""
    attributes = {"strides": (2, 2), "pads": (1, 1, 1, 1), "group": 1, "cluster": 1}
    network = networks.small()
    layer, possible = network.layer("001_conv"), reach(network)["001_conv"]
    found = {
        strides: points(replace(layer, attributes={**attributes, "strides": strides}), possible, (3, 3, 1))
        for strides in ((2, 2), (1, 2), (2, 1))
    }
    assert {strides: [name for name in names if name.startswith("pad_")] for strides, names in found.items()} == {
        (2, 2): ["pad_top", "pad_left"],
        (1, 2): ["pad_top", "pad_left", "pad_bottom"],
        (2, 1): ["pad_top", "pad_left", "pad_right"],
    }
