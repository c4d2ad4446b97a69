"""``refengine ledger``: how wide each layer's sums became, how wide they can become, and inputs that make them so."""

import os
from pathlib import Path

import click

from ..engine.trace import choose_layers
from ..errors import FileError
from ..network.hdf5 import printable
from ..network.images import open_images
from ..network.int_file import read_int_network
from . import console, options


@click.command("ledger")
@click.argument("model", metavar="MODEL.h5")
@click.argument("images", metavar="IMAGES.h5")
@options.first
@click.option("--count", type=options.POSITIVE, default=100, show_default=True, metavar="N", help="How many images.")
@click.option(
    "--layer", "patterns", multiple=True, metavar="PATTERN", help="Only layers of this name or shell pattern.  [repeat]"
)
@click.option("--witness", "folder", metavar="DIR", help="Write for each layer a .npz of inputs that attain the bound.")
@options.backend
@options.threads
@options.json_file
def command(model, images, first, count, patterns, folder, backend, threads, json_path) -> None:
    """Book what each layer's accumulator came to: extremes, saturations, the bits needed and the headroom left.

    Seen: by these images, in finished sums.  Bound: by any image, in any order of summation.  A witness is an input of
    the layer that attains the bound, so that the worst case can be simulated.
    """
    from ..golden.ledger import figures as of
    from ..golden.ledger import ledger, witness_figures, witnesses
    from ..golden.terms import accumulates

    inputs = [model, images]
    console.check_outputs(inputs, json_path)
    network = read_int_network(model)
    layers = choose_layers(network, patterns or None)
    with open_images(images, labels_required=False) as file, console.progress("ledger") as show:
        numbers = options.chosen_images(file.count, first, count, images)
        entries = ledger(
            network,
            file,
            layers=layers,
            backend=backend,
            threads=threads,
            progress=show,
            first_image=first,
            only=numbers,
        )
    figures = {
        "model_hash": network.hash,
        "first": first,
        "count": len(numbers),
        "layers": [of(one) for one in entries],
    }
    if folder is not None:
        found = [(layer, witnesses(network, layer)) for layer in layers if accumulates(layer)]
        _write(folder, found, inputs)
        for figure, (_, ends) in zip(figures["layers"], found, strict=True):
            figure["witnesses"] = [witness_figures(one) for one in ends]
    figures["witness"] = folder
    if not console.write_json(json_path, "ledger", figures, inputs):
        console.say(f"model {network.hash}, contract {network.contract}, images {first}..{numbers.stop - 1}")
        _print(figures)


def _write(folder: str, found, inputs: list[str]) -> None:
    from ..golden.ledger import witness_file

    try:
        os.makedirs(folder, exist_ok=True)
    except FileExistsError as error:
        raise FileError(f"{printable(folder)}: is a file, a folder was needed") from error
    except OSError as error:
        raise FileError(f"{printable(folder)}: cannot be made ({error.strerror})") from error
    for layer, ends in found:
        if "/" in layer.name or not layer.name.isprintable():
            raise FileError(f"{printable(folder)}: layer {layer.name!r} cannot be the name of a file")
        console.write_file(str(Path(folder) / f"{layer.name}.npz"), witness_file(layer, ends), inputs)


_HEADS = (
    *("layer", "sums seen>", "bound of sums>", "bits: seen>", "bound>", "declared>"),
    *("headroom: seen>", "bound>", "bits of total: seen>", "bound>"),
    *("values>", "saturated: low>", "high>", "overflowed>"),
)


def _print(figures: dict) -> None:
    console.show_table(console.table(_HEADS, map(_row, figures["layers"])))
    console.say(
        "seen: what the finished sums of these images needed; bound: what no sum of any image leaves, in any order"
    )
    if figures["witness"] is None:
        return
    console.say()
    heads = ("witness of", "end", "place", "bound>", "reached>", "finished sum>", "")
    rows = [_witness_row(layer["layer"], one) for layer in figures["layers"] for one in layer["witnesses"]]
    console.show_table(console.table(heads, rows))
    console.say("reached: by the terms of that sign, added first; the finished sum has the others too")
    count = len(figures["layers"])
    console.say(f"{figures['witness']}: {count} file{'s' if count != 1 else ''}, one for each layer")


def _row(layer: dict) -> list[object]:
    sums, bound, total, total_bound = (layer[name] for name in ("sums", "bound", "total", "total_bound"))
    declared = f"{layer['accumulator_bits']}" + (f" {layer['policy']}" if layer["accumulator_bits"] < 32 else "")
    return [
        layer["layer"],
        f"{sums['lo']}..{sums['hi']}",
        f"{bound['lo']}..{bound['hi']}",
        sums["bits"],
        bound["bits"],
        declared,
        layer["headroom_seen"],
        layer["headroom_bound"],
        None if total is None else total["bits"],
        None if total_bound is None else total_bound["bits"],
        layer["values"],
        layer["saturated_low"],
        layer["saturated_high"],
        layer["overflowed"],
    ]


def _witness_row(name: str, one: dict) -> list[object]:
    place = ",".join(map(str, one["place"]))
    verdict = "attained" if one["attains"] else "the tightest with padding" if one["padded"] else "not attained"
    return [name, one["end"], place, one["bound"], one["reached"], one["sum"], verdict]
