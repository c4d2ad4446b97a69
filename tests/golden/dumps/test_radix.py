"""The radix of a text: what its characters leave open is decided by its ending, and said; the golden is never asked."""

import numpy as np
import pytest

from refengine.errors import FileError
from refengine.golden.dumps.expected import of_array
from refengine.golden.dumps.radix import FLOATS, radix_of
from refengine.vectors.readmem import ReadmemGrammar
from refengine.vectors.word_text import survey

CODES, SUMS = (of_array((1, 4), np.dtype(dtype)) for dtype in (np.uint8, np.int32))

# text, ending, what is expected -> radix, whether a note says that it could have been another
CASES = [
    ("5 17 -3", ".txt", CODES, 10, False),
    ("5 17 -3", ".memh", CODES, 10, False),
    ("05 1f", ".txt", CODES, 16, False),
    ("0x05 0x17", ".dat", CODES, 16, False),
    ("5 137 20", ".txt", CODES, 10, False),  # 0x137 is no code
    ("5 13 20", ".txt", CODES, 10, True),
    ("5 13 20", ".memh", CODES, 16, False),
    ("5 137 20", ".hex", CODES, 10, True),  # as hexadecimal too large, and of no fixed length
    ("005 137 020", ".hex", CODES, 16, False),  # a wider register
    ("05 13 20", ".txt", CODES, 16, True),
    ("5 3 9", ".csv", CODES, 10, False),  # the same numbers either way
    ("05 03 09", ".csv", CODES, 16, True),
    ("00000101 00010001", ".txt", CODES, 2, False),
    ("00000011 00000010", ".mem", CODES, 2, True),
    ("00000011 00000010", ".memh", CODES, 2, True),
    ("00000011 00000010", ".hex", CODES, 16, False),
    ("00000011 00000010", ".memb", CODES, 2, False),
    ("00000001 00000000", ".hex", CODES, 16, False),  # no matter
    ("5 x 20", ".txt", CODES, 10, True),
    ("05 xx 20", ".txt", CODES, 16, False),
    ("00000005 00000120", ".txt", SUMS, 16, True),
    ("5.0 17.0", ".txt", CODES, FLOATS, False),
    ("1.5e+01", ".txt", CODES, FLOATS, False),
]


@pytest.mark.parametrize(("text", "ending", "expected", "radix", "said"), CASES)
def test_the_radix_of_a_text(tmp_path, text, ending, expected, radix, said):
    (tmp_path / "t").write_text(text)
    found = radix_of(survey(tmp_path / "t", ReadmemGrammar()), ending, expected, "t", None)
    assert found.radix == radix
    assert (found.note is not None) == said, found.note
    if said:
        assert "--radix " in found.note


def test_an_option_says_more_than_the_text(tmp_path):
    (tmp_path / "t").write_text("05 1f")
    assert radix_of(survey(tmp_path / "t", ReadmemGrammar()), ".txt", CODES, "t", 10).radix == 10


def test_what_cannot_be_decided_is_refused(tmp_path):
    (tmp_path / "t").write_text("05 7 20")
    with pytest.raises(FileError, match="--radix dec or --radix hex says which"):
        radix_of(survey(tmp_path / "t", ReadmemGrammar()), ".txt", CODES, "t", None)
