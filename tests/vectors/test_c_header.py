"""C headers: the text, and what is refused; tests/golden/test_simulators.py has them compiled."""

import pytest
from memories import WIDTHS, assert_damage_is_noticed, assert_refused, round_trip, written

from refengine.vectors import c_header
from refengine.vectors.memory import Memory


@pytest.mark.parametrize("numbers", [False, True])
@pytest.mark.parametrize("bits", WIDTHS)
def test_round_trip(bits, numbers, tmp_path):
    for count in (1, 2, 50):
        round_trip(c_header.write, c_header.read, bits, count, tmp_path / "w", numbers)


@pytest.mark.parametrize(
    ("bits", "numbers", "kind", "rows"),
    [
        (12, False, "uint16_t l0_name_code[2]", ["  0x000U,", "  0xfffU"]),
        (12, True, "int16_t l0_name_code[2]", ["  0,", "  -1"]),
        (8, True, "int8_t l0_name_code[2]", ["  0,", "  -1"]),
        (64, False, "uint64_t l0_name_code[2]", [f"  0x{'0' * 16}ULL,", f"  0x{'f' * 16}ULL"]),
        (64, True, "int64_t l0_name_code[2]", ["  0LL,", "  -1LL"]),
        (68, True, "uint32_t l0_name_code[2][3]",
         ["  {0x00000000, 0x00000000, 0x00000000},", "  {0xffffffff, 0xffffffff, 0x0000000f}"]),
    ],
)  # fmt: skip
def test_the_text_is_valid_c(bits, numbers, kind, rows, tmp_path):
    lines = round_trip(c_header.write, c_header.read, bits, 2, tmp_path / "w", numbers).splitlines()
    assert f"static const {kind} = {{" in lines
    assert lines[10:12] == rows
    assert lines[1:3] == ["#ifndef L0_NAME_CODE_H", "#define L0_NAME_CODE_H"]


def test_the_lowest_number_has_no_literal(tmp_path):
    memory = Memory("m", 64, 3, numbers=True)
    content = written(c_header.write, memory, [2**63, 2**63 + 1, 2**63 - 1])
    assert b"  INT64_MIN,\n  -9223372036854775807LL,\n  9223372036854775807LL\n" in content
    (tmp_path / "w").write_bytes(content)
    (chunk,) = c_header.read(tmp_path / "w", memory)
    assert chunk.view("<u8").ravel().tolist() == [2**63, 2**63 + 1, 2**63 - 1]


@pytest.mark.parametrize(
    ("bits", "numbers", "old", "new", "needle"),
    [
        (12, True, b"  -1\n", b"  -2049\n", "line 12 holds '  -2049', needed two spaces, one word without a comma"),
        (12, True, b"  0,\n", b"  2048,\n", "line 11 holds"),
        (12, True, b"  0,\n", b"  0\n", "line 11 holds '  0', needed two spaces, one word and a comma"),
        (12, False, b"0xfffU", b"0x1fffU", "line 12 holds a number of 13 bits, a word has 12"),
        (12, False, b"0xfffU", b"f()", "line 12 holds"),
        (68, False, b"{0xffffffff, ", b"{", "line 12 holds"),
        (68, False, b"0x0000000f", b"0x0000001f", "line 12 holds a number of 69 bits"),
        (12, False, b"uint16_t", b"uint8_t", "line 10 holds"),
        (12, False, b"#endif\n", b"#endif\nint x;\n", "line 16 holds 'int x;', needed the end of the file"),
    ],
)
def test_changed_texts_are_refused(bits, numbers, old, new, needle, tmp_path):
    text = round_trip(c_header.write, c_header.read, bits, 2, tmp_path / "w", numbers).encode()
    assert old in text
    memory = Memory("l0_name_code", bits, 2, numbers)
    assert_refused(c_header.read, memory, tmp_path / "w", text.replace(old, new), needle)


@pytest.mark.parametrize(("bits", "numbers"), [(9, False), (9, True), (70, False)])
def test_damage_is_noticed(bits, numbers, tmp_path):
    assert_damage_is_noticed(c_header.write, c_header.read, Memory("m", bits, 8, numbers), tmp_path / "w")
