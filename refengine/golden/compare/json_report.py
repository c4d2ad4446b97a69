"""What a comparison found, as the plain data of a JSON report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from ...vectors.reader import Address
from ..dumps.difference import Difference, Element, as_binary, as_hex, class_name
from .compare import Comparison, LayerReport, StageReport
from .seeds import SEEDS
from .self_test import CANNOT_TELL, COPIED, Missed, SelfTest

Figures = dict[str, Any]
AddressOf = Callable[..., Address | None]


def figures(comparison: Comparison, golden: AddressOf | None = None, dut: AddressOf | None = None) -> Figures:
    """Everything, in types that JSON knows; ``golden`` and ``dut`` tell the address of an integer in a vector pack."""
    first = comparison.first
    return {
        "golden": comparison.golden,
        "dut": comparison.dut,
        "model_hash": comparison.model_hash,
        "verdict": comparison.verdict,
        "equal": comparison.equal,
        "images": comparison.images,
        "first_image": comparison.first_image,
        "layers_compared": len(comparison.compared),
        "values_compared": sum(s.entire.values for layer in comparison.layers for s in layer.stages if s.entire),
        "values_different": sum(s.entire.different for layer in comparison.layers for s in layer.stages if s.entire),
        "problems": [*comparison.problems],
        "notes": [*comparison.notes],
        "missing": [*comparison.missing],
        "passed_over": dict(comparison.passed_over),
        "not_judged": {side.lower(): [*stages] for side, stages in comparison.unjudged.items()},
        "explanation": None if comparison.explanation is None else vars(comparison.explanation),
        "first": None if first is None else _first(*first, golden, dut),
        "faulty_layers": [layer.layer for layer in comparison.faulty_layers],
        "layers": [_layer(layer) for layer in comparison.layers],
    }


def _first(layer: LayerReport, stage: StageReport, golden: AddressOf | None, dut: AddressOf | None) -> Figures:
    element = stage.entire.first if stage.entire is not None else None
    found = _element(element) or {}
    addresses = {}
    for who, address_of, name in (("golden", golden, layer.layer), ("dut", dut, layer.dut_name)):
        address = None if address_of is None or element is None else address_of(name, stage.stage, *element.index)
        addresses[who] = None if address is None else address._asdict()
    return {"layer": layer.layer, "stage": stage.stage, **found, "address": addresses}


def _layer(layer: LayerReport) -> Figures:
    return {
        "name": layer.layer,
        "dut_name": layer.dut_name,
        "verdict": layer.verdict,
        "why": layer.why,
        "hint": layer.hint,
        "blamed": [*layer.blamed],
        "through": [*layer.through],
        "cause": None if layer.cause is None else {**vars(layer.cause), "names": [*layer.cause.names]},
        "where": [{"kind": one.kind, "sentence": one.sentence, **one.figures} for one in layer.where],
        "stages": [
            {
                "stage": stage.stage,
                "problem": None if stage.problem is None else stage.problem.why,
                "entire": _difference(stage.entire),
                "single": _difference(stage.single),
            }
            for stage in layer.stages
        ],
    }


def _difference(difference: Difference | None) -> Figures | None:
    if difference is None:
        return None
    ends = dict(zip(("golden_low", "golden_high", "dut_low", "dut_high"), difference.ends, strict=True))
    return {
        "values": difference.values,
        "different": difference.different,
        "largest": difference.largest,
        "histogram": {class_name(smallest): count for smallest, count in difference.histogram},
        "at_ends": ends,
        "first": _element(difference.first),
    }


def _element(element: Element | None) -> Figures | None:
    if element is None:
        return None
    bits = element.bits
    return {
        "index": [*element.index],
        "golden": element.wanted,
        "got": element.got,
        "bits": bits,
        "golden_hex": as_hex(element.wanted, bits),
        "got_hex": as_hex(element.got, bits, element.unknown),
        "golden_binary": as_binary(element.wanted, bits),
        "got_binary": as_binary(element.got, bits, element.unknown),
        "xor": as_hex(element.xor, bits, element.unknown),
    }


def self_test_figures(tested: SelfTest) -> Figures:
    """What a self-test found, in types that JSON knows."""
    return {
        "passed": tested.passed,
        "seeds": [
            {
                "name": seed.name,
                "sentence": seed.sentence,
                "caught": tested.caught[seed.name],
                "unnoticed": _places(tested.missed, seed.name),
                "not_applicable": _places(tested.not_applicable, seed.name),
            }
            for seed in SEEDS.values()
        ],
        "untested": dict(tested.untested),
        "cannot_tell": {"name": COPIED, "sentence": CANNOT_TELL, "stages": tested.cannot_tell},
    }


def _places(faults: Iterable[Missed], seed: str) -> list[Figures]:
    return [{"layer": one.layer, "stage": one.stage, "why": one.why} for one in faults if one.seed == seed]
