"""Channels brought to like ranges before quantizing, by exact powers of two: the same float function, bit for bit.

    value'[c] = value[c] * 2**k[c]        k[c] = round(m - log2(range of c)) if that is above 1.25 in magnitude, else 0

m is the median of log2(range) over the channels that meet in a tensor, ranges being those on calibration images.  All
channels of a tensor share one exponent when they are codes, so a channel far smaller than its neighbours would keep few
bits, which matters where its readers make it large again.  Where that costs a reader more than 10 dB, in the noise of
what it reads, channels are scaled; where it does not, as in most trained networks, nothing is changed: a tensor's even
ranges are uneven weights of its readers.

Two limits keep channels as they are that hardly respond to the calibration images, and may to the next one: k = 0 for a
channel that is 0 throughout more than half of the images, and k goes no more than one bit beyond e[c], by which the
weights that read c exceed those that read the channel in the middle (less than 0 where they are smaller).

A factor is taken out of whatever makes the channel and into whatever reads it: weights, biases and batch norms.  What a
channel is tied to has the same k: ReLUs, pools, flatten, concat and padding pass it on, and an addition ties its
operands, so a residual stream is scaled as a whole.  Not scaled, k = 0: the input, the logits, what a ReLU with an
upper end or another activation reads (but for a prelu, which passes factors on), the operands of a product, and what a
batch norm takes in from its convolution.
Source: cross-layer equalization of Nagel et al. 2019, with powers of two and ranges of activations.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..network.activations import ACTIVATIONS
from ..network.float_layer import FloatLayer
from ..network.float_network import FloatNetwork, shapes
from ..network.forward import forward
from ..network.images import evenly_spaced
from ..numbers.formats import INT8
from ..numbers.nearest import nearest_codes
from .fuse import fuse

_IMAGES = 32
_BATCH = 4
_MOST = 30  # bits; weights stay far from float32's smallest numbers
_FIXED = 0
_COST = 10.0  # a ratio of powers; nearly all layers of trained networks stay below
_NEAR = 1.25  # bits
_BEYOND = 1.0  # bits

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Equalized:
    """The network rescaled, and k of every layer's output channels: int64 (C) by layer name."""

    network: FloatNetwork
    shifts: Mapping[str, Array]

    def described(self) -> str:
        """How much was scaled, for the model file: '37 of 96 channels, by 2**-3 to 2**2'."""
        made = [self.shifts[group.output] for group in fuse(self.network) if group.weighted]
        every = np.concatenate(made) if made else np.zeros(0, np.int64)
        if not every.any():
            return "no channel"
        return f"{np.count_nonzero(every)} of {every.size} channels, by 2**{every.min()} to 2**{every.max()}"


def equalized(network: FloatNetwork, images: Array, reestimate: bool = False) -> Equalized:
    """The network with its channels rescaled, by ranges on some of the uint8 images (N, H, W, C).

    reestimate: batch norms are going to be re-estimated, so what a batch norm reads by itself is not scaled either.
    """
    classes = _classes(network, reestimate)
    shift = _shifts(network, images[evenly_spaced(len(images), min(_IMAGES, len(images)))], classes)
    shifts = {name: shift[members] for name, members in classes.items()}
    layers = (_rescaled(layer, shifts) for layer in network.layers)
    return Equalized(replace(network, layers=tuple(layers)), shifts)


def _classes(network: FloatNetwork, reestimate: bool) -> dict[str, Array]:
    """For each layer the class of each output channel, int64 (C): channels of one class are scaled together."""
    found: dict[str, Array] = {}
    ties: list[tuple[Array, Array]] = []
    taken_in = {group.batchnorm.name for group in fuse(network) if group.weighted and group.batchnorm is not None}
    size, count = shapes(network), 1
    for layer in network.layers:
        operands = [found[name] for name in layer.inputs]
        new = np.arange(count, count + size[layer.name][-1])
        count += len(new)
        if (layer.op == "batchnorm" and (reestimate or layer.name in taken_in)) or "max" in layer.attributes:
            ties.append((operands[0], np.full(len(operands[0]), _FIXED)))
        if layer.op == "mul" or (layer.op in ACTIVATIONS and layer.op != "prelu"):
            ties += [(operand, np.full(len(operand), _FIXED)) for operand in operands]
        found[layer.name] = _passed_on(layer, operands, new, size)
        if layer.op == "add":
            ties.append((operands[0], operands[1]))
    for end in (network.layers[0], network.layers[-1]):
        ties.append((found[end.name], np.full(len(found[end.name]), _FIXED)))
    least = _united(count, ties)
    return {name: least[members] for name, members in found.items()}


def _passed_on(layer: FloatLayer, operands: list[Array], new: Array, size: Mapping[str, tuple[int, ...]]) -> Array:
    """Classes of a layer's output: those of its operands where it passes channels on, else ``new`` ones."""
    if layer.op in ("input", "conv", "fc", "batchnorm"):
        return new
    if layer.op == "concat":
        return np.concatenate(operands)
    if layer.op == "pad_channels":
        before = layer.attributes["before"]
        return np.concatenate([new[:before], operands[0], new[before + len(operands[0]) :]])
    if layer.op == "gather_channels":
        return operands[0][layer.constants["order"].astype(np.int64)]
    if layer.op == "flatten":
        return np.repeat(operands[0], size[layer.name][0] // len(operands[0]))
    return operands[0]


def _united(count: int, ties: list[tuple[Array, Array]]) -> Array:
    """The smallest class that each of ``count`` classes is tied to, directly or by way of others: int64 (count)."""
    least = np.arange(count)
    while True:
        before = least.copy()
        for a, b in ties:
            both = np.minimum(least[a], least[b])
            np.minimum.at(least, a, both)
            np.minimum.at(least, b, both)
        least = least[least]
        if np.array_equal(least, before):
            return least


def _shifts(network: FloatNetwork, images: Array, classes: Mapping[str, Array]) -> Array:
    """k of each class; its range is the mean, over the tensors that become codes, of log2 of its largest magnitude."""
    largest: dict[str, list[Array]] = {}

    def observe(layer: FloatLayer, tensor: Array) -> None:
        found = np.abs(tensor).reshape(len(tensor), -1, tensor.shape[-1]).max(axis=1)
        largest.setdefault(layer.name, []).append(found)

    for start in range(0, len(images), _BATCH):
        forward(network, images[start : start + _BATCH], observe)
    codes = {group.output for group in fuse(network)}
    count = 1 + max(int(members.max()) for members in classes.values())
    bits, known = _mean_bits([(classes[name], _range(np.concatenate(largest[name]))) for name in codes], count)
    known[_FIXED] = False
    meeting, ranges = _meeting(classes, count), np.where(known, np.exp2(bits), 0.0)
    excess = _excess(network, classes, ranges)
    shift = np.zeros(count, np.int64)
    for number in _uneven(network, classes, meeting, ranges):
        members = np.flatnonzero((meeting == number) & known)
        lacking = np.median(bits[members]) - bits[members]
        ends = np.minimum(excess[members], 0) - _BEYOND, np.maximum(excess[members], 0) + _BEYOND
        lacking = np.clip(lacking, *ends)
        shift[members] = np.where(np.abs(lacking) > _NEAR, np.clip(nearest_codes(lacking, INT8), -_MOST, _MOST), 0)
    return shift


def _range(magnitudes: Array) -> Array:
    """The largest of an image's magnitudes (N, C) by channel; 0 for channels that show something in few images."""
    shown = np.count_nonzero(magnitudes, axis=0)
    found: Array = np.where(2 * shown >= len(magnitudes), magnitudes.max(axis=0), 0)
    return found


def _meeting(classes: Mapping[str, Array], count: int) -> Array:
    """For each class, int64 (count), the smallest that it shares tensors with, directly or by way of others."""
    scaled = (members[members != _FIXED] for members in classes.values())
    return _united(count, [(members, np.full(len(members), members.min(initial=count))) for members in scaled])


def _uneven(network: FloatNetwork, classes: Mapping[str, Array], meeting: Array, ranges: Array) -> set[int]:
    """Of the classes that ``meeting`` names, those whose tensors' common exponent costs some reader above ``_COST``.

    Codes of one exponent put the noise max(range)^2 into each channel, codes of their own range^2, and what is read has
    sum(noise * weight^2) of it.
    """
    found = set()
    for layer in network.layers:
        if layer.op not in ("conv", "fc", "batchnorm"):
            continue
        members = classes[layer.inputs[0]]
        scaled = ranges[members] > 0
        own = ranges[members] ** 2
        power = _power(layer, own)
        if scaled.any() and own.max() * power[scaled].sum() > _COST * (own * power).sum():
            found.add(int(meeting[members[scaled][0]]))
    return found


def _excess(network: FloatNetwork, classes: Mapping[str, Array], ranges: Array) -> Array:
    """Bits by which weights that read each class exceed those in the middle of their layer, the most of any reader."""
    excess = np.full(len(ranges), -np.inf)
    for layer in network.layers:
        if layer.op in ("conv", "fc", "batchnorm"):
            members = classes[layer.inputs[0]]
            power = _power(layer, ranges[members] ** 2)
            read = (ranges[members] > 0) & (power > 0)
            if read.any():
                bits = np.log2(power[read]) / 2
                np.maximum.at(excess, members[read], bits - np.median(bits))
    return np.where(np.isfinite(excess), excess, 0)


def _power(layer: FloatLayer, own: Array) -> Array:
    """Sum of the squared weights that read each channel; where channels do not add up to an output, each as much."""
    if layer.op == "batchnorm" or layer.attributes.get("group", 1) > 1:
        return np.divide(1, own, out=np.zeros(len(own)), where=own > 0)
    weight = layer.constants["weight"].astype(np.float64)
    power: Array = np.square(weight).sum(axis=(0, *range(2, weight.ndim))).reshape(len(own), -1).sum(axis=1)
    return power


def _mean_bits(found: Iterable[tuple[Array, Array]], count: int) -> tuple[Array, Array]:
    """The mean of log2 of each class's magnitudes that are not 0, float64 (count), and whether there are any."""
    total, number = np.zeros(count), np.zeros(count)
    for members, magnitudes in found:
        seen = magnitudes > 0
        np.add.at(total, members[seen], np.log2(magnitudes[seen].astype(np.float64)))
        np.add.at(number, members[seen], 1)
    return np.divide(total, number, out=np.zeros(count), where=number > 0), number > 0


def _rescaled(layer: FloatLayer, shifts: Mapping[str, Array]) -> FloatLayer:
    """The layer that gives its outputs times 2**k for inputs times 2**k."""
    if layer.op not in ("conv", "fc", "batchnorm"):
        return layer
    constants = dict(layer.constants)
    read, made = shifts[layer.inputs[0]], shifts[layer.name]
    if layer.op == "batchnorm":
        changes = {"gamma": made - read, "beta": made, "mean": read}
    else:
        outputs, inputs, *kernel = constants["weight"].shape
        group = layer.attributes["group"] if layer.op == "conv" else 1
        read = np.repeat(read, inputs * group // len(read))  # an fc flattens a feature map itself
        taps = np.repeat(read.reshape(group, inputs), outputs // group, axis=0)  # what each output reads
        changes = {"weight": (made[:, None] - taps).reshape(outputs, inputs, *(1 for _ in kernel)), "bias": made}
    scaled = {name: np.ldexp(constants[name], change) for name, change in changes.items() if name in constants}
    return replace(layer, constants=constants | scaled)
