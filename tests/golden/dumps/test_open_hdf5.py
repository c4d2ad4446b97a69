"""Dumps in HDF5: traces, and arrays with names."""

import h5py
import numpy as np
import pytest
from dumps import in_every_form, integers_of, network_and_images

from refengine.errors import FileError
from refengine.golden.dumps import open_hdf5
from refengine.golden.dumps.dump import Damaged
from refengine.golden.dumps.open_dump import open_dump


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    network, images = network_and_images()
    return in_every_form(tmp_path_factory.mktemp("forms"), network, images)


def plain(path, arrays, attributes=()):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
        for name, value in dict(attributes).items():
            file.attrs[name] = value
    return path


def test_few_datasets_are_open_at_a_time(forms, monkeypatch):
    monkeypatch.setattr(open_hdf5, "_OPEN_DATASETS", 2)
    with open_dump(forms["trace"]) as dump:
        for layer in dump.layers:
            for stage in dump.stages(layer):
                dump.read(layer, stage, 0, 1)
        shelf = next(iter(dump.arrays[dump.layers[0]].values())).shelf
        assert len(shelf._open) == 2


@pytest.mark.parametrize("name", ["{}.{}", "{}/{}", "layers/{}/{}"])
def test_any_hdf5_file_with_names_of_layers(forms, tmp_path, name):
    stages, pixels = integers_of(forms["trace"])
    arrays = {name.format(layer, stage): array for layer, held in stages.items() for stage, array in held.items()}
    with open_dump(plain(tmp_path / "a.h5", {**arrays, "images": pixels})) as dump:
        assert (dump.kind, dump.ordered, dump.count) == ("hdf5", False, 3)
        np.testing.assert_array_equal(dump.images.read(0, 3), pixels)
        for layer, held in stages.items():
            assert {*dump.stages(layer)} == {*held}
            for stage, array in held.items():
                assert dump.dtype(layer, stage) == array.dtype
                np.testing.assert_array_equal(dump.read(layer, stage, 1, 3), array[1:])


def test_results_in_an_hdf5_file(tmp_path):
    arrays = {"conv": np.arange(6, dtype=">i2").reshape(2, 3), "floats": np.ones((2, 3)), "text": "hello", "one": 5}
    with open_dump(plain(tmp_path / "a.h5", arrays)) as dump:
        np.testing.assert_array_equal(dump.read("conv", "result", 1, 2), arrays["conv"][1:])
        assert dump.dtype("conv", "result") == np.dtype(np.int16)
        assert "/floats: holds float64, needed int64" in dump.values("floats", "result").why
        assert isinstance(dump.values("text", "result"), Damaged)
        assert "has shape ()" in dump.values("one", "result").why


def test_hdf5_files_that_are_something_else(tmp_path):
    plain(tmp_path / "images.h5", {"images": np.zeros((1, 2, 2, 1), np.uint8)}, {"format": "refengine-images"})
    with pytest.raises(FileError, match="needed 'refengine-trace'"), open_dump(tmp_path / "images.h5"):
        pass
    with pytest.raises(FileError, match="holds no layer"), open_dump(plain(tmp_path / "empty.h5", {})):
        pass
    with h5py.File(tmp_path / "links.h5", "w") as file:
        file["conv"] = h5py.ExternalLink("other.h5", "/conv")
    with pytest.raises(FileError, match="is not followed"), open_dump(tmp_path / "links.h5"):
        pass
