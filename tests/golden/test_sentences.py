"""What is said about a comparison: the first element in every notation, and JSON that holds everything."""

import json

import numpy as np
from dumps import in_every_form, integers_of, network_and_images

from refengine.golden.compare import compare
from refengine.golden.difference import Element
from refengine.golden.dump import in_memory, open_dump
from refengine.golden.pairs import Rules
from refengine.golden.self_test import self_test
from refengine.golden.sentences import (
    element_sentence,
    figures,
    layer_sentences,
    place,
    self_test_figures,
    unnoticed_sentences,
)


def one_wrong(**known):
    golden = {"a": {"code": np.arange(12, dtype=np.int8).reshape(1, 2, 2, 3)}, "b": {"code": np.zeros((1, 2), np.int8)}}
    dut = {"a": {"code": golden["a"]["code"].copy()}, "b": {"code": np.zeros((1, 3), np.int8)}}
    dut["a"]["code"][0, 1, 0, 2] = -8
    return compare(in_memory(golden, **known), in_memory(dut, **known))


def test_the_first_element():
    found = one_wrong(first_image=40)
    sentences = list(layer_sentences(found.layers[0], found))
    assert sentences == [
        "a code: 1 of 12 differ, by 16 at most (-31..-16: 1)",
        "a code: first at (n 0, y 1, x 0, c 2) of image 40: "
        "golden 8 = 0x08 = 0000_1000, got -8 = 0xf8 = 1111_1000, xor 0xf0 = 1111_0000",
    ]


def test_a_problem_is_said_once():
    found = one_wrong()
    assert list(layer_sentences(found.layers[1], found)) == ["b code: has shape 3, the golden 2"]


def test_places_have_the_names_of_their_axes():
    assert place((1, 2, 3)) == "(n 1, o 2, g 3)"
    assert place((1, 2, 3, 4, 5, 6)) == "(1, 2, 3, 4, 5, 6)"
    assert element_sentence(Element((3, 9), 1, 2, 20)).startswith("(n 3, k 9): golden 1 = 0x00001 = 0000_0000_")


def test_json_holds_everything():
    found = one_wrong()
    written = json.loads(json.dumps(figures(found)))
    assert (written["equal"], written["layers_compared"], written["values_compared"]) == (False, 1, 12)
    first = written["first"]
    assert (first["layer"], first["stage"], first["index"]) == ("a", "code", [0, 1, 0, 2])
    assert (first["golden"], first["got"], first["got_hex"], first["xor"]) == (8, -8, "0xf8", "0xf0")
    assert first["address"] == {"golden": None, "dut": None}
    entire = written["layers"][0]["stages"][0]["entire"]
    assert (entire["different"], entire["histogram"]) == (1, {"-31..-16": 1})
    assert written["layers"][1]["stages"][0]["problem"] == "has shape 3, the golden 2"


def test_addresses_are_those_of_the_pack(tmp_path):
    network, images = network_and_images()
    paths = in_every_form(tmp_path, network, images)
    stages, _ = integers_of(paths["trace"])
    layer = network.layers[1].name
    stages[layer]["code"][1, 0, 0, 0] ^= 1
    with open_dump(paths["pack"]) as golden:
        dut = in_memory(stages)
        first = figures(compare(golden, dut), golden.address_of, dut.address_of)["first"]
        address = golden.address_of(layer, "code", 1, 0, 0, 0)
    assert first["address"]["golden"] == {"file": address.file, "word": address.word, "bit": address.bit}
    assert first["address"]["dut"] is None


def test_what_goes_unnoticed_is_said_by_reason():
    held = {name: {"code": np.arange(12, dtype=np.uint8).reshape(2, 6)} for name in ("a", "b")}
    tested = self_test(in_memory(held), in_memory(held), Rules(exclude=("b",)))
    sentences = list(unnoticed_sentences(tested))
    assert len(sentences) == 1
    assert sentences[0].startswith("unnoticed, excluded by name: one_bit, ")
    assert sentences[0].endswith(" in b code")
    written = json.loads(json.dumps(self_test_figures(tested)))
    assert written["seeds"][0]["unnoticed"] == [{"layer": "b", "stage": "code", "why": "excluded by name"}]
