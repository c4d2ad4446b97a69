"""Products of windows and panels: every convolution is the definition, a small one number by number."""

from dataclasses import replace

import networks
import numpy as np
import plans
import pytest
from everyday import everyday
from walked_steps import KINDS, Row, assert_steps_are_the_definition, compiled, memory, small_conv

from refengine.engine.fast.steps import steps_of
from refengine.kernels.fast import plan as kernel
from refengine.kernels.instruction_sets import DOT
from refengine.numbers.formats import INT8, UINT8


@pytest.mark.parametrize("counted", [False, True])
@pytest.mark.parametrize("fmt", [UINT8, INT8])
@pytest.mark.parametrize("weight_format", everyday(["ternary", "int4", "int8"], 2))
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


@pytest.mark.parametrize("channels", [16, 37, 64, 130, 200])
def test_panels_cover_every_channel_once(channels):
    network = plans.conv_network(1, channels=channels)
    rows = steps_of(compiled(network, 1), network.layers[2])
    covered = sorted(row.channel + n for row in map(Row, rows) for n in range(row.panel_count * row.width))
    assert covered == list(range(-(-channels // 16) * 16))
