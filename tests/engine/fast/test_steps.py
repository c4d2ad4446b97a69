"""Steps carry what ``kernels/fast/step.py`` says: walked in plain NumPy, number by number, they are the definition; and
some layers have none."""

import ctypes
from dataclasses import replace

import networks
import numpy as np
import plans
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.engine.fast.buffers import buffers
from refengine.engine.fast.steps import Compiler, steps_of
from refengine.kernels.fast import plan as kernel
from refengine.kernels.fast import step
from refengine.kernels.fast.cluster_tile import CROSSED
from refengine.kernels.instruction_sets import DOT, PAIRED, WORDS
from refengine.network.int_network import IntLayer
from refengine.numbers.accumulator import confine
from refengine.numbers.formats import INT8, INT32, UINT8
from refengine.numbers.rounding import ROUNDINGS

KINDS = ("CONV", "CLUSTERS", "CROSSED", "DEPTHWISE", "LARGEST", "LOOKUP", "COPY", "FILL")
BY_OPERATOR = {
    "input": {"LOOKUP"},
    "lookup": {"LOOKUP"},
    "gather_channels": {"COPY"},
    "mul": set(),
    "maxpool": {"LARGEST"},
    "concat": {"COPY"},
    "flatten": {"COPY"},
    "pad_channels": {"COPY", "FILL"},
    "fc": {"CONV"},
    "add": {"DEPTHWISE"},
    "batchnorm": {"DEPTHWISE"},
    "requantize": {"DEPTHWISE"},
    "avgpool": {"DEPTHWISE"},
    "global_avgpool": {"DEPTHWISE"},
    "conv": {"CONV", "CLUSTERS", "CROSSED", "DEPTHWISE"},
}

# ---------------------------------------------------------------------------------------------------- a walker in NumPy


def memory(address, dtype, *shape):
    """An array at an address, to be read or written."""
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.ctypeslib.as_array((ctypes.c_uint8 * count).from_address(int(address))).view(dtype).reshape(shape)


class Row:
    """One step, field by field: ``row.pixels`` and so on; 0 where nothing is said."""

    def __init__(self, fields):
        self._fields = fields

    def __getattr__(self, name):
        return int(self._fields.get(getattr(step, name.upper()), 0))

    def of_pixels(self, table):
        return distances(table, self.pixels)


def distances(address, *shape):
    """A table of int32 that count bytes, as numbers to which addresses may be added."""
    return memory(address, np.int32, *shape).astype(np.int64)


def walk(row):
    """What ``kernels.fast.plan.walk`` does with one step; returns the three counts of events."""
    kind = KINDS[row.kind]
    if kind == "FILL":
        for start in row.of_pixels(row.code_starts):
            memory(row.codes + start, np.uint8, row.length)[:] = row.zero
    elif kind == "COPY":
        for to, start in zip(row.of_pixels(row.code_starts), row.of_pixels(row.starts), strict=True):
            memory(row.codes + to, np.uint8, row.length)[:] = memory(row.images + start, np.uint8, row.length)
    elif kind == "LARGEST":
        largest(row)
    elif kind == "LOOKUP":
        return lookup(row)
    else:
        return accumulate(row, kind)
    return np.zeros(3, int)


def largest(row):
    offsets = distances(row.offsets, row.per_image, row.taps)
    size = row.panel_count * row.width
    for n, (to, start) in enumerate(zip(row.of_pixels(row.code_starts), row.of_pixels(row.starts), strict=True)):
        window = [memory(row.images + start + o + row.channel, np.uint8, size) for o in offsets[n % row.per_image]]
        memory(row.codes + to + row.channel, np.uint8, size)[:] = np.max(window, axis=0)


def lookup(row):
    events = np.zeros(3, int)
    for channel, source in enumerate(distances(row.offsets, row.panel_count)):
        table = memory(row.panels, np.uint8, row.panel_count, 256)[channel]
        for to, start in zip(row.of_pixels(row.code_starts), row.of_pixels(row.starts), strict=True):
            read = memory(row.images + start, np.uint8, row.length, row.width)[:, source]
            for x, value in enumerate(read):
                memory(row.codes + to + channel + x * row.stored, np.uint8, 1)[:] = table[value]
            if row.exact_table:
                flags = memory(row.exact_table, np.uint8, row.panel_count, 256)[channel][read]
                events += [np.count_nonzero(flags >> bit & 1) for bit in range(3)]
    return events


def accumulate(row, kind):
    """Panel by panel: sums, what is kept of them, codes."""
    events = np.zeros(3, int)
    for panel in range(row.panel_count):
        channel = row.channel + panel * row.width
        sums = {"CONV": dense, "DEPTHWISE": channelwise}.get(kind, clustered)(row, panel, channel, kind)
        sums = (sums & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
        real = slice(0, max(0, row.channels - channel))
        if row.accumulator_bits < 32:
            policy = "saturate" if row.saturates else "wrap"
            confined = confine(sums, row.accumulator_bits, policy)[0]
            events[2] += np.count_nonzero((confined != sums)[:, real])
            sums = confined
        if row.sums:
            memory(row.sums, np.int32, row.pixels, row.stored)[:, channel : channel + row.width] = sums
        if row.table or row.later_table or row.exact_table:
            events[:2] += epilogue(row, channel, sums.astype(np.int64), real)
    return events


def windows(row, bytes_of_a_place):
    """u8 (PIXELS, places, bytes)."""
    return gathered(row, distances(row.offsets, row.taps), bytes_of_a_place)


def gathered(row, places, count):
    starts = row.of_pixels(row.starts)
    found = [[memory(row.images + start + place, np.uint8, count) for place in places] for start in starts]
    return np.array(found, np.int64)


def dense(row, panel, channel, _):
    place, fours = row.panels + panel * row.panel_bytes, row.taps * row.length // 4
    if kernel.TARGET.dense in (WORDS, PAIRED):
        words = memory(place, np.int16, 1, fours, 2, row.width, 2)
        assert (words.nbytes, row.limbs) == (row.panel_bytes, 1)
        weights = words.transpose(0, 1, 3, 2, 4).reshape(1, fours, row.width, 4)
    else:
        weights = memory(place, np.int8, row.limbs, fours, row.width, 4)
        assert weights.nbytes == row.panel_bytes
    initial = memory(row.initial, np.int32, row.limbs, row.stored)[:, channel : channel + row.width].astype(np.int64)
    read = windows(row, row.length).reshape(row.pixels, -1, 4)
    if kernel.TARGET.dense == PAIRED:
        return initial[0] + paired(read[:, :, None], weights[0].astype(np.int64))
    read = read - 128 * kernel.TARGET.signed
    sums = np.zeros((row.pixels, row.width), np.int64)
    for limb in range(row.limbs):
        sums = 128 * sums + initial[limb] + np.einsum("pkj,kwj->pw", read, weights[limb].astype(np.int64))
    return sums


def paired(a, w):
    """Products of sums, less those of activations among themselves; w1, w3, w0, w2 stand in that order."""
    evens, odds = a[..., 0::2], a[..., 1::2]
    return ((evens + w[..., :2]) * (odds + w[..., 2:]) - evens * odds).sum(axis=(1, 3))


def clustered(row, panel, channel, kind):
    order = np.array(CROSSED) if kind == "CROSSED" else np.arange(4)
    rows = 1 + row.length * len(order) // 4
    panels = memory(row.panels + panel * row.panel_bytes, np.int8, row.taps, rows, row.width, 4)
    assert panels.nbytes == row.panel_bytes
    factors = panels[:, 0].copy().view(np.int16).astype(np.int64)
    codes = panels[:, 1:].transpose(0, 2, 1, 3).reshape(row.taps, row.width, row.length, len(order)).astype(np.int64)
    offsets = distances(row.offsets, row.taps * row.length)
    read = gathered(row, offsets, len(order))[..., order].reshape(row.pixels, row.taps, row.length, len(order))
    word = np.arange(len(order)) % 4 // 2 if kind == "CROSSED" else np.zeros(len(order), int)
    by = factors[:, :, word]
    initial = memory(row.initial, np.int32, row.stored)[channel : channel + row.width]
    return initial + np.einsum("pclj,cwlj,cwj->pw", read, codes, by)


def channelwise(row, panel, channel, _):
    pairs = memory(row.panels, np.int16, row.taps // 2, row.stored, 2).transpose(0, 2, 1).reshape(row.taps, row.stored)
    weights = pairs[:, channel : channel + row.width].astype(np.int64)
    initial = memory(row.initial, np.int32, row.stored)[channel : channel + row.width]
    places = distances(row.offsets, row.taps) + channel
    return initial + np.einsum("ptw,tw->pw", gathered(row, places, row.width), weights)


def epilogue(row, channel, sums, real):
    """Codes by either table; returns how many of the real channels' values were clipped below and above."""
    columns = slice(channel, channel + row.width)
    residual = np.zeros_like(sums)
    if row.residual:
        starts = row.of_pixels(row.residual_starts)
        residual[:] = [memory(row.residual + start + channel, np.uint8, row.width) for start in starts]
    if row.exact_table:
        rows = memory(row.exact_table, np.int64, kernel.EXACT_HEIGHT, row.stored)[:, columns]
        multiplier, shift, left, addends = rows[0], rows[1], rows[2], rows[3:]
        total = sums * multiplier + (residual - row.residual_zero << left if row.residual else 0)
        column = (total >> shift & 1) + 2 * (total < 0)
        value = (total + np.choose(column, addends[:, None]) >> shift) + row.zero
    else:
        rows = memory(row.table or row.later_table, np.int32, 5, row.stored)[:, columns].astype(np.int64)
        multiplier, half, shift, left, lift = rows
        assert not (row.table and lift.any() and KINDS[row.kind] != "DEPTHWISE"), "this tile knows no lift"
        value = ((sums << lift) * multiplier >> 16) + half + (residual << left) >> shift
    for to, codes in zip(row.of_pixels(row.code_starts), np.clip(value, row.lo, row.hi)[:, real], strict=True):
        memory(row.codes + to + channel, np.uint8, len(codes))[:] = codes
    return [np.count_nonzero(value[:, real] < row.lo), np.count_nonzero(value[:, real] > row.hi)]


# ------------------------------------------------------------------------------------------------------ whole networks


def compiled(network, images, counted=True, traced=(), shared=False):
    with plans.sharing(shared):
        places = buffers(network, images, frozenset(traced))
    return Compiler(network, places, images, counted, frozenset(traced))


def kinds_of(rows):
    return {KINDS[fields[step.KIND]] for fields in rows}


def assert_steps_are_the_definition(network, pixels, *, shared=False, counted=True):
    """Layer by layer: codes, kept accumulators and events; what has no step is put into its buffer."""
    names = [layer.name for layer in network.layers]
    compiler = compiled(network, len(pixels), counted, names, shared)
    _, wanted = plans.defined(network, pixels)
    seen = set()
    for layer in network.layers:
        expected, buffer = wanted[layer.name][1], compiler.buffers[layer.name]
        rows = steps_of(compiler, layer)
        if rows is None:
            buffer.put(expected.result)
            continue
        events = np.zeros(3, int)
        for fields in rows:
            fields = {**fields, **({step.IMAGES: pixels.ctypes.data} if layer.op == "input" else {})}
            events += walk(Row(fields))
            assert_in_range(Row(fields), len(pixels))
        seen |= kinds_of(rows)
        if expected.accumulator is not None and layer.op not in ("input", "lookup"):
            kept = compiler.accumulators[layer.name][:, : expected.accumulator.shape[-1]]
            np.testing.assert_array_equal(kept.reshape(expected.accumulator.shape), expected.accumulator, layer.name)
        if layer.requantize is not None or expected.accumulator is None:
            codes = buffer.codes(len(pixels)).reshape(expected.result.shape)
            assert codes.dtype == expected.result.dtype
            np.testing.assert_array_equal(codes, expected.result, layer.name)
        if counted and expected.accumulator is not None:
            assert events[2] == expected.overflowed, layer.name
            if layer.requantize is not None and layer.requantize.activation == "none":
                assert tuple(events[:2]) == expected.saturated, layer.name
    return seen


def assert_in_range(row, images):
    """Numbers of its kind alone; whole images, blocks no larger than the walker's scratch."""
    assert {*row._fields} - {step.IMAGES} <= step.USED[row.kind]  # a walker hands images to every step of an input
    assert row.pixels == images * row.per_image > 0
    assert row.panel_count >= 1
    assert row.block >= 1
    if KINDS[row.kind] in ("CONV", "CLUSTERS", "CROSSED", "DEPTHWISE"):
        assert row.block <= kernel.BLOCK_PIXELS
        assert row.channel + row.panel_count * row.width <= row.stored
        assert row.panels % 64 == row.sums % 4 == 0


@pytest.mark.parametrize("rounding", [rounding for rounding in ROUNDINGS if rounding != "stochastic"])
@pytest.mark.parametrize("shared", [False, True])
def test_steps_of_every_operator_are_the_definition(rounding, shared):
    network = networks.every_op(rounding)
    seen = assert_steps_are_the_definition(network, networks.random_images(network, 2), shared=shared)
    assert {"DEPTHWISE", "LARGEST", "LOOKUP", "COPY", *(["FILL"] if shared else [])} < seen


@given(networks.int_networks(steps=6), st.booleans(), st.booleans(), st.booleans())
def test_steps_of_random_networks_are_the_definition(network, wide, shared, counted):
    network = plans.widened(network) if wide else network
    assert_steps_are_the_definition(network, networks.random_images(network, 2), shared=shared, counted=counted)


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("fmt", [UINT8, INT8])
@pytest.mark.parametrize("weight_format", ["ternary", "int4", "int8"])
@pytest.mark.parametrize("kernel_size", [1, 3])
@pytest.mark.parametrize("lifted", [False, True])
def test_steps_of_convolutions_are_the_definition(weight_format, kernel_size, fmt, counted, lifted):
    network = plans.conv_network(1, weight_format, fmt=fmt, channels=20, kernel=kernel_size)
    if lifted:
        network = plans.lifted_network(weight_format, fmt, kernel_size)
    assert_steps_are_the_definition(network, networks.random_images(network, 1) // 8, counted=counted)


@pytest.mark.parametrize("fmt", [UINT8, INT8])
@pytest.mark.parametrize(("channels", "group", "depth"), [(20, 2, 1), (20, 4, 2), (34, 17, 1), (5, 5, 2), (72, 2, 1)])
def test_steps_of_grouped_convolutions_are_the_definition(channels, group, depth, fmt):
    network = plans.grouped_network(1, channels, group, depth, fmt=fmt)
    assert_steps_are_the_definition(network, networks.random_images(network, 1))


@pytest.mark.parametrize("channels", [3, 33])
def test_steps_of_depthwise_convolutions_are_the_definition(channels):
    network = plans.depthwise_network(1, channels, fmt=INT8)
    assert_steps_are_the_definition(network, networks.random_images(network, 1), counted=False)


# -------------------------------------------------------------------------------------------------------- a small conv


def small_conv(**changed):
    """A convolution of one gray image of 3 x 3 to 5 channels: every number of it can be named."""
    small = networks.small()
    constants = {
        "weight": np.arange(-10, 10, dtype=np.int8).reshape(5, 1, 2, 2),
        "scale": np.ones((5, 1), np.int8),
        "bias": np.arange(5, dtype=np.int32) * 100,
    }
    conv = replace(
        small.layers[1],
        constants=constants,
        weight_format="int8",
        weight_exponent=np.zeros(5, np.int64),
        attributes={**small.layers[1].attributes, "pads": (1, 0, 0, 1)},
        requantize=networks.plain_requantize(INT8, multiplier=np.array([3]), shift=np.array([5])),
        **changed,
    )
    return plans.ending_in_a_mean((3, 3, 1), small.layers[0], conv)


def test_the_numbers_of_a_small_convolution(monkeypatch):
    """By the dense tile, also where the processor adds pairs and would keep clusters apart."""
    monkeypatch.setattr(
        kernel, "TARGET", replace(kernel.TARGET, cluster_tiles=(), pairs=False, dense=DOT, signed=False)
    )
    compiler = compiled(small_conv(), 2, counted=False)
    source, to = compiler.buffers["000_input"], compiler.buffers["001_conv"]
    (fields,) = steps_of(compiler, compiler.network.layers[1])
    row = Row(fields)
    assert KINDS[row.kind] == "CONV"
    assert (row.pixels, row.per_image, row.block) == (18, 9, 18)
    assert (row.images, row.taps, row.length, row.limbs) == (source.address, 2, 2 * 4, 1)
    assert memory(row.offsets, np.int32, 2).tolist() == [0, source.row_bytes] == [0, 16]
    assert row.of_pixels(row.starts)[:4].tolist() == [0, 4, 8, 16]
    assert row.of_pixels(row.starts)[9] == source.bytes[0].nbytes
    assert (row.panel_count, row.width, row.channel, row.stored, row.channels) == (1, 16, 0, 16, 5)
    weights = memory(row.panels, np.int8, 4, 16, 4)
    assert weights[:, :5, 0].T.tolist() == np.arange(-10, 10).reshape(5, 4).tolist()
    assert not weights[:, 5:].any()
    assert not weights[:, :, 1:].any()
    assert memory(row.initial, np.int32, 16).tolist() == [0, 100, 200, 300, 400, *[0] * 11]
    assert row.table
    assert not any((row.later_table, row.exact_table, row.sums, row.residual, row.saturates))
    assert (row.lo, row.hi, row.zero, row.accumulator_bits) == (0, 255, 128, 32)
    assert (row.codes, row.of_pixels(row.code_starts).tolist()) == (to.address, to.pixels().ravel().tolist())


@pytest.mark.parametrize(
    ("changed", "counted", "traced", "tables"),
    [
        ({}, False, (), "T"),
        ({}, True, (), "L"),
        ({}, False, ("001_conv",), "TS"),
        ({"accumulator_bits": 20, "accumulator_policy": "wrap"}, False, (), "E"),
        ({"accumulator_bits": 20, "accumulator_policy": "saturate"}, True, (), "E"),
    ],
)
def test_which_tables_a_step_has(changed, counted, traced, tables):
    compiler = compiled(small_conv(**changed), 1, counted, traced)
    (fields,) = steps_of(compiler, compiler.network.layers[1])
    row = Row(fields)
    found = {"T": row.table, "L": row.later_table, "E": row.exact_table, "S": row.sums}
    assert "".join(name for name, address in found.items() if address) == tables
    assert row.accumulator_bits == changed.get("accumulator_bits", 32)
    assert row.saturates == (changed.get("accumulator_policy") == "saturate")


def test_the_last_layer_keeps_its_sums_and_makes_no_codes():
    compiler = compiled(small_conv(), 2)
    (fields,) = steps_of(compiler, compiler.network.layers[-1])
    row = Row(fields)
    assert row.sums == compiler.accumulators["002_gap"].ctypes.data
    assert not any((row.table, row.later_table, row.exact_table))
    assert (row.taps, row.pixels, row.width, row.panel_count) == (10, 2, 16, 1)


@pytest.mark.parametrize("channels", [16, 37, 64, 130, 200])
def test_panels_cover_every_channel_once(channels):
    network = plans.conv_network(1, channels=channels)
    rows = steps_of(compiled(network, 1), network.layers[2])
    covered = sorted(row.channel + n for row in map(Row, rows) for n in range(row.panel_count * row.width))
    assert covered == list(range(-(-channels // 16) * 16))


# ------------------------------------------------------------------------------------------------------------- coverage


@pytest.mark.parametrize("seed", range(10))
def test_each_operator_has_its_kind(seed):
    network = plans.widened(networks.every_op(seed=seed))
    compiler = compiled(network, 2)
    for layer in network.layers:
        rows = steps_of(compiler, layer)
        if rows is None:
            assert layer.op in ("avgpool", "mul")
        else:
            assert kinds_of(rows) <= BY_OPERATOR[layer.op], layer.name


@pytest.mark.parametrize("shared", [False, True])
def test_borders_are_filled_where_places_are_shared(shared):
    """First, and only of tensors that have one."""
    network = plans.conv_network(1)
    compiler = compiled(network, 1, shared=shared)
    for layer in network.layers[:-1]:
        kinds = [KINDS[fields[step.KIND]] for fields in steps_of(compiler, layer)]
        has_border = any(compiler.buffers[layer.name].border)
        assert has_border == (layer.name != "002_conv")
        fills = kinds.count("FILL")
        assert kinds[:fills] == ["FILL"] * fills
        assert (fills > 0) == (shared and has_border)


def test_stochastic_rounding_has_no_step():
    network = networks.every_op("stochastic")
    compiler = compiled(network, 2)
    for layer in network.layers:
        drawn = layer.requantize is not None
        assert (steps_of(compiler, layer) is None) == drawn, layer.name


@pytest.mark.parametrize(
    ("window", "covered"),
    [
        ({"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "ceil_mode": False}, True),
        ({"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "ceil_mode": True}, True),
        ({"kernel_shape": (3, 3), "strides": (2, 2), "pads": (0, 0, 0, 0), "ceil_mode": True}, False),
        ({"kernel_shape": (3, 3), "strides": (9, 9), "pads": (1, 1, 0, 0), "ceil_mode": False}, True),
        ({"kernel_shape": (3, 3), "strides": (1, 1), "pads": (1, 1, 1, 1), "ceil_mode": False}, False),
    ],
)
def test_average_pools_have_a_step_if_their_windows_are_of_one_size(window, covered):
    small = networks.small()
    pool = IntLayer("001_pool", "avgpool", ("000_input",), 0, {}, window, networks.plain_requantize())
    mean = IntLayer("002_gap", "global_avgpool", ("001_pool",), 0)
    network = networks.small(input_shape=(6, 6, 1), classes=1, layers=(small.layers[0], pool, mean))
    assert (steps_of(compiled(network, 1), pool) is not None) is covered
    assert_steps_are_the_definition(network, networks.random_images(network, 2))


@pytest.mark.parametrize(("shift", "covered"), [(0, True), (14, True), (15, False), (22, False)])
def test_sums_have_a_step_if_their_shifts_are_weights_of_16_bits(shift, covered):
    small = networks.small()
    coarse = IntLayer("001_coarse", "requantize", ("000_input",), shift, requantize=networks.plain_requantize())
    added = IntLayer("002_add", "add", ("001_coarse", "000_input"), 0, {}, {"shifts": (shift, 0)})
    network = networks.small(classes=4, layers=(small.layers[0], coarse, added))
    assert (steps_of(compiled(network, 1), added) is not None) is covered


@pytest.mark.parametrize(("fmt", "covered"), [(UINT8, True), (INT8, True), (INT32, False)])
def test_a_last_layer_of_a_format_that_is_none_of_activations(fmt, covered):
    network = networks.small()
    network = networks.with_layer(network, "002_fc", requantize=networks.plain_requantize(fmt))
    assert (steps_of(compiled(network, 1), network.layers[-1]) is not None) is covered


def test_an_input_without_a_rescale_has_no_step():
    network = networks.small(classes=4, layers=(replace(networks.small().layers[0], requantize=None),))
    assert steps_of(compiled(network, 1), network.layers[0]) is None
