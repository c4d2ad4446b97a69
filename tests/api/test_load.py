"""load: a path gives the object of its kind, or one line that says why not."""

import networks
import numpy as np
import pytest
from float_networks import every_op

import refengine
from refengine.errors import FileError, RangeError
from refengine.interop.onnx.export_float import to_onnx
from refengine.network.float_file import read_float_network
from refengine.network.int_file import read_int_network
from refengine.vectors.reader import Vectors
from refengine.vectors.writer import write_vectors


def test_every_file_gives_the_object_of_its_kind(files):
    kinds = {"model.h5": "IntNetwork", "net.h5": "FloatNetwork", "images.h5": "ImageFile", "trace.h5": "TraceFile"}
    assert {name: type(refengine.load(name)).__name__ for name in kinds} == kinds
    assert refengine.load("model.h5").hash == read_int_network("model.h5").hash
    assert refengine.load(files / "net.h5").name == read_float_network("net.h5").name


def test_load_opens_a_vector_pack(files):
    write_vectors(refengine.load("model.h5"), refengine.load("images.h5")[:2], "pack")
    pack = refengine.load("pack", Vectors)
    assert pack.model_hash == refengine.load("model.h5").hash
    np.testing.assert_array_equal(pack.images.read(0, 2), refengine.load("images.h5")[:2])


def test_an_onnx_file_is_a_float_network(tmp_path):
    network = every_op()
    pytest.importorskip("onnx")
    (tmp_path / "net.onnx").write_bytes(to_onnx(network).SerializeToString())
    found = refengine.load(tmp_path / "net.onnx", mean=network.mean, std=network.std, channels=network.channels)
    assert (found.input_shape, found.classes, found.channels) == (network.input_shape, network.classes, "BGR")
    np.testing.assert_allclose(found.mean, network.mean)


def test_the_kind_that_is_needed_is_checked(files):
    assert refengine.load("model.h5", refengine.IntNetwork).classes == 5
    with pytest.raises(RangeError, match=r"^net\.h5: holds FloatNetwork, needed IntNetwork$"):
        refengine.load("net.h5", refengine.IntNetwork)


@pytest.mark.parametrize("option", [{"mean": 3}, {"std": (1, 2, 3)}, {"channels": "RGB"}, {"input_shape": (1, 1, 1)}])
def test_what_onnx_does_not_say_is_refused_for_other_files(files, option):
    with pytest.raises(RangeError, match=f"net.h5: {next(iter(option))} is for ONNX files"):
        refengine.load("net.h5", **option)


@pytest.mark.parametrize(
    ("make", "needle"),
    [
        (lambda path: None, "No such file"),
        (lambda path: path.mkdir(), "is a folder without manifest.json"),
        (lambda path: path.write_text("no network"), "is not an HDF5 file"),
    ],
)
def test_what_is_nothing_known_is_refused_in_one_line(tmp_path, make, needle):
    make(tmp_path / "thing")
    with pytest.raises(FileError) as error:
        refengine.load(tmp_path / "thing")
    assert needle in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["model.h5", "net.h5"])
def test_what_is_saved_is_loaded_again_bit_by_bit(files, name):
    network = refengine.load(name)
    network.save("copy.h5")
    assert (files / "copy.h5").read_bytes() == (files / name).read_bytes()
    with pytest.raises(FileError, match=r"nowhere.copy\.h5: cannot be written, there is no folder"):
        network.save("nowhere/copy.h5")


def test_a_network_that_cannot_be_written_leaves_nothing_behind(tmp_path):
    network = networks.small()
    network.save(tmp_path / "model.h5")
    with pytest.raises(FileError, match="is not a regular file"):
        network.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["model.h5"]
