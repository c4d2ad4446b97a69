"""``refengine coverage``: which parts of each layer's arithmetic some images exercise."""

import click

from ..network.images import chosen_images, open_images
from ..network.int_file import read_int_network
from ..runs.trace import choose_layers
from . import console, options


@click.command("coverage")
@click.argument("model", metavar="MODEL.h5")
@click.argument("images", metavar="IMAGES.h5")
@options.first
@click.option("--count", type=options.POSITIVE, default=10, show_default=True, metavar="N", help="Number of images.")
@click.option(
    "--layer", "patterns", multiple=True, metavar="PATTERN", help="Only layers of this name or shell pattern.  [repeat]"
)
@options.backend
@options.threads
@options.json_file
def command(
    model: str,
    images: str,
    first: int,
    count: int,
    patterns: tuple[str, ...],
    backend: str,
    threads: int,
    json_path: str | None,
) -> None:
    """Report which parts of each layer's arithmetic the images exercise.

    For each layer: both ends of the clip, ties, both signs of the total, bias, residual, each weight code, each border
    of the padding, the last shorter cluster, and the accumulator's width in bits beside its bound.  A design that is
    wrong in a part that no image reaches compares equal.  Parts that no image at all can reach are left out.
    """
    from ..analysis.coverage import coverage, figures, summary

    inputs = [model, images]
    console.check_outputs(inputs, json_path)
    network = read_int_network(model)
    with open_images(images, labels_required=False) as file, console.progress("coverage") as show:
        numbers = chosen_images(file.count, first, count, images)
        found = coverage(
            network,
            file,
            layers=choose_layers(network, patterns or None),
            backend=backend,
            threads=threads,
            progress=show,
            first_image=first,
            only=numbers,
        )
    report = {
        "model_hash": network.hash,
        "first": first,
        "count": len(numbers),
        "reached": sum(len(one.reached) for one in found),
        "points": sum(len(one.points) for one in found),
        "layers": [figures(one) for one in found],
    }
    if not console.write_json(json_path, "coverage", report, inputs):
        console.say(f"model {network.hash}, contract {network.contract}, images {first}..{numbers.stop - 1}")
        heads = ("layer", "op", "reached>", "of>", "bits seen>", "bound>", "not reached")
        rows = [
            [
                one.layer,
                one.op,
                len(one.reached),
                len(one.points),
                one.bits_seen,
                one.bits_bound,
                ", ".join(one.missed) or None,
            ]
            for one in found
        ]
        console.show_table(console.table(heads, rows))
        console.say(summary(found))
