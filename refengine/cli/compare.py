"""``refengine compare``: a DUT's integers against the golden's, and which layer goes wrong by itself."""

from contextlib import ExitStack

import click

from ..errors import RangeError
from ..network.hdf5 import printable
from . import console, options


@click.command("compare")
@click.argument("golden", metavar="GOLDEN")
@click.argument("dut", metavar="DUT")
@click.option("--model", metavar="MODEL.h5", help="The network: recompute each layer of the DUT alone, name causes.")
@click.option(
    "--map", "names", multiple=True, metavar="GOLDEN=DUT", help="What the DUT calls a layer of the golden.  [repeat]"
)
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave out layers of this name.  [repeat]")
@click.option("--stage", "stages", metavar="NAME,...", help="Only these stages; 'result' is what a layer ends in.")
@click.option("--any-integer-type", is_flag=True, help="Compare values, whatever integer type the DUT stores them in.")
@click.option("--self-test", "with_self_test", is_flag=True, help="Which seeded faults would this comparison catch?")
@click.option("--junit", "junit_path", metavar="FILE", help="Write a JUnit report, a test case a layer.")
@options.json_file
def command(
    golden, dut, model, names, exclude, stages, any_integer_type, with_self_test, junit_path, json_path
) -> None:
    """Compare what hardware computed with what it should have: first layer, first element, every bit, and the cause.

    GOLDEN and DUT are each a trace, a vector pack, a folder of LAYER.npy or LAYER.STAGE.npy, or an .npz of these.
    With --model: a layer whose 'entire' differs while 'single', recomputed from the DUT's own inputs, agrees only
    passes on an earlier error; a layer whose 'single' differs is a culprit.  Exit code 0: equal; 1: different.
    """
    from ..golden.cause import diagnose
    from ..golden.compare import compare
    from ..golden.dump import open_dump
    from ..golden.junit import junit
    from ..golden.pairs import Rules
    from ..golden.self_test import self_test
    from ..golden.sentences import figures as of
    from ..golden.sentences import self_test_figures, unnoticed_sentences
    from ..network.int_file import read_int_network

    inputs = [path for path in (golden, dut, model) if path is not None]
    console.check_outputs(inputs, json_path, junit_path)
    rules = Rules(_names(names), exclude, _stages(stages), any_integer_type)
    with ExitStack() as stack:
        one, other = (stack.enter_context(open_dump(path)) for path in (golden, dut))
        model = model or next((str(dump.model) for dump in (one, other) if dump.model is not None), None)
        network = None if model is None else read_int_network(model)
        with console.progress("compare") as show:
            found = compare(one, other, rules, network, diagnose, show)
        figures = of(found, one.address_of, other.address_of)
        tested = None
        if with_self_test:
            with console.progress("self-test") as show:
                tested = self_test(one, other, rules, network, show)
            figures["self_test"] = self_test_figures(tested)
    if junit_path is not None:
        console.write_file(junit_path, junit(found), inputs)
    if not console.write_json(json_path, "compare", figures, inputs):
        _print(found, figures)
        if tested is not None:
            _print_self_test(figures["self_test"], unnoticed_sentences(tested))
    if not found.equal or (tested is not None and not tested.passed):
        raise SystemExit(1)


def _names(options_given: tuple[str, ...]) -> dict[str, str]:
    names: dict[str, str] = {}
    for option in options_given:
        here, separator, there = option.partition("=")
        if not (separator and here and there) or here in names:
            raise RangeError(f"--map is {option!r}, needed GOLDEN=DUT, each layer once")
        names[here] = there
    return names


def _stages(option: str | None) -> tuple[str, ...] | None:
    if option is None:
        return None
    return tuple(dict.fromkeys(part.strip() for part in option.split(",")))


_HEADS = ("layer", "stages", "values>", "entire>", "by>", "single>", "verdict")


def _print(found, figures) -> None:
    from ..golden.sentences import element_sentence, layer_sentences

    for note in found.notes:
        console.say(f"note: {note}")
    for problem in found.problems:
        console.say(f"problem: {problem}")
    failing = [layer for layer in found.layers if layer.fails]
    if failing:
        console.show_table(console.table(_HEADS, map(_row, found.layers)))
    if found.first is not None:
        layer, stage = found.first
        console.say(f"first difference: layer {layer.layer}, stage {stage.stage}")
        console.say(f"  {element_sentence(stage.entire.first, found)}")
        for who, address in figures["first"]["address"].items():
            if address is not None:
                console.say(f"  {who}: {address['file']}, word {address['word']}, bit {address['bit']}")
    shown = {found.first[0].layer} if found.first is not None else set()
    for layer in failing:
        if layer.layer in shown or layer in found.culprits or layer.why is not None:
            for line in layer_sentences(layer, found):
                console.say(line)
    console.say(_summary(found, figures))


def _row(layer) -> list[object]:
    entire, single = ([getattr(stage, column) for stage in layer.stages] for column in ("entire", "single"))
    stages = " ".join(stage.stage for stage in layer.stages)
    values = sum(one.values for one in entire if one is not None)
    largest = max((one.largest for one in entire if one is not None), default=0)
    cells = [layer.layer, stages or None, values or None, _different(entire), largest or None, _different(single)]
    return [*cells, layer.verdict if layer.why is None or layer.stages else layer.why]


def _different(column) -> str | None:
    known = [one.different for one in column if one is not None]
    if not known:
        return None
    return str(sum(known)) if sum(known) else "="


def _summary(found, figures) -> str:
    images = f"{found.images} image{'s' if found.images != 1 else ''} from {found.first_image}"
    what = f"{figures['layers_compared']} layers, {figures['values_compared']:,} values, {images}"
    left_out = [layer.layer for layer in found.layers if not layer.fails and layer.why is not None]
    without = f"; not compared: {', '.join(map(printable, left_out))}" if left_out else ""
    return f"{'EQUAL' if found.equal else 'DIFFERENT'}: {what}{without}"


def _print_self_test(figures, sentences) -> None:
    heads = ("seeded fault", "what", "caught>", "unnoticed>")
    rows = [[row["name"], row["sentence"], row["caught"], len(row["unnoticed"]) or None] for row in figures["seeds"]]
    console.show_table(console.table(heads, rows))
    for sentence in sentences:
        console.say(sentence)
    console.say(f"cannot tell: {figures['cannot_tell']['sentence']}")
    verdict = "every seeded fault is caught" if figures["passed"] else "some seeded faults go unnoticed"
    console.say(f"self-test: {verdict}")
