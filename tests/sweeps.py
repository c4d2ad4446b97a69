"""A small network of seven classes with its images as files, and what a sweep of it is compared by."""

from dataclasses import asdict

import numpy as np
from float_networks import floats, layer

from refengine.accuracy.jobs import Files, LayerRecord, Record
from refengine.network.float_file import write_float_network
from refengine.network.float_network import FloatNetwork
from refengine.network.forward import forward
from refengine.network.images import write_images

COUNT = 40
CLASSES = 7
HOSTILE = "<script>$x^2$</script> &amp; \x00\x1b[31m\ud800 \"'` http://example.com/ 層"


def seven(name="seven", first="conv"):
    """Two convolutions, the second with clusters worth the name, and a classifier."""
    rng = np.random.default_rng(2)
    plain = {"strides": (1, 1), "pads": (1, 1, 1, 1), "group": 1}
    layers = (
        layer(0, "input"),
        layer(1, first, ["000_input"], {"weight": floats(rng, 6, 3, 3, 3)}, **plain),
        layer(2, "relu", [f"001_{first}"]),
        layer(3, "conv", ["002_relu"], {"weight": floats(rng, 6, 6, 3, 3)}, **plain),
        layer(4, "relu", ["003_conv"]),
        layer(5, "global_avgpool", ["004_relu"]),
        layer(6, "fc", ["005_global_avgpool"], {"weight": floats(rng, CLASSES, 6)}),
    )
    return FloatNetwork(name, (6, 5, 3), CLASSES, (120.0,) * 3, (60.0,) * 3, "RGB", layers)


def write_files(folder):
    """The network, images to calibrate on, and labelled images of which it gets more than half right."""
    rng, network = np.random.default_rng(3), seven()
    images = rng.integers(0, 256, (COUNT, 6, 5, 3), np.uint8)
    chance = rng.integers(0, CLASSES, COUNT)
    labels = np.where(rng.random(COUNT) < 0.6, forward(network, images).argmax(axis=1), chance)
    files = Files(*(str(folder / f"{name}.h5") for name in ("net", "calibration", "images")))
    write_float_network(network, files.network)
    write_images(files.calibration, rng.integers(0, 256, (16, 6, 5, 3), np.uint8), None)
    write_images(files.images, images, labels)
    return files


def told(record):
    """Everything that a record says but the time it took, in types that compare."""
    content = asdict(record)
    content.pop("seconds")
    content["right"] = None if record.right is None else record.right.tolist()
    return content


def record(correct=3, count=5, **changed):
    """A record made up, with one layer; ``right`` are its first images."""
    one = LayerRecord("001_conv", "conv", ("001_conv", "002_relu"), "uint8", -4, "ternary", 19, 32, 600, 1, 5, 0, 21.5)
    right = np.arange(count) < correct
    replaced = {
        "multiplications_replaced": 0.75,
        "model_hash": "ab" * 32,
        "layers": (one,),
        "made_with": {"by": "hand"},
    }
    return Record(**{"network": "seven", "count": count, "correct": correct, "right": right, **replaced, **changed})
