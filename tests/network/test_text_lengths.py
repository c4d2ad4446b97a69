"""The length of a text is known before the library reads it, wherever HDF5 keeps it; and no text takes much memory."""

import mmap
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hdf5_files import answer, make, refusal

from refengine.network import read_hdf5
from refengine.network.text_lengths import AttributeTexts, dataset_text_lengths

WAYS = [
    {}, {"libver": "latest"}, {"libver": "latest", "track_order": True}, {"userblock_size": 1024},
    {"track_order": True},
    {"userblock_size": 512, "libver": "latest"}, {"libver": ("v108", "v108")},
]  # fmt: skip


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("count", [1, 9, 30, 400])
@pytest.mark.parametrize("committed", [False, True])
def test_attributes_have_their_text_lengths(tmp_path, way, count, committed):
    """Few attributes lie in the object's header, many in a fractal heap; a committed type is a reference."""
    wanted = {f"name{i}": "é" * (7 * i % 50) + "x" for i in range(count)}
    with h5py.File(tmp_path / "x.h5", "w", **way) as file:
        file["type"] = h5py.string_dtype()
        group = file.create_group("group")
        for name, text in wanted.items():
            group.attrs.create(name, text, dtype=file["type"] if committed else None)
    with h5py.File(tmp_path / "x.h5") as file, open(tmp_path / "x.h5", "rb") as raw:
        data, base = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ), file.id.get_create_plist().get_userblock()
        header = h5py.h5o.get_info(file["group"].id).addr
        texts = AttributeTexts(data, base, header)
        found = {name: texts.length(name) for name in wanted}
        assert texts.length("another") is None
    assert found == {name: len(text.encode()) for name, text in wanted.items()}


@pytest.mark.parametrize(
    "storage",
    [{}, {"chunks": (4,)}, {"chunks": (4,), "compression": "gzip", "shuffle": True}],
    ids=str,
)
def test_datasets_have_their_text_lengths(tmp_path, storage):
    texts = ["", "a", "é" * 300, "bb", "x" * 5000, "c", "d"]
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("texts", data=texts, dtype=h5py.string_dtype(), **storage)
    with h5py.File(tmp_path / "x.h5") as file, open(tmp_path / "x.h5", "rb") as raw:
        data = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
        assert dataset_text_lengths(file["texts"], data, 0, 99) == [len(text.encode()) for text in texts]
        assert dataset_text_lengths(file["texts"], data, 0, 6) is None


def claim(path, text, length):
    """Write another length where that of ``text`` stands: 4 bytes in front of the address of its heap."""
    data = bytearray(path.read_bytes())
    heap = data.index(b"GCOL\1")
    places = []
    at = data.find(heap.to_bytes(8, "little"))
    while at >= 0:
        if data[at - 4 : at] == len(text).to_bytes(4, "little"):
            places.append(at - 4)
        at = data.find(heap.to_bytes(8, "little"), at + 1)
    for place in places:
        data[place : place + 4] = length.to_bytes(4, "little")
    assert places
    path.write_bytes(data)


@pytest.mark.parametrize("length", [2**32 - 1, 2**31, (1 << 20) + 1])
def test_a_length_of_gigabytes_is_refused_before_it_is_read(tmp_path, length):
    text = "one of a length that no other has"
    path = make(tmp_path / "x.h5", a=text)
    claim(path, text, length)
    peak = f"import re\nfrom refengine.network.read_hdf5 import open_checked\n" \
           f"try:\n    with open_checked({str(path)!r}, None) as root: root.text('a')\n" \
           f"except ValueError as error: print(error)\n" \
           f"print(re.search('VmHWM: *(.*) kB', open('/proc/self/status').read().replace(chr(9), ' '))[1])"  # fmt: skip
    out = subprocess.run([sys.executable, "-c", peak], capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"attribute 'a' has {length} bytes, at most 1048576 are read" in out[0]
    assert int(out[1]) < 300_000  # KB: Python, NumPy and HDF5


def test_many_texts_of_one_attribute_and_all_texts_of_a_file(tmp_path, monkeypatch):
    path = make(tmp_path / "x.h5", lambda f: f.attrs.create("a", ["x"] * 4000, dtype=h5py.string_dtype()))
    assert "attribute 'a' is 4000 texts, needed one" in refusal(path, lambda root: root.text("a"))
    path = make(tmp_path / "y.h5", **{f"a{i}": "x" * 100 for i in range(5)})
    names = [f"a{i}" for i in range(5)]
    assert answer(path, lambda root: [root.text(name) for name in names]) == ["x" * 100] * 5
    monkeypatch.setattr(read_hdf5, "MAX_FILE_TEXT", 450)
    assert "texts larger than 450 bytes" in refusal(path, lambda root: [root.text(name) for name in names])


def test_an_object_of_very_many_attributes(tmp_path):
    def build(file):
        for i in range(read_hdf5.MAX_ATTRIBUTES + 1):
            file["group"].attrs[f"{i}"] = "x"

    path = make(tmp_path / "x.h5", lambda file: (file.create_group("group", track_order=True), build(file)))
    assert "attributes, at most 1024 are read" in refusal(path, lambda root: root.group("group").attribute_names())


def test_arrays_may_not_be_much_larger_than_their_file(tmp_path, monkeypatch):
    """Zeros pack a thousandfold: what a small file may unpack to is bounded."""
    monkeypatch.setattr(read_hdf5, "FREE_BYTES", 1 << 16)
    zeros = np.zeros((20, 50000), np.float32)
    path = make(tmp_path / "x.h5", lambda f: f.create_dataset("x", data=zeros, compression="gzip"))
    assert "that a file of this size may have" in refusal(path, lambda root: root.array("x", np.float32))
    assert "are read at once" in refusal(path, lambda root: root.dataset("x", np.float32).read(0, 20))
    assert answer(path, lambda root: root.dataset("x", np.float32).read(3, 4)).shape == (1, 50000)
    noise = np.random.default_rng(1).random((20, 5000)).astype(np.float32)
    path = make(tmp_path / "y.h5", lambda f: f.create_dataset("x", data=noise, compression="gzip"))
    assert np.array_equal(answer(path, lambda root: root.array("x", np.float32)), noise)
