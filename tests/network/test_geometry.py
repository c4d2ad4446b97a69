"""Geometry-only networks: sizes against published figures, and signals that are alive everywhere."""

from itertools import pairwise

import numpy as np
import pytest

from refengine.errors import NetworkError
from refengine.network.float_network import shapes
from refengine.network.forward import forward
from refengine.network.geometry import GEOMETRIES, geometry, rectified

# weights, biases and batch norms: torchvision's counts, and twice the batch norms' channels for means and variances
PARAMETERS = {"resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet101": 44_549_160}
STRIDED_PART = {
    f"{name}{suffix}": number
    for name, plain in (("resnet50", 2), ("resnet101", 1))
    for suffix, number in (("", plain), ("-stride3x3", 2), ("-stride1x1", 1))
}


def macs_of_layers(network):
    """Counted from the layers' weights and shapes."""
    found = shapes(network)
    weighted = [layer for layer in network.layers if "weight" in layer.constants]
    return sum(layer.constants["weight"].size * int(np.prod(found[layer.name][:-1])) for layer in weighted)


def bottleneck_macs(blocks, stride_in_3x3):
    """Counted by hand from the paper's table: image side, channels in, channels inside, channels out."""
    total = 112 * 112 * 64 * 3 * 49 + 2048 * 1000
    for stage, count in enumerate(blocks):
        side, inside = 56 >> stage, 64 << stage
        before = side if stage == 0 else 2 * side
        entering = 64 if stage == 0 else 2 * inside
        first = before if stride_in_3x3 else side
        total += first**2 * entering * inside + side**2 * entering * 4 * inside
        total += (count - 1) * side**2 * 4 * inside * inside
        total += count * side**2 * (9 * inside * inside + inside * 4 * inside)
    return total


def basic_macs(blocks):
    """As ``bottleneck_macs``, for two 3x3 convolutions a block."""
    total = 112 * 112 * 64 * 3 * 49 + 512 * 1000
    for stage, count in enumerate(blocks):
        side, width = 56 >> stage, 64 << stage
        total += 2 * count * side**2 * 9 * width * width
        if stage:
            total += side**2 * (width // 2 * width - 9 * width * width // 2)
    return total


MACS = {
    "resnet18": basic_macs((2, 2, 2, 2)),
    "resnet34": basic_macs((3, 4, 6, 3)),
    "resnet50": bottleneck_macs((3, 4, 6, 3), True),
    "resnet50-stride1x1": bottleneck_macs((3, 4, 6, 3), False),
    "resnet50-stride3x3": bottleneck_macs((3, 4, 6, 3), True),
    "resnet101": bottleneck_macs((3, 4, 23, 3), False),
    "resnet101-stride1x1": bottleneck_macs((3, 4, 23, 3), False),
    "resnet101-stride3x3": bottleneck_macs((3, 4, 23, 3), True),
    "resnet20": 32**2 * 9 * (3 * 16 + 18 * 256 - 2 * 128) + 640,
}


def test_the_independent_count_is_the_published_one():
    assert MACS["resnet50"] == 4_089_184_256
    assert MACS["resnet50-stride1x1"] == 3_857_973_248
    assert MACS["resnet101"] == 7_570_194_432
    assert MACS["resnet101-stride3x3"] == 7_801_405_440
    assert MACS["resnet18"] == 1_814_073_344


EVERYDAY = ("resnet20", "resnet18", "resnet50")  # the others have up to 44 million weights


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in EVERYDAY else pytest.mark.slow) for name in GEOMETRIES]
)
def test_macs_parameters_and_strides_are_the_published_ones(name):
    """The stride of a bottleneck stands in the convolution that the name says, in a stage's first block alone."""
    network = geometry(name)
    assert macs_of_layers(network) == MACS[name]
    statistics = ("mean", "var")
    learnt = [array for layer in network.layers for word, array in layer.constants.items() if word not in statistics]
    if (plain := name.partition("-")[0]) in PARAMETERS:
        assert sum(array.size for array in learnt) == PARAMETERS[plain]
    if name in STRIDED_PART:
        number = STRIDED_PART[name]
        side = (1, 3)[number - 1]
        assert GEOMETRIES[name].described.endswith(f"the stride in the {side}x{side} convolution")
        strided = {
            layer.name.partition("_")[2]
            for layer in network.layers
            if layer.op == "conv" and layer.attributes["strides"] == (2, 2)
        }
        blocks = [f"layer{stage}.0" for stage in (2, 3, 4)]
        inside = {f"{block}.{part}" for block in blocks for part in (f"conv{number}", "downsample.conv")}
        assert strided == {"conv1", *inside}


def test_every_bottleneck_says_where_its_stride_is():
    assert {*STRIDED_PART} == {name for name in GEOMETRIES if name.startswith(("resnet50", "resnet101"))}
    assert {*PARAMETERS} <= {*GEOMETRIES}


def test_resnet20_has_shortcuts_without_weights():
    network = geometry("resnet20")
    assert [layer.op for layer in network.layers].count("conv") == 19
    assert [layer.op for layer in network.layers].count("pad_channels") == 2


@pytest.mark.parametrize("name", ["resnet20", "resnet18", "resnet50"])
def test_signals_neither_die_nor_explode(name):
    """Behind every ReLU a part of the numbers is alive, and the average channel is not constant."""
    network, alive = geometry(name), {}
    pixels = np.random.default_rng(1).integers(0, 256, (1, *network.input_shape)).astype(np.uint8)

    def observe(layer, tensor):
        if layer.op == "relu":
            alive[layer.name] = (np.mean(tensor > 0), tensor.std())

    logits = forward(network, pixels, observe)
    assert all(share > 0.2 and 0.1 < deviation < 100 for share, deviation in alive.values()), alive
    assert np.ptp(logits) > 0.1


def test_weights_depend_on_the_seed_alone():
    first, again, other = (geometry("resnet20", seed) for seed in (3, 3, 4))
    for a, b in zip(first.layers, again.layers, strict=True):
        assert all(np.array_equal(a.constants[word], b.constants[word]) for word in a.constants)
    assert not np.array_equal(first.layers[1].constants["weight"], other.layers[1].constants["weight"])


def test_layers_are_numbered_in_order():
    numbers = [int(layer.name.partition("_")[0]) for layer in geometry("resnet18").layers]
    assert all(after == before + 1 for before, after in pairwise(numbers))


def test_an_unknown_geometry_lists_the_known_ones():
    with pytest.raises(NetworkError, match=r"geometry 'vgg' is unknown; available: resnet18, .*resnet20"):
        geometry("vgg")


@pytest.mark.parametrize("moments", [(0.0, 1.0), (1.5, 0.5), (-1.0, 2.0)])
def test_rectified_against_many_numbers(moments):
    numbers = np.random.default_rng(2).normal(moments[0], np.sqrt(moments[1]), 400_000).clip(0)
    assert rectified(moments) == pytest.approx((numbers.mean(), numbers.var()), abs=0.01)
