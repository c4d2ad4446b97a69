"""The reader of packs: damage is named, slices are right in any sequence, and an address leads to its integer."""

import json

import networks
import numpy as np
import pytest
from everyday import everyday

from refengine.errors import FileError, RangeError
from refengine.vectors.text_formats import FORMATS, TEXT_FORMATS
from refengine.vectors.writer import Layout, open_vectors, write_vectors

NETWORK = networks.every_op(seed=9)
IMAGES = networks.random_images(NETWORK, 4)
LAYOUT = Layout(word_bits=77, first="high", orders=["nchw"])


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    """Folders of packs by layout, each written once and only read."""
    folder, made = tmp_path_factory.mktemp("packs"), {}

    def pack(name, layout, formats=FORMATS):
        if name not in made:
            made[name] = folder / name
            write_vectors(NETWORK, IMAGES, made[name], formats=formats, layout=layout, backend="reference")
        return made[name]

    return pack


@pytest.fixture
def own(tmp_path):
    """A small pack to be damaged."""
    network = networks.small()
    write_vectors(network, networks.random_images(network, 2), tmp_path / "pack", formats=FORMATS, backend="reference")
    return tmp_path / "pack"


@pytest.mark.parametrize("fmt", FORMATS)
def test_slices_in_any_sequence(packs, fmt):
    vectors = open_vectors(packs("77", LAYOUT))
    name, stage = vectors.layers[1], "accumulator"
    whole = vectors.values(name, stage).read(0, 4)
    values = vectors.values(name, stage, fmt)
    assert (values.shape, values.dtype, len(values), values.chunk_rows) == (whole.shape, np.dtype(np.int32), 4, 1)
    for start, stop in [(0, 1), (1, 2), (3, 4), (0, 4), (2, 2), (1, 3), (1, 4), (3, 4)]:
        np.testing.assert_array_equal(values.read(start, stop), whole[start:stop])
    for start, stop in [(0, 5), (-1, 2), (2, 1)]:
        with pytest.raises(FileError, match=r"has rows 0\.\.3, asked for"):
            values.read(start, stop)


LAYOUTS = {
    "77": LAYOUT,
    "13": Layout(word_bits=13, straddle=True, orders=["nchw", "ohwi"]),
    "13 high": Layout(word_bits=13, straddle=True, first="high"),
    "64 big": Layout(word_bits=64, endian="big", code_map="offset"),
    "one": Layout(),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_addresses_lead_to_the_integer(packs, name):
    """Turn over the bit at an address, read again: this element has changed by its lowest bit, no other one has."""
    vectors = open_vectors(packs(name, LAYOUTS[name], ["readmemb"]) if name != "77" else packs(name, LAYOUT))
    rng = np.random.default_rng(4)
    for entry in vectors.manifest.entries:
        tensor, packing = entry.tensor, entry.packing
        index = tuple(int(rng.integers(size)) for size in tensor.shape)
        file, word, bit = vectors.address(tensor.name, *index)
        fmt = "readmemb" if file.endswith(".memb") else "readmemh"
        assert file == entry.files[fmt].file
        lines = (vectors.path / file).read_text().splitlines()
        base = 2 if fmt == "readmemb" else 16
        block = word // entry.block_words * entry.block_words
        words = [int(line, base) for line in lines[block : block + entry.block_words]]
        assert words[word - block].bit_length() <= packing.word_bits
        value = int(vectors.whole(tensor.name)[index])
        code = {"offset": {-1: 0, 0: 1, 1: 2}}.get(packing.code_map, {}).get(value, value)
        assert words[word - block] >> bit & 1 == code & 1
    layer, stage = vectors.layers[1], "accumulator"
    shape = vectors.shape(layer, stage)
    places = [vectors.address_of(layer, stage, *index) for index in np.ndindex(*shape)]
    assert len({*places}) == len(places)


def test_an_address_in_a_pack_of_arrays(packs):
    vectors = open_vectors(packs("npy", Layout(), ["npy"]))
    layer = vectors.layers[0]
    file, number, bit = vectors.address_of(layer, "total", 3, 1, 0, 0)
    array = np.load(vectors.path / file)
    assert (array.ravel()[number], bit) == (array[3, 1, 0, 0], 0)


def test_an_address_that_is_not_there(packs):
    vectors = open_vectors(packs("77", LAYOUT))
    layer = vectors.layers[0]
    for index in [(4, 0, 0, 0), (0, 0, 0), (0, -1, 0, 0)]:
        with pytest.raises(RangeError, match=r"has shape .*, no element"):
            vectors.address_of(layer, "code", *index)


def read_everything(folder, file):
    """Read the tensor that a file holds, or the network."""
    vectors = open_vectors(folder)
    if file == "model.h5":
        vectors.network()
    for entry in vectors.manifest.entries:
        for fmt, stored in entry.files.items():
            if stored.file == file:
                vectors.whole(entry.tensor.name, fmt)


@pytest.mark.parametrize("file", ["model.h5", *(f"001_conv/code{ending}" for ending in
                                                (".npy", *(f.extension for f in TEXT_FORMATS.values())))])  # fmt: skip
def test_one_damaged_byte_is_refused_by_name(own, file):
    good = (own / file).read_bytes()
    read_everything(own, file)
    rng = np.random.default_rng(1)
    for place in [0, len(good) - 1, *rng.integers(0, len(good), 5)]:
        (own / file).write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        with pytest.raises(FileError, match=f"pack/{file}: was changed after it was written: SHA-256"):
            read_everything(own, file)
    for content in (good[:-1], good + b"\n", b""):
        (own / file).write_bytes(content)
        with pytest.raises(FileError, match=f"pack/{file}: has {len(content)} bytes, the manifest says {len(good)}"):
            read_everything(own, file)
    (own / file).unlink()
    with pytest.raises(FileError, match=f"pack/{file}: is not a file of the pack"):
        read_everything(own, file)


@pytest.mark.parametrize("share", everyday([5, 1], 2))
def test_every_file_is_verified(own, share):
    """Whatever its format; nothing that the files hold is looked at."""
    open_vectors(own).verify()
    files = sorted(path for path in own.rglob("*") if path.is_file() and path.name != "manifest.json")
    for file in files[::share]:
        good = file.read_bytes()
        file.write_bytes(good + b" ")
        with pytest.raises(FileError, match=f"pack/{file.relative_to(own)}: has {len(good) + 1} bytes"):
            open_vectors(own).verify()
        file.write_bytes(good)


def test_a_link_out_of_the_pack_is_not_followed(own, tmp_path):
    file = own / "001_conv" / "code.npy"
    file.rename(tmp_path / "elsewhere.npy")
    file.symlink_to(tmp_path / "elsewhere.npy")
    with pytest.raises(FileError, match=r"code\.npy: is not a file of the pack"):
        read_everything(own, "001_conv/code.npy")


def forged(folder, file, content):
    """The file and, in the manifest, its digest."""
    import hashlib

    record = json.loads((folder / "manifest.json").read_text())
    for stored in (stored for tensor in record["tensors"] for stored in tensor["files"].values()):
        if stored["file"] == file:
            stored["size"], stored["sha256"] = len(content), hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(record))
    (folder / file).write_bytes(content)


@pytest.mark.parametrize("ending", everyday([made.extension for made in TEXT_FORMATS.values()], 2))
def test_a_forged_digest_does_not_help(own, ending):
    """The text is checked all the same, to its last line; and the formats against each other."""
    file = f"001_conv/code{ending}"
    good = (own / file).read_bytes()
    forged(own, file, good + b"0\n")
    with pytest.raises(FileError, match=f"code{ending}"):
        read_everything(own, file)
    with pytest.raises(FileError, match=f"code{ending}"):
        open_vectors(own).check()


def test_formats_that_differ_are_refused(own):
    forged(own, "001_conv/code.memh", b"00\n01\n02\n03\n")
    read_everything(own, "001_conv/code.memh")
    with pytest.raises(FileError, match=r"code\.mem.: holds other integers than the others"):
        open_vectors(own).check()


def test_bits_that_hold_nothing(tmp_path):
    """Padding counts: a word that differs only there is refused, with file and word."""
    network = networks.small()
    layout, images = Layout(word_bits_of=[("code", 20)]), networks.random_images(network, 1)
    write_vectors(network, images, tmp_path / "pack", formats=["readmemh"], layout=layout, backend="reference")
    file = tmp_path / "pack" / "001_conv" / "code.memh"
    forged(tmp_path / "pack", "001_conv/code.memh", b"8" + file.read_bytes()[1:])
    with pytest.raises(FileError, match=r"code\.memh: block 0: word 0 is 0x08"):
        read_everything(tmp_path / "pack", "001_conv/code.memh")


def test_a_pack_with_another_network_is_refused(own, tmp_path):
    record = json.loads((own / "manifest.json").read_text())
    record["model_hash"] = 64 * "0"
    (own / "manifest.json").write_text(json.dumps(record))
    with pytest.raises(FileError, match=r"model\.h5: is network .*, the manifest names 000"):
        open_vectors(own).network()


def test_what_a_pack_does_not_hold(own):
    vectors = open_vectors(own)
    for call, needle in [
        (lambda: vectors.stages("nosuch"), "has no layer 'nosuch'"),
        (lambda: vectors.read("001_conv", "partial_sums", 0, 1), "has no tensor '001_conv/partial_sums'"),
        (lambda: vectors.values("001_conv", "code", "zip"), "is not written as zip, it is as npy, readmemh"),
    ]:
        with pytest.raises(FileError, match=needle):
            call()
