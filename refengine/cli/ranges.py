"""``refengine ranges``: accumulator ranges, seen and possible, and worst-case stimuli that reach them."""

from __future__ import annotations

import click

from ..network.images import chosen_images, open_images
from ..network.int_file import read_int_network
from ..runs.trace import choose_layers
from . import console, options


def _formats(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    from ..vectors.text_formats import FORMATS

    names = () if value is None else tuple(dict.fromkeys(name.strip() for name in value.split(",")))
    for name in names:
        if name not in FORMATS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(FORMATS)}")
    return names


@click.command("ranges")
@click.argument("model", metavar="MODEL.h5")
@click.argument("images", metavar="IMAGES.h5")
@options.first
@click.option("--count", type=options.POSITIVE, default=100, show_default=True, metavar="N", help="How many images.")
@click.option(
    "--layer", "patterns", multiple=True, metavar="PATTERN", help="Only layers of this name or shell pattern.  [repeat]"
)
@click.option(
    "--worst-case", "folder", metavar="DIR", help="Write for each layer a .npz of inputs that attain the bound."
)
@click.option("--witness", "former_folder", hidden=True, help="The former name of --worst-case.")
@click.option(
    "--format",
    "formats",
    callback=_formats,
    metavar="NAMES",
    help="Write the worst-case stimuli for a simulator too: readmemh, readmemb, coe, mif, c, sv, or npy (the stages "
    "alone, for compare), separated by commas.",
)
@click.option("--all", "everything", is_flag=True, help="Print every column: extremes, headroom, values.")
@options.backend
@options.threads
@options.json_file
def command(
    model: str,
    images: str,
    first: int,
    count: int,
    patterns: tuple[str, ...],
    folder: str | None,
    former_folder: str | None,
    formats: tuple[str, ...],
    everything: bool,
    backend: str,
    threads: int,
    json_path: str | None,
) -> None:
    """Report accumulator ranges and write worst-case stimuli.

    A range is given by its ends and by the bits that it needs.
    Seen: the finished sums of these images.  Bound: the sums of any image, in any order of summation; varying: the
    bound without channels that give one code for every image, which need no adder.  A worst-case stimulus is an input
    of the layer that attains the bound, so that the worst case can be simulated.
    """
    from ..analysis.ranges import accumulator_ranges
    from ..analysis.ranges import figures as of
    from ..analysis.terms import accumulates
    from ..analysis.worst_case_files import check_folder, stimuli, stimulus_figures, write_stimuli

    folder = former_folder if folder is None else folder
    if formats and folder is None:
        raise click.UsageError("--format says how stimuli are written, it needs --worst-case DIR")
    inputs = [model, images]
    console.check_outputs(inputs, json_path)
    network = read_int_network(model)
    layers = choose_layers(network, patterns or None)
    if folder is not None:
        check_folder(folder, network)
    with open_images(images, labels_required=False) as file, console.progress("ranges") as show:
        numbers = chosen_images(file.count, first, count, images)
        entries = accumulator_ranges(
            network,
            file,
            layers=layers,
            backend=backend,
            threads=threads,
            progress=show,
            first_image=first,
            only=numbers,
        )
    entries_as_json = [of(one) for one in entries]
    figures = {
        "model_hash": network.hash,
        "first": first,
        "count": len(numbers),
        "layers": entries_as_json,
    }
    if folder is not None:
        found = [(layer, stimuli(network, layer)) for layer in layers if accumulates(layer)]
        for figure, (_, ends) in zip(entries_as_json, found, strict=True):
            figure["stimuli"] = [stimulus_figures(one) for one in ends]
        figures["stimulus_files"] = write_stimuli(network, found, folder, formats, inputs)
    figures["worst_case"] = folder
    if not console.write_json(json_path, "ranges", figures, inputs):
        console.say(f"model {network.hash}, contract {network.contract}, images {first}..{numbers.stop - 1}")
        _print(figures, everything)


_COLUMNS = (
    ("layer", lambda layer: layer["layer"]),
    ("bits: seen>", lambda layer: layer["sums"]["bits"]),
    ("bound>", lambda layer: layer["bound"]["bits"]),
    ("varying>", lambda layer: _bits(layer["varying_bound"])),
    ("declared>", lambda layer: _declared(layer)),
    ("total: seen>", lambda layer: _bits(layer["total"])),
    ("bound>", lambda layer: _bits(layer["total_bound"])),
    ("saturated>", lambda layer: layer["saturated_low"] + layer["saturated_high"]),
    ("overflowed>", lambda layer: layer["overflowed"]),
)
_MORE = (
    ("of values>", lambda layer: layer["values"]),
    ("saturated: low>", lambda layer: layer["saturated_low"]),
    ("high>", lambda layer: layer["saturated_high"]),
    ("headroom: seen>", lambda layer: layer["headroom_seen"]),
    ("bound>", lambda layer: layer["headroom_bound"]),
    ("constant channels>", lambda layer: layer["constant_channels"]),
    ("sums seen>", lambda layer: _ends(layer["sums"])),
    ("bound of sums>", lambda layer: _ends(layer["bound"])),
)


def _print(figures: dict, everything: bool) -> None:
    columns = (*_COLUMNS, *_MORE) if everything else _COLUMNS
    rows = [[cell(layer) for _, cell in columns] for layer in figures["layers"]]
    console.show_table(console.table([head for head, _ in columns], rows))
    console.say(
        "seen: what the finished sums of these images needed; bound: what no sum of any image leaves, in any order"
    )
    more = "" if everything else "; --all prints more columns"
    console.say(f"varying: the bound without channels that are constant, which lint names{more}")
    if figures["worst_case"] is None:
        return
    console.say()
    heads = ("stimulus of", "end", "place", "bound>", "reached>", "finished sum>", "")
    rows = [_stimulus_row(layer["layer"], one) for layer in figures["layers"] for one in layer["stimuli"]]
    console.show_table(console.table(heads, rows))
    console.say("reached: by the terms of that sign, added first; the finished sum has the others too")
    count = figures["stimulus_files"]
    console.say(f"{figures['worst_case']}: {count} file{'s' if count != 1 else ''}")


def _declared(layer: dict) -> str:
    return f"{layer['accumulator_bits']}" + (f" {layer['policy']}" if layer["accumulator_bits"] < 32 else "")


def _bits(span: dict | None) -> int | None:
    return None if span is None else span["bits"]


def _ends(span: dict) -> str:
    return f"{span['lo']}..{span['hi']}"


def _stimulus_row(name: str, one: dict) -> list[object]:
    place = ",".join(map(str, one["place"]))
    verdict = "attained" if one["attains"] else "the tightest with padding" if one["padded"] else "not attained"
    return [name, one["end"], place, one["bound"], one["reached"], one["sum"], verdict]
