"""Other axes: whatever the order, the same integers come out; orders between shapes are those that fit."""

from itertools import permutations

import numpy as np
import pytest
from dumps import as_folder, network_and_images
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import RangeError
from refengine.golden.dumps.axes import ORDERS, in_words, orders_between, written_as
from refengine.golden.dumps.dump import in_memory
from refengine.golden.dumps.dut import fitted, open_dut
from refengine.golden.dumps.open_dump import open_dump
from refengine.golden.dumps.reading import Reading, reading
from refengine.vectors.orders import order_of
from refengine.vectors.writer import write_vectors

PIXELS = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
SUMS = np.arange(30).reshape(2, 3, 5)


def turned(array, order):
    """The same array with its axes (N, H, W, C) in another order."""
    return array.transpose(["NHWC".index(axis) for axis in order])


def test_the_orders_are_all_there_are():
    assert {*ORDERS} == {"".join(letters) for letters in permutations("HWC")} - {"HWC"}


@pytest.mark.parametrize("order", ["HWC", *ORDERS])
def test_every_order_is_read(order):
    golden = in_memory({"conv": {"code": PIXELS, "partial_sums": SUMS}, "fc": {"code": SUMS[0]}})
    dut = in_memory({"conv": {"code": turned(PIXELS, f"N{order}"), "partial_sums": SUMS}, "fc": {"code": SUMS[0]}})
    for name in (f"N{order}", f"n{order.lower()}"):
        read = fitted(dut, golden, reading(order=name))
        assert read.shape("conv", "code") == PIXELS.shape
        assert read.dtype("conv", "code") == PIXELS.dtype
        np.testing.assert_array_equal(read.read("conv", "code", 0, 2), PIXELS)
        np.testing.assert_array_equal(read.read("conv", "code", 1, 2), PIXELS[1:])
        np.testing.assert_array_equal(read.read("conv", "partial_sums", 0, 2), SUMS)
        np.testing.assert_array_equal(read.read("fc", "code", 0, 3), SUMS[0])


@pytest.mark.parametrize("order", ORDERS)
def test_an_order_without_images(order):
    image = PIXELS[0].transpose(["HWC".index(axis) for axis in order])
    read = fitted(in_memory({"conv": {"code": image}}), in_memory({"conv": {"code": PIXELS[:1]}}), reading(order=order))
    np.testing.assert_array_equal(read.read("conv", "code", 0, 1), PIXELS[:1])


def test_a_folder_with_its_images(tmp_path):
    other = turned(PIXELS, "NCHW").copy()
    path = as_folder(tmp_path / "dut", {"conv": {"code": other}}, other)
    golden = as_folder(tmp_path / "golden", {"conv": {"code": PIXELS}}, PIXELS)
    with open_dump(golden) as one, open_dut(path, one, reading(order="NCHW")) as read:
        np.testing.assert_array_equal(read.images.read(0, 2), PIXELS)
        assert (read.count, read.kind) == (2, "folder")


def test_orders_in_words():
    assert in_words("CHW") == "N C H W"


def test_a_pack_says_its_own_order(tmp_path):
    network, images = network_and_images(1)
    write_vectors(network, images, tmp_path / "pack", formats=("npy",))
    with open_dump(tmp_path / "pack") as dump, pytest.raises(RangeError, match="is a vector pack"):
        fitted(dump, dump, Reading(order=order_of("NCHW")))


@given(st.tuples(*[st.integers(1, 3)] * 3), st.sampled_from(ORDERS))
def test_orders_between_shapes_are_those_that_fit(shape, order):
    """By plain Python: an order fits if it names the lengths that were found, unless nothing is to be explained."""
    found = tuple(dict(zip("HWC", shape, strict=True))[axis] for axis in order)
    fitting = orders_between(found, shape)
    assert (order in fitting) == (found != shape)
    block = np.arange(2 * int(np.prod(shape))).reshape(2, *shape)
    stored = turned(block, f"N{order}")
    np.testing.assert_array_equal(written_as(stored, order, shape), block)
    np.testing.assert_array_equal(written_as(stored.reshape(block.shape), order, shape), block)
    assert written_as(block[:, :, :, :0], order, shape) is None
    assert written_as(block, order, shape[:2]) is None
