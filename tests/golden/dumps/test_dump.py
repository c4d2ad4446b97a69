"""Dumps: every form gives the same integers."""

import numpy as np
import pytest
from dumps import as_folder, in_every_form, integers_of, network_and_images

from refengine.errors import FileError
from refengine.golden.dumps.dump import in_memory, layer_and_stage
from refengine.golden.dumps.open_dump import open_dump

STAGES = {"1.conv": {"code": np.arange(24, dtype=np.uint8).reshape(2, 3, 4), "total": np.arange(4).reshape(2, 2)}}


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    network, images = network_and_images()
    return in_every_form(tmp_path_factory.mktemp("forms"), network, images)


@pytest.mark.parametrize("form", ["trace", "dots", "folders", "npz", "packed npz", "pack", "text"])
def test_every_form_holds_the_same(forms, form):
    stages, pixels = integers_of(forms["trace"])
    with open_dump(forms[form]) as dump:
        assert {*dump.layers} == {*stages}
        assert dump.count == 3
        np.testing.assert_array_equal(dump.images.read(0, 3), pixels)
        for layer, arrays in stages.items():
            assert {*dump.stages(layer)} == {*arrays}
            for stage, array in arrays.items():
                assert dump.shape(layer, stage) == array.shape
                assert dump.dtype(layer, stage) == array.dtype
                np.testing.assert_array_equal(dump.read(layer, stage, 0, 3), array)
                np.testing.assert_array_equal(dump.read(layer, stage, 1, 2), array[1:2])


def test_what_a_dump_says_of_itself(forms):
    with open_dump(forms["trace"]) as trace, open_dump(forms["pack"]) as pack, open_dump(forms["dots"]) as folder:
        assert trace.model_hash == pack.model_hash is not None
        assert trace.images_sha256 == pack.images_sha256
        assert (folder.model_hash, folder.first_image, folder.ordered) == (None, None, False)
        assert pack.model.name == "model.h5"
        layer = pack.layers[1]
        assert pack.address_of(layer, "code", 0, 0, 0, 0).file.startswith(layer)
        assert trace.address_of(layer, "code", 0, 0, 0, 0) is None


@pytest.mark.parametrize(
    ("name", "meaning"),
    [
        ("conv", ("conv", "result")),
        ("conv.code", ("conv", "code")),
        ("conv/accumulator", ("conv", "accumulator")),
        ("2.1.conv", ("2.1.conv", "result")),
        ("conv.nosuch", ("conv.nosuch", "result")),
        ("a/conv", ("a/conv", "result")),
        ("code", ("code", "result")),
    ],
)
def test_names_of_arrays(name, meaning):
    assert layer_and_stage(name) == meaning


def test_stages_come_in_the_order_of_hardware():
    held = in_memory({"a": {"code": np.zeros((1, 1), int), "accumulator": np.zeros((1, 1), int)}})
    assert held.stages("a") == ("accumulator", "code")


@pytest.mark.parametrize(("start", "stop"), [(-1, 1), (0, 3), (2, 1)])
def test_images_that_are_not_there(tmp_path, start, stop):
    with open_dump(as_folder(tmp_path / "dump", STAGES)) as dump:
        with pytest.raises(FileError, match=r"has images 0\.\.1"):
            dump.read("1.conv", "code", start, stop)
        with pytest.raises(FileError, match="has no layer 'nosuch'"):
            dump.read("nosuch", "code", 0, 1)
        with pytest.raises(FileError, match="has no stage 'accumulator'"):
            dump.read("1.conv", "accumulator", 0, 1)
