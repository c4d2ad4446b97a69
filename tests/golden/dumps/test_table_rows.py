"""Columns beside the words of a table sort the rows and leave some out; what contradicts the words is refused."""

import numpy as np
import pytest

from refengine.errors import FileError
from refengine.golden.dumps.dump import in_memory
from refengine.golden.dumps.dut import open_dut
from refengine.golden.dumps.reading import reading

CODES = np.random.default_rng(3).integers(0, 256, (2, 3, 4, 5)).astype(np.uint8)
FLAT = CODES.reshape(-1).tolist()
PLACES = [*np.ndindex(CODES.shape)]
SHUFFLED = np.random.default_rng(4).permutation(len(FLAT)).tolist()


def read(tmp_path, head, rows, **options):
    """What a table gives, and the notes on it."""
    (tmp_path / "dut").mkdir(exist_ok=True)
    lines = [head, *(",".join(map(str, row)) for row in rows)]
    (tmp_path / "dut" / "conv.code.csv").write_text("\n".join(lines) + "\n")
    golden = in_memory({"conv": {"code": CODES}})
    with open_dut(tmp_path / "dut", golden, reading=reading(**options)) as dump:
        values = dump.values("conv", "code")
        return values.read(0, 2), values.marks(0, 2), values.where(1, 2, 3, 4), " ".join(dump.notes)


RIGHT = {
    "in order": ("index,value", lambda k: (k, FLAT[k])),
    "addresses of bytes": ("address,value", lambda k: (4 * k, FLAT[k])),
    "from 7 on": ("index,value", lambda k: (k + 7, FLAT[k])),
    "places": ("n,y,x,c,code", lambda k: (*PLACES[k], FLAT[k])),
    "other words for places": ("image,row,col,channel,code", lambda k: (*PLACES[k], FLAT[k])),
    "a time": ("time,code", lambda k: (1000 - k, FLAT[k])),
    "channels alone": ("channel,code", lambda k: (PLACES[k][3], FLAT[k])),
}


@pytest.mark.parametrize("case", RIGHT)
def test_rows_that_come_in_order(tmp_path, case):
    head, row = RIGHT[case]
    found, marks, where, _ = read(tmp_path, head, map(row, range(len(FLAT))))
    np.testing.assert_array_equal(found, CODES)
    assert marks is None
    assert where == f"word {len(FLAT) - 1}, line {len(FLAT) + 1}"


@pytest.mark.parametrize("case", ["in order", "places", "other words for places"])
def test_rows_in_any_order_are_sorted(tmp_path, case):
    head, row = RIGHT[case]
    found, marks, where, said = read(tmp_path, head, map(row, SHUFFLED))
    np.testing.assert_array_equal(found, CODES)
    assert marks is None
    assert where == f"word {SHUFFLED.index(len(FLAT) - 1)}, line {SHUFFLED.index(len(FLAT) - 1) + 2}"
    assert "rows are sorted by their other columns" in said


def test_places_go_before_the_order_that_an_option_says(tmp_path):
    head, row = RIGHT["places"]
    found, *_ = read(tmp_path, head, map(row, SHUFFLED), order="NCHW")
    np.testing.assert_array_equal(found, CODES)


WRONG = {
    "two exchanged": ("index,value", lambda k: (k ^ 1, FLAT[k])),
    "y and x exchanged": (
        "n,y,x,c,code",
        lambda k: (PLACES[k][0], PLACES[k][2] % 3, PLACES[k][1] if PLACES[k][2] < 3 else 3, PLACES[k][3], FLAT[k]),
    ),
}


def test_rows_that_say_to_be_others_are_others(tmp_path):
    head, row = WRONG["two exchanged"]
    found, *_ = read(tmp_path, head, map(row, range(len(FLAT))))
    np.testing.assert_array_equal(found.reshape(-1, 2), CODES.reshape(-1, 2)[:, ::-1])


REFUSED = {
    "one index for all": (
        "index,value",
        lambda k: (0, FLAT[k]),
        "address 0x0 is there twice, with two different words",
    ),
    "one place for two": (*WRONG["y and x exchanged"], "is there twice, with two different words"),
    "beyond the shape": ("n,y,x,c,code", lambda k: (*PLACES[k][:3], PLACES[k][3] + 1, FLAT[k]), "leave the shape"),
    "no number": ("index,value", lambda k: ("a?", FLAT[k]), "column 'index' holds 'a\\?', needed a number"),
    "columns that disagree": (
        "index,n,y,x,c,code",
        lambda k: (k ^ 1, *PLACES[k ^ 2 if (k | 3) < len(FLAT) else k], FLAT[k]),
        "put rows at different words",
    ),
    "two columns of one name": ("value,value", lambda k: (FLAT[k], FLAT[k] + 1), "has 2 columns called 'value'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_columns_that_cannot_be(tmp_path, case):
    head, row, needle = REFUSED[case]
    with pytest.raises(FileError, match=needle):
        read(tmp_path, head, map(row, range(len(FLAT))))


@pytest.mark.parametrize("head", ["valid,value", "ready,value"])
def test_rows_that_are_no_words_are_left_out(tmp_path, head):
    rows = [row for code in FLAT for row in ((0, 255 - code), (1, code))]
    found, marks, where, said = read(tmp_path, head, rows)
    np.testing.assert_array_equal(found, CODES)
    assert marks is None
    assert where == f"word {2 * len(FLAT) - 1}, line {2 * len(FLAT) + 1}"
    assert f"{len(FLAT)} rows are left out" in said


def test_words_that_are_not_valid_are_missing(tmp_path):
    _, marks, *_ = read(tmp_path, "valid,value", [(k % 2, code) for k, code in enumerate(FLAT)])
    assert np.count_nonzero(marks.missing) == len(FLAT) // 2


def test_a_number_with_a_comma_is_one_cell(tmp_path):
    with pytest.raises(FileError, match="1,234"):
        read(tmp_path, "value,time", [('"1,234"', 0)] * len(FLAT))
