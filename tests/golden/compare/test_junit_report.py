"""The JUnit report, parsed back: one case a layer, and any name."""

from xml.etree import ElementTree

import numpy as np

from refengine.golden.compare.compare import compare
from refengine.golden.compare.junit_report import junit
from refengine.golden.compare.pairs import Rules
from refengine.golden.dumps.dump import in_memory

ODD = "<größe & \"x\" 'y'>]]>"
CODES = {"code": np.arange(6, dtype=np.uint8).reshape(2, 3)}


def parsed(golden, dut, rules=None, **known):
    content = junit(compare(in_memory(golden, **known), in_memory(dut, **known), rules))
    assert content.startswith(b"<?xml")
    return ElementTree.fromstring(content).find("testsuite")


def cases(suite):
    return {case.get("name"): [child.tag for child in case] for case in suite.iter("testcase")}


def test_equal_dumps():
    suite = parsed({"a": CODES, "b": CODES}, {"a": CODES, "b": CODES})
    assert cases(suite) == {"dumps": [], "a": [], "b": []}
    assert [suite.get(key) for key in ("tests", "failures", "errors", "skipped")] == ["3", "0", "0", "0"]


def test_failures_and_what_was_left_out():
    wrong = {"code": CODES["code"] + 1}
    dut = {"a": wrong, "b": CODES, ODD: {"code": CODES["code"][:1]}}
    suite = parsed({"a": CODES, "b": CODES, ODD: CODES, "c": CODES}, dut, Rules(exclude=("b",)))
    assert cases(suite) == {"dumps": [], "a": ["failure"], "b": ["skipped"], ODD: ["failure"], "c": ["failure"]}
    assert [suite.get(key) for key in ("tests", "failures", "skipped")] == ["5", "3", "1"]
    failures = {
        case.get("name"): case.find("failure") for case in suite.iter("testcase") if case.find("failure") is not None
    }
    assert "6 of 6 differ" in failures["a"].get("message")
    assert "first at (n 0, k 0)" in failures["a"].text
    assert "has 1 image, the golden 2" in failures[ODD].get("message")
    assert "c: not in the dump of the DUT" in failures["c"].get("message")


def test_the_verdict_stands_in_the_suite():
    wrong, less = {"code": CODES["code"] + 1}, {"a": CODES}
    for dut, verdict in (
        ({"a": CODES, "b": CODES}, "EQUAL"),
        ({"a": CODES, "b": wrong}, "DIFFERENT"),
        (less, "INCOMPLETE"),
    ):
        suite = parsed({"a": CODES, "b": CODES}, dut)
        (one,) = suite.iter("property")
        assert (one.get("name"), one.get("value")) == ("verdict", verdict)


def test_what_was_passed_over_fails_a_case_of_its_own():
    suite = parsed({"a": CODES}, {"a": CODES}, passed_over={"a.hex": "not read"})
    assert cases(suite) == {"dumps": ["failure"], "a": []}
    assert suite.find("testcase/failure").get("message") == "a.hex: not read"


def test_problems_of_the_dumps_fail_a_case_of_their_own():
    suite = parsed({"a": CODES}, {"a": CODES}, Rules(exclude=("a",)))
    assert cases(suite) == {"dumps": ["failure"], "a": ["skipped"]}


def test_characters_that_xml_cannot_hold():
    suite = parsed({"a": CODES}, {"a": CODES}, file="a\x00\x1b\udc80.h5")
    assert suite.find("testcase").get("classname") == r"a\x00\x1b\udc80.h5 against a\x00\x1b\udc80.h5"
