"""A comparison as JUnit XML, the form in which build servers read the outcome of tests: a test case a layer.

A layer that fails is a ``failure``, one that was excluded or not compared is ``skipped``, and what is wrong with the
dumps as wholes, or was not judged, is a test case of its own called ``dumps``.  The suite's property ``verdict`` is
EQUAL, DIFFERENT or INCOMPLETE.
"""

from __future__ import annotations

from xml.etree import ElementTree

from ...text import printable
from .compare import Comparison, LayerReport
from .pairs import EXCLUDED, SKIPPED
from .text_report import layer_sentences

SUITE = "refengine compare"


def junit(comparison: Comparison) -> bytes:
    """The comparison as an XML document, UTF-8."""
    suite = ElementTree.Element("testsuite")
    dumps = _case(suite, "dumps", comparison)
    for problem in comparison.problems:
        _element(dumps, "failure", problem)
    for name, why in comparison.passed_over.items():
        _element(dumps, "failure", f"{name}: {why}")
    for layer in comparison.layers:
        case = _case(suite, layer.layer, comparison)
        if layer.fails:
            lines = [*layer_sentences(layer, comparison)]
            _element(case, "failure", lines[0] if lines else layer.verdict, lines, layer.verdict)
        elif _not_compared(layer):
            _element(case, "skipped", layer.why or layer.verdict)
    attributes = {
        "name": SUITE,
        "tests": str(len(suite)),
        "failures": str(sum(case.find("failure") is not None for case in suite)),
        "errors": "0",
        "skipped": str(sum(case.find("skipped") is not None for case in suite)),
    }
    suite.attrib.update(attributes)
    properties = ElementTree.Element("properties")
    ElementTree.SubElement(properties, "property", {"name": "verdict", "value": comparison.verdict})
    suite.insert(0, properties)
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True) + b"\n"


def _not_compared(layer: LayerReport) -> bool:
    return layer.verdict in (EXCLUDED, SKIPPED)


def _case(suite: ElementTree.Element, name: str, comparison: Comparison) -> ElementTree.Element:
    classname = _text(f"{comparison.golden} against {comparison.dut}")
    return ElementTree.SubElement(suite, "testcase", {"name": _text(name), "classname": classname})


def _element(
    case: ElementTree.Element, tag: str, message: str, lines: list[str] | None = None, kind: str | None = None
) -> None:
    attributes = {"message": _text(message)} | ({"type": kind} if kind is not None else {})
    made = ElementTree.SubElement(case, tag, attributes)
    made.text = "\n".join(_text(line) for line in lines or []) or None


def _text(text: str) -> str:
    """What XML can hold: characters that do not print are written as escapes, lone surrogates too."""
    return printable(text).encode("utf-8", "backslashreplace").decode("utf-8")
