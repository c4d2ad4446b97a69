"""Buffers: codes come back, borders are as wide as windows reach, no two tensors that are needed share a place."""

import ctypes
from itertools import pairwise

import networks
import numpy as np
import plans
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.engine.fast import buffers as module
from refengine.engine.fast.buffers import MAX_BYTES, Buffer, Store, borders_of, buffers, filled
from refengine.errors import RangeError
from refengine.network.int_network import IntLayer
from refengine.numbers.formats import INT8, UINT8

# ----------------------------------------------------------------------------------------------------------- one buffer


def buffer(zero, border=(1, 2, 3, 4), shape=(2, 3, 5), images=2):
    top, left, bottom, right = border
    full = (images, top + shape[0] + bottom, left + shape[1] + right, filled(shape[2]))
    return Buffer(np.full(full, 77, np.uint8), shape, border, zero)


@pytest.mark.parametrize(("zero", "dtype"), [(0, np.uint8), (128, np.int8)])
@given(seed=st.integers(0, 99), count=st.integers(1, 2))
def test_codes_come_back_and_the_border_is_zero(zero, dtype, seed, count):
    """Whatever was there before."""
    info = np.iinfo(dtype)
    codes = np.random.default_rng(seed).integers(info.min, info.max + 1, (count, 2, 3, 5)).astype(dtype)
    place = buffer(zero)
    place.put(codes)
    back = place.codes(count)
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, codes)
    assert not np.shares_memory(back, place.bytes)
    outside = place.bytes.copy()
    outside[:count, 1:3, 2:5, :5] = zero
    assert np.all(outside == zero)


@pytest.mark.parametrize(("zero", "dtype"), [(0, np.uint8), (128, np.int8)])
def test_larger_codes_are_larger_bytes(zero, dtype):
    info = np.iinfo(dtype)
    codes = np.arange(info.min, info.max + 1).astype(dtype)
    place = buffer(zero, (0, 0, 0, 0), (1, 256, 1), 1)
    place.put(codes.reshape(1, 1, 256, 1))
    assert place.bytes[0, 0, :, 0].tolist() == list(range(256))


def test_vectors_are_put_as_one_pixel():
    place = buffer(0, (0, 0, 0, 0), (1, 1, 20), 2)
    codes = np.arange(40, dtype=np.uint8).reshape(2, 20)
    place.put(codes)
    np.testing.assert_array_equal(place.codes(2).reshape(2, 20), codes)


def test_offsets_are_where_the_pixels_begin():
    place = buffer(0)
    offsets = place.offsets(np.arange(2), np.arange(3))
    assert (offsets.dtype, offsets.shape) == (np.int32, (2, 2, 3))
    np.testing.assert_array_equal(offsets, place.pixels())
    place.bytes.ravel()[offsets] = np.arange(1, 13).reshape(2, 2, 3)
    assert place.codes(2)[..., 0].ravel().tolist() == list(range(1, 13))


def test_offsets_reach_into_the_border():
    place = buffer(0)
    assert place.offsets(np.array([-1]), np.array([-2]))[0, 0, 0] == 0
    assert place.offsets(np.array([0, 1]), np.array([0]))[0, :, 0].tolist() == [
        place.row_bytes + 2 * place.stored,
        2 * place.row_bytes + 2 * place.stored,
    ]
    assert (place.address, place.stored, place.row_bytes) == (place.bytes.ctypes.data, 16, 9 * 16)


# -------------------------------------------------------------------------------------------------------------- borders


def with_readers(*readers, shape=(6, 7, 1)):
    """Borders of an input that layers of (operator, attributes) read; the first reader's result is the last layer's."""
    first = networks.small().layers[0]
    layers = [first]
    for op, attributes in readers:
        more = {"attributes": attributes, "inputs": ("000_input",), "name": f"{len(layers):03d}_{op}"}
        if op == "conv":
            template = networks.small().layers[1]
            scale = np.ones((2, 1), np.int8)
            weight = np.ones((2, 1, 3, 2), np.int8)
            constants = {**template.constants, "scale": scale, "weight": weight}
            layers.append(IntLayer(**{**vars(template), "constants": constants, **more}))
        else:
            template = {**vars(first), "op": op, "constants": {}, **more}
            layers.append(IntLayer(**template if op == "avgpool" else {**template, "requantize": None}))
    last = IntLayer(**{**vars(first), "op": "global_avgpool", "constants": {}, "attributes": {}, "requantize": None,
                       "name": "999_gap", "inputs": ("000_input",)})  # fmt: skip
    return borders_of(networks.small(input_shape=shape, classes=shape[2], layers=(*layers, last)))["000_input"]


def convolution(pads, strides=(1, 1)):
    return "conv", {"pads": pads, "strides": strides, "group": 1, "cluster": 1}


def pool(op, kernel, strides, pads=(0, 0, 0, 0), ceil_mode=False):
    return op, {"kernel_shape": kernel, "strides": strides, "pads": pads, "ceil_mode": ceil_mode}


def test_a_tensor_that_nobody_pads_has_no_border():
    assert with_readers() == (0, 0, 0, 0)
    assert with_readers(pool("maxpool", (3, 3), (2, 2), (1, 1, 1, 1))) == (0, 0, 0, 0)


def test_the_widest_padding_of_all_convolutions():
    assert with_readers(convolution((1, 2, 0, 3))) == (1, 2, 0, 3)
    assert with_readers(convolution((1, 2, 0, 3)), convolution((2, 0, 1, 0))) == (2, 2, 1, 3)


@pytest.mark.parametrize(
    ("kernel", "strides", "pads", "ceil_mode", "border"),
    [
        ((2, 2), (2, 2), (0, 0, 0, 0), False, (0, 0, 0, 0)),
        ((2, 3), (4, 4), (0, 0, 0, 0), False, (0, 0, 0, 0)),
        ((3, 3), (2, 2), (1, 1, 1, 1), False, (1, 1, 0, 1)),  # the last window of 6 rows ends with the image
        ((3, 2), (2, 2), (0, 0, 0, 0), True, (0, 0, 1, 1)),
        ((4, 4), (4, 4), (0, 0, 0, 0), True, (0, 0, 2, 1)),
        ((5, 5), (4, 3), (1, 0, 0, 2), True, (1, 0, 2, 4)),
    ],
)
def test_windows_of_average_pools_may_reach_beyond_their_padding(kernel, strides, pads, ceil_mode, border):
    assert with_readers(pool("avgpool", kernel, strides, pads, ceil_mode)) == border


@given(networks.int_networks(steps=8))
def test_every_window_stays_in_its_buffer(network):
    borders = borders_of(network)
    for layer in network.layers:
        if layer.op not in ("conv", "avgpool"):
            continue
        source = layer.inputs[0]
        kernel = layer.constants["weight"].shape[2:] if layer.op == "conv" else layer.attributes["kernel_shape"]
        for axis in (0, 1):
            before, after = borders[source][axis], borders[source][axis + 2]
            first = -layer.attributes["pads"][axis]
            end = first + (network.shapes[layer.name][axis] - 1) * layer.attributes["strides"][axis] + kernel[axis]
            assert first >= -before
            assert end <= network.shapes[source][axis] + after


@given(networks.int_networks(steps=8))
def test_operands_of_a_sum_lie_alike(network):
    """So that one distance leads from each pixel of the one to that of the other."""
    made = buffers(network, 2)
    for layer in network.layers:
        if layer.op == "add":
            a, b = (made[name] for name in layer.inputs)
            assert (a.border, a.bytes.shape) == (b.border, b.bytes.shape)


# --------------------------------------------------------------------------------------------------------------- places


def lifetimes(network, kept):
    """{name: (position that writes it, last position that reads it)}, to the end for what must survive."""
    end = len(network.layers)
    lives = {}
    for position, layer in enumerate(network.layers):
        readers = [n for n, other in enumerate(network.layers) if layer.name in (*other.inputs, other.residual)]
        last = max([position, *readers])
        lives[layer.name] = position, end if layer.name in kept or position == end - 1 else last
    return lives


@given(networks.int_networks(steps=8), st.integers(1, 3), st.integers(0, 99), st.booleans())
def test_no_two_tensors_that_live_at_once_overlap(network, images, seed, shared):
    names = [layer.name for layer in network.layers]
    rng = np.random.default_rng(seed)
    assert_apart(network, images, frozenset(name for name in names if rng.random() < 0.2), shared)


@pytest.mark.parametrize("seed", range(40))
def test_no_two_tensors_of_deep_networks_overlap(seed):
    """Residuals that are read long after they were written, and all other ways to read."""
    network = networks.seeded(seed, ["conv", "conv", "add", "conv", "requantize", "concat", "conv", "batchnorm"] * 2)
    assert_apart(network, 1, frozenset(), shared=True)


def assert_apart(network, images, kept, shared):
    names = [layer.name for layer in network.layers]
    with plans.sharing(shared):
        made = buffers(network, images, kept)
    lives = lifetimes(network, kept)
    assert list(made) == names
    for n, one in enumerate(names):
        for other in names[n + 1 :]:
            together = lives[one][0] <= lives[other][1] and lives[other][0] <= lives[one][1]
            if together or not shared:
                assert not np.shares_memory(made[one].bytes, made[other].bytes), (one, other)


@given(networks.int_networks(steps=8), st.booleans())
def test_a_buffer_is_as_large_as_its_tensor(network, shared):
    borders = borders_of(network)
    with plans.sharing(shared):
        made = buffers(network, 2)
    for layer in network.layers:
        place = made[layer.name]
        shape = network.shapes[layer.name]
        height, width, channels = shape if len(shape) == 3 else (1, 1, *shape)
        top, left, bottom, right = place.border
        assert place.border == borders[layer.name]
        assert place.shape == (height, width, channels)
        assert place.bytes.shape[:3] == (2, top + height + bottom, left + width + right)
        assert place.stored == filled(channels) or (place.stored == 4 and layer.op == "input" and channels < 5)
        assert place.zero == (128 if network.formats[layer.name] is INT8 else 0)
        assert place.address % 64 == 0
        assert place.shared is shared
        if not shared:
            assert np.all(place.bytes == place.zero)
            assert not place.codes(2).any()


def test_memory_is_bounded_by_what_lives_at_one_time():
    """A chain needs two large places, however long it is, and little beside; neighbours do not take the same one."""
    for blocks in (4, 40):
        network = plans.deep(blocks)
        with plans.sharing(True):
            made = [*buffers(network, 2).values()]
        largest = max(place.bytes.nbytes for place in made)
        end = max(place.address + place.bytes.nbytes for place in made)
        assert end - min(place.address for place in made) < 3 * largest
        assert all(one.address != other.address for one, other in pairwise(made))


def test_small_networks_share_nothing_and_large_ones_do(monkeypatch):
    network = plans.deep(4)
    total = sum(place.bytes.nbytes for place in buffers(network, 1).values())
    monkeypatch.setattr(module, "SMALL", 2 * total)
    assert not any(place.shared for place in buffers(network, 1).values())
    monkeypatch.setattr(module, "SMALL", total // 2)
    assert all(place.shared for place in buffers(network, 1).values())


@pytest.mark.parametrize(("group", "stored"), [(1, 4), (3, 16)])
def test_pixels_stay_narrow_where_only_tiles_read_them(group, stored):
    """Three channels and one that fills up; depthwise convolutions read whole vectors."""

    def append(growing):
        where = {"strides": (1, 1), "pads": (1, 1, 1, 1), "group": group}
        growing.weighted("conv", 6, 3 // group, (3, 3), **where)

    network = plans.grown(1, (5, 6, 3), append)
    assert buffers(network, 1)["000_input"].stored == (4 if group == 1 else 16) == stored


@pytest.mark.parametrize("op", ["residual", "add", "maxpool"])
def test_pixels_that_vectors_read_are_filled_up(op):
    def append(growing):
        growing.pick = lambda options: options[-1 if op == "residual" and None in options else 0]
        if op == "maxpool":
            growing.passing(
                "maxpool", ["000_input"], kernel_shape=(2, 2), strides=(1, 1), pads=(0,) * 4, ceil_mode=False
            )
        elif op == "add":
            growing.accumulating("add", ["000_input", "000_input"], shifts=(0, 0))
        else:
            growing.weighted("conv", 3, 3, (1, 1), strides=(1, 1), pads=(0,) * 4, group=1)

    network = plans.grown(1, (5, 6, 3), append)
    assert (network.layers[1].residual == "000_input") is (op == "residual")
    assert buffers(network, 1)["000_input"].stored == 16


def test_offsets_that_32_bits_cannot_hold_are_refused():
    network = networks.every_op()
    images = MAX_BYTES // 16
    with pytest.raises(RangeError, match=r"134\d+ images at a time need \d+ bytes for layer '000_input'"):
        buffers(network, images)


@pytest.mark.parametrize(("channels", "stored"), [(1, 16), (16, 16), (17, 32), (48, 48)])
def test_channels_are_filled_up_to_whole_vectors(channels, stored):
    assert filled(channels) == stored


# ---------------------------------------------------------------------------------------------------------------- store


def at(address, like):
    """What stands at an address."""
    return np.ctypeslib.as_array((ctypes.c_uint8 * like.nbytes).from_address(address)).view(like.dtype)


def test_arrays_stay_where_they_are_put(monkeypatch):
    """Many small ones, and some larger than a block; their own later changes do not matter."""
    monkeypatch.setattr(module, "_BLOCK", 2**12)
    rng, store, kept = np.random.default_rng(1), Store(), []
    for size in [*rng.integers(0, 900, 200), 2**12, 2**14, 5, 2**12 - 64, 2**13 + 1, 7]:
        array = rng.integers(-99, 99, (2, size)).astype(rng.choice([np.int8, np.int16, np.int32, np.int64]))
        kept.append((store.address(array), array.copy()))
        array[:] = 0
    ends = []
    for address, array in kept:
        assert address % 64 == 0
        np.testing.assert_array_equal(at(address, array), array.ravel())
        ends.append((address, address + array.nbytes))
    ends = sorted(end for end in ends if end[0] < end[1])
    assert all(end <= begin for (_, end), (begin, _) in pairwise(ends))


def test_arrays_need_not_lie_in_order():
    store = Store()
    array = np.arange(24, dtype=np.int32).reshape(2, 3, 4)
    for view in (array.T, array[:, ::2], np.broadcast_to(array[:, :1], (2, 5, 4))):
        np.testing.assert_array_equal(at(store.address(view), np.ascontiguousarray(view)), view.ravel())


@pytest.mark.parametrize("size", [0, 1, 63, 64, 2**16 + 1])
def test_aligned_bytes(size):
    place = module.aligned(size)
    assert (place.dtype, place.shape, place.ctypes.data % 64) == (np.uint8, (size,), 0)
    assert {UINT8.dtype} == {place.dtype.type}
