"""Files of numbers: what each ending is, and what a file says before the golden is asked for the rest."""

import numpy as np
import pytest

from refengine.errors import FileError
from refengine.golden.dumps.expected import of_array
from refengine.golden.dumps.number_files import ENDINGS, NumberFile, fitted_file, is_number_file
from refengine.golden.dumps.reading import Reading, reading

CODES = of_array((1, 2, 2, 3), np.dtype(np.uint8))
VALUES = np.arange(7, 19, dtype=np.uint8).reshape(CODES.shape)


def read(path, reading=None, expected=CODES):
    found, notes = fitted_file(NumberFile(path, path.name), expected, reading or Reading(), "code")
    return found.read(0, expected.images), notes


def test_files_of_numbers_are_recognised_by_their_ending():
    assert all(is_number_file(f"L.code{ending.upper()}") for ending in ENDINGS)
    assert not any(is_number_file(f"L.code{ending}") for ending in (".npy", ".h5", ".log", ""))


@pytest.mark.parametrize("ending", [".txt", ".dat", ".csv"])
@pytest.mark.parametrize("form", ["coe", "mif"])
def test_memories_of_tools_are_known_by_their_words(tmp_path, ending, form):
    words = [f"{value:02x}" for value in VALUES.reshape(-1)]
    text = "memory_initialization_radix=16;\nmemory_initialization_vector=\n" + ",".join(words) + ";"
    if form == "mif":
        text = "WIDTH=8;\nDEPTH=12;\nADDRESS_RADIX=HEX;\nDATA_RADIX=HEX;\nCONTENT BEGIN\n"
        text += "".join(f"{n:x} : {word};\n" for n, word in enumerate(words)) + "END;\n"
    path = tmp_path / f"code{ending}"
    path.write_text(text)
    values, notes = read(path)
    assert np.array_equal(values, VALUES)
    assert not notes


@pytest.mark.parametrize(
    ("width", "depth", "needle"),
    [
        (8, 11, "has a word at address 11, its DEPTH is 11"),
        (4, 12, "word 9 holds 16, its WIDTH is 4 bits"),
        (5, 12, None),
        (64, 1000, None),
    ],
)
@pytest.mark.parametrize("radix", ["HEX", "UNS"])
def test_a_memory_that_holds_more_than_its_head_says(tmp_path, width, depth, radix, needle):
    text = f"WIDTH={width};\nDEPTH={depth};\nADDRESS_RADIX=UNS;\nDATA_RADIX={radix};\n\nCONTENT BEGIN\n"
    text += "".join(f"{n} : {value:{'x' if radix == 'HEX' else 'd'}};\n" for n, value in enumerate(VALUES.reshape(-1)))
    (tmp_path / "code.mif").write_text(text + "END;\n")
    if needle is None:
        assert np.array_equal(read(tmp_path / "code.mif")[0], VALUES)
        return
    with pytest.raises(FileError, match=needle):
        read(tmp_path / "code.mif")


def test_a_memory_of_a_tool_with_repeated_words(tmp_path):
    path = tmp_path / "code.mif"
    head = "-- by Quartus\nWIDTH=8;\nDEPTH=12;\nADDRESS_RADIX=UNS;\nDATA_RADIX=UNS;\nCONTENT BEGIN\n"
    path.write_text(head + "0 : 1 2 3;\n[3..10] : 4;\n11 : 5;\nEND;\n")
    assert read(path)[0].reshape(-1).tolist() == [1, 2, 3, *[4] * 8, 5]


@pytest.mark.parametrize("dtype", ["<u4", ">u4", "<u2", ">u2", "u1"])
def test_raw_words_whose_size_says_their_width(tmp_path, dtype):
    path = tmp_path / "code.bin"
    path.write_bytes(VALUES.astype(dtype).tobytes())
    values, notes = read(path)
    assert np.array_equal(values, VALUES)
    assert any("highest byte first" in note for note in notes) == dtype.startswith(">")


def test_numbers_that_have_no_sign(tmp_path):
    signed = of_array(CODES.shape, np.dtype(np.int8))
    path = tmp_path / "code.txt"
    path.write_text("\n".join(str(value) for value in range(125, 137)))
    values, notes = read(path, expected=signed)
    assert values.reshape(-1).tolist() == [125, 126, 127, *range(-128, -119)]
    assert "no number has a sign" in notes[0]
    path.write_text("\n".join(str(value) for value in [-1, *range(126, 137)]))
    assert read(path, expected=signed)[0].reshape(-1).tolist() == [-1, *range(126, 137)]


def test_columns_that_have_no_names(tmp_path):
    path = tmp_path / "code.txt"
    path.write_text("".join(f"{value * 3} {value}\n" for value in VALUES.reshape(-1)))
    with pytest.raises(FileError, match="has 2 numbers a line, --column NUMBER"):
        read(path)
    assert np.array_equal(read(path, Reading(column="1"))[0], VALUES)


def test_addresses_that_begin_elsewhere(tmp_path):
    path = tmp_path / "code.memh"
    path.write_text("@100\n" + "\n".join(f"{value:02x}" for value in VALUES.reshape(-1)))
    with pytest.raises(FileError, match="addresses begin at 0x100, needed 0x0: --base 0x100 reads them"):
        read(path)
    assert np.array_equal(read(path, reading(base="0x100"))[0], VALUES)
    with pytest.raises(FileError, match="--base says that word 0 is at 0x101"):
        read(path, reading(base="257"))


def test_a_file_of_numbers_alone_is_no_array(tmp_path):
    with pytest.raises(FileError, match="which a golden must give a shape"):
        NumberFile(tmp_path / "code.txt", "code.txt").read(0, 1)


SUMS = of_array((1, 2, 2, 3), np.dtype(np.int32))
TOTALS = np.array([-5, 17, -1444, 0, 1, -2, 300, -70000, 90000, -1, 5, -6]).reshape(SUMS.shape)
AS_24_BITS = {
    "0x, six digits": (".hex", [f"0x{value & 0xFFFFFF:06x}" for value in TOTALS.reshape(-1)], False),
    "0x, as many digits as needed": (".hex", [f"0x{value & 0xFFFFFF:x}" for value in TOTALS.reshape(-1)], True),
    "eight digits": (".hex", [f"{value & 0xFFFFFF:08x}" for value in TOTALS.reshape(-1)], True),
    "decimal without a sign": (".txt", [f"{value & 0xFFFFFF}" for value in TOTALS.reshape(-1)], True),
}


@pytest.mark.parametrize("form", AS_24_BITS)
def test_negative_numbers_of_fewer_bits(tmp_path, form):
    """A word of six digits has its sign in bit 23; where nothing says the width, the option that does is named."""
    ending, words, asked = AS_24_BITS[form]
    (tmp_path / f"sums{ending}").write_text("\n".join(words) + "\n")
    values, notes = read(tmp_path / f"sums{ending}", reading(word_bits=24), SUMS)
    assert np.array_equal(values, TOTALS)
    values, notes = read(tmp_path / f"sums{ending}", expected=SUMS)
    assert np.array_equal(values, TOTALS & 0xFFFFFF if asked else TOTALS)
    assert ("--word-bits 24 reads them" in " ".join(notes)) == asked


@pytest.mark.parametrize("largest", [1 << 22, (1 << 24) - 1])
def test_positive_numbers_are_not_taken_for_negative_ones(tmp_path, largest):
    values = np.linspace(0, largest, 12).astype(np.int64)
    (tmp_path / "sums.txt").write_text("\n".join(map(str, values)) + "\n")
    found, notes = read(tmp_path / "sums.txt", expected=SUMS)
    assert np.array_equal(found.reshape(-1), values)
    assert "--word-bits" not in " ".join(notes)


def test_texts_that_are_no_raw_words(tmp_path):
    text = "\n".join(map(str, VALUES.reshape(-1)))
    for codec in ("utf-16", "utf-16-be"):
        mark = b"" if codec == "utf-16" else b"\xfe\xff"
        (tmp_path / "code.txt").write_bytes(mark + text.encode(codec))
        with pytest.raises(FileError, match=r"code\.txt: is text in UTF-16"):
            read(tmp_path / "code.txt")
    (tmp_path / "code.txt").write_text("// größe\n" + text, encoding="utf-8")
    assert np.array_equal(read(tmp_path / "code.txt")[0], VALUES)
    (tmp_path / "code.txt").write_text(text.replace("9", "9µ"), encoding="utf-8")
    with pytest.raises(FileError, match="line 3"):
        read(tmp_path / "code.txt")


def test_raw_words_that_are_no_text(tmp_path):
    for values in (VALUES, np.full_like(VALUES, 0xF6), (VALUES + 200).astype(np.uint8)):
        (tmp_path / "code.dat").write_bytes(values.tobytes())
        assert np.array_equal(read(tmp_path / "code.dat")[0], values)


@pytest.mark.parametrize("bits", [20, 24, 32])
def test_words_of_binary_digits_in_a_text(tmp_path, bits):
    text = "\n".join(f"{value & ((1 << bits) - 1):0{bits}b}" for value in TOTALS.reshape(-1))
    (tmp_path / "sums.txt").write_text(text)
    assert np.array_equal(read(tmp_path / "sums.txt", expected=SUMS)[0], TOTALS)


def test_a_comment_of_vhdl_names_no_columns(tmp_path):
    (tmp_path / "code.txt").write_text("-- written by a testbench\n" + "\n".join(map(str, VALUES.reshape(-1))))
    assert np.array_equal(read(tmp_path / "code.txt")[0], VALUES)
