"""``refengine vectors``: everything that a testbench reads, in its formats and packed as its memories are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from ..errors import RangeError
from ..network.images import chosen_images, open_images
from ..network.int_file import read_int_network
from . import console, options

if TYPE_CHECKING:
    from ..network.images import LabelledImages
    from ..network.int_network import IntNetwork
    from ..vectors.manifest import Manifest
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
@click.option(
    "--count",
    type=options.POSITIVE,
    metavar="N",
    help="How many images, or how many to choose from.  [default: 1; with --directed 100 or what there are]",
)
@click.option(
    "--directed",
    is_flag=True,
    help="The fewest of the images that reach what all of them do (see coverage), and each layer's worst-case inputs: "
    "a pack DIR/images and a pack DIR/worst_case/LAYER for each layer.",
)
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
@click.option("--overwrite", is_flag=True, help="Replace DIR if it is a pack and holds nothing else.")
@options.backend
@options.threads
@options.json_file
def command(
    model: str,
    images: str,
    output: str,
    first: int,
    count: int | None,
    directed: bool,
    overwrite: bool,
    json_path: str | None,
    **how: Any,
) -> None:
    """Write test vectors for an RTL testbench, in the formats of its memories.

    They are the pixels, weights, scales, biases, multipliers, shifts, every stage of every layer, and the logits.
    DIR/manifest.json describes each tensor: its shape, axes, number format, packing into words, and the SHA-256 of its
    files.  DIR/model.h5 is the network.

    With --directed DIR holds several such packs: of the fewest images that reach each part of the arithmetic that some
    image reaches, and of inputs of each layer that drive its sum to both ends of its bound; what neither reaches is
    printed.
    """
    from ..vectors.writer import check_target, write_vectors

    inputs = [model, images]
    console.check_outputs(inputs, json_path)
    if not directed:
        check_target(output, inputs, overwrite)
    how["layout"] = _layout(**{name: how.pop(name) for name in _PACKING})
    how["layers"] = how.pop("patterns") or None
    how |= {"inputs": inputs, "overwrite": overwrite, "first_image": first}
    network = read_int_network(model)
    with open_images(images, labels_required=False) as file:
        numbers = chosen_images(file.count, first, count or (_LOOKED_AT if directed else 1), images)
        if count is not None and len(numbers) < count:
            raise RangeError(
                f"{images}: has {file.count} images, needed {count} from {first} on: at most {len(numbers)}"
            )
        if directed:
            _directed(network, file, numbers, output, json_path, how)
            return
        pixels = file.read(numbers.start, numbers.stop)
    with console.progress("vectors") as show:
        manifest = write_vectors(network, pixels, output, progress=show, **how)
    figures = {"output": output, "first": first, "count": manifest.count, **_figures([manifest])}
    if not console.write_json(json_path, "vectors", figures, inputs):
        _print(figures, manifest.contract)


_LOOKED_AT = 100  # images, from which the directed ones are chosen


def _figures(manifests: Sequence[Manifest]) -> dict[str, Any]:
    """What was written."""
    entries = [entry for manifest in manifests for entry in manifest.entries]
    stored = [stored for manifest in manifests for stored in manifest.every_file[1:]]
    return {
        "model_hash": manifests[0].model_hash,
        "formats": list(manifests[0].formats),
        "tensors": len(entries),
        "files": len(stored) + 2 * len(manifests),
        "bytes": sum(file.size for file in [*stored, *(manifest.model for manifest in manifests)]),
    }


def _directed(
    network: IntNetwork, images: LabelledImages, numbers: range, output: str, json_path: str | None, how: dict[str, Any]
) -> None:
    """Write the packs of --directed, and say what they reach."""
    from ..analysis.directed_files import figures as of
    from ..analysis.directed_files import sentences, write_directed

    with console.progress("directed") as show:
        found = write_directed(network, images, output, only=numbers, progress=show, **how)
    figures = {"output": output, "first": numbers.start, "count": len(found.chosen), **_figures(found.manifests)}
    if console.write_json(json_path, "vectors", {**figures, "directed": of(found)}, how["inputs"]):
        return
    console.say(f"model {network.hash}, contract {network.contract}")
    for sentence in sentences(found, output):
        console.say(sentence)
    console.say(_written(figures))


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
    last = figures["first"] + figures["count"] - 1
    console.say(f"model {figures['model_hash']}, contract {contract}")
    console.say(_written(figures, f" of images {figures['first']}..{last}"))


def _written(figures: dict, what: str = "") -> str:
    from ..vectors.size import amount

    return (
        f"{figures['output']}: {figures['tensors']} tensors{what} as "
        f"{', '.join(figures['formats'])}, {figures['files']} files, {amount(figures['bytes'])}"
    )
