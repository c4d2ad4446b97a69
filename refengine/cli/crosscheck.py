"""``refengine crosscheck``: the same network by other programs, every integer of every layer compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ..interop.onnx.engines import ENGINES
from ..interop.tosa.engine import TOSA, VARIABLE, WHOLE
from ..network.images import chosen_images, open_images
from ..network.int_file import read_int_network
from . import console, options
from .compare import print_comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..golden.crosscheck import Crosschecked
    from ..network.int_network import IntNetwork

_NAMED = 6


@click.command("crosscheck")
@click.argument("model", metavar="MODEL.h5")
@click.argument("images", metavar="IMAGES.h5")
@click.option(
    "--with",
    "names",
    metavar="NAME,...",
    default=",".join(ENGINES),
    show_default=True,
    help=f"Which engines; {TOSA} and {WHOLE} are others.",
)
@click.option(
    "--tosa-python",
    envvar=VARIABLE,
    show_envvar=True,
    metavar="FILE",
    help="The interpreter of an environment with tosa-tools.",
)
@options.first
@click.option(
    "--count",
    type=options.POSITIVE,
    default=8,
    show_default=True,
    metavar="N",
    help="How many images, or as many as there are.",
)
@options.batch
@options.backend
@options.threads
@options.json_file
def command(
    model: str,
    images: str,
    names: str,
    tosa_python: str | None,
    first: int,
    count: int | None,
    batch: int | None,
    backend: str,
    threads: int,
    json_path: str | None,
) -> None:
    """Run a network in ONNX Runtime or other engines and compare every integer.

    onnxruntime and onnx-reference run what 'refengine export --layers' writes.  The comparison with an engine ends with
    the first batch that differs; the faulty layer is named, with its first wrong element and the cause.
    tosa, Arm's reference model, runs each layer alone on refengine's codes, if TOSA's operators can express the layer.
    tosa-network is the same model on what 'refengine export OUT.tosa --layers' writes, the whole network in one run.
    Exit code 0: every integer is equal; 1: some differ; 2: wrong arguments or files, or an engine that cannot run it.
    """
    from ..golden.compare.json_report import figures as of
    from ..golden.crosscheck import crosscheck

    inputs = [model, images]
    console.check_outputs(inputs, json_path)
    network = read_int_network(model)
    with open_images(images, labels_required=False) as file:
        numbers = chosen_images(file.count, first, count, images)
        pixels = file.read(numbers.start, numbers.stop)
    with console.progress("crosscheck") as show:
        found = crosscheck(
            network,
            pixels,
            [name.strip() for name in names.split(",")],
            backend=backend,
            batch=batch,
            threads=threads,
            first_image=first,
            tosa_python=tosa_python,
            progress=show,
        )
    figures = {
        "model_hash": network.hash,
        "first": first,
        "count": len(pixels),
        "equal": all(one.equal for one in found),
        "engines": [
            {
                "name": one.engine,
                "version": one.version,
                "equal": one.equal,
                "images": one.images,
                "layers_compared": one.layers,
                "stages_compared": one.stages,
                "stages_left_out": dict(one.left_out),
                "codes_by_int64": dict(one.by_int64),
                "values_compared": one.values,
                "values_different": one.different,
                "comparison": None if one.comparison is None else of(one.comparison),
            }
            for one in found
        ],
    }
    if not console.write_json(json_path, "crosscheck", figures, inputs):
        _print(network, found)
    if not figures["equal"]:
        raise SystemExit(1)


def _print(network: IntNetwork, found: Sequence[Crosschecked]) -> None:
    from ..golden.compare.text_report import report_lines

    console.say(f"model {network.hash}, contract {network.contract}")
    heads = ("program", "version", "images>", "layers>", "integers>", "different>")
    rows = [(one.engine, one.version, one.images, one.layers, f"{one.values:,}", f"{one.different:,}") for one in found]
    console.show_table(console.table(heads, rows))
    for one in found:
        if one.engine == TOSA:
            _print_tosa(one)
        if one.comparison is not None and one.dumps is not None:
            console.say()
            console.say(f"{one.engine}:")
            print_comparison(one.comparison, report_lines(one.comparison, *one.dumps))


def _print_tosa(one: Crosschecked) -> None:
    """Which stages were compared, by which operators their codes came about, and what was left out."""
    from ..golden.dumps.layer_names import some

    stages = f"{one.stages} of {one.stages + len(one.left_out)} accumulators and codes of layers"
    console.say(f"{one.engine}: {stages} compared, each layer alone")
    for what, reasons in (("not compared", one.left_out), ("codes by INT64 operators, not RESCALE", one.by_int64)):
        for why in dict.fromkeys(reasons.values()):
            names = [name for name, reason in reasons.items() if reason == why]
            console.say(f"  {what}: {len(names)}, {why}: {some(names, _NAMED)}")
