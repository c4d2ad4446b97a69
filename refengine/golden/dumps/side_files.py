"""Side files of a stream, ``LAYER.STAGE.stream.memh``: whether tkeep and tlast of each word are the golden's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import FileError
from ...vectors.readmem import read_hex
from ...vectors.stream import side_memory, side_words
from .expected import Expected
from .fitted import WRONG_WORDS, Complaint, stored_elements
from .number_files import NumberFile
from .reading import Reading

_MARK = ".stream"


def sides_of(arrays: Mapping[str, Mapping[str, Any]]) -> dict[str, NumberFile]:
    """Side files among the arrays of a dump, by the names of what was taken for layers: ``LAYER.STAGE.stream``."""
    alone = {name: next(iter(stages.values())) for name, stages in arrays.items() if len(stages) == 1}
    return {name: file for name, file in alone.items() if name.endswith(_MARK) and isinstance(file, NumberFile)}


def side_names(layer: str, stage: str) -> tuple[str, str]:
    """What the side file of an array may be called.

    >>> side_names("1.conv", "code")
    ('1.conv.code.stream', '1.conv/code.stream')
    """
    return f"{layer}.{stage}{_MARK}", f"{layer}/{stage}{_MARK}"


def complaint_of(file: NumberFile, expected: Expected) -> Complaint | None:
    """What is wrong with a side file, None where nothing is."""
    packing, elements = expected.packing, stored_elements(expected, Reading())
    if packing.word_bits % 8:
        return Complaint(WRONG_WORDS, f"{file.place}: words of {packing.word_bits} bits have no bytes to keep")
    wanted = np.concatenate([*side_words(packing, elements, expected.images)])
    try:
        memory = side_memory("side", packing, len(wanted))
        found = np.concatenate([*read_hex(file.path, memory)])
    except FileError as error:
        return Complaint(WRONG_WORDS, str(error))
    wrong = (found != wanted).any(axis=1)
    if not wrong.any():
        return None
    word, last = int(wrong.argmax()), packing.word_bits // 8
    got, needed = (int.from_bytes(words[word].tobytes(), "little") for words in (found, wanted))
    kept = [f"tkeep {one % (1 << last):#x} and tlast {one // (1 << last)}" for one in (got, needed)]
    return Complaint(
        WRONG_WORDS,
        f"{file.place}: {int(wrong.sum())} words are wrong, the first is word {word}: {kept[0]}, needed {kept[1]}",
    )
