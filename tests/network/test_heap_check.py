"""Heaps of texts that HDF5 would trip over, and heaps as it writes them."""

import h5py
import numpy as np
import pytest

from refengine.network.heap_check import heaps_are_sound


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.h5"


def heap(*objects, size=4096):
    """A heap of (number, size) objects at the start of an otherwise empty file."""
    made = bytearray(b"GCOL\x01\0\0\0" + size.to_bytes(8, "little"))
    for number, length in objects:
        made += number.to_bytes(8, "little") + (length % 2**64).to_bytes(8, "little")
        made += bytes((length + 7) // 8 * 8 if number and 0 <= length < size else 0)
    made = made[:size]
    return bytes(made) + bytes(size - len(made))


@pytest.mark.parametrize(
    "objects",
    [
        [(0, 4080)],
        [(1, 5), (2, 0), (0, 4080 - 24 - 16)],
        [(1, 4064)],
        [(1, 4057)],
        [(1, 4048), (0, 16)],
        [(1, 4056)],
    ],
)
def test_a_sound_heap_passes(path, objects):
    path.write_bytes(b"before" + heap(*objects) + b"behind")
    assert heaps_are_sound(path)


@pytest.mark.parametrize(
    "objects",
    [
        [(0, 0)],
        [(0, 4088)],
        [(1, 4065)],
        [(1, 5), (0, 0)],
        [(1, -16)],
        [(1, -8)],
        [(1, -1)],
        [(1, 2**63)],
        [(1, 2**32)],
    ],
)
def test_a_damaged_heap_is_refused(path, objects):
    path.write_bytes(b"before" + heap(*objects) + b"behind")
    assert not heaps_are_sound(path)


def test_what_the_library_refuses_itself_is_left_to_it(path):
    path.write_bytes(heap((0, 0))[:4000])  # longer than the file
    assert heaps_are_sound(path)
    path.write_bytes(b"GCOL\x01")
    assert heaps_are_sound(path)


def test_heaps_in_heaps_do_not_take_for_ever(path, monkeypatch):
    path.write_bytes((b"GCOL\x01\0\0\0" + (4096).to_bytes(8, "little")) * 1000)
    assert not heaps_are_sound(path)
    monkeypatch.setattr("refengine.network.heap_check.MAX_OBJECTS", 5)
    path.write_bytes(heap(*[(1, 8)] * 4, (0, 4080 - 4 * 24)))
    assert not heaps_are_sound(path)


@pytest.mark.parametrize("libver", ["earliest", "v110", "latest"])
def test_real_heaps_are_sound_however_they_came_about(path, libver):
    rng = np.random.default_rng(0)
    lengths = [0, 1, 7, 8, 9, 4060, 4063, 4064, 4065, 5000, 30_000]
    with h5py.File(path, "w", libver=libver) as file:
        for step in range(600):
            file.attrs[f"a{rng.integers(20)}"] = "x" * int(rng.choice(lengths))
            if step % 7 == 0 and (gone := f"a{rng.integers(20)}") in file.attrs:
                del file.attrs[gone]
        file["texts"] = ["y" * int(n) for n in rng.choice(lengths[:6], 300)]
    assert path.read_bytes().count(b"GCOL\x01") > 3
    assert heaps_are_sound(path)
