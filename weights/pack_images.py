"""Packs Fashion-MNIST into the two files of labelled images that ship with refengine.

    python weights/pack_images.py /usr/share/datasets/fashion-mnist

The folder holds the data set's four original files (`*-ubyte.gz`), for instance from the Debian package
`dataset-fashion-mnist`.  Written are `fashion-test-10000.h5`, all test images in their original order, and
`fashion-calibration-1000.h5`, 100 training images of each class (see `calibration_choice`).
"""

import argparse
import gzip
from pathlib import Path

import h5py
import numpy as np

CLASS_NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
CALIBRATION_PER_CLASS = 100
ROWS_PER_CHUNK = 250


def read_idx(path):
    """The uint8 array of one gzipped IDX file, in the shape that its header gives."""
    data = gzip.decompress(Path(path).read_bytes())
    if data[:3] != b"\0\0\x08":
        raise SystemExit(f"{path}: not an IDX file of unsigned bytes")
    rank = data[3]
    shape = np.frombuffer(data, ">u4", rank, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * rank).reshape(shape)


def read_split(folder, split):
    """Images uint8 (N, 28, 28, 1) and labels uint8 (N,) of `split`, "train" or "t10k"."""
    images = read_idx(Path(folder) / f"{split}-images-idx3-ubyte.gz")
    labels = read_idx(Path(folder) / f"{split}-labels-idx1-ubyte.gz")
    return images[..., np.newaxis], labels


def calibration_choice(labels):
    """Sorted indices (1000,), evenly spread: of every class the first, the 61st, the 121st, ... of its 6000."""
    chosen = []
    for label in range(len(CLASS_NAMES)):
        members = np.flatnonzero(labels == label)
        step = len(members) // CALIBRATION_PER_CLASS
        chosen.append(members[::step][:CALIBRATION_PER_CLASS])
    return np.sort(np.concatenate(chosen))


def write_images(path, images, labels, source):
    """Write uint8 images (N, H, W, C) and labels (N,) in the "refengine-images" layout."""
    with h5py.File(path, "w") as file:
        file.attrs["format"] = "refengine-images"
        file.attrs["version"] = 1
        file.attrs["source"] = source
        file.attrs["licence"] = "MIT"
        packed = {"compression": "gzip", "compression_opts": 9, "shuffle": True}
        chunks = (min(ROWS_PER_CHUNK, len(images)), *images.shape[1:])
        file.create_dataset("images", data=images, chunks=chunks, **packed)
        file.create_dataset("labels", data=labels.astype(np.int32), **packed)
        file.create_dataset("class_names", data=np.array([name.encode() for name in CLASS_NAMES]))


def main():
    """Read the four original files, write the two packed ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the four Fashion-MNIST files (*-ubyte.gz)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent, help="folder to write to")
    arguments = parser.parse_args()

    images, labels = read_split(arguments.data, "t10k")
    write_images(
        arguments.output / "fashion-test-10000.h5",
        images,
        labels,
        "Fashion-MNIST (Zalando SE), the 10,000 test images in their original order",
    )

    images, labels = read_split(arguments.data, "train")
    chosen = calibration_choice(labels)
    write_images(
        arguments.output / "fashion-calibration-1000.h5",
        images[chosen],
        labels[chosen],
        "Fashion-MNIST (Zalando SE), 1,000 of the 60,000 training images, 100 of each class",
    )


if __name__ == "__main__":
    main()
