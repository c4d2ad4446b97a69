"""``refengine trace``: every integer of a run in a file, or one digest a layer."""

import click

from ..api.image_file import image_file
from ..api.trace import trace
from ..network.images import chosen_images
from ..network.int_file import read_int_network
from ..runs.digest import digests
from ..runs.trace import choose_layers
from . import console, options


@click.command("trace")
@click.argument("model", metavar="MODEL.h5")
@click.argument("images", metavar="IMAGES.h5")
@click.option("-o", "--output", metavar="TRACE.h5", help="Where to write the trace.")
@click.option("--digests", "with_digests", is_flag=True, help="Print the SHA-256 of each layer's integers.")
@options.first
@click.option("--count", type=options.POSITIVE, default=1, show_default=True, metavar="N", help="How many images.")
@click.option(
    "--layer", "patterns", multiple=True, metavar="PATTERN", help="Only layers of this name or shell pattern.  [repeat]"
)
@click.option(
    "--partial-sums-of", metavar="LAYER", help="Also each cluster's sum of this conv or fc, before its scale."
)
@options.backend
@options.threads
@options.json_file
def command(
    model: str,
    images: str,
    output: str | None,
    with_digests: bool,
    first: int,
    count: int,
    patterns: tuple[str, ...],
    partial_sums_of: str | None,
    backend: str,
    threads: int,
    json_path: str | None,
) -> None:
    """Save every integer of a run, or print a digest of each layer.

    A trace holds each layer's accumulators, totals before rounding, and codes.  An implementation of the same network
    is compared with the trace integer by integer, or by its digests.
    """
    if output is None and not with_digests:
        raise click.UsageError("nothing to do: -o TRACE.h5 writes a trace, --digests prints digests")
    if output is None and partial_sums_of is not None:
        raise click.UsageError("--partial-sums-of writes into a trace, which needs -o TRACE.h5")
    inputs = [model, images]
    console.check_outputs(inputs, json_path, output)
    network = read_int_network(model)
    options.say_backend(network, backend)
    layers = choose_layers(network, patterns or None)
    file = image_file(images)
    numbers = chosen_images(file.count, first, count, images)
    figures: dict = {"model_hash": network.hash, "first": first, "count": len(numbers), "output": output}
    if with_digests:
        pixels = file[numbers.start : numbers.stop]
        with console.progress("digests") as show:
            found = digests(network, pixels, backend, threads=threads, progress=show, first_image=first)
        figures["digests"] = {layer.name: found[layer.name] for layer in layers}
    if output is not None:
        with console.progress("trace") as show:
            trace(
                network,
                file,
                output,
                layers=patterns or None,
                partial_sums_of=partial_sums_of,
                first=first,
                count=count,
                backend=backend,
                threads=threads,
                progress=show,
            )
    if not console.write_json(json_path, "trace", figures, inputs):
        _print(figures, network.contract, len(layers))


def _print(figures: dict, contract: int, layers: int) -> None:
    console.say(f"model {figures['model_hash']}, contract {contract}")
    if "digests" in figures:
        for name, digest in figures["digests"].items():
            console.say(f"{digest}  {name}")
    if figures["output"] is not None:
        last = figures["first"] + figures["count"] - 1
        what = f"{layers} layer{'s' if layers > 1 else ''}, images {figures['first']}..{last}"
        console.say(f"{figures['output']}: trace of {what}")
