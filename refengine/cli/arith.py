"""``refengine arith``: how often the arithmetics of other designs differ on this network and these images."""

from collections.abc import Sequence
from typing import Any

import click
import numpy as np

from ..analysis.divergence import COMMON, Divergence, divergence
from ..errors import RangeError
from ..network.images import chosen_images, open_images
from ..network.int_file import read_int_network
from ..numbers.arith import ARITHMETICS
from . import console, options


def _list_presets(context: click.Context, option: click.Parameter, wanted: bool) -> None:
    if wanted:
        rows = ((a.name, a.rule, a.order, a.multiplier_bits, a.source) for a in ARITHMETICS.values())
        console.show_table(console.table(("arithmetic", "rule", "order", "bits>", "source"), rows))
        context.exit()


@click.command("arith")
@click.argument("model", metavar="MODEL.h5")
@click.argument("images", metavar="IMAGES.h5")
@options.first
@click.option("--count", type=options.POSITIVE, default=100, show_default=True, metavar="N", help="How many images.")
@click.option(
    "--layer", "patterns", multiple=True, metavar="PATTERN", help="Count only layers of this name or pattern.  [repeat]"
)
@click.option(
    "--against",
    metavar="NAME,...",
    help="Which arithmetics, besides the model's own.  [default: all but the combinations of ap_fixed]",
)
@click.option(
    "--list", is_flag=True, is_eager=True, expose_value=False, callback=_list_presets, help="List the arithmetics."
)
@options.batch
@options.json_file
def command(
    model: str,
    images: str,
    first: int,
    count: int,
    patterns: tuple[str, ...],
    against: Any,
    batch: int | None,
    json_path: str | None,
) -> None:
    """Count how often the arithmetic of TOSA, TFLite, NVDLA and others differs.

    There are two counts for any two arithmetics.  Single: each layer reads golden inputs, so that a difference is its
    own.  Entire: the whole network runs in each arithmetic, and its logits and predicted classes are compared.
    """
    inputs = [model, images]
    console.check_outputs(inputs, json_path)
    names = COMMON if against is None else tuple(name.strip() for name in against.split(",") if name.strip())
    if not names:
        raise RangeError("--against names no arithmetic; --list has them all")
    network = read_int_network(model)
    with open_images(images, labels_required=False) as file:
        numbers = chosen_images(file.count, first, count, images)
        pixels = file.read(numbers.start, numbers.stop)
        labels = None if file.labels is None else file.labels[numbers.start : numbers.stop]
    with console.progress("arith") as show:
        found = divergence(
            network,
            pixels,
            names,
            layers=patterns or None,
            labels=labels,
            batch=batch,
            first_image=first,
            progress=show,
        )
    figures = {"model_hash": network.hash, "first": first, **found.as_json()}
    if not console.write_json(json_path, "arith", figures, inputs):
        console.say(f"model {network.hash}, contract {network.contract}, images {first}..{first + found.count - 1}")
        _print(found)


def _print(found: Divergence) -> None:
    letters = [_letter(number) for number in range(len(found.rules))]
    heads = [f"{letter}>" for letter in letters]
    rows: list[Sequence[Any]] = [
        (letter, rule.text, ", ".join(rule.names)) for letter, rule in zip(letters, found.rules, strict=True)
    ]
    console.show_table(console.table(("", "rule", "arithmetics"), rows))
    console.say()
    console.say("single: codes that differ from A where a layer reads golden inputs")
    rows = [(name, found.outputs[name], *pairs[0].tolist()[1:]) for name, pairs in found.single.items()]
    console.show_table(console.table(("layer", "codes>", *heads[1:]), rows))
    console.say()
    console.say(f"single: of {sum(found.outputs.values())} codes, so many differ between two of them")
    _print_pairs(letters, found.single_total)
    console.say()
    console.say(f"entire: of {found.number_of_logits} logits")
    _print_pairs(letters, found.logits)
    console.say()
    console.say(f"entire: of {found.count} predicted classes")
    _print_pairs(letters, found.classes)
    if found.correct is not None:
        console.say()
        console.show_table(console.table((f"right of {found.count}", *heads), [("", *found.correct)]))


def _print_pairs(letters: Sequence[str], pairs: np.ndarray) -> None:
    rows = [
        (letter, *("." if row == column else value for column, value in enumerate(values)))
        for row, (letter, values) in enumerate(zip(letters, pairs.tolist(), strict=True))
    ]
    console.show_table(console.table(("", *(f"{letter}>" for letter in letters)), rows))


def _letter(number: int) -> str:
    """Names of rules in tables: A..Z, then AA, AB, ...

    >>> [_letter(number) for number in (0, 25, 26, 27)]
    ['A', 'Z', 'AA', 'AB']
    """
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return ("" if number < 26 else _letter(number // 26 - 1)) + alphabet[number % 26]
