"""Dumps for tests: the same integers as a trace, a folder, an archive, a vector pack, or in memory."""

import numpy as np
from networks import random_images, seeded

from refengine.runs.trace import open_trace, write_trace
from refengine.vectors.writer import write_vectors


def network_and_images(count=3, seed=7):
    """A small network with a residual or two, and images for it."""
    network = seeded(seed, ["conv", "add", "maxpool", "conv", "pad_channels", "global_avgpool"], ("half_up",))
    return network, random_images(network, count, seed)


def integers_of(path):
    """layer -> stage -> array of a trace, and its images."""
    with open_trace(path) as trace:
        stages = {
            name: {stage: trace.stage(name, stage).whole() for stage in trace.layer(name).stages}
            for name in trace.layers
        }
        return stages, trace.images.whole()


def as_folder(path, stages, images=None, separator="."):
    """A folder of LAYER.STAGE.npy or LAYER/STAGE.npy."""
    path.mkdir()
    for layer, arrays in stages.items():
        for stage, array in arrays.items():
            target = path / f"{layer}{separator}{stage}.npy"
            target.parent.mkdir(exist_ok=True)
            np.save(target, array)
    if images is not None:
        np.save(path / "images.npy", images)
    return path


def as_archive(path, stages, images=None, compressed=False):
    """One .npz with LAYER.STAGE."""
    arrays = {f"{layer}.{stage}": array for layer, held in stages.items() for stage, array in held.items()}
    arrays |= {} if images is None else {"images": images}
    (np.savez_compressed if compressed else np.savez)(path, **arrays)
    return path


def in_every_form(folder, network, images):
    """Paths of one run in every form that a dump has."""
    write_trace(network, images, folder / "trace.h5")
    stages, pixels = integers_of(folder / "trace.h5")
    write_vectors(network, images, folder / "pack", formats=("npy", "readmemh"))
    write_vectors(network, images, folder / "text", formats=("readmemh",))
    return {
        "trace": folder / "trace.h5",
        "dots": as_folder(folder / "dots", stages, pixels),
        "folders": as_folder(folder / "folders", stages, pixels, separator="/"),
        "npz": as_archive(folder / "dump.npz", stages, pixels),
        "packed npz": as_archive(folder / "packed.npz", stages, pixels, compressed=True),
        "pack": folder / "pack",
        "text": folder / "text",
    }
