"""``refengine convert``: what others wrote, in the layouts of refengine: a network from ONNX, images from elsewhere.

The name decides: ``.onnx`` is a network, everything else is images.  Each kind has options of its own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from ..errors import RefengineError
from . import console, options

if TYPE_CHECKING:
    from ..network.float_network import FloatNetwork

MAX_SIDE = 1 << 13
NETWORK_OPTIONS = ("mean", "std", "channels", "input_shape", "name", "check")
READING_OPTIONS = (
    "split",
    "coarse",
    "labels",
    "class_names",
    "size",
    "resize",
    "filter",
    "gray",
    "upright",
    "skip_damaged",
)  # fields of interop.datasets.Reading
CHOICE_OPTIONS = ("first", "count", "evenly")
IMAGE_OPTIONS = (*READING_OPTIONS, *CHOICE_OPTIONS)
# endings of networks in other forms -> what makes a network of them that is read (docs/interop.md)
_TORCH = "a file of PyTorch; torch.onnx.export makes an .onnx of the module, or from_torch converts it in Python"
_KERAS = "a model of Keras; tf2onnx makes an .onnx of it"
_QUANTIZED = "TFLite, often quantized already; export the network of floats that it was made of to .onnx"
NETWORKS = {
    **dict.fromkeys((".pt", ".pth", ".pt2", ".ckpt", ".safetensors"), _TORCH),
    ".keras": _KERAS,
    ".tflite": _QUANTIZED,
}


class Size(click.ParamType):
    """Height and width, as 224x224."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        height, _, width = str(value).partition("x")
        if not all(side.isascii() and side.isdigit() and 1 <= int(side[:9]) <= MAX_SIDE for side in (height, width)):
            self.fail(f"{value!r} is not HxW with sides of 1 to {MAX_SIDE}, as 224x224", param, ctx)
        return int(height), int(width)


class Numbers(click.ParamType):
    """Numbers between commas; ``kind`` makes one of a text."""

    name = "numbers"

    def __init__(self, kind: type[int] | type[float]) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None | None) -> Any:
        try:
            return tuple(self.kind(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not numbers between commas", param, ctx)


@click.command("convert")
@click.argument("given", metavar="GIVEN")
@click.argument("output", metavar="OUT.h5")
@click.option(
    "--mean",
    type=Numbers(float),
    metavar="M,...",
    help="A network's input is (pixel - mean) / std, in units of 0..255 and in the network's order of channels: one "
    "number a channel, or one for all.  [default: 0]",
)
@click.option("--std", type=Numbers(float), metavar="S,...", help="See --mean.  [default: 1]")
@click.option(
    "--channels",
    type=click.Choice(["RGB", "BGR", "gray"]),
    help="Channels that a network reads.  [default: RGB, gray]",
)
@click.option("--input-shape", type=Numbers(int), metavar="H,W,C", help="The sizes that a network leaves open.")
@click.option("--name", default="", metavar="TEXT", help="What a network is called.  [default: as in the file]")
@click.option("--check", is_flag=True, help="Compare a network's logits with ONNX Runtime's on random images.")
@click.option("--source", default="", metavar="TEXT", help="Where it comes from; kept in the file.")
@click.option("--licence", default="", metavar="TEXT", help="Its licence; kept in the file.")
@click.option(
    "--split",
    type=click.Choice(["train", "test", "validation"]),
    help="Images of CIFAR, MNIST and Parquet: which of them.",
)
@click.option("--coarse", is_flag=True, help="CIFAR-100: the 20 coarse labels instead of the 100 fine ones.")
@click.option("--labels", metavar="FILE", help="Labels of one IDX file, as IDX; of a folder, a CSV of file,label.")
@click.option("--class-names", metavar="FILE", help="Names of class 0, 1, ..., one a line.")
@click.option("--size", type=Size(), metavar="HxW", help="Image files: resize and cut the middle to one size.")
@click.option("--resize", type=click.IntRange(1, MAX_SIDE), metavar="S", help="Bring the shorter side to S before.")
@click.option("--filter", type=click.Choice(["bilinear", "bicubic"]), help="How to resize.  [default: bilinear]")
@click.option("--gray", is_flag=True, help="Image files: gray instead of RGB.")
@click.option("--upright", is_flag=True, help="Turn photos as their EXIF orientation says.")
@click.option("--skip-damaged", is_flag=True, help="Count image files that are damaged instead of refusing them.")
@options.first
@click.option("--count", type=options.POSITIVE, metavar="N", help="How many images.  [default: all]")
@click.option("--evenly", type=options.POSITIVE, metavar="N", help="Of these, N at even distances: to calibrate on.")
@options.json_file
def command(given: str, output: str, json_path: str | None, **chosen: Any) -> None:
    """Convert an ONNX network, or a set of images, to an HDF5 file of refengine.

    GIVEN is a network, MODEL.onnx of opset 7 to 28, or images.  A node that integers cannot express is refused by its
    name; docs/interop.md lists the operators.
    """
    console.check_outputs([given], json_path, output)
    if given.lower().endswith(".onnx"):
        _refuse(IMAGE_OPTIONS, f"{given} is a network")
        _convert_network(given, output, json_path, chosen)
    elif (ending := os.path.splitext(given)[1].lower()) in NETWORKS:
        raise RefengineError(f"{given}: is {NETWORKS[ending]} (docs/interop.md)")
    else:
        _refuse(NETWORK_OPTIONS, f"{given} is no .onnx file, so it is read as images")
        _convert_images(given, output, json_path, chosen)


def _refuse(names: tuple[str, ...], reason: str) -> None:
    """RefengineError if an option was written that the other kind alone has."""
    given = click.get_current_context().get_parameter_source
    for name in names:
        if given(name) is click.core.ParameterSource.COMMANDLINE:
            raise RefengineError(f"--{name.replace('_', '-')} does not apply: {reason}")


def _convert_network(given: str, output: str, json_path: str | None, chosen: dict[str, Any]) -> None:
    from ..interop.onnx.agreement import agreement
    from ..interop.onnx.convert import Preprocessing, convert_file
    from ..network.float_file import write_float_network

    texts = {name: chosen[name] for name in ("name", "source", "licence")}
    preprocessing = Preprocessing(chosen["mean"], chosen["std"], chosen["channels"])
    converted = convert_file(given, preprocessing, input_shape=chosen["input_shape"], **texts)
    checked = agreement(given, converted) if chosen["check"] else None
    _hint_at_units(chosen["mean"] or (0.0,), chosen["std"] or (1.0,))
    network = converted.network
    if chosen["mean"] is None and chosen["std"] is None:
        _hint_at_preprocessing(network)
    write_float_network(network, output, [given])
    figures = {
        "output": output,
        "name": network.name,
        "input_shape": list(network.input_shape),
        "channels": network.channels,
        "mean": list(network.mean),
        "std": list(network.std),
        "classes": network.classes,
        "layers": len(network.layers),
        "dropped": converted.dropped,
        "check": None if checked is None else vars(checked),
    }
    if console.write_json(json_path, "convert", figures, [given]):
        return
    shape = "x".join(str(size) for size in network.input_shape)
    console.say(f"{output}: {len(network.layers)} layers, images {shape}, {network.classes} classes")
    mean, std = (", ".join(f"{value:g}" for value in values) for values in (network.mean, network.std))
    console.say(f"input {network.channels}: (pixel - ({mean})) / ({std})")
    if converted.dropped:
        console.say(f"the {converted.dropped} at its end is left out: the last layer gives logits")
    if checked is not None:
        console.say(
            f"largest difference to ONNX Runtime on {checked.images} random images: {checked.difference:.2e}, "
            f"allowed {checked.allowed:.2e}, largest logit {checked.largest:.3g}"
        )
        if checked.judged:
            console.say(f"ONNX Runtime's float32 is further off on {checked.judged} of them, which float64 judged")


def _hint_at_preprocessing(network: FloatNetwork) -> None:
    """One line on stderr where the first layer plainly was not made for pixels of 0..255."""
    from ..interop.onnx.expectation import expected_std

    std = expected_std(network)
    if std is not None:
        console.complain(
            f"the batch norm behind the first layer expects images with a std that is that of their pixels over about "
            f"{std:.2g}; without --mean and --std the network reads pixels of 0..255 as they are"
        )


def _hint_at_units(mean: tuple[float, ...], std: tuple[float, ...]) -> None:
    """One line on stderr where mean and std look like those of pixels in 0..1."""
    small = all(abs(value) < 1 for value in mean) and all(value <= 1 for value in std)
    if small and (any(mean) or any(value != 1 for value in std)):
        scaled = (",".join(f"{255 * value:g}" for value in values) for values in (mean, std))
        console.complain(
            "mean and std look like those of pixels in 0..1, pixels are 0..255 here: --mean {} --std {}".format(*scaled)
        )


def _convert_images(given: str, output: str, json_path: str | None, chosen: dict[str, Any]) -> None:
    from ..interop.images.datasets import Reading, convert_images

    reading = Reading(**{name: chosen[name] for name in READING_OPTIONS})
    inputs = [path for path in (given, reading.labels, reading.class_names) if path is not None]
    console.check_outputs(inputs, json_path, output)
    choice = {name: chosen[name] for name in ("source", "licence", *CHOICE_OPTIONS)}
    with console.progress("convert") as show:
        images, written = convert_images(given, output, reading, **choice, progress=show)
    for note in images.notes:
        console.complain(note)
    if written.tilted:
        console.complain(f"{written.tilted} images have an EXIF orientation and were not turned; --upright turns them")
    if written.damaged:
        console.complain(f"{len(written.damaged)} images are damaged and left out, as {written.damaged[0]}")
    figures = {
        "output": output,
        "set": images.what,
        "of": images.count,
        "count": written.count,
        "shape": list(written.shape),
        "images_of_class": written.classes,
        "class_names": images.class_names,
        "damaged": list(written.damaged),
        "tilted": written.tilted,
    }
    if not console.write_json(json_path, "convert", figures, inputs):
        console.say(f"{output}: {written.count} of {images.count} images, {_seen(written.shape)}, {images.what}")
        console.say(_classes(written.classes))


def _seen(shape: tuple[int, int, int]) -> str:
    """A shape in words: '32x32 RGB'."""
    return f"{shape[0]}x{shape[1]} {'gray' if shape[2] == 1 else 'RGB'}"


def _classes(counts: tuple[int, ...] | None) -> str:
    if counts is None:
        return "no labels"
    return f"{len(counts)} classes, {min(counts)} to {max(counts)} images of each"
