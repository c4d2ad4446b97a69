"""The size of a pack is known before it is written: never too small, and not much too large."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from networks import every_op, random_images, small

from refengine.errors import FileError
from refengine.vectors.manifest import read_manifest
from refengine.vectors.size import _HEADS, amount, bytes_of, check_room, free_bytes
from refengine.vectors.text_formats import FORMATS
from refengine.vectors.writer import Layout, write_vectors

LAYOUTS = [
    {},
    {"word_bits": 128},
    {"word_bits": 64, "endian": "big"},
    {"word_bits": 100, "straddle": True},
    {"elements": 3, "first": "high"},
]


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """Packs in all formats: of a network of every operator, and of a small one in other layouts."""
    folders = []
    for number, layout in enumerate(LAYOUTS):
        network = small() if layout else every_op()
        folder = tmp_path_factory.mktemp("packs") / str(number)
        write_vectors(network, random_images(network, 3), folder, formats=FORMATS, layout=Layout(**layout))
        folders.append(folder)
    return folders


@pytest.mark.parametrize("layout", range(len(LAYOUTS)))
def test_every_file_is_foreseen(packs, layout):
    for entry in read_manifest(packs[layout]).entries:
        for fmt in FORMATS:
            size, foreseen = entry.files[fmt].size, bytes_of([entry], [fmt])
            assert size <= foreseen <= 1.5 * size + 2 * _HEADS, (fmt, entry.tensor.name, size, foreseen)


def test_sizes_of_formats_and_tensors_add_up(packs):
    """Formats and tensors add up."""
    entries = read_manifest(packs[0]).entries
    assert bytes_of(entries, FORMATS) == sum(bytes_of([entry], [fmt]) for entry in entries for fmt in FORMATS)


def test_a_disk_without_room_is_refused_before_anything_runs(tmp_path, monkeypatch):
    network = small()
    monkeypatch.setattr("refengine.vectors.size.free_bytes", lambda _: 5000)
    monkeypatch.setattr("refengine.vectors.writer.write_trace", lambda *_, **__: pytest.fail("it ran"))
    with pytest.raises(
        FileError, match=r"pack: the pack takes .* kB and .* while it is written, 5\.0 kB are free; fewer"
    ):
        write_vectors(network, random_images(network, 40), tmp_path / "pack")
    assert list(tmp_path.iterdir()) == []


def test_room_for_everything_is_no_error(packs):
    manifest = read_manifest(packs[0])
    check_room(packs[0], manifest.entries, manifest.formats, 0)
    assert free_bytes(packs[0] / "not yet there") > 0


@given(st.integers(0, 10**16))
def test_amounts_are_cut_not_rounded(size):
    number, unit = amount(size).split()
    factor = {"bytes": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}[unit]
    tenths = int(number.replace(".", "")) if "." in number else 10 * int(number)
    assert tenths * factor <= 10 * size < (tenths + 1 if unit != "bytes" else tenths + 10) * factor
