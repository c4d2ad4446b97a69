"""Buffers: codes come back, borders stay zero, offsets point at the pixels."""

import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.engine.buffers import MAX_BYTES, Buffer, borders_of, filled, new_buffer
from refengine.errors import RangeError
from refengine.numbers.formats import INT8


def buffer(zero, border=(1, 2, 3, 4), shape=(2, 3, 5), images=2):
    top, left, bottom, right = border
    full = (images, top + shape[0] + bottom, left + shape[1] + right, filled(shape[2]))
    return Buffer(np.full(full, zero, np.uint8), shape, border, zero)


@pytest.mark.parametrize(("zero", "dtype"), [(0, np.uint8), (128, np.int8)])
@given(seed=st.integers(0, 99), count=st.integers(1, 2))
def test_codes_come_back_and_the_border_stays_zero(zero, dtype, seed, count):
    info = np.iinfo(dtype)
    codes = np.random.default_rng(seed).integers(info.min, info.max + 1, (count, 2, 3, 5)).astype(dtype)
    place = buffer(zero)
    place.put(codes)
    back = place.codes()
    assert back.dtype == dtype
    assert np.array_equal(back[:count], codes)
    outside = place.bytes.copy()
    outside[:, 1:3, 2:5, :5] = zero
    assert np.all(outside == zero)


def test_offsets_are_where_the_pixels_begin():
    place = buffer(0)
    offsets = place.offsets(np.arange(2)[:, None], np.arange(3)[None])
    place.bytes.ravel()[offsets] = np.arange(1, 13)
    assert place.codes()[..., 0].ravel().tolist() == list(range(1, 13))


def test_every_window_stays_in_its_buffer():
    network = networks.every_op()
    borders = borders_of(network)
    for layer in network.layers[1:]:
        if layer.op == "conv":
            assert all(b >= p for b, p in zip(borders[layer.inputs[0]], layer.attributes["pads"], strict=True))


def test_offsets_that_32_bits_cannot_hold_are_refused():
    network = networks.every_op()
    images = MAX_BYTES // 16
    with pytest.raises(RangeError, match=r"images at a time need \d+ bytes for layer '000_input'"):
        new_buffer(images, network, network.layers[0], (0, 0, 0, 0))


def test_zero_is_what_the_format_stores_for_it():
    network = networks.every_op()
    borders = borders_of(network)
    for layer in network.layers[:-1]:
        made = new_buffer(1, network, layer, borders[layer.name])
        assert made.zero == (128 if network.formats[layer.name] is INT8 else 0)
        assert np.all(made.bytes == made.zero)
        assert not made.codes().any()
