"""``refengine vectors``: everything that a testbench reads, in its formats and packed as its memories are."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ..errors import RangeError
from ..network.images import chosen_images, open_images
from ..network.int_file import read_int_network
from ..runs.trace import choose_layers
from . import console, options

if TYPE_CHECKING:
    from ..network.batches import Images
    from ..network.int_network import IntNetwork
    from ..vectors.writer import Layout

_WIDTH = re.compile(r"(?:(.+)=)?([0-9]{1,9})")


def _formats(context: click.Context, parameter: click.Parameter, value: str) -> tuple[str, ...]:
    from ..vectors.text_formats import FORMATS

    names = tuple(name.strip() for name in value.split(","))
    for name in names:
        if name not in FORMATS:
            raise click.BadParameter(f"{name!r} is none of {', '.join(FORMATS)}")
    return names


def _widths(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[tuple[str | None, int]]:
    """``32`` or ``*/weight=128``."""
    found = []
    for value in values:
        match = _WIDTH.fullmatch(value)
        if match is None:
            raise click.BadParameter(f"{value!r} is neither a number of bits nor TENSOR=BITS")
        found.append((match[1], int(match[2])))
    return found


@click.command("vectors")
@click.argument("model", metavar="MODEL.h5")
@click.argument("images", metavar="IMAGES.h5")
@click.option("-o", "--output", metavar="DIR", required=True, help="The folder to write.")
@options.first
@click.option("--count", type=options.POSITIVE, default=1, show_default=True, metavar="N", help="How many images.")
@click.option(
    "--layer",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Only layers of this name or shell pattern, and the codes that they read.  [repeat]",
)
@click.option(
    "--partial-sums-of", metavar="LAYER", help="Also each cluster's sum of this conv or fc, before its scale."
)
@click.option(
    "--format",
    "formats",
    default="npy,readmemh",
    show_default=True,
    callback=_formats,
    metavar="NAMES",
    help="Some of npy, readmemh, readmemb, hex, dat, bin, coe, mif, c, sv, separated by commas.",
)
@click.option(
    "--word-bits",
    "widths",
    multiple=True,
    callback=_widths,
    metavar="[TENSOR=]BITS",
    help="Width of a word, 1 to 4096; with a shell pattern of those tensors, as '*/weight=128'.  [repeat]  "
    "[default: one element]",
)
@click.option("--elements-per-word", "elements", type=options.POSITIVE, metavar="K", help="[default: as many as fit]")
@click.option("--straddle", is_flag=True, help="Elements follow without gaps and may cross from word to word.")
@click.option(
    "--order",
    "orders",
    multiple=True,
    metavar="AXES",
    help="Axes as elements lie, the fastest last, of tensors with these axes: nchw, ohwi, ...; nchw8c: channels in "
    "blocks of 8, filled up with zeros.  [repeat]  "
    "[default: nhwc, nhwcg, oihw]",
)
@click.option(
    "--lane-order",
    type=click.Choice(["low", "high"]),
    default="low",
    show_default=True,
    help="Whether the first element of a word sits in its low or its high bits.",
)
@click.option(
    "--endian",
    type=click.Choice(["little", "big"]),
    default="little",
    show_default=True,
    help="big: the bytes of each word are reversed.",
)
@click.option(
    "--ternary",
    type=click.Choice(["twos-complement", "plus-minus", "offset"]),
    default="twos-complement",
    show_default=True,
    help="Codes of -1, 0, 1 in two bits: 11 00 01, 10 00 01 or 00 01 10.",
)
@click.option(
    "--stream",
    is_flag=True,
    help="Beside each tensor of images PART.stream.memh: tkeep of each word, and tlast in the bit above.",
)
@click.option(
    "--directed",
    is_flag=True,
    help="Of the images only the fewest that exercise what all of them do, as pack DIR/images, and in DIR/stimuli "
    "inputs of each layer that attain its accumulator's bound.",
)
@click.option("--overwrite", is_flag=True, help="Replace DIR if it is a pack and holds nothing else.")
@options.backend
@options.threads
@options.json_file
def command(
    model: str,
    images: str,
    output: str,
    first: int,
    count: int,
    directed: bool,
    overwrite: bool,
    json_path: str | None,
    **how: Any,
) -> None:
    """Write test vectors for an RTL testbench, in the formats of its memories.

    They are the pixels, weights, scales, biases, multipliers, shifts, every stage of every layer, and the logits.
    DIR/manifest.json describes each tensor: its shape, axes, number format, packing into words, and the SHA-256 of its
    files.  DIR/model.h5 is the network.
    """
    from ..vectors.writer import check_target, write_vectors

    inputs = [model, images]
    console.check_outputs(inputs, json_path)
    pack = os.path.join(output, "images") if directed else output
    check_target(pack if os.path.isdir(output) else output, inputs, overwrite)
    layout = _layout(**{name: how.pop(name) for name in _PACKING})
    network = read_int_network(model)
    with open_images(images, labels_required=False) as file:
        numbers = chosen_images(file.count, first, count, images)
        if len(numbers) < count:
            raise RangeError(
                f"{images}: has {file.count} images, needed {count} from {first} on: at most {len(numbers)}"
            )
        chosen = _directed(network, file, numbers, output, how) if directed else None
        pixels = file.read(numbers.start, numbers.stop)
    if chosen is not None:
        pixels, first = pixels[[number - numbers.start for number in chosen["images"]]], 0
    with console.progress("vectors") as show:
        manifest = write_vectors(
            network,
            pixels,
            pack,
            layout=layout,
            layers=how.pop("patterns") or None,
            first_image=first,
            inputs=inputs,
            overwrite=overwrite,
            progress=show,
            **how,
        )
    stored = manifest.every_file[1:]
    figures = {
        "output": output,
        "model_hash": manifest.model_hash,
        "first": first,
        "count": manifest.count,
        "formats": list(manifest.formats),
        "tensors": len(manifest.entries),
        "files": len(stored) + 2,
        "bytes": sum(file.size for file in [*stored, manifest.model]),
        "directed": chosen,
    }
    if not console.write_json(json_path, "vectors", figures, inputs):
        _print(figures, manifest.contract)


def _directed(
    network: IntNetwork, images: Images, numbers: range, output: str, how: Mapping[str, Any]
) -> dict[str, Any]:
    """The images of ``numbers`` that suffice, what they exercise, and how many files of worst cases were written."""
    from ..analysis.coverage import coverage
    from ..analysis.directed import cover, points_of_images
    from ..analysis.terms import accumulates
    from ..analysis.worst_case_files import check_folder, stimuli, write_stimuli

    layers = choose_layers(network, how["patterns"] or None)
    folder = os.path.join(output, "stimuli")
    check_folder(folder, network)
    console.make_folder(output)
    known = {"layers": layers, "threads": how["threads"], "first_image": numbers.start, "only": numbers}
    with console.progress("images") as show:
        reached = points_of_images(network, images, progress=show, **known)
    worst = [(layer, stimuli(network, layer)) for layer in layers if accumulates(layer)]
    found = coverage(network, images, backend=how["backend"], **known)
    return {
        "images": [*cover(reached)],
        "reached": len(frozenset[tuple[str, str]]().union(*reached.values())),
        "points": sum(len(one.points) for one in found),
        "missed": {one.layer: [*one.missed] for one in found if one.missed},
        "stimulus_files": write_stimuli(network, worst, folder, how["formats"]),
    }


_PACKING = ("widths", "elements", "straddle", "orders", "lane_order", "endian", "ternary")  # options of ``_layout``


def _layout(widths: Sequence[tuple[str | None, int]], lane_order: str, ternary: str, **same: Any) -> Layout:
    """How elements lie in words; UsageError for two widths of all tensors."""
    from ..vectors.writer import Layout

    of_all = [bits for pattern, bits in widths if pattern is None]
    if len(of_all) > 1:
        raise click.UsageError("--word-bits says twice how wide the words of all tensors are")
    return Layout(
        word_bits=of_all[0] if of_all else None,
        word_bits_of=[(pattern, bits) for pattern, bits in widths if pattern is not None],
        first=lane_order,
        code_map=ternary,
        **same,
    )


def _print(figures: dict, contract: int) -> None:
    from ..vectors.size import amount

    last = figures["first"] + figures["count"] - 1
    console.say(f"model {figures['model_hash']}, contract {contract}")
    if figures["directed"] is not None:
        _print_directed(figures["output"], figures["directed"])
    console.say(
        f"{figures['output']}: {figures['tensors']} tensors of images {figures['first']}..{last} as "
        f"{', '.join(figures['formats'])}, {figures['files']} files, {amount(figures['bytes'])}"
    )


def _print_directed(output: str, chosen: Mapping[str, Any]) -> None:
    missed = "; ".join(f"{layer}: {', '.join(points)}" for layer, points in chosen["missed"].items())
    numbers = ", ".join(map(str, chosen["images"]))
    console.say(
        f"images {numbers} exercise {chosen['reached']} of {chosen['points']} points of the arithmetic, all that the "
        "images do; the pack numbers them from 0"
    )
    if missed:
        console.say(f"not reached: {missed}")
    count = chosen["stimulus_files"]
    console.say(f"{os.path.join(output, 'stimuli')}: worst-case stimuli of each layer, {count} files")
