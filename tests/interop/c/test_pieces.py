"""The pieces of C: what a model takes is what its operators need, and the words are the contract's."""

import re

import pytest

from refengine.interop.c.pieces import ALWAYS, FOLDER, NEEDED_BY, constant, named, piece, pieces, words
from refengine.numbers.accumulator import POLICIES
from refengine.numbers.rounding import MODES, ROUNDINGS
from refengine.ops import OPS


def test_every_piece_is_asked_for_by_something():
    asked = {*ALWAYS, *OPS, *(name for names in NEEDED_BY.values() for name in names)} - {"weights"}
    forms = {"weights_packed", "weights_bytes", "dpi"}
    assert {path.stem for path in FOLDER.glob("*.c")} == asked | forms


@pytest.mark.parametrize("op", OPS)
def test_an_operator_has_a_function_of_its_name(op):
    assert re.search(rf"^static void {op}\(", "\n".join(pieces([op], "packed")), re.MULTILINE)


def test_a_piece_is_taken_once():
    texts = pieces(["conv", "fc", "conv", "maxpool", "avgpool"], "packed")
    assert len(set(texts)) == len(texts)


def test_the_words_are_those_of_the_contract():
    text = words()
    for word in (*ROUNDINGS, *POLICIES):
        assert re.search(rf"\b{constant(word)}\b", text)
    assert len(re.findall(r"^    \{.*\}, /\* \w+ \*/$", text, re.MULTILINE)) == len(MODES) + 1


def test_a_name_takes_the_place_of_name_in_every_case():
    assert named(piece("dpi"), "net").count("NAME") == 0
    assert named("NAME_pkg NAME_LAYERS NAME_dpi", "net") == "net_pkg NET_LAYERS net_dpi"
