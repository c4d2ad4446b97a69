"""The table of formats: each has an extension of its own and reads what it writes."""

import pytest
from memories import round_trip

from refengine.vectors.text_formats import FORMATS, TEXT_FORMATS, extension


def test_extensions_differ():
    assert len({extension(name) for name in FORMATS}) == len(FORMATS) == 10
    assert extension("npy") == ".npy"


@pytest.mark.parametrize("name", TEXT_FORMATS)
def test_each_reads_what_it_writes(name, tmp_path):
    made = TEXT_FORMATS[name]
    round_trip(made.write, made.read, 13, 70, tmp_path / f"w{made.extension}")
