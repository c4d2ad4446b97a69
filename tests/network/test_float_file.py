"""Float networks through files: what goes in comes out, and what is damaged is refused in one line."""

import contextlib
import json
import tempfile
from pathlib import Path

import float_networks
import h5py
import numpy as np
import pytest
from everyday import everyday
from hypothesis import given

from refengine.errors import FileError, NetworkError, RefengineError
from refengine.network.float_file import read_float_network, write_float_network
from refengine.network.float_network import FloatNetwork

OPTIONAL = {("/", "source"), ("/", "licence"), ("/layers/003_relu", "max")}
OPTIONAL_DATASETS = {"bias"}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "network.h5"
    write_float_network(float_networks.every_op(), path)
    return path


def assert_same(one, other):
    """Two networks are equal in everything, types included."""
    for name in ("name", "input_shape", "classes", "mean", "std", "channels", "source", "licence"):
        assert getattr(one, name) == getattr(other, name), name
    assert len(one.layers) == len(other.layers)
    for a, b in zip(one.layers, other.layers, strict=True):
        assert (a.name, a.op, a.inputs, dict(a.attributes)) == (b.name, b.op, b.inputs, dict(b.attributes))
        assert {n: type(v) for n, v in a.attributes.items()} == {n: type(v) for n, v in b.attributes.items()}
        assert sorted(a.constants) == sorted(b.constants)
        for name, array in a.constants.items():
            assert array.dtype == b.constants[name].dtype == np.float32
            np.testing.assert_array_equal(array, b.constants[name])


def refusal(path, kind=RefengineError):
    """The one line with which a file is refused."""
    with pytest.raises(kind) as caught:
        read_float_network(path)
    message = str(caught.value)
    assert type(caught.value).__module__ == "refengine.errors"
    assert message.isprintable(), message
    assert message.startswith(f"{path}: "), message
    return message


def places():
    """Every attribute and dataset of the file of ``every_op``: (group, name), attributes first."""
    with h5py.File("in memory", "w", driver="core", backing_store=False) as file:
        _fill(file)
        attributes, datasets = [("/", name) for name in file.attrs], []

        def visit(name, node):
            attributes.extend((f"/{name}", attribute) for attribute in node.attrs)
            if isinstance(node, h5py.Dataset):
                datasets.append(f"/{name}")

        file.visititems(visit)
    return attributes, datasets


def _fill(file):
    """Copy the network's file into another h5py file."""
    with tempfile.TemporaryDirectory() as folder:
        write_float_network(float_networks.every_op(), Path(folder) / "x.h5")
        with h5py.File(Path(folder) / "x.h5") as source:
            file.attrs.update(source.attrs)
            source.copy("layers", file)


ATTRIBUTES, DATASETS = places()


# ---- round trips


def test_round_trip_of_every_op(path):
    assert_same(read_float_network(path), float_networks.every_op())


@given(float_networks.networks())
def test_round_trip_of_random_networks(tmp_path_factory, network):
    path = tmp_path_factory.mktemp("random") / "n.h5"
    write_float_network(network, path)
    assert_same(read_float_network(path), network)


def test_written_twice_gives_the_same_bytes(path, tmp_path):
    again = tmp_path / "again.h5"
    write_float_network(read_float_network(path), again, inputs=[path])
    assert again.read_bytes() == path.read_bytes()


def test_the_file_that_was_read_is_not_overwritten(path):
    with pytest.raises(FileError, match="is also read from"):
        write_float_network(float_networks.every_op(), path, inputs=[path])


def test_constants_that_were_read_are_read_only(path):
    weight = read_float_network(path).layers[1].constants["weight"]
    with pytest.raises(ValueError, match="read-only"):
        weight[0] = 0


def test_the_writer_needs_numbers_in_order(path, tmp_path):
    made = float_networks.every_op()
    fc = made.layers[-1]
    for name in ("fc", "013_fc", "-1_fc", "1000000000000_fc"):
        layers = (*made.layers[:-1], type(fc)(name, fc.op, fc.inputs, fc.constants, fc.attributes))
        fields = {f: getattr(made, f) for f in ("name", "input_shape", "classes", "mean", "std", "channels")}
        with pytest.raises(NetworkError, match="needs a number above 13 in front"):
            write_float_network(FloatNetwork(**fields, layers=layers), tmp_path / "x.h5")


def test_order_is_by_number_even_past_the_zeros(path):
    """1000_x comes after 999_x although it sorts before it as a text."""
    with h5py.File(path, "r+") as file:
        group = file["layers"]
        for number in range(14, -1, -1):
            key = next(key for key in group if key.startswith(f"{number:03d}_"))
            group.move(key, f"{number + 990}_{key[4:]}")
        for layer in group.values():
            old = json.loads(layer.attrs["inputs"])
            layer.attrs["inputs"] = json.dumps([f"{int(name[:3]) + 990}_{name[4:]}" for name in old])
    read = read_float_network(path)
    assert [int(layer.name.split("_")[0]) for layer in read.layers] == list(range(990, 1005))


def test_unknown_attributes_are_ignored_and_unknown_datasets_are_not(path):
    with h5py.File(path, "r+") as file:
        file.attrs["author"] = "somebody"
        file["layers/001_conv"].attrs["colour"] = [1, 1]
    assert_same(read_float_network(path), float_networks.every_op())
    with h5py.File(path, "r+") as file:
        file["layers/001_conv/scale"] = 2.0
    assert "/layers/001_conv/scale: is not known for op 'conv', which has weight, bias" in refusal(path, FileError)


# ---- damage


@pytest.mark.parametrize("keep", range(0, 100, 4))
def test_a_truncated_file_is_refused(path, keep):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * keep // 100])
    refusal(path, FileError)


@pytest.mark.parametrize(("group", "name"), ATTRIBUTES)
def test_a_missing_attribute_is_refused(path, group, name):
    with h5py.File(path, "r+") as file:
        del file[group].attrs[name]
    if (group, name) in OPTIONAL:
        assert read_float_network(path).name == "every_op"
    else:
        assert f": {group}: has no attribute '{name}'" in refusal(path, FileError)


WRONG = {
    "complex": 1 + 2j,
    "empty": h5py.Empty("f4"),
    "not UTF-8": np.bytes_(b"\xff\xfe"),
    "nan": np.nan,
    "negative": -7,
    "huge": 2**62,
    "a list of texts": ["a", "b"],
    "three axes": np.ones((2, 2, 2)),
    "absurdly long": np.ones(70_000),
    "a reference": "reference",
    "a record": np.zeros(1, [("a", "i4")]),
}


@pytest.mark.parametrize("share", everyday([6, 1], 2))
@pytest.mark.parametrize("wrong", WRONG)
def test_attribute_of_wrong_type_or_shape(path, wrong, share):
    """A sixth of the wrong values in each attribute."""
    whole = path.read_bytes()
    for group, name in ATTRIBUTES[[*WRONG].index(wrong) % share :: share]:
        with h5py.File(path, "r+") as file:
            value = WRONG[wrong] if wrong != "a reference" else file["layers"].ref
            del file[group].attrs[name]
            if isinstance(value, np.ndarray) and value.size > 8000:  # too long for the header of an object
                file[group].attrs.create(name, np.zeros(8000, "f8"))
            else:
                file[group].attrs[name] = value
        if (name, wrong) not in {("epsilon", "huge"), ("max", "huge")}:
            refusal(path)
        path.write_bytes(whole)


@pytest.mark.parametrize("name", everyday(DATASETS, 2))
def test_a_damaged_dataset_is_refused(path, name):
    """Missing, of another type, of another shape, NaN, infinite, a group, a link, never written, somewhere else."""
    whole = path.read_bytes()
    with h5py.File(path) as file:
        good = file[name][()]
    nan, inf = good.copy(), good.copy()
    nan.flat[-1], inf.flat[0] = np.nan, -np.inf
    damages = {
        "integers": lambda f: f.create_dataset(name, data=good.astype(np.int32)),
        "texts": lambda f: f.create_dataset(name, data=np.full(good.shape, b"a")),
        "complex": lambda f: f.create_dataset(name, data=good.astype(np.complex64)),
        "inexact": lambda f: f.create_dataset(name, data=good + np.float64(0.1)),
        "flat": lambda f: f.create_dataset(name, data=good[None]),
        "longer": lambda f: f.create_dataset(name, data=np.concatenate([good, good])),
        "scalar": lambda f: f.create_dataset(name, data=np.float32(1)),
        "nothing": lambda f: f.create_dataset(name, data=good[:0]),
        "nan": lambda f: f.create_dataset(name, data=nan),
        "inf": lambda f: f.create_dataset(name, data=inf),
        "group": lambda f: f.create_group(name),
        "soft": lambda f: f.__setitem__(name, h5py.SoftLink("/layers/elsewhere")),
        "external": lambda f: f.__setitem__(name, h5py.ExternalLink("other.h5", name)),
        "exabytes": lambda f: f.create_dataset(name, (1 << 20,) * 3, "f4", chunks=(16, 16, 16)),
        "flat exabytes": lambda f: f.create_dataset(name, (1 << 61,) + (1,) * (good.ndim - 1), "f4", chunks=True),
        "never written": lambda f: f.create_dataset(name, good.shape, "f4"),
        "elsewhere": lambda f: f.create_dataset(name, good.shape, "f4", external=[("other.raw", 0, good.nbytes)]),
        "virtual": lambda f: f.create_virtual_dataset(name, h5py.VirtualLayout(good.shape, "f4")),
    }
    for damage, make in damages.items():
        with h5py.File(path, "r+") as file:
            file.move(name, "/layers/000_input/kept" if damage == "group" else "/kept")
            make(file)
        message = refusal(path)
        if damage in ("nan", "inf", "soft", "never written"):
            assert f": {name}: " in message
        path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        del file[name]
    if name.rsplit("/", 1)[1] in OPTIONAL_DATASETS:
        read_float_network(path)
    else:
        assert "has no" in refusal(path, FileError)


def edit(path, **changes):
    """Set attributes of layers: layer name (first three digits after an underscore) to a dict of attributes."""
    with h5py.File(path, "r+") as file:
        for number, attributes in changes.items():
            key = next(key for key in file["layers"] if key.startswith(number[1:]))
            file["layers"][key].attrs.update(attributes)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"_002": {"inputs": '["005_add"]'}},
            "layer '002_batchnorm' (batchnorm): its input '005_add' is not before it",
        ),
        ({"_002": {"inputs": '["002_batchnorm"]'}}, "is not before it (a cycle"),
        ({"_002": {"inputs": '["nowhere"]'}}, "its input 'nowhere' does not exist"),
        ({"_002": {"inputs": "[]"}}, "layer '002_batchnorm' (batchnorm): has 0 inputs, needs 1"),
        ({"_002": {"inputs": '["a\\u000ab"]'}}, "a layer is called 'a\\nb'"),
        ({"_002": {"inputs": '["\\udc80"]'}}, "a layer is called"),
        ({"_002": {"inputs": "[" * 50_000}}, "JSON"),
        ({"_002": {"inputs": "001_conv"}}, "/layers/002_batchnorm: attribute 'inputs' is not readable as JSON"),
        ({"_002": {"inputs": "[1]"}}, "needed a JSON list of texts"),
        ({"_007": {"inputs": json.dumps(["003_relu"] * 5000)}}, "is used by no other layer"),
        ({"_002": {"op": "swish"}}, "/layers/002_batchnorm: attribute 'op' is 'swish', known are: add, avgpool, "),
        ({"_002": {"op": "swish\n" * 9000}}, "known are"),
        ({"_002": {"op": "relu"}}, "is not known for op 'relu', which has no datasets"),
        ({"_003": {"op": "flatten"}}, "layer '004_conv' (conv): its input has shape (168,), needed (H, W, C)"),
        ({"_001": {"strides": [70_000, 1]}}, "attribute 'strides' is [70000, 1], needed 2 integers in 1..65536"),
        ({"_001": {"pads": [60_000] * 4}}, "layer '001_conv' (conv): gives"),
        ({"_001": {"group": 3}}, "layer '001_conv' (conv): has 4 output channels in 3 groups"),
        ({"_000": {"op": "relu", "inputs": '["014_fc"]'}}, "needed an input layer"),
    ],
)
def test_damaged_layers_are_refused(path, changes, words):
    edit(path, **changes)
    assert words in refusal(path)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"classes": 6}, "layer '014_fc' (fc) is the last one and gives (5,), needed 6"),
        ({"input_shape": [7, 6, 1]}, "needed 3 channels for BGR"),
        ({"input_shape": [7, 6]}, "'input_shape' is [7, 6], needed 3 integers in 1..65536"),
        ({"input_shape": [1, 1, 3]}, "layer '001_conv' (conv): gives"),
        ({"mean": [1.0, 2.0]}, "mean is (1.0, 2.0), needed 3"),
        ({"std": [1.0, 0.0, 1.0]}, "needed numbers above 0"),
        ({"channels": "CMYK"}, "'channels' is 'CMYK', needed one of RGB, BGR, gray"),
        ({"format": "refengine-images"}, "needed 'refengine-float'"),
        ({"version": 3}, "this program reads 'refengine-float' of version 1"),
        ({"name": ""}, "the network has no name"),
    ],
)
def test_a_damaged_root_is_refused(path, attributes, words):
    with h5py.File(path, "r+") as file:
        file.attrs.update(attributes)
    if attributes.get("input_shape") == [1, 1, 3]:
        with contextlib.suppress(NetworkError):
            assert read_float_network(path).input_shape == (1, 1, 3)
    else:
        assert words in refusal(path)


def test_layers_that_are_none(path):
    with h5py.File(path, "r+") as file:
        file["layers"].create_group("extra")
    assert "has a member 'extra', layers are called like '004_conv1'" in refusal(path, FileError)
    with h5py.File(path, "r+") as file:
        file["layers"].move("extra", "0003")
    assert "has two layers of number 3, '0003' and '003_relu'" in refusal(path, FileError)
    with h5py.File(path, "r+") as file:
        del file["layers/0003"]
        file["layers/015_link"] = h5py.SoftLink("/layers/003_relu")
    assert "/layers/015_link: is a soft or external link" in refusal(path, FileError)
    with h5py.File(path, "r+") as file:
        del file["layers"]
    assert "has no 'layers'" in refusal(path, FileError)
    with h5py.File(path, "r+") as file:
        file["layers"] = np.zeros(3)
    assert "/layers: is a dataset, a group was needed" in refusal(path, FileError)
    with h5py.File(path, "r+") as file:
        del file["layers"]
        file.create_group("layers")
    assert "the network has no layers" in refusal(path, NetworkError)


def test_absurd_number_of_layers(path, monkeypatch):
    monkeypatch.setattr("refengine.network.read_hdf5.MAX_CHILDREN", 14)
    assert "/layers: has 15 members, at most 14 are read" in refusal(path, FileError)
