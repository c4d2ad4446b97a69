"""``refengine run``: images through an integer network, logits out."""

import io
from collections.abc import Sequence

import click
import numpy as np
from rich.table import Table

from ..api.image_file import image_file
from ..api.run import run
from ..errors import FileError
from ..network.images import chosen_images
from ..network.int_file import read_int_network
from ..network.int_network import IntNetwork
from ..network.write_hdf5 import put_array, put_attributes, write_atomically
from . import console, options

FORMAT, VERSION = "refengine-logits", 1


@click.command("run")
@click.argument("model", metavar="MODEL.h5")
@click.argument("images", metavar="IMAGES.h5")
@options.first
@click.option("--count", type=options.POSITIVE, default=10, show_default=True, metavar="N", help="How many images.")
@click.option("-o", "--output", metavar="FILE", help="Write the logits too, int32 (N, classes): .npy or .h5.")
@options.backend
@options.threads
@options.json_file
def command(
    model: str,
    images: str,
    first: int,
    count: int,
    output: str | None,
    backend: str,
    threads: int,
    json_path: str | None,
) -> None:
    """Run images through an integer network and print its logits.

    Logits are int32.  The class is that of the largest logit; of equal ones, the lowest.
    """
    inputs = [model, images]
    console.check_outputs(inputs, json_path, output)
    if output is not None and not output.endswith((".npy", ".h5")):
        raise FileError(f"{output}: logits are written as .npy or .h5")
    network = read_int_network(model)
    options.say_backend(network, backend)
    file = image_file(images)
    numbers = chosen_images(file.count, first, count, images)
    labels = None if file.labels is None else file.labels[numbers.start : numbers.stop].tolist()
    names = file.class_names if len(file.class_names or ()) == network.classes else None
    with console.progress("run") as show:
        logits = run(network, file, first=first, count=count, backend=backend, threads=threads, progress=show)
    if output is not None:
        _write_logits(output, logits, numbers, network, inputs)
    classes = logits.argmax(axis=1).tolist()
    figures = {
        "model_hash": network.hash,
        "first": first,
        "logits": logits.tolist(),
        "classes": classes,
        "labels": labels,
        "class_names": None if names is None else list(names),
    }
    if not console.write_json(json_path, "run", figures, inputs):
        console.say(f"model {network.hash}, contract {network.contract}")
        console.show_table(_table(numbers, logits, classes, labels, names))


def _write_logits(path: str, logits: np.ndarray, numbers: range, network: IntNetwork, inputs: list[str]) -> None:
    if path.endswith(".npy"):
        content = io.BytesIO()
        np.save(content, logits)
        console.write_file(path, content.getvalue(), inputs)
        return
    with write_atomically(path, inputs) as file:
        put_attributes(file, {"format": FORMAT, "version": VERSION})
        put_attributes(file, {"model_hash": network.hash, "contract": network.contract, "first": numbers.start})
        put_array(file, "logits", logits)


def _table(
    numbers: range, logits: np.ndarray, classes: list[int], labels: list[int] | None, names: Sequence[str] | None
) -> Table:
    heads = ["image>", "class", *([] if labels is None else ["label"]), "logits"]
    rows = [
        [
            number,
            _named(classes[i], names),
            *([] if labels is None else [_named(labels[i], names)]),
            " ".join(str(value) for value in _excerpt(logits[i].tolist())),
        ]
        for i, number in enumerate(numbers)
    ]
    return console.table(heads, rows)


def _named(number: int, names: Sequence[str] | None) -> str:
    return f"{number} {names[number]}" if names is not None and number < len(names) else str(number)


def _excerpt(logits: list[int], most: int = 10) -> list[object]:
    """All logits of few classes; of many, the first ones."""
    return [*logits] if len(logits) <= most else [*logits[:most], "..."]
