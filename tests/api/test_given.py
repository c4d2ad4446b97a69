"""What callers hand in: objects, arrays and paths mean the same, and anything else is refused in one line."""

import networks
import numpy as np
import pytest
from float_networks import every_op

import refengine
from refengine.api import given
from refengine.errors import FileError, RangeError
from refengine.network.images import open_images


def test_a_network_and_its_path_are_the_same(files):
    assert given.int_network("model.h5").hash == given.int_network(refengine.load("model.h5")).hash
    assert given.float_network(files / "net.h5").name == given.float_network(every_op()).name


@pytest.mark.parametrize(
    ("function", "what", "needle"),
    [
        (given.int_network, every_op(), "model is a FloatNetwork, .*; refengine.quantize makes one"),
        (given.int_network, 7, "model is a int, needed an integer network or the path of one$"),
        (given.float_network, networks.small(), "network is a IntNetwork, needed a float network"),
    ],
)
def test_another_kind_of_network(function, what, needle):
    with pytest.raises(RangeError, match=needle):
        function(what)


def test_images_in_every_form(files):
    with open_images("images.h5") as file:
        pixels = file.read(0, file.count)
        for form in ("images.h5", files / "images.h5", refengine.load("images.h5"), file):
            with given.opened_images(form) as found:
                np.testing.assert_array_equal(found.read(0, found.count), pixels)
            assert given.name_of(form).endswith("images.h5")
    with given.opened_images(pixels) as found:
        assert found is pixels
    assert given.name_of(pixels) == "images"


@pytest.mark.parametrize("wrong", [None, 3, [[1, 2]], {"a": 1}])
def test_values_that_are_no_images_are_refused(wrong):
    with (
        pytest.raises(RangeError, match=r"needed an array uint8 \(N, H, W, C\), a file of images or its path"),
        given.opened_images(wrong),
    ):
        pass


def test_paths_are_those_that_must_not_be_written_to(files):
    images = refengine.load("images.h5")
    assert given.paths_of("model.h5", images, networks.small(), np.zeros(3)) == ["model.h5", "images.h5"]


def test_a_path_of_onnx_is_read_as_onnx(tmp_path):
    (tmp_path / "net.ONNX").write_bytes(b"no graph")
    assert given.is_onnx(tmp_path / "net.ONNX")
    with pytest.raises(FileError, match=r"net\.ONNX"):
        given.float_network(tmp_path / "net.ONNX")
