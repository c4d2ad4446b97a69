"""Panels and tables: where each weight stands, two limbs that add up, and tables that are refused where 32 bits end."""

from dataclasses import replace

import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.engine.packing import packed, panels, tables
from refengine.ops.conv import integer_weights


@given(st.integers(1, 20), st.sampled_from([(64, 32, 16), (16,)]))
def test_panels_cover_every_channel_once(vectors, widths):
    channels = 16 * vectors
    covered = [
        first + n * width + c
        for first, width, count in panels(channels, widths)
        for n in range(count)
        for c in range(width)
    ]
    assert covered == list(range(channels))


@pytest.mark.parametrize("top", [1, 7])
def test_a_weight_stands_in_its_panel(top):
    rng = np.random.default_rng(top)
    layer = networks.small().layers[1]
    outputs, inputs, stored, segment, width = 20, 5, 16, 48, 16
    constants = {
        **layer.constants,
        "weight": rng.integers(-top, top + 1, (outputs, inputs, 2, 3)).astype(np.int8),
        "scale": rng.integers(60, 128, (outputs, 2)).astype(np.int8),
    }
    layer = replace(layer, constants=constants, attributes={**layer.attributes, "cluster": 4})
    wanted = integer_weights(constants["weight"], constants["scale"], 4)
    place, panel_bytes, second = packed(layer, stored, segment, 0, width, 2)
    assert (second > 0) == (top > 1)
    limbs = place.astype(np.int32).reshape(2, -1, 2 * segment // 4, width, 4)
    whole = limbs[:, 0] + (limbs[:, 1] << 7 if second else 0)
    for o, i, ky, kx in np.ndindex(*wanted.shape):
        byte = ky * segment + kx * stored + i
        assert whole[o // width, byte // 4, o % width, byte % 4] == wanted[o, i, ky, kx]
    assert np.abs(whole).sum() == np.abs(wanted).sum()
    assert place.ctypes.data % 64 == 0
    assert panel_bytes == place.size // 2


def tables_of(**step):
    network = networks.small()
    layer = replace(network.layers[1], requantize=networks.plain_requantize(**step))
    return tables(replace(network, layers=(network.layers[0], layer, *network.layers[2:])), layer, False)


def test_thirty_two_bits_are_used_where_they_suffice():
    narrow, exact = tables_of(multiplier=np.array([200, 130]), shift=np.array([14, 12]))
    assert narrow.size
    assert not exact.size
    assert (narrow[1, :2] << (30 - narrow[3, :2] - 16)).tolist() == [200 << 16, 130 << 18]


@pytest.mark.parametrize(
    "step",
    [
        {"multiplier": np.array([2**15 - 1]), "shift": np.array([0])},
        {"multiplier": np.array([2**20]), "shift": np.array([30])},
        {"rounding": "half_even", "multiplier": np.array([200]), "shift": np.array([14])},
    ],
)
def test_sixty_four_bits_are_used_elsewhere(step):
    narrow, exact = tables_of(**step)
    assert not narrow.size
    assert exact.shape[0] == 8


def test_a_small_shift_lifts_the_accumulator():
    narrow, exact = tables_of(multiplier=np.array([200]), shift=np.array([3]))
    assert not exact.size
    assert narrow[1, 0] == 200 << 7
    assert narrow[5, 0] == 17 - 3 - 7
    assert narrow[3, 0] == 1


def test_a_channel_that_cannot_reach_a_half_needs_no_multiplier():
    narrow, exact = tables_of(multiplier=np.array([200, 200]), shift=np.array([14, 60]))
    assert not exact.size
    assert narrow[1, 0] > 0
    assert narrow[1, 1] == 0


def test_what_no_table_covers():
    assert tables_of(rounding="stochastic") is None
    network = networks.small()
    assert tables(network, network.layers[-1], True) is None
