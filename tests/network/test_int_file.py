"""Files of integer networks: what is written comes back, and what was damaged is refused in one line."""

import json
import re

import h5py
import networks
import numpy as np
import pytest
from everyday import everyday
from hypothesis import given

from refengine.errors import FileError, NetworkError, RefengineError
from refengine.network.int_file import MAX_EXPONENT, read_int_network, write_int_network
from refengine.network.int_network import IntLayer, IntNetwork

SEEDS = (9, 340, 908)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "network.h5"


def mixed():
    """Five layers: a flipped input, a conv, a maxpool, an add with a residual, an fc."""
    network = networks.seeded(6, ["conv", "maxpool", "add"])
    assert [layer.op for layer in network.layers] == ["input", "conv", "maxpool", "add", "fc"]
    assert network.layers[3].residual is not None
    return network


@pytest.fixture
def written(path):
    """The file of that network."""
    write_int_network(mixed(), path)
    return path


@pytest.fixture
def complete(path):
    """The file of a network with every operator."""
    write_int_network(networks.every_op(), path)
    return path


def refused(path, text="", error=RefengineError):
    """Reading raises one line that names the file and holds the text."""
    with pytest.raises(error) as caught:
        read_int_network(path)
    message = str(caught.value)
    assert text in message
    assert message.startswith(str(path))
    assert message.isprintable()


def same(one, other):
    """Equal in every field, arrays in type and order too."""
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if hasattr(one, "__dataclass_fields__"):
        return type(one) is type(other) and all(
            same(getattr(one, f), getattr(other, f)) for f in one.__dataclass_fields__
        )
    return type(one) is type(other) and one == other


# --------------------------------------------------------------------------------------------------------- round trips


@pytest.mark.parametrize(
    "network", [networks.small(), *(networks.every_op(seed=seed) for seed in SEEDS)], ids=["small", *map(str, SEEDS)]
)
def test_what_is_written_comes_back(network, path):
    """Every field of every layer, and from it the same bytes."""
    write_int_network(network, path)
    back = read_int_network(path)
    assert same(sorted_fields(back), sorted_fields(network))
    assert back.hash == network.hash
    again = path.with_name("again.h5")
    write_int_network(back, again)
    assert again.read_bytes() == path.read_bytes()


@given(networks.int_networks())
def test_random_networks_come_back(tmp_path_factory, network):
    path = tmp_path_factory.getbasetemp() / "random_network.h5"
    write_int_network(network, path)
    back = read_int_network(path)
    assert same(sorted_fields(back), sorted_fields(network))


def sorted_fields(network):
    """Everything that a network is, with mappings in one order."""
    fields = networks.fields_of(network)
    layers = tuple(
        IntLayer(**{**vars(layer), "constants": ordered(layer.constants), "attributes": ordered(layer.attributes)})
        for layer in network.layers
    )
    return {**fields, "layers": layers, "made_with": ordered(network.made_with)}


def ordered(mapping):
    return {key: mapping[key] for key in sorted(mapping)}


def test_large_arrays_come_back_from_compressed_chunks(path):
    """From 4096 bytes on, arrays are packed."""
    network = networks.seeded(5, ["conv"])
    size = 6000
    fc = {
        "weight": np.tile(np.arange(-127, 128), 2 * size)[: 2 * size].reshape(2, size).astype(np.int8),
        "scale": np.ones((2, 1), np.int8),
        "bias": np.zeros(2, np.int32),
    }
    last = networks.small().layers[2]
    layers = (
        networks.small().layers[0],
        IntLayer(**{**vars(last), "inputs": ("000_input",), "constants": fc, "attributes": {"cluster": size}}),
    )
    network = networks.small(input_shape=(60, 100, 1), layers=layers)
    write_int_network(network, path)
    with h5py.File(path) as file:
        assert file["layers/002_fc/weight"].compression == "gzip"
    assert same(sorted_fields(read_int_network(path)), sorted_fields(network))


def test_the_layout_is_the_documented_one(path):
    """Names and types as another program would look for them."""
    write_int_network(networks.small(), path)
    with h5py.File(path) as file:
        assert {name: plain(value) for name, value in file.attrs.items()} == {
            "format": "refengine-int",
            "version": 1,
            "contract": 1,
            "name": "small",
            "input_shape": [2, 2, 1],
            "classes": 2,
            "channels": "gray",
            "hash": networks.small().hash,
        }
        assert dict(file["made_with"].attrs) == {"scheme": "by hand", "origin": "tests"}
        assert list(file["layers"]) == ["000_input", "001_conv", "002_fc"]
        conv = file["layers/001_conv"]
        assert {name: plain(value) for name, value in conv.attrs.items()} == {
            "op": "conv",
            "inputs": '["000_input"]',
            "exponent": -2,
            "weight_format": "ternary",
            "accumulator_bits": 32,
            "accumulator_policy": "error",
            "covers": '["001_conv", "002_bn"]',
            "strides": [1, 1],
            "pads": [0, 0, 0, 0],
            "group": 1,
            "cluster": 1,
        }
        assert {name: conv[name].dtype.name for name in conv if name != "requantize"} == {
            "weight": "int8",
            "scale": "int8",
            "bias": "int32",
            "weight_exponent": "int64",
        }
        assert {name: plain(value) for name, value in conv["requantize"].attrs.items()} == {
            "rounding": "half_up",
            "format": "int8",
            "activation": "none",
            "lo": -128,
            "hi": 127,
            "seed": 0,
            "dynamic": 0,
        }
        assert {name: conv["requantize"][name].dtype.name for name in conv["requantize"]} == {
            "multiplier": "int64",
            "shift": "int64",
        }


def plain(value):
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def test_a_file_is_not_written_over_its_source(path):
    path.write_bytes(b"here first")
    with pytest.raises(FileError, match="is also read from"):
        write_int_network(networks.small(), path, inputs=[path])
    assert path.read_bytes() == b"here first"


@pytest.mark.parametrize(
    "names",
    [
        ("input", "001_conv", "002_fc"),
        ("000_input", "002_conv", "001_fc"),
        ("000", "001_a/b", "002"),
        ("0_\n", "1", "2"),
    ],
)
def test_a_file_knows_the_order_by_numbers_alone(names, path):
    """Layers that are not called by increasing numbers would come back as another network."""
    renamed = dict(zip(("000_input", "001_conv", "002_fc"), names, strict=True))
    layers = tuple(
        IntLayer(**{**vars(layer), "name": renamed[layer.name], "inputs": tuple(renamed[n] for n in layer.inputs)})
        for layer in networks.small().layers
    )
    with pytest.raises(NetworkError, match=r"needs a number above .* in front, as '004_conv1'"):
        write_int_network(networks.small(layers=layers), path)
    assert not path.exists()


def test_numbers_are_read_as_numbers(path):
    """Layer 1000 comes after layer 999."""
    renamed = {"000_input": "0", "001_conv": "999_conv", "002_fc": "1000_fc"}
    layers = tuple(
        IntLayer(**{**vars(layer), "name": renamed[layer.name], "inputs": tuple(renamed[n] for n in layer.inputs)})
        for layer in networks.small().layers
    )
    write_int_network(networks.small(layers=layers), path)
    assert [layer.name for layer in read_int_network(path).layers] == list(renamed.values())


# -------------------------------------------------------------------------------------------------------------- damage


def places(path, kind):
    """Every attribute (of groups) or dataset of a file but those about its origin, as (path of its group, name)."""
    found = []

    def visit(name, node):
        if kind == "attributes" and isinstance(node, h5py.Group):
            found.extend((name, attribute) for attribute in node.attrs)
        if kind == "datasets" and isinstance(node, h5py.Dataset):
            found.append(tuple(name.rsplit("/", 1)))

    with h5py.File(path) as file:
        visit("/", file)
        file.visititems(visit)
    return sorted(place for place in found if place[0] != "made_with")


def each_op_once(path, kind):
    """The places of one layer of each operator, and of the root."""
    with h5py.File(path) as file:
        layers = {group.attrs["op"]: name for name, group in file["layers"].items()}.values()
    return [place for place in places(path, kind) if not place[0].startswith("l") or place[0].split("/")[1] in layers]


@pytest.mark.parametrize("share", everyday([5, 1], 2))
def test_any_attribute_may_be_missing(complete, share):
    """One after another: the file is refused each time."""
    for group, name in each_op_once(complete, "attributes")[::share]:
        with changed(complete) as (copy, file):
            del file[group].attrs[name]
        refused(copy)


ODD = (
    "text", "\ud800".encode("utf-8", "surrogatepass"), -1, 1 << 62, 1.5, np.nan, [1, 2, 3, 4, 5], [], h5py.Empty("i8"),
    [["a", "b"]],
)  # fmt: skip


@pytest.mark.parametrize("share", everyday([10, 1], 2))
@pytest.mark.parametrize("value", ODD, ids=str)
def test_any_attribute_may_be_something_else(written, value, share):
    """Another type, value or shape, a tenth of them in each attribute; the network's name alone may be any text."""
    number = [str(odd) for odd in ODD].index(str(value))
    for group, name in places(written, "attributes")[number % share :: share]:
        if (group, name) == ("/", "name") and value == "text":
            continue
        with changed(written) as (copy, file):
            file[group].attrs[name] = value
        refused(copy)


@pytest.mark.parametrize("share", everyday([3, 1], 2))
def test_any_dataset_may_be_missing(complete, share):
    for group, name in each_op_once(complete, "datasets")[::share]:
        with changed(complete) as (copy, file):
            del file[group][name]
        refused(copy)


def smaller(array):
    return array.reshape(-1)[:0]


def longer(array):
    return np.concatenate([array.reshape(-1), array.reshape(-1)])


@pytest.mark.parametrize(
    "damage",
    [
        smaller,
        longer,
        lambda array: array[None],
        lambda array: array.reshape(-1)[0],
        lambda array: array + 0.5,
        lambda array: array.astype(np.int64) + 2**31,
        lambda array: array.astype("S"),
        lambda array: array.astype(np.complex64),
        lambda array: np.array([b"text"] * 2, object),
        lambda array: h5py.Empty("i4"),
    ],
    ids=["none", "twice", "an axis more", "scalar", "float", "wide", "bytes", "complex", "texts", "empty"],
)
@pytest.mark.parametrize("share", everyday([3, 1], 2))
def test_any_dataset_may_be_something_else(written, damage, share):
    for group, name in places(written, "datasets")[::share]:
        with changed(written) as (copy, file):
            array = file[group][name][()]
            del file[group][name]
            file[group].create_dataset(name, data=damage(array))
        refused(copy)


def test_any_group_may_be_missing_or_a_dataset(written):
    with h5py.File(written) as file:
        groups = ["layers", "made_with"]
        groups += [f"layers/{name}" for name in file["layers"]]
        groups += [f"layers/{name}/requantize" for name in file["layers"] if "requantize" in file["layers"][name]]
    for group in groups:
        with changed(written) as (copy, file):
            del file[group]
        refused(copy)
        with changed(written) as (copy, file):
            del file[group]
            file[group] = np.zeros(3)
        refused(copy)


@pytest.mark.parametrize("place", ["/", "layers", "layers/001_conv", "layers/001_conv/requantize"])
def test_a_member_that_the_layout_does_not_know(written, place):
    """A network without it might be another network."""
    with changed(written) as (copy, file):
        file[place]["extra"] = np.zeros(1, np.int8)
    refused(copy, "extra", FileError)


def test_every_integer_of_the_constants_is_under_the_hash(written):
    """One more, or one less, in any element: refused, by the hash or because it fits nothing any more."""
    words = set()
    for group, name in places(written, "datasets"):
        with h5py.File(written) as file:
            shape = file[group][name].shape
        for index in (tuple(0 for _ in shape), tuple(length - 1 for length in shape)):
            with changed(written) as (copy, file):
                old = int(file[group][name][index])
                file[group][name][index] = old - 1 if old > 0 else old + 1
            refused(copy)
            with pytest.raises(RefengineError) as caught:
                read_int_network(copy)
            words.add("changed after" in str(caught.value))
    assert True in words


def test_one_byte_of_a_weight(path):
    """Changed in the file itself, not through the library: +1 to -1 is a legal code."""
    write_int_network(networks.small(), path)
    with h5py.File(path) as file:
        dataset = file["layers/001_conv/weight"]
        start, array = dataset.id.get_offset(), dataset[()]
    place = start + int(np.flatnonzero(array.reshape(-1) == 1)[0])
    data = bytearray(path.read_bytes())
    assert data[place] == 1
    data[place] = 255
    path.write_bytes(data)
    refused(path, "the file was changed after it was written", FileError)


def test_a_network_too_large_to_be_checked(path):
    """Windows of 60000 different sizes have a common multiple of 26000 digits."""
    write_int_network(networks.with_fc_on((60000, 2, 1)), path)
    with h5py.File(path, "r+") as file:
        pool = file["layers/001_pool"]
        pool.attrs.update({"op": "avgpool", "kernel_shape": [60000, 1], "pads": [59999, 0, 59999, 0]})
        file.copy(file["layers/000_input/requantize"], pool)
    refused(path, error=NetworkError)


@pytest.mark.parametrize("text", ["", "0" * 64, "x\ny"])
def test_a_wrong_hash_is_refused(written, text):
    with changed(written) as (copy, file):
        file.attrs["hash"] = text
    refused(copy, "the file was changed after it was written: hash " + mixed().hash, FileError)


def test_a_truncated_file_is_refused(written):
    """Cut at twenty places."""
    data = written.read_bytes()
    for part in range(20):
        copy = written.with_name("cut.h5")
        copy.write_bytes(data[: len(data) * part // 20])
        refused(copy, error=FileError)


@pytest.mark.parametrize("exponent", [MAX_EXPONENT + 1, -MAX_EXPONENT - 1])
def test_exponents_that_no_number_has(written, exponent):
    """2**exponent is computed by those who compare values: it stays small."""
    with changed(written) as (copy, file):
        file["layers/001_conv"].attrs["exponent"] = exponent
    refused(copy, f"attribute 'exponent' is {exponent}", FileError)
    with changed(written) as (copy, file):
        file["layers/001_conv/weight_exponent"][0] = exponent
    refused(copy, "/layers/001_conv/weight_exponent: holds exponents outside -4096..4096", FileError)


@pytest.mark.parametrize(
    ("attribute", "value", "text"),
    [
        ("op", "softmax", "/layers/001_conv: attribute 'op' is 'softmax', known are: add, avgpool"),
        ("op", "x\n\x1b[31m", r"attribute 'op' is 'x\n\x1b[31m'"),
        ("inputs", "[", "attribute 'inputs' is not readable as JSON"),
        ("inputs", "[1]", "needed a JSON list of texts"),
        ("inputs", '["001_conv"]', "layer '001_conv' (conv): reads '001_conv', which is no earlier layer"),
        ("inputs", json.dumps(["a\nb"]), r"reads 'a\nb', which is no earlier layer"),
        ("accumulator_bits", 8, "layer '001_conv' (conv): an accumulator has 16 to 32 bits, found 8"),
        ("accumulator_policy", "clamp", "accumulator policy 'clamp' is unknown"),
        ("strides", [0, 1], "attribute strides is (0, 1), needed 2 integers in 1..65536"),
        ("residual", "000_input", "has a residual and no residual_shift"),
        ("covers", "{}", "needed a JSON list of texts"),
    ],
)
def test_messages_name_file_layer_and_fault(path, attribute, value, text):
    write_int_network(networks.small(), path)
    with h5py.File(path, "r+") as file:
        file["layers/001_conv"].attrs[attribute] = value
    refused(path, text)


@pytest.mark.parametrize(
    ("attribute", "value", "text"),
    [
        ("format", "refengine-float", "attribute 'format' is 'refengine-float', needed 'refengine-int'"),
        ("version", 2, "attribute 'version' is 2"),
        ("contract", 2, "made under contract 2, this engine keeps contract 1"),
        ("channels", "CMYK", "attribute 'channels' is 'CMYK', needed one of RGB, BGR, gray"),
        ("channels", "RGB", "attribute 'input_shape' has 1 channels, RGB images have 3"),
        ("classes", 3, "the last layer gives 2 numbers, the network has 3 classes"),
        ("input_shape", [2, 2], "needed 3 integers"),
        ("input_shape", [0, 2, 1], "needed 3 integers in 1..65536"),
    ],
)
def test_messages_about_the_root(path, attribute, value, text):
    write_int_network(networks.small(), path)
    with h5py.File(path, "r+") as file:
        file.attrs[attribute] = value
    refused(path, text)


@pytest.mark.parametrize(
    ("attribute", "value", "text"),
    [
        ("rounding", "nearest", "/layers/001_conv/requantize: rounding 'nearest' is unknown"),
        ("format", "int16", "attribute 'format' is 'int16', known are: uint8, int8, int32"),
        ("activation", "gelu", "activation 'gelu' is unknown"),
        ("lo", 128, "/layers/001_conv/requantize: the clip 128..127 leaves int8"),
        ("dynamic", 8, "needed one integer in 0..7"),
        ("dynamic", -1, "needed one integer in 0..7"),
        ("seed", -1, "needed one integer in 0..9223372036854775807"),
    ],
)
def test_messages_about_a_requantization(path, attribute, value, text):
    write_int_network(networks.small(), path)
    with h5py.File(path, "r+") as file:
        file["layers/001_conv/requantize"].attrs[attribute] = value
    refused(path, text, FileError)


@pytest.mark.parametrize("key", ["conv", "x_1", "1_second", "0001"])
def test_layer_keys_are_numbers_each_once(path, key):
    write_int_network(networks.small(), path)
    with h5py.File(path, "r+") as file:
        file.copy(file["layers/001_conv"], file["layers"], name=key)
    refused(
        path, "two layers of number 1" if re.match("[0-9]", key) else "layers are called like '004_conv1'", FileError
    )


def test_links_are_refused(written):
    """Neither to another place in the file nor to another file."""
    elsewhere = written.with_name("elsewhere.h5")
    elsewhere.write_bytes(written.read_bytes())
    for place in (
        "layers",
        "layers/001_conv",
        "layers/001_conv/weight",
        "layers/001_conv/requantize/shift",
        "made_with",
    ):
        for link in (h5py.SoftLink("/" + place + "_moved"), h5py.ExternalLink(elsewhere.name, place)):
            with changed(written) as (copy, file):
                file.move(place, place + "_moved")
                file[place] = link
            refused(copy, error=FileError)


def test_data_outside_the_file(written):
    """External storage and virtual datasets are other files' bytes."""
    outside = written.with_name("outside.bin")
    with h5py.File(written) as file:
        array = file["layers/001_conv/weight"][()]
    outside.write_bytes(array.tobytes())
    with changed(written) as (copy, file):
        del file["layers/001_conv/weight"]
        file["layers/001_conv"].create_dataset(
            "weight", array.shape, array.dtype, external=[(str(outside), 0, array.nbytes)]
        )
    refused(copy, "another file", FileError)
    with changed(written) as (copy, file):
        del file["layers/001_conv/weight"]
        layout = h5py.VirtualLayout(array.shape, array.dtype)
        layout[...] = h5py.VirtualSource(written.name, "layers/001_conv/weight", array.shape)
        file["layers/001_conv"].create_virtual_dataset("weight", layout)
    refused(copy, "virtual", FileError)


@pytest.mark.parametrize(
    "make", [lambda p: None, lambda p: p.mkdir(), lambda p: p.write_bytes(b""), lambda p: p.write_text("no")]
)
def test_no_network_at_all(path, make):
    make(path)
    refused(path, error=FileError)


def test_a_network_is_what_is_returned(written):
    assert isinstance(read_int_network(written), IntNetwork)


class changed:
    """A copy of a file, opened to be changed: ``with changed(path) as (copy, file)``."""

    def __init__(self, path):
        self.copy = path.with_name("changed.h5")
        self.copy.write_bytes(path.read_bytes())

    def __enter__(self):
        self.file = h5py.File(self.copy, "r+")
        return self.copy, self.file

    def __exit__(self, *error):
        self.file.close()


@pytest.mark.parametrize("group", ["layers/001_conv", "layers/001_conv/requantize", "layers/000_input"])
def test_an_attribute_that_the_layout_does_not_know_is_refused(path, group):
    write_int_network(networks.small(), path)
    with h5py.File(path, "r+") as file:
        file[group].attrs["dilations"] = [2, 2]
    refused(path, f"/{group}: has an attribute 'dilations'", FileError)
