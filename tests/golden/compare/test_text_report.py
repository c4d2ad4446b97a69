"""What is said about a comparison: the first element in every notation, once, and the faulty layer last."""

import networks
import numpy as np

from refengine.golden.compare.compare import compare
from refengine.golden.compare.pairs import Rules
from refengine.golden.compare.self_test import self_test
from refengine.golden.compare.text_report import (
    count_sentence,
    element_sentence,
    layer_sentences,
    place,
    report_lines,
    self_test_sentences,
)
from refengine.golden.dumps.difference import Element
from refengine.golden.dumps.dump import in_memory


def one_wrong(**known):
    golden = {"a": {"code": np.arange(12, dtype=np.int8).reshape(1, 2, 2, 3)}, "b": {"code": np.zeros((1, 2), np.int8)}}
    dut = {"a": {"code": golden["a"]["code"].copy()}, "b": {"code": np.zeros((1, 3), np.int8)}}
    dut["a"]["code"][0, 1, 0, 2] = -8
    return compare(in_memory(golden, **known), in_memory(dut, **known))


def test_the_first_wrong_element_has_its_sentences():
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


def lines_of(golden, dut, rules=None):
    one, other = in_memory(golden), in_memory(dut)
    return list(report_lines(compare(one, other, rules), one, other))


CODES = {"code": np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)}


def test_the_last_line_has_all_counts():
    assert count_sentence(one_wrong()) == (
        "DIFFERENT: 1 of 12 values differ, in 1 of 1 layers; 1 layer not or not wholly compared; 1 image from 0"
    )
    same = compare(in_memory({"a": CODES}), in_memory({"a": CODES}))
    assert count_sentence(same) == "EQUAL: 1 layer, 12 values, 1 image from 0"
    none = compare(in_memory({"a": CODES}), in_memory({"b": CODES}))
    assert count_sentence(none) == "INCOMPLETE: nothing compared; missing: a; not judged: b; 1 image from 0"
    less = compare(in_memory({"a": CODES, "b": CODES}), in_memory({"a": CODES}, passed_over={"a.hex": "not read"}))
    assert count_sentence(less) == (
        "INCOMPLETE: 1 layer, 12 values agree; missing: b; not judged: a.hex; 1 image from 0"
    )


def test_the_first_element_is_said_once_and_at_the_end():
    wrong = {"code": CODES["code"] ^ 1}
    lines = lines_of(dict.fromkeys("abcd", CODES), {"a": CODES, "b": wrong, "c": wrong, "d": CODES})
    assert sum("golden 0 = 0x00" in line for line in lines) == 1
    first = lines.index("first difference: layer b, stage code")
    assert lines[first - 1].startswith("b code: 12 of 12 differ")
    assert lines[first + 1].startswith("  (n 0, y 0, x 0, c 0): golden 0 = 0x00")
    assert all(line.startswith("  where: ") for line in lines[first + 2 : -1])
    assert lines[-1] == "cause: not looked for, --model MODEL.h5 recomputes each layer"


def test_a_model_that_is_another_is_not_asked_for_again():
    one, other = in_memory({"a": CODES}, model_hash="a" * 64), in_memory({"a": {"code": CODES["code"] ^ 1}})
    *_, last = report_lines(compare(one, other, None, networks.small()), one, other)
    assert last == "cause: not looked for, the model is another one than that of the dumps"


def test_what_is_missing_is_one_line_for_each_reason():
    full = {"accumulator": CODES["code"].astype(np.int32), "total": CODES["code"].astype(np.int64), **CODES}
    names = [f"{n:02}" for n in range(20)]
    golden = dict.fromkeys(names, full)
    lines = lines_of(golden, dict.fromkeys(names, CODES))
    assert lines == [
        "stages accumulator, total: not in the dump, not judged (--stage accumulator,total,code demands them)",
        "EQUAL: 20 layers, 240 values, 1 image from 0",
    ]
    lines = lines_of(golden, dict.fromkeys(names[:10], full), Rules(exclude=("0[0-4]", "19")))
    assert lines[0] == "layers 00, 01, 02, 03 and 2 more: excluded by name"
    assert lines[1] == "layers 10, 11, 12, 13, 14, 15, 16, 17, 18: not in the dump of the DUT"
    assert lines[2].startswith("INCOMPLETE: 5 layers, 180 values agree; missing: 10, 11, 12, 13 and 5 more; 1 image")
    assert len(lines) == 3
    partial = {name: (full if name == "03" else {"accumulator": full["accumulator"], **CODES}) for name in names}
    lines = lines_of(golden, partial)
    assert lines[0].startswith(
        "00 total, 01 total, 02 total, 04 total and 15 more: not in the dump of the DUT, which has"
    )


def test_an_unknown_layer_comes_with_a_hint():
    lines = lines_of({"a": CODES, "b": CODES}, {"a": CODES, "u": CODES})
    assert "layer u: not in the golden" in lines
    assert "  --map GOLDEN=u says which layer it is: of its shape the DUT lacks b" in lines


def test_an_explanation_is_the_last_line():
    golden = {name: {"code": np.random.default_rng(n).integers(0, 99, (2, 3, 3, 3))} for n, name in enumerate("abc")}
    dut = {name: {"code": held["code"].transpose(0, 3, 1, 2)} for name, held in golden.items()}
    lines = lines_of(golden, dut)
    assert lines[-1].startswith(
        "best explanation: the integers lie in the order N C H W: --order NCHW reads them; so read,"
    )
    assert "3 of 3 layers are equal" in lines[-1]


def test_what_goes_unnoticed_is_said_by_reason():
    held = {name: {"code": np.arange(12, dtype=np.uint8).reshape(2, 6)} for name in ("a", "b")}
    tested = self_test(in_memory(held), in_memory(held), Rules(exclude=("b",)))
    sentences = list(self_test_sentences(tested))
    assert sentences[0] == "not applicable, nothing there to exchange: rows_swapped, nchw in a code, b code"
    assert sentences[1].startswith("unnoticed, excluded by name: one_bit, ")
    assert sentences[1].endswith(" in b code")
    assert len(sentences) == 2
