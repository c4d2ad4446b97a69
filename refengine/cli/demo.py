"""``refengine demo``: the shipped network, from floats to integers to a trace, in less than a minute."""

import os
import shlex
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from importlib.metadata import files as installed_files
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from ..accuracy.evaluate import evaluate
from ..errors import FileError
from ..network.float_file import read_float_network
from ..network.images import evenly_spaced, open_images
from ..network.int_file import write_int_network
from ..quantization.quantize import quantize
from ..quantization.scheme import Scheme
from ..runs.trace import write_trace
from . import console, options
from .evaluate import print_evaluation
from .layers import HEADS, int_layers, int_row

NETWORK, TEST, CALIBRATION = "resnet20-fashion.h5", "fashion-test-10000.h5", "fashion-calibration-1000.h5"
SCHEME = Scheme(weights="ternary", cluster=4)
QUICK = replace(SCHEME, method="optimal", exponents="max", reestimate=False, equalize=False)
CALIBRATION_IMAGES = 500
TRACED = 2


@click.command("demo")
@click.option(
    "--output-dir",
    default="refengine-demo",
    show_default=True,
    metavar="DIR",
    help="Where the model and the trace are written.",
)
@click.option(
    "--images",
    "count",
    type=click.IntRange(1, 10_000),
    default=2000,
    show_default=True,
    metavar="N",
    help="How many of the 10,000 test images are run.",
)
@options.threads
@options.json_file
def command(output_dir: str, count: int, threads: int, json_path: str | None) -> None:
    """Quantize the shipped network and run both: a first result in a minute.

    The network is a ResNet-20 for Fashion-MNIST.  It is quantized to ternary weights in clusters of 4 filters with
    8-bit scales, and to 8-bit activations; then test images run through the float and the integer network.
    """
    network, test, calibration = (str(shipped(name)) for name in (NETWORK, TEST, CALIBRATION))
    inputs = [network, test, calibration]
    folder = console.make_folder(output_dir)
    model, trace = str(folder / "resnet20-fashion-ternary.h5"), str(folder / "trace.h5")
    console.check_outputs(inputs, json_path, model, trace)
    float_network = read_float_network(network)
    with open_images(calibration) as file:
        chosen = file.take(evenly_spaced(file.count, CALIBRATION_IMAGES))
    compile_ahead(network, test)
    with console.progress("quantize") as show:
        made = quantize(float_network, chosen, SCHEME, lambda layer, done, total: show(done, total, layer), threads)
    write_int_network(made, model, inputs)
    with open_images(test) as file:
        with console.progress("evaluate") as show:
            outcome = evaluate(made, file, float_network=float_network, threads=threads, limit=count, progress=show)
        write_trace(made, file.read(0, TRACED), trace, inputs=inputs)
        total = file.count
    layers = int_layers(made)
    figures = {**outcome.as_json(), "model": model, "trace": trace, "layer_table": layers}
    if console.write_json(json_path, "demo", figures, inputs):
        return
    console.say(f"{float_network.name}: {SCHEME.weights} weights in clusters of {SCHEME.cluster}, 8-bit activations")
    console.say(f"calibrated on {len(chosen)} images, run on {outcome.count} of the {total} test images, integers only")
    console.say()
    console.show_table(console.table(HEADS, map(int_row, layers)))
    console.say()
    print_evaluation(outcome)
    console.say()
    console.say(f"wrote {model} (the integers of the network) and {trace} (every integer of {TRACED} images)")
    console.say()
    console.say("Next, for instance:")
    for line in (
        f"refengine inspect {_shown(trace)}",
        f"refengine run {_shown(model)} {_shown(test)} --first 3 --count 5",
        f"refengine evaluate {_shown(model)} {_shown(test)} --float {_shown(network)}",
        f"refengine trace {_shown(model)} {_shown(test)} --digests",
    ):
        console.say(f"  {line}")


def compile_ahead(network: str, images: str) -> None:
    """Where no kernel is compiled yet, begin with those that run integers, in a process of its own.

    Quantizing leaves a part of the cores idle.  Whoever needs a kernel that this process is compiling waits for it
    (``kernels/cache.py``); the process ends with this one.
    """
    from ..kernels.cache import cache_folder  # here, because it loads the compiler

    with suppress(OSError, RuntimeError):
        if not any(cache_folder().glob("*")):
            get_context("spawn").Process(target=run_quickly, args=(network, images), daemon=True).start()


def run_quickly(network: str, images: str) -> None:
    """An integer network made of one image, run and traced: its integers are worth nothing, its kernels are kept."""
    with open_images(images) as file, TemporaryDirectory() as folder:
        image = file.read(0, 1)
        made = quantize(read_float_network(network), image, QUICK)
        evaluate(made, file, threads=1, limit=1)
        write_trace(made, image, str(Path(folder, "trace.h5")))


def shipped(name: str) -> Path:
    """A file that ships with refengine: beside the package in a clone, in share/refengine where it is installed."""
    beside = Path(__file__).resolve().parent.parent.parent
    places = [beside / "weights" / name, beside / "share" / "refengine" / name]
    with suppress(PackageNotFoundError):
        places += [Path(str(file.locate())) for file in installed_files("refengine") or () if file.name == name]
    for place in places:
        if place.is_file():
            return place.resolve()
    looked_in = ", ".join(str(place.parent) for place in places)
    raise FileError(f"{name} ships with refengine and is not there; looked in {looked_in}")


def _shown(path: str) -> str:
    """The path as a shell reads it, relative where that is shorter."""
    relative = os.path.relpath(path)
    return shlex.quote(relative if len(relative) < len(path) else path)
