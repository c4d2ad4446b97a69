"""``refengine compare``: a DUT's integers against the golden's, and which layer goes wrong by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..errors import RangeError
from . import console, options

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

    from ..golden.compare.compare import Comparison, LayerReport
    from ..golden.dumps.difference import Difference


@click.command("compare")
@click.argument("golden", metavar="GOLDEN")
@click.argument("dut", metavar="DUT")
@click.option(
    "--model",
    metavar="MODEL.h5",
    help="The network: recompute each layer of the DUT alone, name causes.  [default: that of a vector pack]",
)
@click.option(
    "--map", "names", multiple=True, metavar="GOLDEN=DUT", help="What the DUT calls a layer of the golden.  [repeat]"
)
@click.option(
    "--layer",
    "layers",
    multiple=True,
    metavar="PATTERN",
    help="Judge only layers of this name; codes that they read and the DUT lacks are the golden's.  [repeat]",
)
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave out layers of this name.  [repeat]")
@click.option(
    "--ignore",
    multiple=True,
    metavar="PATTERN",
    help="Files, members and layers of the DUT that are taken as if they were not there.  [repeat]",
)
@click.option(
    "--stage",
    "stages",
    metavar="NAME,...",
    help="Just these stages, of all layers that have them; 'result' is what a layer ends in.  "
    "[default: all that the DUT dumped]",
)
@click.option(
    "--order",
    metavar="AXES",
    help="Axes of the DUT's arrays and words, the fastest last: NCHW; NCHW8c, NHWC16c with channels in blocks.  "
    "[default: as in the golden]",
)
@click.option("--radix", type=click.Choice(["dec", "hex", "bin"]), help="Of the numbers in the DUT's text files.")
@click.option("--word-bits", type=options.POSITIVE, metavar="BITS", help="Bits of a word in the DUT's files.")
@click.option("--endian", type=click.Choice(["little", "big"]), help="Which byte of a word comes first in .bin files.")
@click.option("--pack", metavar="K[,low-first]", help="A word holds K integers, the first in its low or high bits.")
@click.option("--base", metavar="ADDRESS", help="Address of word 0 in files with addresses.  [default: 0]")
@click.option(
    "--column", metavar="NAME", help="The column of a table (.csv) that holds the integers, or its number from 0."
)
@click.option("--clock", metavar="SIGNAL", help="Of waves (.vcd, .fst): a word is sampled at its rising edges.")
@click.option("--valid", metavar="SIGNAL", help="Of waves: a word passes where it is 1.  [default: at every edge]")
@click.option("--ready", metavar="SIGNAL", help="Of waves: and where this is 1 too.")
@click.option(
    "--data", multiple=True, metavar="[STAGE=]SIGNAL", help="Of waves: the words, of the stage or of --stage.  [repeat]"
)
@click.option(
    "--any-integer-type",
    is_flag=True,
    help="Compare values, whatever type the DUT stores them in; floats must be whole numbers.",
)
@click.option("--self-test", "with_self_test", is_flag=True, help="Which seeded faults would this comparison catch?")
@click.option("--junit", "junit_path", metavar="FILE", help="Write a JUnit report, a test case a layer.")
@click.option("--html", "html_path", metavar="FILE", help="Write one page with pictures of what differs, and where.")
@options.json_file
def command(
    golden: str,
    dut: str,
    model: str | None,
    names: tuple[str, ...],
    layers: tuple[str, ...],
    exclude: tuple[str, ...],
    ignore: tuple[str, ...],
    stages: str | None,
    order: str | None,
    radix: str | None,
    word_bits: int | None,
    endian: str | None,
    pack: str | None,
    base: str | None,
    column: str | None,
    clock: str | None,
    valid: str | None,
    ready: str | None,
    data: tuple[str, ...],
    any_integer_type: bool,
    with_self_test: bool,
    junit_path: str | None,
    html_path: str | None,
    json_path: str | None,
) -> None:
    """Compare the integers of a device under test with the golden ones.

    The report names the first layer that differs, its first wrong element, every bit, and the cause.

    GOLDEN and DUT are each a trace, a vector pack, or arrays called LAYER or LAYER.STAGE: a folder of .npy, an .npz, or
    an HDF5 file.  The number of a layer may be left out.  Stages that the DUT dumped for no layer are not compared;
    whatever else of the DUT is not compared is named, and the result is then INCOMPLETE, unless --ignore matches it.

    A DUT may also be what simulators write, in a folder or one file alone: LAYER.STAGE with the ending .memh, .memb,
    .mem, .hex, .txt, .dat, .csv, .bin, .raw, .coe or .mif.  What such a file does not state (shape, order, width of a
    word, codes of a word) is taken from the golden, or from the manifest of a golden pack.

    Where the network is known (a vector pack holds it, --model is needless then): a layer whose 'entire' differs while
    'single', recomputed from the DUT's own inputs, agrees only passes on an earlier error; a layer whose 'single'
    differs is faulty.  The last lines begin with EQUAL, DIFFERENT, or INCOMPLETE: what was compared agrees, but
    something is missing or was not judged.  Exit code 0: EQUAL; 1: the other two; 2: wrong arguments or files.
    """
    from ..api.compare import compare
    from ..golden.compare.text_report import self_test_sentences

    inputs = [path for path in (golden, dut, model) if path is not None]
    console.check_outputs(inputs, json_path, junit_path, html_path)
    with console.progress("compare") as show:
        found = compare(
            golden,
            dut,
            model,
            names=_names(names),
            layers=layers,
            exclude=exclude,
            ignore=ignore,
            stages=_stages(stages),
            order=order,
            radix=radix,
            word_bits=word_bits,
            endian=endian,
            pack=pack,
            base=base,
            column=column,
            clock=clock,
            valid=valid,
            ready=ready,
            data=data,
            any_integer_type=any_integer_type,
            self_test=with_self_test,
            pictures=html_path is not None,
            progress=show,
        )
    if junit_path is not None:
        console.write_file(junit_path, found.junit(), inputs)
    if html_path is not None:
        console.write_file(html_path, found.html(), inputs)
    tested = found.self_test
    if not console.write_json(json_path, "compare", dict(found.figures), inputs):
        if tested is not None:
            _print_self_test(found.figures["self_test"], self_test_sentences(tested))
        print_comparison(found.comparison, found.lines)
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


def print_comparison(found: Comparison, lines: Iterable[str]) -> None:
    """The table of what was compared, if anything is wrong, and the sentences."""
    judged = [layer for layer in found.layers if layer.stages or layer.wrong]
    if found.compared and any(layer.wrong for layer in judged):
        console.show_table(console.table(_HEADS, map(_row, judged)))
    for line in lines:
        console.say(line)


def _row(layer: LayerReport) -> list[object]:
    entire, single = ([getattr(stage, column) for stage in layer.stages] for column in ("entire", "single"))
    stages = " ".join(stage.stage for stage in layer.stages)
    values = sum(one.values for one in entire if one is not None)
    largest = max((one.largest for one in entire if one is not None), default=0)
    cells = [layer.layer, stages or None, values or None, _different(entire), largest or None, _different(single)]
    return [*cells, layer.verdict]


def _different(column: Sequence[Difference | None]) -> str | None:
    known = [one.different for one in column if one is not None]
    if not known:
        return None
    return str(sum(known)) if sum(known) else "="


def _print_self_test(figures: Mapping[str, Any], sentences: Iterable[str]) -> None:
    heads = ("seeded fault", "what", "caught>", "not applicable>", "unnoticed>")
    rows = [
        [
            row["name"],
            row["sentence"],
            row["caught"],
            *(len(row[key]) or None for key in ("not_applicable", "unnoticed")),
        ]
        for row in figures["seeds"]
    ]
    console.show_table(console.table(heads, rows))
    for sentence in sentences:
        console.say(sentence)
    console.say(f"cannot tell: {figures['cannot_tell']['sentence']}")
    verdict = "every fault that this dump can have is caught" if figures["passed"] else "some faults go unnoticed"
    console.say(f"self-test: {verdict}")
