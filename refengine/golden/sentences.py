"""What a comparison found, in sentences and in the plain data of a JSON report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from ..network.hdf5 import printable
from ..vectors.reader import Address
from .compare import CONTRADICTION, CULPRIT, ECHO, Comparison, LayerReport, StageReport
from .difference import Difference, Element, as_binary, as_hex, class_name
from .seeds import SEEDS
from .self_test import CANNOT_TELL, COPIED, SelfTest

_BINARY_UP_TO = 32

Figures = dict[str, Any]
AddressOf = Callable[..., Address | None]


def layer_sentences(layer: LayerReport, comparison: Comparison) -> Iterator[str]:
    """What is wrong with one layer, the most important first."""
    name = printable(layer.layer)
    if layer.verdict == CULPRIT:
        stage = layer.first("single")
        if stage is not None and stage.single is not None:
            of = f"{stage.single.different} of {stage.single.values}"
            yield f"{name} goes wrong by itself: its {stage.stage} differs in {of} from what its own inputs give"
        if layer.cause is not None:
            yield f"{name}: {printable(layer.cause.sentence)}"
    elif layer.verdict == ECHO:
        yield f"{name} only passes on an earlier error: from its own inputs it computes the right numbers"
    elif layer.verdict == CONTRADICTION:
        yield (
            f"{name} equals the golden, but not what the network computes from the DUT's own inputs: "
            "the dump of an input is not what the layer read, or the golden is not this network's"
        )
    for report in layer.stages:
        if report.problem is not None:
            yield f"{name} {report.stage}: {report.problem}"
        elif report.entire is not None and report.entire.different:
            yield f"{name} {report.stage}: {_counted(report.entire)}"
            if report.entire.first is not None:
                yield f"{name} {report.stage}: first at {element_sentence(report.entire.first, comparison)}"
    if layer.fails and layer.why is not None and not layer.stages:
        yield f"{name}: {layer.why}"


def element_sentence(element: Element, comparison: Comparison | None = None) -> str:
    """Where, and both values in decimal, hexadecimal and binary.

    >>> element_sentence(Element((0, 1, 2, 3), 5, -3, 8))
    '(n 0, y 1, x 2, c 3): golden 5 = 0x05 = 0000_0101, got -3 = 0xfd = 1111_1101, xor 0xf8 = 1111_1000'
    """
    both = [f"{value} = {_bits(value, element.bits)}" for value in _values(element)]
    xor = _bits(element.xor, element.bits)
    image = ""
    if comparison is not None and comparison.first_image:
        image = f" of image {comparison.first_image + element.index[0]}"
    return f"{place(element.index)}{image}: golden {both[0]}, got {both[1]}, xor {xor}"


def _bits(value: int, bits: int) -> str:
    """In hexadecimal, and in binary where a line has room for it."""
    return as_hex(value, bits) + (f" = {as_binary(value, bits)}" if bits <= _BINARY_UP_TO else "")


def _values(element: Element) -> tuple[int, int]:
    return element.wanted, element.got


def place(index: tuple[int, ...]) -> str:
    """An index with the names of its axes.

    >>> place((0, 1, 2, 3)), place((4, 7)), place((0, 1, 2, 3, 5))
    ('(n 0, y 1, x 2, c 3)', '(n 4, k 7)', '(n 0, y 1, x 2, o 3, g 5)')
    """
    axes = {2: "nk", 3: "nog", 4: "nyxc", 5: "nyxog"}.get(len(index), "")
    named = [f"{axes[i]} {position}" if axes else str(position) for i, position in enumerate(index)]
    return f"({', '.join(named)})"


def _counted(difference: Difference) -> str:
    sizes = ", ".join(f"{class_name(smallest)}: {count}" for smallest, count in difference.histogram)
    share = f"{difference.different} of {difference.values} differ, by {difference.largest} at most ({sizes})"
    low_golden, high_golden, low_got, high_got = difference.ends
    ends = []
    if low_golden or high_golden:
        ends.append(f"the golden is at the lowest code in {low_golden} of them and at the highest in {high_golden}")
    if low_got or high_got:
        ends.append(f"the DUT at the lowest in {low_got} and at the highest in {high_got}")
    return "; ".join([share, *ends])


# ---------------------------------------------------------------------------------------------------------------- JSON


def figures(comparison: Comparison, golden: AddressOf | None = None, dut: AddressOf | None = None) -> Figures:
    """Everything, in types that JSON knows; ``golden`` and ``dut`` tell the address of an integer in a vector pack."""
    first = comparison.first
    return {
        "golden": comparison.golden,
        "dut": comparison.dut,
        "model_hash": comparison.model_hash,
        "equal": comparison.equal,
        "images": comparison.images,
        "first_image": comparison.first_image,
        "layers_compared": len(comparison.compared),
        "values_compared": sum(s.entire.values for layer in comparison.layers for s in layer.stages if s.entire),
        "problems": [*comparison.problems],
        "notes": [*comparison.notes],
        "first": None if first is None else _first(*first, golden, dut),
        "culprits": [layer.layer for layer in comparison.culprits],
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
        "through": [*layer.through],
        "cause": None if layer.cause is None else {**vars(layer.cause), "names": [*layer.cause.names]},
        "stages": [
            {
                "stage": stage.stage,
                "problem": stage.problem,
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
        "got_hex": as_hex(element.got, bits),
        "golden_binary": as_binary(element.wanted, bits),
        "got_binary": as_binary(element.got, bits),
        "xor": as_hex(element.xor, bits),
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
                "unnoticed": [
                    {"layer": one.layer, "stage": one.stage, "why": one.why}
                    for one in tested.missed
                    if one.seed == seed.name
                ],
            }
            for seed in SEEDS.values()
        ],
        "untested": dict(tested.untested),
        "cannot_tell": {"name": COPIED, "sentence": CANNOT_TELL, "stages": tested.cannot_tell},
    }


def unnoticed_sentences(tested: SelfTest) -> Iterator[str]:
    """What a comparison would have passed, one sentence for each reason."""
    reasons: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for one in tested.missed:
        layers, seeds = reasons.setdefault(one.why, ({}, {}))
        layers[f"{one.layer} {one.stage}"] = None
        seeds[one.seed] = None
    for why, (layers, seeds) in reasons.items():
        what = "everything" if len(seeds) == len(SEEDS) else ", ".join(seeds)
        yield f"unnoticed, {printable(why)}: {what} in {_some(layers)}"
    untested: dict[str, list[str]] = {}
    for layer, why in tested.untested.items():
        untested.setdefault(why, []).append(layer)
    for why, names in untested.items():
        yield f"unnoticed, {printable(why)}: everything in {_some(names)}"


def _some(names: Iterable[str], most: int = 12) -> str:
    listed = [printable(name) for name in names]
    return ", ".join(listed[:most]) + (f" and {len(listed) - most} more" if len(listed) > most else "")
