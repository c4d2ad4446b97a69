"""What simulators, testbenches and tools write, from the file to the verdict: each situation right, and with a bug.

The writers here are a few lines of plain Python each and know nothing of the readers.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import h5py
import numpy as np
import pytest
from golden_cases import conv_case
from networks import random_images
from verbs import refengine, refusal

from refengine.golden.compare.compare import compare
from refengine.golden.compare.pairs import Rules
from refengine.golden.dumps.dut import open_dut
from refengine.golden.dumps.open_dump import open_dump
from refengine.golden.dumps.reading import reading
from refengine.vectors.writer import Layout, write_vectors

LAYER, BARE = "003_conv", "conv"
STAGES = {"code": 8, "accumulator": 32, "total": 64}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Packs of one layer: unsigned codes, signed codes, words of four codes, and one of two images; the arrays."""
    folder = tmp_path_factory.mktemp("packs")
    arrays = {}
    for name, options, layout, count in (
        ("pack", {}, Layout(), 1),
        ("signed", {"activation": "none", "signed": True}, Layout(), 1),
        ("packed", {}, Layout(word_bits_of=[("*/code", 32)]), 1),
        ("high", {}, Layout(word_bits_of=[("*/code", 32)], first="high"), 1),
        ("nchw", {}, Layout(orders=["nchw"]), 1),
        ("two", {}, Layout(), 2),
    ):
        network = conv_case(3, inputs=4, outputs=12, size=(6, 8), cluster=4, shift=15, **options).network
        write_vectors(network, random_images(network, count), folder / name, layers=[LAYER], layout=layout)
        arrays[name] = {stage: np.load(folder / name / LAYER / f"{stage}.npy") for stage in STAGES}
    assert arrays["pack"]["code"].shape == (1, 6, 8, 12)
    assert arrays["signed"]["code"].min() < 0 < arrays["signed"]["code"].max()
    assert len(np.unique(arrays["pack"]["code"])) > 40
    return folder, arrays


@pytest.fixture
def arrays(made, tmp_path, monkeypatch):
    """The arrays of each pack, which lie in the current directory."""
    monkeypatch.chdir(tmp_path)
    for path in made[0].iterdir():
        (tmp_path / path.name).symlink_to(path)
    return made[1]


def unsigned(values, bits):
    return [int(value) & (2**bits - 1) for value in np.asarray(values).reshape(-1)]


def hexadecimal(values, bits, digits=None):
    return [f"{value:0{digits or -(-bits // 4)}x}" for value in unsigned(values, bits)]


def lines(words):
    return "".join(f"{word}\n" for word in words)


def compared(pack, dut, *options):
    return refengine("compare", pack, dut, *options)


def differences(pack, dut, how):
    """How many values differ, by the comparison itself, which is asked for no cause."""
    with open_dump(pack) as golden, open_dut(dut, golden, how) as dump:
        return compare(golden, dump, Rules(any_integer_type=how.any_integer_type))


def assert_verdicts(pack, write, values, path="dut", notes=(), **how):
    """``write(values)`` leaves what a DUT wrote: EQUAL for the right values, DIFFERENT where one is wrong."""
    for place in (None, 0, values.size // 2, values.size - 1):
        changed = values.copy()
        if place is not None:
            changed.reshape(-1)[place] ^= 1
        if os.path.isdir(path):
            shutil.rmtree(path)
        write(changed)
        found = differences(pack, path, reading(**how))
        if place is not None:
            assert found.verdict == "DIFFERENT", found
            assert found.first[1].entire.different == 1
            assert np.ravel_multi_index(found.first[1].entire.first.index, values.shape) == place
            continue
        assert found.equal, found
        assert found.first is None
        assert [layer.stages[0].entire.values for layer in found.compared] == [576]
        for note in notes:
            assert any(note in said for said in found.notes), found.notes


def in_folder(name, text):
    """Write a text or bytes as a file of the folder ``dut``."""
    path = Path("dut") / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


# ------------------------------------------------------------------------------------------ text, from file to verdict

TEXTS = {
    "memh": lambda v, b: lines(hexadecimal(v, b)),
    "mem": lambda v, b: lines(hexadecimal(v, b)),
    "hex": lambda v, b: lines(hexadecimal(v, b)).upper(),
    "memb": lambda v, b: lines(f"{one:0{b}b}" for one in unsigned(v, b)),
    "txt": lambda v, b: lines(int(one) for one in v.reshape(-1)),
    "dat": lambda v, b: "  ".join(str(int(one)) for one in v.reshape(-1)),
    "csv": lambda v, b: lines(",".join(str(int(one)) for one in row) for row in v.reshape(-1, 12)),
    "coe": lambda v, b: "memory_initialization_radix = 10;\nmemory_initialization_vector =\n"
    + ", ".join(str(one) for one in unsigned(v, b)) + ";\n",
    "mif": lambda v, b: f"WIDTH={b};\nDEPTH={v.size};\nADDRESS_RADIX=DEC;\nDATA_RADIX=HEX;\nCONTENT BEGIN\n"
    + "".join(f"{n} : {word};\n" for n, word in enumerate(hexadecimal(v, b))) + "END;\n",
}  # fmt: skip


@pytest.mark.parametrize("pack", ["pack", "signed"])
@pytest.mark.parametrize("ending", TEXTS)
@pytest.mark.parametrize("name", [f"{LAYER}.code", f"{BARE}/code"])
def test_a_text_of_each_ending_needs_no_option(arrays, pack, ending, name):
    write = TEXTS[ending]
    assert_verdicts(pack, lambda v: in_folder(f"{name}.{ending}", write(v, 8)), arrays[pack]["code"])


@pytest.mark.parametrize("ending", ["txt", "dat", "csv"])
@pytest.mark.parametrize("form", ["hex", "memb"])
def test_content_decides_the_radix_of_a_text(arrays, ending, form):
    write = TEXTS[form]
    assert_verdicts("signed", lambda v: in_folder(f"{LAYER}.code.{ending}", write(v, 8)), arrays["signed"]["code"])


@pytest.mark.parametrize("stage", ["accumulator", "total"])
@pytest.mark.parametrize("form", ["memh", "memb", "txt"])
def test_sums_are_read_at_the_width_of_the_stage_and_wider(arrays, stage, form):
    values = arrays["pack"][stage].astype(np.int64)
    assert values.min() < 0 < values.max()
    for bits in (32, 64) if stage == "accumulator" else (48, 64):
        write = TEXTS[form]
        assert_verdicts("pack", lambda v: in_folder(f"{LAYER}.{stage}.{form}", write(v, bits)), values)  # noqa: B023


def test_signed_codes_in_wider_words(arrays):
    """Sign-extended or filled up with zeros, which is said; a file that does both has wrong words."""
    code = arrays["signed"]["code"]
    name = f"{LAYER}.code.memh"
    assert_verdicts("signed", lambda v: in_folder(name, lines(hexadecimal(v, 32))), code)
    notes = ["integers of 8 bits in words of 32, filled up with zeros"]
    assert_verdicts("signed", lambda v: in_folder(name, lines(hexadecimal(v, 8, 8))), code, notes=notes)
    words = hexadecimal(code, 32)
    place = next(n for n, word in enumerate(words) if word[0] == "f")
    in_folder(name, lines([*words[:place], f"000000{words[place][-2:]}", *words[place + 1 :]]))
    assert "DIFFERENT: 1 of 576" in compared("signed", "dut").out


def test_a_negative_word_of_an_unsigned_stage_is_no_code(arrays):
    """0xffffff85 is -123 in a register of 32 bits, and not the code 0x85."""
    code = arrays["pack"]["code"]
    words = hexadecimal(code, 32)
    place = next(n for n, value in enumerate(code.reshape(-1)) if value > 127)
    words[place] = "ffffff" + words[place][-2:]
    in_folder(f"{LAYER}.code.memh", lines(words))
    assert "DIFFERENT: 1 of 576" in compared("pack", "dut").out


def test_a_number_that_no_code_is(arrays):
    code = arrays["pack"]["code"].astype(int)
    code.reshape(-1)[7] += 256
    for ending, text in (("txt", lines(code.reshape(-1))), ("hex", lines(f"{one:03x}" for one in code.reshape(-1)))):
        shutil.rmtree("dut", ignore_errors=True)
        in_folder(f"{LAYER}.code.{ending}", text)
        outcome = compared("pack", "dut")
        assert "DIFFERENT: 1 of 576" in outcome.out
        assert f", got {code.reshape(-1)[7]} = " in outcome.out


# ------------------------------------------------------------------------------------------------------ $writememh


def as_icarus(words):
    """Comments with addresses, upper case, underscores, CRLF, no last newline."""
    text = ""
    for n, word in enumerate(words):
        text += f"// 0x{n:08x}\r\n" if n % 16 == 0 else ""
        text += f"{word[:1]}_{word[1:]}\r\n".upper()
    return text.rstrip()


def at_addresses(words):
    """Blocks of words in any order, each after its address."""
    blocks = [(n, words[n : n + 50]) for n in range(0, len(words), 50)]
    return "".join(f"@{n:X} {' '.join(block)}\n" for n, block in blocks[::-1])


@pytest.mark.parametrize("written", [as_icarus, at_addresses])
def test_files_of_writememh_are_read(arrays, written):
    code = arrays["pack"]["code"]
    assert_verdicts("pack", lambda v: in_folder(f"{LAYER}.code.memh", written(hexadecimal(v, 8))), code)


HABITS = {
    "the prefix '0x'": lambda words: lines(f"0x{word}" for word in words),
    "a byte order mark": lambda words: "\ufeff" + lines(words),
    "a comment after '#'": lambda words: "# by hand\n" + lines(words),
    "a blank after '@'": lambda words: "@ 0\n" + lines(words),
    "',' after a word": lambda words: ",\n".join(words) + "\n",
    "a literal of Verilog, 8'h..., is": lambda words: lines(f"8'h{word}" for word in words),
}


@pytest.mark.parametrize("habit", HABITS)
def test_habits_that_are_not_legal_are_named(arrays, habit):
    notes = [f"dut/{LAYER}.code.memh: line 1: {habit.removesuffix(' is')} is not legal there"]
    write = HABITS[habit]
    assert_verdicts(
        "pack", lambda v: in_folder(f"{LAYER}.code.memh", write(hexadecimal(v, 8))), arrays["pack"]["code"], notes=notes
    )


@pytest.mark.parametrize("digit", ["x", "z", "X", "Z"])
def test_unknown_bits_are_shown_and_counted_and_never_equal(arrays, digit):
    words = hexadecimal(arrays["pack"]["code"], 8)
    for place, word in ((5, words[5][0] + digit), (17, 2 * digit)):
        words[place] = word
    in_folder(f"{LAYER}.code.memh", lines(words))
    outcome = compared("pack", "dut")
    assert outcome.code == 1
    assert "DIFFERENT: 2 of 576 values differ" in outcome.out
    assert "2 words have unknown bits (x or z), the first is word 5, line 6" in outcome.out
    golden = int(arrays["pack"]["code"].reshape(-1)[5])
    assert f"(n 0, y 0, x 0, c 5): golden {golden} = " in outcome.out
    assert f"got unknown bits: 0x{words[5][0]}x = " in outcome.out
    assert f"  DUT: dut/{LAYER}.code.memh, word 5, line 6" in outcome.out


def test_unknown_bits_where_all_known_ones_are_right(arrays):
    """Reading x as 0 would make them equal."""
    code = arrays["pack"]["code"].copy()
    place = int(np.argmax((code.reshape(-1) & 15) == 0))
    for ending, words in (
        ("memh", hexadecimal(code, 8)),
        ("txt", [str(one) for one in code.reshape(-1)]),
        ("memb", [f"{one:08b}" for one in code.reshape(-1)]),
    ):
        shutil.rmtree("dut", ignore_errors=True)
        unknown = {"memh": words[place][0] + "x", "txt": "x", "memb": words[place][:4] + "xz0x"}[ending]
        in_folder(f"{LAYER}.code.{ending}", lines([*words[:place], unknown, *words[place + 1 :]]))
        outcome = compared("pack", "dut")
        assert "DIFFERENT: 1 of 576" in outcome.out, outcome
        assert "1 word has unknown bits" in outcome.out


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("00\n11\n2g\n", "line 3 holds '2g', needed digits of numbers"),
        ("00\n-1f\n", "line 2 holds '-1f', needed decimal digits"),
        ("", "is empty"),
        ("// nothing\n", "holds no number"),
        ("00\n/* 11\n", "is within a comment that does not end"),
        ("@0 11\n@0 12\n", "address 0x0 is there twice, with two different words"),
        ("@fffffff 11\n0\n@2 4\n", "has a word at address 0x10000000"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_its_place(arrays, text, needle):
    in_folder(f"{LAYER}.code.txt", text)
    outcome = compared("pack", "dut")
    assert outcome.code == 1
    assert "nothing compared" in outcome.out
    assert re.search(rf"^{LAYER} code: dut/{LAYER}.code.txt: .*{re.escape(needle)}", outcome.out, re.MULTILINE)


# ---------------------------------------------------------------------------------------------------- too few, too many


def test_words_that_are_too_many_or_too_few(arrays):
    words = hexadecimal(arrays["pack"]["code"], 8)
    for text, verdict, sentence in (
        (
            lines(words[:-1]),
            "INCOMPLETE: 1 layer, 575 values agree",
            "holds 575 words, needed 576: word 575 is missing",
        ),
        (lines(words[:100]), "INCOMPLETE: 1 layer, 100 values agree", "words 100..575 are missing"),
        (lines([*words, "00", "11"]), "DIFFERENT: 0 of 576", "words 576..577 are more than there should be"),
        (f"{lines(words[:9])}@a\n{lines(words[10:])}", "575 values agree", "1 word is missing, the first is word 9"),
    ):
        in_folder(f"{LAYER}.code.memh", text)
        outcome = compared("pack", "dut")
        assert outcome.code == 1
        assert verdict in outcome.out, outcome.out
        assert sentence in outcome.out
        assert f"{LAYER}.code.memh: " in outcome.out


@pytest.mark.parametrize("place", [4, 203, 520])
def test_a_word_that_comes_twice_and_one_that_is_lost(arrays, place):
    words = hexadecimal(arrays["pack"]["code"], 8)
    place += next(n for n in range(50) if len({*words[place + n : place + n + 3]}) == 3)
    twice = [*words[: place + 1], *words[place:]]
    for text, sentence in (
        (twice, f"word {place + 1} repeats the one before, and every later word comes one late"),
        (twice[:-1], f"word {place + 1} repeats the one before, and every later word comes one late"),
        ([*words[:place], *words[place + 1 :]], f"word {place} is lost, and every later word comes one early"),
    ):
        in_folder(f"{LAYER}.code.memh", lines(text))
        outcome = compared("pack", "dut")
        assert outcome.code == 1
        assert sentence in outcome.out, outcome.out


def test_one_image_of_two(arrays):
    two = arrays["two"]["code"]
    in_folder(f"{LAYER}.code.txt", lines(two[0].reshape(-1)))
    outcome = compared("two", "dut")
    assert (outcome.code, "INCOMPLETE: 1 layer, 576 values agree" in outcome.out) == (1, True), outcome
    assert "words 576..1151 are missing (1 of 2 images)" in outcome.out
    in_folder(f"{LAYER}.code.txt", lines(two.reshape(-1)))
    assert compared("two", "dut").code == 0


# ------------------------------------------------------------------------------------------------------------ raw words


@pytest.mark.parametrize("dtype", ["u1", "<u2", ">u2", "<i4", ">i4", "<i8", ">i8"])
@pytest.mark.parametrize("ending", ["bin", "raw", "dat"])
def test_raw_words_of_codes_need_no_option(arrays, dtype, ending):
    path = f"{LAYER}.code.{ending}"
    assert_verdicts("pack", lambda v: in_folder(path, v.astype(dtype).tobytes()), arrays["pack"]["code"])


@pytest.mark.parametrize("dtype", ["<i4", ">i4", "<i8", ">i8"])
def test_raw_words_of_sums(arrays, dtype):
    """Where either byte may be the first, the lowest is, unless an option says otherwise."""
    values = arrays["pack"]["accumulator"]
    option = ["--endian", "big"] if dtype == ">i4" else []
    path = f"{LAYER}.accumulator.bin"
    assert_verdicts(
        "pack", lambda v: in_folder(path, v.astype(dtype).tobytes()), values, endian="big" if option else None
    )
    if option:
        in_folder(path, values.astype(dtype).tobytes())
        outcome = compared("pack", "dut")
        assert outcome.code == 1
        assert "--endian big" in outcome.out


def test_raw_words_of_three_bytes(arrays):
    """A width that no integer of a machine has."""
    values = arrays["pack"]["accumulator"]
    assert abs(values).max() < 2**23

    def write(v):
        octets = v.astype("<i4").view(np.uint8).reshape(-1, 4)[:, :3]
        in_folder(f"{LAYER}.accumulator.bin", octets.tobytes())

    write(values)
    outcome = compared("pack", "dut", "--word-bits", "24")
    assert outcome.code == 0, outcome
    wrong = values.copy()
    wrong.reshape(-1)[9] ^= 4
    write(wrong)
    assert compared("pack", "dut", "--word-bits", "24").code == 1


def test_raw_words_that_are_cut(arrays):
    data = arrays["pack"]["accumulator"].astype("<i4").tobytes()
    in_folder(f"{LAYER}.accumulator.bin", data[:-4])
    outcome = compared("pack", "dut")
    assert "holds 575 words, needed 576: word 575 is missing" in outcome.out
    assert "INCOMPLETE" in outcome.out
    in_folder(f"{LAYER}.accumulator.bin", data[:-3])
    assert "has 2301 bytes, needed a multiple of 4" in compared("pack", "dut").out


# ------------------------------------------------------------------------------------------------- one file, and tables


def test_one_file_alone_is_read_by_its_name(arrays):
    code = arrays["pack"]["code"]
    Path("code.txt").write_text(lines(code.reshape(-1)))
    Path(f"{LAYER}.code.hex").write_text(lines(hexadecimal(code, 8)))
    np.save("row.npy", code.reshape(-1))
    shutil.copy("row.npy", f"{BARE}.code.npy")
    os.makedirs(f"sim/{LAYER}")
    shutil.copy("code.txt", f"sim/{LAYER}/code.txt")
    for arguments in (
        ["code.txt", "--layer", BARE, "--stage", "code"],
        ["code.txt", "--layer", LAYER],
        ["code.txt"],
        [f"{LAYER}.code.hex"],
        ["row.npy", "--layer", LAYER, "--stage", "code"],
        [f"{BARE}.code.npy"],
        [f"sim/{LAYER}/code.txt"],
    ):
        outcome = compared("pack", *arguments)
        assert (outcome.code, "EQUAL: 1 layer, 576 values" in outcome.out) == (0, True), outcome
    Path("code.txt").write_text(lines((code ^ 1).reshape(-1)))
    assert compared("pack", "code.txt", "--layer", LAYER, "--stage", "code").code == 1


def test_one_file_whose_layer_nothing_says(arrays, made):
    network = conv_case(3, inputs=4, outputs=12, size=(6, 8), cluster=4, shift=15).network
    write_vectors(network, random_images(network, 1), Path("whole"))
    Path("code.txt").write_text(lines(arrays["pack"]["code"].reshape(-1)))
    assert "of which layer is it? --layer says it" in refusal("compare", "whole", "code.txt")
    assert compared("whole", "code.txt", "--layer", LAYER).code == 0
    line = refusal("compare", "whole", "code.txt", "--layer", "003_cone")
    assert "the nearest is '003_conv'" in line
    shutil.copy("code.txt", f"{LAYER}.code.txt")
    assert "is called after layer" in refusal("compare", "whole", f"{LAYER}.code.txt", "--layer", "001_read")
    assert "--stage says total" in refusal("compare", "whole", f"{LAYER}.code.txt", "--stage", "total")


@pytest.mark.slow
def test_tables_are_read_by_their_columns(arrays):
    code = arrays["pack"]["code"]
    places = [(n, *index, value) for n, (index, value) in enumerate(np.ndenumerate(code[0]))]
    rows = [f"{n},{y},{x},{c},{value}" for n, y, x, c, value in places]
    for head, options, right in (
        ("index,y,x,c,code", [], True),
        ("index,y,x,c,value", [], True),
        ('"index","y","x","c","mine"', [], True),
        ("a,b,c,d,e", ["--column", "e"], True),
        ("a,b,c,d,e", ["--column", "4"], True),
        ("a,b,c,d,e", ["--column", "a"], False),
    ):
        in_folder(f"{LAYER}.code.csv", "\n".join([head, *rows]))
        assert (compared("pack", "dut", *options).code == 0) == right, head
    assert "has the columns a, b, c, d, e, --column NAME says which" in compared("pack", "dut").out
    assert "has no column 'f'" in compared("pack", "dut", "--column", "f").out
    wrong = [*rows[:-1], rows[-1] + "1"]
    in_folder(f"{LAYER}.code.csv", "\n".join(["index,y,x,c,code", *wrong]))
    assert compared("pack", "dut").code == 1


# -------------------------------------------------------------------------------------------------- words of four codes


def packed_words(values, high=False):
    """Words of 32 bits, the first of four codes in the low bits or in the high ones."""
    groups = np.asarray(values).reshape(-1, 4).astype(np.uint8)
    return np.ascontiguousarray(groups[:, ::-1] if high else groups).view("<u4").reshape(-1)


@pytest.mark.parametrize("pack", ["packed", "high"])
def test_words_of_four_codes_as_the_manifest_has_them(arrays, pack):
    high = pack == "high"
    code = arrays[pack]["code"]
    in_text = lambda v: in_folder(f"{LAYER}.code.memh", lines(f"{word:08x}" for word in packed_words(v, high)))  # noqa: E731
    assert_verdicts(pack, in_text, code)
    raw = lambda v: in_folder(f"{LAYER}.code.bin", packed_words(v, high).tobytes())  # noqa: E731
    assert_verdicts(pack, raw, code)
    one_a_word = lambda v: in_folder(f"{LAYER}.code.txt", lines(v.reshape(-1)))  # noqa: E731
    assert_verdicts(pack, one_a_word, code)


def test_words_of_four_codes_that_no_manifest_says(arrays):
    code, path = arrays["pack"]["code"], Path("dut") / f"{LAYER}.code.npy"

    def save(v, high=False, shape=(-1,)):
        path.parent.mkdir(exist_ok=True)
        np.save(path, packed_words(v, high).reshape(shape))

    notes = ["each word of 32 bits holds 4 integers, the first in the low bits (--pack 4,high-first"]
    assert_verdicts("pack", save, code, notes=notes)
    assert_verdicts("pack", lambda v: save(v, shape=(1, 6, 8, 3)), code, notes=notes)
    in_text = lambda v: in_folder(f"{LAYER}.code.hex", lines(f"{word:08x}" for word in packed_words(v)))  # noqa: E731
    shutil.rmtree("dut")
    assert_verdicts("pack", in_text, code, notes=notes)
    shutil.rmtree("dut")
    save(code, high=True)
    outcome = compared("pack", "dut")
    assert outcome.code == 1
    assert "--pack 4,high-first" in outcome.out.splitlines()[-1]
    assert compared("pack", "dut", "--pack", "4,high-first").code == 0
    assert compared("pack", "dut", "--pack", "4").code == 1


def test_unknown_bits_in_a_word_of_four_codes(arrays):
    words = [f"{word:08x}" for word in packed_words(arrays["packed"]["code"])]
    words[2] = words[2][:4] + "xx" + words[2][6:]
    in_folder(f"{LAYER}.code.memh", lines(words))
    outcome = compared("packed", "dut")
    assert "DIFFERENT: 1 of 576" in outcome.out
    assert "(n 0, y 0, x 0, c 9)" in outcome.out


# --------------------------------------------------------------------------------------------------------------- orders


def blocked(code, block, channels_first=True):
    """N C/b H W b, or N H W C with the channels filled up with zeros."""
    n, h, w, c = code.shape
    filled = np.zeros((n, h, w, -(-c // block) * block), code.dtype)
    filled[..., :c] = code
    if not channels_first:
        return filled
    return np.ascontiguousarray(filled.reshape(n, h, w, -1, block).transpose(0, 3, 1, 2, 4))


ORDERS = {
    "NCHW": lambda code: np.ascontiguousarray(code.transpose(0, 3, 1, 2)),
    "NCHW4c": lambda code: blocked(code, 4),
    "NCHW8c": lambda code: blocked(code, 8),
    "NHWC8c": lambda code: blocked(code, 8, False),
    "NHWC16c": lambda code: blocked(code, 16, False),
    "NWHC": lambda code: np.ascontiguousarray(code.transpose(0, 2, 1, 3)),
}


SAME_ORDER = {"NHWC16c": "NHWC8c"}  # twelve channels are filled up to sixteen either way


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_orders_are_read_and_the_one_that_fits_is_said(arrays, order, flat):
    code, path = arrays["pack"]["code"], Path("dut") / f"{LAYER}.code.npy"

    def save(v):
        path.parent.mkdir(exist_ok=True)
        stored = ORDERS[order](v)
        np.save(path, stored.reshape(-1) if flat else stored)

    assert_verdicts("pack", save, code, order=order)
    save(code)
    outcome = compared("pack", "dut")
    assert outcome.code == 1
    assert f"--order {SAME_ORDER.get(order, order)}" in outcome.out, outcome.out
    assert "cause:" not in outcome.out


@pytest.mark.parametrize("order", ORDERS)
def test_texts_in_other_orders(arrays, order):
    code = arrays["pack"]["code"]
    write = lambda v: in_folder(f"{LAYER}.code.txt", lines(ORDERS[order](v).reshape(-1)))  # noqa: E731
    assert_verdicts("pack", write, code, order=order)
    write(code)
    outcome = compared("pack", "dut")
    assert outcome.code == 1
    assert f"--order {SAME_ORDER.get(order, order)}" in outcome.out, outcome.out


def test_the_order_of_the_manifest_is_the_default(arrays):
    code = arrays["nchw"]["code"]
    write = lambda v: in_folder(f"{LAYER}.code.txt", lines(ORDERS["NCHW"](v).reshape(-1)))  # noqa: E731
    assert_verdicts("nchw", write, code, notes=["read in the order nchw, as the manifest has it"])
    in_folder(f"{LAYER}.code.txt", lines(code.reshape(-1)))
    assert compared("nchw", "dut").code == 1
    assert compared("nchw", "dut", "--order", "NHWC").code == 0


def test_channels_that_only_fill_blocks_are_zeros(arrays):
    stored = blocked(arrays["pack"]["code"], 8)
    stored[0, 1, 2, 3, 7] = 1
    Path("dut").mkdir()
    np.save(f"dut/{LAYER}.code.npy", stored)
    outcome = compared("pack", "dut", "--order", "NCHW8c")
    assert outcome.code == 1
    assert "channels from 12 on, which only fill blocks, are not 0" in outcome.out


# --------------------------------------------------------------------------------------------------------------- arrays


@pytest.mark.parametrize("shape", [(-1,), (1, -1), (-1, 1), (1, 1, -1)])
def test_flat_arrays_are_read_in_the_golden_order(arrays, shape):
    Path("dut").mkdir()
    for form in ("npy", "npz", "h5"):
        name = f"dut/{LAYER}.code.npy" if form == "npy" else f"dut.{form}"

        def save(v):
            Path("dut").mkdir(exist_ok=True)
            row = v.reshape(shape)
            if form == "npy":  # noqa: B023
                np.save(name, row)  # noqa: B023
            elif form == "npz":  # noqa: B023
                np.savez(name, **{f"{LAYER}.code": row})  # noqa: B023
            else:
                with h5py.File(name, "w") as file:  # noqa: B023
                    file[f"{LAYER}/code"] = row

        assert_verdicts("pack", save, arrays["pack"]["code"], path="dut" if form == "npy" else name)


def test_an_array_of_another_shape_is_not_taken_for_a_row(arrays):
    code = arrays["pack"]["code"]
    Path("dut").mkdir()
    np.save(f"dut/{LAYER}.code.npy", np.ascontiguousarray(code.transpose(0, 2, 1, 3)))
    outcome = compared("pack", "dut")
    assert outcome.code == 1
    assert "has shape 8x6x12, the golden 6x8x12: these are the axes N W H C, --order NWHC reads them" in outcome.out


@pytest.mark.parametrize("form", ["npy", "npz", "h5"])
def test_floats_that_are_whole_numbers(arrays, form):
    code = arrays["pack"]["code"]
    name = {"npy": f"dut/{LAYER}.code.npy", "npz": "dut.npz", "h5": "dut.h5"}[form]
    path = "dut" if form == "npy" else name

    def save(v):
        Path("dut").mkdir(exist_ok=True)
        if form == "npy":
            np.save(name, v)
        elif form == "npz":
            np.savez(name, **{f"{LAYER}.code": v})
        else:
            with h5py.File(name, "w") as file:
                file[f"{LAYER}/code"] = v

    assert_verdicts("pack", lambda v: save(v.astype(np.float32)), code, path=path, any_integer_type=True)
    save(code.astype(np.float32))
    outcome = compared("pack", path)
    assert outcome.code == 1
    assert "holds float32, needed integers; all are whole numbers: --any-integer-type compares them" in outcome.out
    save(code + np.float32(0.5))
    outcome = compared("pack", path, "--any-integer-type")
    assert outcome.code == 1
    assert "needed whole numbers" in outcome.out


def test_floats_in_a_text(arrays):
    code = arrays["pack"]["code"]
    Path("dut").mkdir()
    np.savetxt(f"dut/{LAYER}.code.txt", code.reshape(6, -1), header="by NumPy")
    assert compared("pack", "dut", "--any-integer-type").code == 0
    outcome = compared("pack", "dut")
    assert outcome.code == 1
    assert "--any-integer-type compares them" in outcome.out


# ------------------------------------------------------------------------------------------------- several forms of one


def test_forms_that_agree_and_forms_that_do_not(arrays):
    """An old right .npy beside what the simulator wrote."""
    code = arrays["pack"]["code"]
    Path("dut").mkdir()
    np.save(f"dut/{LAYER}.code.npy", code)
    in_folder(f"{LAYER}.code.memh", lines(hexadecimal(code, 8)))
    in_folder(f"{BARE}.log.txt", "nothing\n")
    outcome = compared("pack", "dut", "--ignore", "*.log.txt")
    assert outcome.code == 0, outcome
    assert "not judged: " in compared("pack", "dut").out
    for wrong in ("memh", "txt", "bin"):
        text = {
            "memh": lines(hexadecimal(code ^ 1, 8)),
            "txt": lines((code ^ 1).reshape(-1)),
            "bin": (code ^ 1).tobytes(),
        }
        in_folder(f"{LAYER}.code.{wrong}", text[wrong])
        outcome = compared("pack", "dut", "--ignore", "*.log.txt")
        assert outcome.code == 1, outcome
        assert "is another form of what was judged, and holds other integers" in outcome.out
        (Path("dut") / f"{LAYER}.code.{wrong}").unlink()


@pytest.mark.parametrize("form", ["readmemh", "readmemb", "coe", "mif"])
def test_a_simulator_that_wrote_into_a_copy_of_the_pack(arrays, form):
    network = conv_case(3, inputs=4, outputs=12, size=(6, 8), cluster=4, shift=15).network
    write_vectors(network, random_images(network, 1), Path("text"), layers=[LAYER], formats=[form])
    shutil.copytree("text", "dut")
    (path,) = Path(f"dut/{LAYER}").glob("code.*")
    ending = path.suffix[1:]
    if form == "readmemh":
        path.write_text(as_icarus(hexadecimal(arrays["pack"]["code"], 8)))
    else:
        path.write_text(TEXTS[ending](arrays["pack"]["code"], 8) + "\n")
    outcome = compared("text", "dut")
    assert outcome.code == 0, outcome
    assert f"{LAYER}/code.{ending}: changed since it was written, judged as it is" in outcome.out
    path.write_text(TEXTS[ending](arrays["pack"]["code"] ^ 1, 8))
    outcome = compared("text", "dut")
    assert (outcome.code, "goes wrong by itself" in outcome.out) == (1, True), outcome
    if form == "readmemh":
        words = hexadecimal(arrays["pack"]["code"], 8)
        path.write_text(lines([*words[:3], "xx", *words[4:]]))
        outcome = compared("text", "dut")
        assert (outcome.code, "1 word has unknown bits" in outcome.out) == (1, True), outcome


# ------------------------------------------------------------------------------------------- what may mean two things


def test_digits_that_are_decimal_or_hexadecimal(arrays):
    """The choice is said, with the option that says otherwise, and does not look at the golden."""
    values = np.minimum(arrays["pack"]["code"], 99)  # not the golden's: what matters is how it is read
    digits = [str(one) for one in values.reshape(-1)]
    in_folder(f"{LAYER}.code.txt", lines(digits))
    outcome = compared("pack", "dut", "--json", "-")
    notes = outcome.json["notes"]
    assert any("read as decimal; --radix hex reads them as hexadecimal" in note for note in notes), notes
    decimal = outcome.json["values_different"]
    assert compared("pack", "dut", "--radix", "dec", "--json", "-").json["values_different"] == decimal
    assert compared("pack", "dut", "--radix", "hex", "--json", "-").json["values_different"] > decimal
    in_folder(f"{LAYER}.code.txt", lines(f"{int(one):02d}" for one in digits))
    notes = compared("pack", "dut", "--json", "-").json["notes"]
    assert any("read as hexadecimal, because they begin with zeros; --radix dec" in note for note in notes), notes
    in_folder(f"{LAYER}.code.txt", lines(["05", "7", *digits[2:]]))
    outcome = compared("pack", "dut")
    assert "--radix dec or --radix hex says which" in outcome.out


def test_no_reading_is_chosen_because_it_is_the_goldens():
    """The module that chooses a radix is given no integer of a golden, only the width of its stage."""
    names = subprocess.run(["grep", "-c", "golden\\.", "refengine/golden/dumps/radix.py"], capture_output=True)
    assert names.returncode in (1, 2)


@pytest.mark.parametrize("option", [["--radix", "oct"], ["--endian", "middle"], ["--pack", "0"], ["--word-bits", "0"]])
def test_options_that_mean_nothing(arrays, option):
    in_folder(f"{LAYER}.code.txt", "1\n")
    outcome = compared("pack", "dut", *option)
    assert outcome.code == 2
    assert outcome.err.count("\n") <= 4
