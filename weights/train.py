"""Trains the ResNet-20 that ships with refengine on Fashion-MNIST, and writes resnet20-fashion.h5.

    python weights/train.py /usr/share/datasets/fashion-mnist

Needs PyTorch (`pip install refengine[train]`).  The folder holds the data set's four original files
(`*-ubyte.gz`), for instance from the Debian package `dataset-fashion-mnist`.  The test images are looked at
once, after the last epoch; nothing is chosen by them.
"""

import argparse
import json
import time
from pathlib import Path

import h5py
import numpy as np
import torch
from pack_images import read_split
from torch import nn
from torch.nn import functional

MEAN, STD = 72.94, 90.02  # of all pixels of the 60,000 training images
WIDTHS = (16, 32, 64)
BLOCKS_PER_STAGE = 3
BATCH = 128
EVALUATION_BATCH = 250
PEAK_RATE = 0.2
LARGEST_SHIFT = 2


# ---- the network ----------------------------------------------------------------------------------------


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut without parameters; halves H and W where it widens."""

    def __init__(self, channels_in, channels_out):
        super().__init__()
        self.stride = 1 if channels_in == channels_out else 2
        self.extra = (channels_out - channels_in) // 2
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)

    def forward(self, x):
        """(N, channels_in, H, W) to (N, channels_out, H / stride, W / stride)."""
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.stride != 1:
            x = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra, self.extra))
        return functional.relu(x + y)


class ResNet20(nn.Module):
    """The CIFAR-style ResNet-20 for images of one channel and ten classes."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, WIDTHS[0], 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(WIDTHS[0])
        channels = WIDTHS[0]
        for stage, width in enumerate(WIDTHS, start=1):
            blocks = [Block(channels if i == 0 else width, width) for i in range(BLOCKS_PER_STAGE)]
            self.add_module(f"layer{stage}", nn.Sequential(*blocks))
            channels = width
        self.fc = nn.Linear(channels, 10)
        self.initialise()

    def initialise(self):
        """He initialisation; every batch norm starts at 1.

        A block whose last batch norm started at 0 would never wake the channels that its shortcut fills with zeros:
        relu(0 + 0) passes no gradient.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def blocks(self):
        """Every block with its name, in execution order."""
        for stage in range(1, len(WIDTHS) + 1):
            for index, block in enumerate(getattr(self, f"layer{stage}")):
                yield f"layer{stage}.{index}", block

    def forward(self, x):
        """(N, 1, 28, 28) to logits (N, 10)."""
        x = functional.relu(self.bn1(self.conv1(x)))
        for _, block in self.blocks():
            x = block(x)
        return self.fc(x.mean((2, 3)))


# ---- training -------------------------------------------------------------------------------------------


def normalise(pixels):
    """uint8 pixels (N, 28, 28) to network input (N, 1, 28, 28)."""
    x = (pixels.float() - MEAN) / STD
    return x[:, None].contiguous(memory_format=torch.channels_last)


def augment(padded, chosen, random):
    """Images (N, 28, 28) cut out of `padded` (all, 32, 32) at random places, half of them mirrored."""
    size = padded.shape[1] - 2 * LARGEST_SHIFT
    n, line = len(chosen), torch.arange(size)
    corner = torch.randint(2 * LARGEST_SHIFT + 1, (2, n, 1), generator=random)
    mirrored = torch.randint(2, (n, 1), generator=random).bool()
    rows = corner[0] + line
    columns = corner[1] + torch.where(mirrored, line.flip(0), line)
    return padded[chosen[:, None, None], rows[:, :, None], columns[:, None, :]]


def train(network, pixels, labels, epochs, seed):
    """Fit `network` to uint8 pixels (N, 28, 28), labels (N,): SGD, Nesterov momentum, one-cycle schedule."""
    random = torch.Generator().manual_seed(seed)
    padded = functional.pad(pixels, (LARGEST_SHIFT,) * 4)  # pixel 0 is the background
    steps = len(pixels) // BATCH
    optimizer = torch.optim.SGD(network.parameters(), momentum=0.9, nesterov=True, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, PEAK_RATE, epochs * steps, pct_start=0.25, cycle_momentum=False
    )

    network.train()
    for epoch in range(1, epochs + 1):
        started, losses, hits = time.time(), 0.0, 0
        order = torch.randperm(len(pixels), generator=random)[: steps * BATCH]
        for chosen in order.split(BATCH):
            x, target = normalise(augment(padded, chosen, random)), labels[chosen]
            with torch.autocast("cpu", torch.bfloat16):
                logits = network(x)
            loss = functional.cross_entropy(logits.float(), target, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses += loss.item()
            hits += int((logits.argmax(1) == target).sum())
        print(
            f"epoch {epoch:3d}/{epochs}  loss {losses / steps:.4f}  "
            f"train {hits / len(order):7.2%}  {time.time() - started:.0f} s",
            flush=True,
        )


@torch.no_grad()
def settle_batch_norm(network, pixels):
    """Replace the running statistics by those of all `pixels` (N, 28, 28), unaugmented and in float32."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the plain average over all batches
    network.train()
    for batch in pixels.split(EVALUATION_BATCH):
        network(normalise(batch))


@torch.no_grad()
def count_correct(network, pixels, labels):
    """How many of the images (N, 28, 28) get the label (N,) that they have."""
    network.eval()
    batches = zip(pixels.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True)
    return sum(int((network(normalise(x)).argmax(1) == y).sum()) for x, y in batches)


# ---- the file -------------------------------------------------------------------------------------------


class LayerWriter:
    """Appends layers, numbered in execution order, to the `/layers` group of a "refengine-float" file."""

    def __init__(self, group):
        self.group = group

    def add(self, name, op, *inputs, tensors=None, **attributes):
        """Write one layer and return its key, which is what later layers name as their input."""
        key = f"{len(self.group):03d}_{name}"
        layer = self.group.create_group(key)
        layer.attrs.update({"op": op, "inputs": json.dumps(inputs), **attributes})
        for tensor_name, tensor in (tensors or {}).items():
            layer[tensor_name] = tensor.detach().numpy().astype(np.float32)
        return key

    def conv(self, name, conv, x):
        """A convolution without bias, padded alike on all sides."""
        attributes = {"strides": conv.stride, "pads": conv.padding * 2, "group": conv.groups}
        return self.add(name, "conv", x, tensors={"weight": conv.weight}, **attributes)

    def batch_norm(self, name, bn, x):
        """A batch norm with its stored statistics."""
        tensors = {"gamma": bn.weight, "beta": bn.bias, "mean": bn.running_mean, "var": bn.running_var}
        return self.add(name, "batchnorm", x, tensors=tensors, epsilon=bn.eps)

    def block(self, name, block, x):
        """A residual block; a widening one subsamples its shortcut and adds zero channels to it."""
        y = self.conv(f"{name}.conv1", block.conv1, x)
        y = self.batch_norm(f"{name}.bn1", block.bn1, y)
        y = self.add(f"{name}.relu1", "relu", y)
        y = self.conv(f"{name}.conv2", block.conv2, y)
        y = self.batch_norm(f"{name}.bn2", block.bn2, y)
        if block.stride != 1:
            window = {"kernel_shape": [1, 1], "strides": [2, 2], "pads": [0, 0, 0, 0], "ceil_mode": 0}
            x = self.add(f"{name}.subsample", "maxpool", x, **window)
            x = self.add(f"{name}.widen", "pad_channels", x, before=block.extra, after=block.extra)
        x = self.add(f"{name}.add", "add", y, x)
        return self.add(f"{name}.relu2", "relu", x)


def write_network(network, path):
    """Write `network` in the "refengine-float" layout."""
    with h5py.File(path, "w") as file:
        file.attrs.update(
            {
                "format": "refengine-float",
                "version": 1,
                "name": "resnet20-fashion",
                "input_shape": [28, 28, 1],
                "classes": 10,
                "channels": "gray",
                "mean": [MEAN],
                "std": [STD],
                "source": "trained by weights/train.py of refengine on Fashion-MNIST",
                "licence": "MIT",
            }
        )
        layers = LayerWriter(file.create_group("layers"))
        x = layers.add("input", "input")
        x = layers.conv("conv1", network.conv1, x)
        x = layers.batch_norm("bn1", network.bn1, x)
        x = layers.add("relu", "relu", x)
        for name, block in network.blocks():
            x = layers.block(name, block, x)
        x = layers.add("pool", "global_avgpool", x)
        layers.add("fc", "fc", x, tensors={"weight": network.fc.weight, "bias": network.fc.bias})


def main():
    """Train, write the file, and print how many test images the network gets right."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of the four Fashion-MNIST files (*-ubyte.gz)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "resnet20-fashion.h5")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(arguments.seed)
    images, labels = read_split(arguments.data, "train")
    pixels, labels = torch.tensor(images[..., 0]), torch.tensor(labels).long()
    network = ResNet20().to(memory_format=torch.channels_last)
    train(network, pixels, labels, arguments.epochs, arguments.seed)
    settle_batch_norm(network, pixels)
    write_network(network, arguments.output)

    images, labels = read_split(arguments.data, "t10k")
    correct = count_correct(network, torch.tensor(images[..., 0]), torch.tensor(labels).long())
    print(f"test: {correct}/{len(images)} = {correct / len(images):.2%}")


if __name__ == "__main__":
    main()
