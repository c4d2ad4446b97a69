"""Fine-tunes a float network for low-bit weights: it learns while its forward computes in the engine's integers.

    python weights/finetune.py weights/resnet20-fashion.h5 /usr/share/datasets/fashion-mnist --cluster 64 -o tuned.h5

Needs PyTorch (`pip install refengine[train]`); uses a graphics card if PyTorch sees one.  IMAGES are labelled training
images: files of the layout "refengine-images", or the folder of Fashion-MNIST's original files.  The network that is
written is a float network as before; its ternary weights are the reals that their codes and scales stand for.
docs/finetune.md says what happens between these lines.
"""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from pack_images import read_split
from torch.nn import functional

from refengine.cli.console import progress
from refengine.errors import RangeError, RefengineError
from refengine.interop.torch.export_float import to_torch
from refengine.interop.torch.finetune import Tuning
from refengine.network.float_file import read_float_network, write_float_network
from refengine.network.images import evenly_spaced, open_images
from refengine.quantization.clusters import METHODS
from refengine.quantization.scheme import Scheme

BATCH = 128
STEPS_BETWEEN_REFRESHES = 100
CALIBRATION_IMAGES = 256
SETTLING_IMAGES = 4096
MOMENTUM, WEIGHT_DECAY, WARM_UP = 0.9, 1e-4, 0.1
LABEL_SMOOTHING = 0.1


# ---- images ---------------------------------------------------------------------------------------------


def read_images(paths, network):
    """Images uint8 (N, H, W, C) and labels int64 (N,) of files and folders; RangeError where they do not fit."""
    parts = [read_split(path, "train") if Path(path).is_dir() else read_file(path) for path in paths]
    shapes = {images.shape[1:] for images, _ in parts}
    if shapes != {network.input_shape}:
        raise RangeError(f"images are of shape {sorted(shapes)}, network {network.name!r} reads {network.input_shape}")
    images, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    if labels.max() >= network.classes:
        raise RangeError(f"labels go up to {labels.max()}, network {network.name!r} has {network.classes} classes")
    return images, labels.astype(np.int64)


def read_file(path):
    """Images and labels of one file of labelled images."""
    with open_images(path) as file:
        return file.read(0, file.count), file.labels


def augment(padded, chosen, shift, mirror, random):
    """Images `chosen` (N,) of `padded` (all, H + 2*shift, W + 2*shift, C), cut out at random places: (N, C, H, W)."""
    height, width = (side - 2 * shift for side in padded.shape[1:3])
    n = len(chosen)
    corner = torch.randint(2 * shift + 1, (2, n, 1), generator=random)
    rows, columns = corner[0] + torch.arange(height), torch.arange(width).expand(n, width)
    if mirror:
        columns = torch.where(torch.randint(2, (n, 1), generator=random).bool(), columns.flip(1), columns)
    return padded[chosen[:, None, None], rows[:, :, None], (corner[1] + columns)[:, None, :]].permute(0, 3, 1, 2)


# ---- training -------------------------------------------------------------------------------------------


class Teacher:
    """The float network as it was, whose logits are a second target."""

    def __init__(self, network, device):
        self.module = to_torch(network).to(device, memory_format=torch.channels_last)
        self.device = device
        self.mean, self.std = (
            torch.tensor(values, device=device)[:, None, None] for values in (network.mean, network.std)
        )
        self.flip = network.channels == "BGR"

    @torch.no_grad()
    def __call__(self, pixels):
        """uint8 (N, C, H, W) to logits (N, classes)."""
        x = ((pixels.flip(1) if self.flip else pixels).float() - self.mean) / self.std
        with torch.autocast(self.device, torch.bfloat16):
            return self.module(x).float()


def loss_of(logits, labels, target, share):
    """Cross entropy of logits (N, classes) with the labels, a `share` of it with the teacher's logits `target`."""
    loss = (1 - share) * functional.cross_entropy(logits, labels, label_smoothing=LABEL_SMOOTHING)
    if share:
        loss = loss + share * functional.cross_entropy(logits, target.softmax(1))
    return loss


def train(tuning, images, labels, arguments, device):
    """Fit the network to images uint8 (N, H, W, C) and labels (N,): SGD, Nesterov momentum, one-cycle schedule."""
    random = torch.Generator().manual_seed(arguments.seed)
    shift = arguments.shift
    padded = functional.pad(torch.from_numpy(images), (0, 0, shift, shift, shift, shift))
    labels = torch.from_numpy(labels)
    batch = min(BATCH, len(images))
    steps = len(images) // batch
    parameters = [*tuning.parameters.values()]
    optimizer = torch.optim.SGD(parameters, momentum=MOMENTUM, nesterov=True, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, arguments.rate, arguments.epochs * steps + 1, pct_start=WARM_UP, cycle_momentum=False
    )
    teacher = Teacher(tuning.start, device) if arguments.teacher else None

    done = 0
    with progress("fine-tune") as show:
        for epoch in range(1, arguments.epochs + 1):
            losses, hits = 0.0, 0
            order = torch.randperm(len(images), generator=random)[: steps * batch]
            for chosen in order.split(batch):
                pixels = augment(padded, chosen, shift, arguments.mirror, random).to(device)
                wanted = labels[chosen].to(device)
                logits = tuning(pixels).float()
                loss = loss_of(logits, wanted, None if teacher is None else teacher(pixels), arguments.teacher)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
                losses, hits, done = losses + loss.item(), hits + int((logits.argmax(1) == wanted).sum()), done + 1
                if done % STEPS_BETWEEN_REFRESHES == 0:
                    tuning.refresh()
                show(done, arguments.epochs * steps, f"epoch {epoch}, loss {loss.item():.3f}")
            print(
                f"epoch {epoch}/{arguments.epochs}  loss {losses / steps:.4f}  train {hits / len(order):7.2%}",
                flush=True,
            )


@torch.no_grad()
def settle(tuning, images, device):
    """Replace means and variances by those of some of the images, unaugmented."""
    tuning.refresh()
    chosen = torch.from_numpy(images[evenly_spaced(len(images), SETTLING_IMAGES)]).permute(0, 3, 1, 2)
    for pixels in chosen.split(BATCH):
        tuning(pixels.to(device))


# ---- the command ----------------------------------------------------------------------------------------


def parsed(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", metavar="NET.h5", help="float network of the layout refengine-float")
    parser.add_argument("images", metavar="IMAGES", nargs="+", help="labelled images, or the folder of Fashion-MNIST")
    parser.add_argument("-o", "--output", metavar="OUT.h5", required=True, help="float network to write")
    parser.add_argument("--cluster", type=int, default=64, help="filters that share a scale [64]")
    parser.add_argument(
        "--weights", choices=("ternary", "int4"), default="ternary", help="of the middle layers [ternary]"
    )
    parser.add_argument("--method", choices=METHODS, default="optimal", help="how ternary codes are chosen [optimal]")
    parser.add_argument("--exponents", choices=("max", "mse"), default="mse", help="rule of output exponents [mse]")
    parser.add_argument("--epochs", type=int, default=4, help="[4]")
    parser.add_argument("--rate", type=float, default=0.05, help="largest learning rate [0.05]")
    parser.add_argument(
        "--teacher", type=float, default=0.5, help="share of the float network's word in the loss [0.5]"
    )
    parser.add_argument("--shift", type=int, default=2, help="move images by up to as many pixels [2]")
    parser.add_argument("--no-mirror", dest="mirror", action="store_false", help="do not mirror half of the images")
    parser.add_argument(
        "--gradients", choices=("bfloat16", "float32"), default="bfloat16", help="type of convolutions' gradients"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args(arguments)


def finetune(arguments):
    """Read, train, write."""
    torch.set_num_threads(arguments.threads)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = read_float_network(arguments.network)
    images, labels = read_images(arguments.images, network)
    scheme = Scheme(
        weights=arguments.weights,
        cluster=arguments.cluster,
        method=arguments.method,
        exponents=arguments.exponents,
    )
    calibration = images[evenly_spaced(len(images), CALIBRATION_IMAGES)]
    tuning = Tuning(network, calibration, scheme, device, getattr(torch, arguments.gradients))
    train(tuning, images, labels, arguments, device)
    settle(tuning, images, device)
    what = f"fine-tuned for {arguments.weights} weights in clusters of {arguments.cluster} by weights/finetune.py"
    source = f"{network.source}; {what}" if network.source else what
    write_float_network(replace(tuning.float_network(), source=source), arguments.output, [arguments.network])
    print(f"{arguments.output}: {what}")


def main():
    """Run the command; what is wrong with its input becomes one line."""
    try:
        finetune(parsed())
    except RefengineError as error:
        sys.exit(f"finetune: error: {error}")


if __name__ == "__main__":
    main()
