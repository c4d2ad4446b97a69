"""What a comparison found, in sentences; the last ones are those to be read first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ...text import printable
from ..dumps.difference import Difference, Element, as_binary, as_hex, class_name
from ..dumps.dump import Dump, by_order
from ..dumps.layer_names import MOST, some
from .compare import ALL_EQUAL, CONTRADICTION, FAULTY, INCOMPLETE, PROPAGATED, Comparison, LayerReport
from .pairs import SKIPPED
from .seeds import SEEDS
from .self_test import Missed, SelfTest

_BINARY_UP_TO = 32
_HINTS = 4
_REASONS = 8
_OBSERVED = 8

# ------------------------------------------------------------------------------------------------------- a whole dump


def report_lines(comparison: Comparison, golden: Dump, dut: Dump) -> Iterator[str]:
    """Everything but the table: what was left out, what is wrong elsewhere, and last the faulty layer itself."""
    yield from (f"note: {note}" for note in comparison.notes)
    yield from _not_judged(comparison)
    yield from _passed_over(comparison)
    yield from (f"problem: {problem}" for problem in comparison.problems)
    yield from _not_compared(comparison)
    main = _main(comparison)
    others = [layer for layer in comparison.layers if layer is not main and layer.verdict in (FAULTY, CONTRADICTION)]
    said = 0 if comparison.explanation is not None else _REASONS
    for layer in others[:said]:
        yield next(layer_sentences(layer, comparison))
        if layer.cause is not None:
            yield f"  cause: {printable(layer.cause.sentence)}"
    if others[said:]:
        yield f"{_layers([layer.layer for layer in others[said:]])}: not what the inputs give that the DUT dumped"
    propagated = [layer.layer for layer in comparison.layers if layer.verdict == PROPAGATED and layer is not main]
    if propagated:
        yield f"{_layers(propagated)}: passing an earlier error on, right for the inputs that the DUT dumped"
    yield count_sentence(comparison)
    if main is not None:
        yield from _faulty_layer(main, comparison, golden, dut)
    if comparison.explanation is not None:
        yield f"best explanation: {explanation_sentence(comparison)}"


def _main(comparison: Comparison) -> LayerReport | None:
    """The layer to look at: the first that goes wrong by itself, otherwise the first that differs."""
    if comparison.faulty_layers:
        return comparison.faulty_layers[0]
    return None if comparison.first is None else comparison.first[0]


def _not_judged(comparison: Comparison) -> Iterator[str]:
    """What is no failure although nothing was compared, a line for each reason."""
    for side, stages in comparison.unjudged.items():
        if stages:
            plural = "s" if len(stages) > 1 else ""
            judged = {stage.stage for layer in comparison.layers for stage in layer.stages}
            every = ",".join(by_order(dict.fromkeys({*stages, *judged})))
            demand = f" (--stage {every} demands {'them' if plural else 'it'})"
            if side == "DUT":
                yield f"stage{plural} {', '.join(stages)}: not in the dump, not judged{demand}"
    reasons: dict[str, list[str]] = {}
    for layer in comparison.layers:
        if not layer.fails and layer.why is not None:
            reasons.setdefault(layer.why + (", not judged" if layer.verdict == SKIPPED else ""), []).append(layer.layer)
    for why, layers in reasons.items():
        yield f"{_layers(layers)}: {printable(why)}"


def _passed_over(comparison: Comparison) -> Iterator[str]:
    """What the DUT holds and nothing judged, a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for name, why in comparison.passed_over.items():
        reasons.setdefault(why, []).append(name)
    for why, names in reasons.items():
        yield f"not judged: {some(names)}: {printable(why)} (--ignore PATTERN leaves out what need not be)"


def _not_compared(comparison: Comparison) -> Iterator[str]:
    """Failures without a comparison, a line for each reason."""
    reasons: dict[str, list[str]] = {}
    for layer in comparison.layers:
        if layer.fails and not layer.stages and layer.why is not None:
            reasons.setdefault(layer.why, []).append(layer.layer)
    for why, layers in reasons.items():
        yield f"{_layers(layers, MOST)}: {printable(why)}"
    hints = [layer.hint for layer in comparison.layers if layer.hint is not None]
    yield from (f"  {hint}" for hint in hints[:_HINTS])
    stages: dict[str, list[str]] = {}
    for layer in comparison.layers:
        for stage in layer.stages:
            if stage.problem is not None:
                stages.setdefault(stage.problem.why, []).append(f"{layer.layer} {stage.stage}")
    for why, places in [*stages.items()][:_REASONS]:
        yield f"{some(places, 4)}: {printable(why)}"
    if len(stages) > _REASONS:
        yield f"and {len(stages) - _REASONS} more such reasons (--json has them all)"


def _layers(names: list[str], most: int = 4) -> str:
    return f"layer{'s' if len(names) > 1 else ''} {some(names, most)}"


def count_sentence(comparison: Comparison) -> str:
    """How much was compared, and how much of it differs."""
    stages = [stage.entire for layer in comparison.layers for stage in layer.stages if stage.entire is not None]
    values, different = sum(one.values for one in stages), sum(one.different for one in stages)
    compared = len(comparison.compared)
    images = f"{comparison.images} image{'s' if comparison.images != 1 else ''} from {comparison.first_image}"
    verdict, layers = comparison.verdict, f"{compared} layer{'s' if compared != 1 else ''}, {values:,} values"
    if verdict == ALL_EQUAL:
        return f"{verdict}: {layers}, {images}"
    if verdict == INCOMPLETE:
        agreed = f"{layers} agree" if compared else "nothing compared"
        gone = f"; missing: {some(comparison.missing, 4)}" if comparison.missing else ""
        over = f"; not judged: {some(comparison.left, 4)}" if comparison.left else ""
        return f"{verdict}: {agreed}{gone}{over}; {images}"
    wrong = sum(layer.first() is not None for layer in comparison.layers)
    others = sum(layer.fails for layer in comparison.layers) - wrong - _contradictions(comparison)
    share = (
        f"{different:,} of {values:,} values differ, in {wrong} of {compared} layers"
        if compared
        else "nothing compared"
    )
    not_comparable = f"; {others} layer{'s' if others != 1 else ''} not or not wholly compared" if others else ""
    passed = len(comparison.passed_over)
    over = f"; {passed} thing{'s' if passed != 1 else ''} that the DUT holds not judged" if passed else ""
    return f"{verdict}: {share}{not_comparable}{over}; {images}"


def _contradictions(comparison: Comparison) -> int:
    return sum(layer.verdict == CONTRADICTION for layer in comparison.layers)


def explanation_sentence(comparison: Comparison) -> str:
    """How the dump lies, and how much that explains."""
    found = comparison.explanation
    if found is None:
        return "none"
    return (
        f"{found.sentence}; so read, {found.equal} of {found.changed} layers are equal (in the images that were tried)"
    )


def _faulty_layer(layer: LayerReport, comparison: Comparison, golden: Dump, dut: Dump) -> Iterator[str]:
    """The layer, its first element, where that lies, and the cause."""
    stage = layer.first()
    if layer.verdict == FAULTY:
        yield f"faulty layer: {next(layer_sentences(layer, comparison))}"
    if stage is None or stage.entire is None or stage.entire.first is None:
        return
    element = stage.entire.first
    yield f"{printable(layer.layer)} {stage.stage}: {_counted(stage.entire)}"
    yield f"first difference: layer {printable(layer.layer)}, stage {stage.stage}"
    yield f"  {element_sentence(element, comparison)}"
    for who, dump, name in (("golden", golden, layer.layer), ("DUT", dut, layer.dut_name or layer.layer)):
        address = dump.address_of(name, stage.stage, *element.index)
        if address is not None:
            yield f"  {who}: {dump.file}/{printable(address.file)}, word {address.word}, bit {address.bit}"
        where = dump.where(name, stage.stage, *element.index)
        if where is not None:
            yield f"  {who}: {where}"
    yield from (f"  where: {one.sentence}" for one in layer.where[:_OBSERVED] if one.kind != "share")
    if layer.cause is not None:
        certain = "" if layer.cause.certain or layer.cause.cause is None else "not certain: "
        yield f"cause: {printable(layer.layer)}: {certain}{printable(layer.cause.sentence)}"
    elif comparison.other_model:
        yield "cause: not looked for, the model is another one than that of the dumps"
    elif not comparison.network:
        yield "cause: not looked for, --model MODEL.h5 recomputes each layer"


# --------------------------------------------------------------------------------------------------------- one layer


def layer_sentences(layer: LayerReport, comparison: Comparison) -> Iterator[str]:
    """What is wrong with one layer, the most important first."""
    name = printable(layer.layer)
    if layer.verdict == FAULTY:
        stage = layer.first("single")
        if stage is not None and stage.single is not None:
            of = f"{stage.single.different:,} of {stage.single.values:,}"
            yield f"{name} goes wrong by itself: its {stage.stage} differs in {of} from what its own inputs give"
        if layer.cause is not None:
            yield f"{name}: {printable(layer.cause.sentence)}"
    elif layer.verdict == PROPAGATED:
        yield f"{name} only passes on an earlier error: from its own inputs it computes the right numbers"
    elif layer.verdict == CONTRADICTION:
        yield f"{name} equals the golden, {_contradicted(layer)}"
    for report in layer.stages:
        if report.problem is not None:
            yield f"{name} {report.stage}: {printable(report.problem.why)}"
        elif report.entire is not None and report.entire.different:
            yield f"{name} {report.stage}: {_counted(report.entire)}"
            if report.entire.first is not None:
                yield f"{name} {report.stage}: first at {element_sentence(report.entire.first, comparison)}"
    if layer.fails and layer.why is not None and not layer.stages:
        yield f"{name}: {layer.why}" + (f"; {layer.hint}" if layer.hint is not None else "")


def _contradicted(layer: LayerReport) -> str:
    """Which of a layer's inputs cannot be what it read."""
    if not layer.blamed:
        return "but that does not follow from the DUT's inputs, equal as they are: the golden is not this network's"
    inputs = ", ".join(map(printable, layer.blamed))
    return f"but that does not follow from its input {inputs} as the DUT dumped it: this is not what the layer read"


def element_sentence(element: Element, comparison: Comparison | None = None) -> str:
    """Where, and both values in decimal, hexadecimal and binary.

    >>> element_sentence(Element((0, 1, 2, 3), 5, -3, 8))
    '(n 0, y 1, x 2, c 3): golden 5 = 0x05 = 0000_0101, got -3 = 0xfd = 1111_1101, xor 0xf8 = 1111_1000'
    >>> element_sentence(Element((0, 1), 132, -124, 8)).partition("got ")[2]
    '-124 = 0x84 = 1000_0100, the lowest 8 bits are the same, read with a sign'
    """
    both = [f"{value} = {_bits(value, element.bits)}" for value in _values(element)]
    if element.unknown:
        both[1] = f"unknown bits: {_bits(element.got, element.bits, element.unknown)}"
    xor = f"xor {_bits(element.xor, element.bits, element.unknown)}"
    if not element.xor and not element.unknown:
        how = "with a sign" if element.got < 0 else "without one" if element.wanted < 0 else "in more bits"
        xor = f"the lowest {element.bits} bits are the same, read {how}"
    image = ""
    if comparison is not None and comparison.first_image:
        image = f" of image {comparison.first_image + element.index[0]}"
    return f"{place(element.index)}{image}: golden {both[0]}, got {both[1]}, {xor}"


def _bits(value: int, bits: int, unknown: int = 0) -> str:
    """In hexadecimal, and in binary where a line has room for it; x for what is unknown."""
    return as_hex(value, bits, unknown) + (f" = {as_binary(value, bits, unknown)}" if bits <= _BINARY_UP_TO else "")


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
    share = f"{difference.different:,} of {difference.values:,} differ, by {difference.largest} at most ({sizes})"
    low_golden, high_golden, low_got, high_got = difference.ends
    ends = []
    if low_golden or high_golden:
        ends.append(f"the golden is at the lowest code in {low_golden} of them and at the highest in {high_golden}")
    if low_got or high_got:
        ends.append(f"the DUT at the lowest in {low_got} and at the highest in {high_got}")
    return "; ".join([share, *ends])


# ------------------------------------------------------------------------------------------------------- the self-test


def self_test_sentences(tested: SelfTest) -> Iterator[str]:
    """What could not happen to this dump, and what the comparison would have passed; one sentence for each reason."""
    yield from _by_reason("not applicable", tested.not_applicable)
    untested: dict[str, list[str]] = {}
    for layer, why in tested.untested.items():
        untested.setdefault(why, []).append(layer)
    for why, names in untested.items():
        yield f"not applicable, {printable(why)}: everything in {some(names, 12)}"
    yield from _by_reason("unnoticed", tested.missed)


def _by_reason(head: str, faults: Iterable[Missed]) -> Iterator[str]:
    reasons: dict[str, tuple[dict[str, None], dict[str, None]]] = {}
    for one in faults:
        layers, seeds = reasons.setdefault(one.why, ({}, {}))
        layers[f"{one.layer} {one.stage}"] = None
        seeds[one.seed] = None
    for why, (layers, seeds) in reasons.items():
        what = "everything" if len(seeds) == len(SEEDS) else ", ".join(seeds)
        yield f"{head}, {printable(why)}: {what} in {some([*layers], 12)}"
