"""Steps of the fast plan, walked in plain NumPy as ``kernels/fast/step.py`` says, number by number."""

import ctypes
from dataclasses import replace

import networks
import numpy as np
import plans

from refengine.engine.fast.buffers import buffers
from refengine.engine.fast.steps import Compiler, steps_of
from refengine.kernels.fast import plan as kernel
from refengine.kernels.fast import step
from refengine.kernels.fast.cluster_tile import CROSSED
from refengine.kernels.instruction_sets import PAIRED, WORDS
from refengine.numbers.accumulator import confine
from refengine.numbers.formats import INT8

KINDS = ("CONV", "CLUSTERS", "CROSSED", "DEPTHWISE", "LARGEST", "LOOKUP", "COPY", "FILL")


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
