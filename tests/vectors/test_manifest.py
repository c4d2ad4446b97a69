"""Manifests: what is written is read again, and a manifest that contradicts itself is refused by name."""

import json

import networks
import pytest

from refengine.errors import FileError
from refengine.vectors.manifest import MANIFEST, read_manifest, to_json
from refengine.vectors.writer import Layout, write_vectors


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "pack"
    network = networks.small()
    layout = Layout(word_bits=13, straddle=True, orders=["nchw"])
    images = networks.random_images(network, 2)
    return write_vectors(network, images, folder, formats=["npy", "sv"], layout=layout, backend="reference"), folder


@pytest.fixture
def record(made):
    return json.loads(to_json(made[0]))


def test_round_trip(made):
    written, folder = made
    found = read_manifest(folder)
    assert vars(found) | {"layers": None} == vars(written) | {"layers": None}
    assert to_json(found) == to_json(written) == (folder / MANIFEST).read_text()


def test_a_tensor_has_every_documented_field(record):
    (weight,) = [tensor for tensor in record["tensors"] if tensor["name"] == "001_conv/weight"]
    files = weight.pop("files")
    assert {name: file["file"] for name, file in files.items()} == {
        "npy": "001_conv/weight.npy",
        "sv": "001_conv/weight.sv",
    }
    assert weight == {
        "name": "001_conv/weight",
        "layer": "001_conv",
        "part": "weight",
        "shape": [2, 1, 2, 2],
        "axes": "oihw",
        "dtype": "int8",
        "bits": 2,
        "signed": True,
        "exponent": None,
        "code_map": {"name": "twos-complement", "codes": {"0": "00", "1": "01", "-1": "11"}},
        "packing": {
            "order": "oihw",
            "word_bits": 13,
            "elements_per_word": None,
            "lane_bits": 2,
            "first": "low",
            "endian": "little",
            "words": 2,
            "words_per_image": None,
        },
    }


def in_tensor(name, *path):
    """A function that changes one entry of one tensor."""

    def change(record, value):
        place = next(tensor for tensor in record["tensors"] if tensor["name"] == name)
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value

    return change


def at_the_root(key):
    return lambda record, value: record.__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "value", "needle"),
    [
        (at_the_root("format"), "refengine-trace", "'format' is 'refengine-trace', needed one of refengine-vectors"),
        (at_the_root("version"), 4, "'version' is 4, needed an integer in 1..3"),
        (at_the_root("version"), 3, "has a tensor 'images'"),
        (at_the_root("count"), True, "'count' is True"),
        (at_the_root("count"), 3, "needed 3 images"),
        (at_the_root("model_hash"), "abc", "'model_hash' is 'abc', needed a SHA-256"),
        (at_the_root("formats"), ["npy", "zip"], "'formats' is ['npy', 'zip'], needed some of npy"),
        (at_the_root("formats"), [], "'formats' is empty"),
        (at_the_root("formats"), ["npy", "npy"], "needed each only once"),
        (at_the_root("formats"), ["coe"], "has no 'coe'"),
        (at_the_root("model"), {"file": "../m.h5"}, "'file' is '../m.h5', needed 'model.h5'"),
        (at_the_root("tensors"), [], "has no tensor 'images'"),
        (at_the_root("tensors"), [3], "tensor 0: is 3, needed an object"),
        (at_the_root("layers"), [{"name": "../x"}], "layer 0: 'name' is '../x', needed a name such as"),
        (at_the_root("layers"), [{"name": "0_a\nb"}], "needed a name such as"),
        (in_tensor("images", "layer"), "000_input", "'part' is 'images', needed one of weight"),
        (in_tensor("001_conv/code", "layer"), "009_x", "'layer' is '009_x', needed one of 000_input"),
        (in_tensor("001_conv/code", "part"), "total", "'name' is '001_conv/code', needed '001_conv/total'"),
        (in_tensor("001_conv/code", "shape"), [2, 1, 1], "needed the axes nhwc"),
        (in_tensor("001_conv/code", "shape"), [2, 1, 2**31, 2**31], "'shape' is"),
        (in_tensor("001_conv/code", "shape"), [2, 1, 0, 2], "needed integers in 1.."),
        (in_tensor("001_conv/code", "shape"), [2, 1, 1, 4], "'words' is 4, needed 6 by shape"),
        (in_tensor("001_conv/code", "bits"), 9, "'bits' is 9, more than int8 has"),
        (in_tensor("001_conv/code", "signed"), 1, "'signed' is 1, needed true or false"),
        (in_tensor("001_conv/code", "exponent"), "x", "'exponent' is 'x', needed a list"),
        (in_tensor("001_conv/code", "dtype"), "O", "'dtype' is 'O', needed one of"),
        (in_tensor("001_conv/code", "packing", "order"), "hwcn", "needed the axes nhwc in some order, images first"),
        (in_tensor("001_conv/code", "packing", "word_bits"), 5000, "bits of a word: 5000, needed 1..4096"),
        (in_tensor("001_conv/code", "packing", "words"), 5, "'words' is 5, needed 4 by shape and packing"),
        (in_tensor("001_conv/code", "packing", "elements_per_word"), 2, "cannot hold 2 elements of 8 bits"),
        (in_tensor("001_conv/weight", "code_map", "name"), "gray", "'name' is 'gray', needed one of twos-complement"),
        (in_tensor("001_conv/code", "files", "npy", "file"), "/etc/passwd", "needed '001_conv/code.npy'"),
        (in_tensor("001_conv/code", "files", "npy", "sha256"), 64 * "g", "needed a SHA-256"),
        (in_tensor("001_conv/code", "files", "sv", "size"), -1, "'size' is -1"),
    ],
)
def test_contradictions_are_refused(record, tmp_path, change, value, needle):
    change(record, value)
    (tmp_path / MANIFEST).write_text(json.dumps(record))
    with pytest.raises(FileError) as refusal:
        read_manifest(tmp_path)
    message = str(refusal.value)
    assert message.startswith(str(tmp_path / MANIFEST))
    assert needle in message
    assert "\n" not in message


def test_a_key_that_is_missing(record, tmp_path):
    """Any of them, at the root and in a tensor."""
    for place in (record, record["tensors"][0], record["tensors"][0]["packing"], record["tensors"][0]["files"]["npy"]):
        for key in [*place]:
            if key == "first_image" and place is not record:
                continue
            value = place.pop(key)
            (tmp_path / MANIFEST).write_text(json.dumps(record))
            with pytest.raises(FileError, match=str(tmp_path)):
                read_manifest(tmp_path)
            place[key] = value


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe", b"[" * 100000, b'{"format": "refengine-vectors"}'])
def test_files_that_are_no_manifest_are_refused(tmp_path, text):
    (tmp_path / MANIFEST).write_bytes(text)
    with pytest.raises(FileError, match=MANIFEST):
        read_manifest(tmp_path)


def test_folders_that_are_no_pack_are_refused(tmp_path):
    with pytest.raises(FileError, match="does not exist, the folder is not a vector pack"):
        read_manifest(tmp_path)
    with pytest.raises(FileError, match="is not a folder"):
        read_manifest(tmp_path / "none")
    (tmp_path / MANIFEST).mkdir()
    with pytest.raises(FileError, match="does not exist"):
        read_manifest(tmp_path)
