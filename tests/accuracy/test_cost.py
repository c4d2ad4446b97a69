"""The paper's accounting: its ResNet-101 figures to the digit, and the counts of a loop over one image's products."""

import json
from itertools import product

import networks
import pytest
from hypothesis import given

from refengine.accuracy.cost import layer_cost, macs, network_cost, ternary_multiplications


def resnet(blocks):
    """(inputs, outputs, kernel, height, width) of a bottleneck ResNet at 224x224, stride in the first 1x1."""
    yield 3, 64, 7, 112, 112
    inputs, side = 64, 56
    for stage, count in enumerate(blocks):
        width = 64 << stage
        side = 56 >> stage
        for block in range(count):
            if block == 0:
                yield inputs, 4 * width, 1, side, side
            yield inputs, width, 1, side, side
            yield width, width, 3, side, side
            yield width, 4 * width, 1, side, side
            inputs = 4 * width
    yield inputs, 1000, 1, 1, 1


RESNET101, RESNET50 = (tuple(resnet(blocks)) for blocks in ((3, 4, 23, 3), (3, 4, 6, 3)))


def percent_replaced(layers, cluster):
    """Share of the multiplications that ternary layers replace, the first convolution counted as 8-bit."""
    total = left = 0
    for number, (inputs, outputs, kernel, height, width) in enumerate(layers):
        all_of_it = macs(inputs, outputs, kernel * kernel, height * width)
        total += all_of_it
        left += ternary_multiplications(inputs, outputs, height * width, cluster) if number else all_of_it
    return round(100 * (1 - left / total), 2)


def test_multiply_accumulates_of_the_table():
    """7.570 and 3.858 thousand million, the first convolution 1.56 and 3.06 % of them."""
    for layers, giga, first in ((RESNET101, 7.570, 1.56), (RESNET50, 3.858, 3.06)):
        counts = [macs(i, o, k * k, h * w) for i, o, k, h, w in layers]
        assert round(sum(counts) / 1e9, 3) == giga
        assert round(100 * counts[0] / sum(counts), 2) == first


@pytest.mark.parametrize(
    ("cluster", "resnet101", "resnet50"),
    [
        (1, 44.80, 42.62),
        (2, 71.62, 69.78),
        (4, 85.03, 83.36),
        (8, 91.74, 90.15),
        (16, 95.09, 93.55),
        (32, 96.76, 95.24),
        (64, 97.60, 96.09),
    ],
)
def test_the_figures_of_the_paper(cluster, resnet101, resnet50):
    """About 85 % at clusters of 4 and about 98 % at 64, says its abstract."""
    assert percent_replaced(RESNET101, cluster) == resnet101
    assert percent_replaced(RESNET50, cluster) == resnet50


@pytest.mark.parametrize(("taps", "cluster", "share"), [(1, 4, 75.00), (9, 4, 97.22), (1, 64, 98.44), (9, 64, 99.83)])
def test_one_layer_keeps_one_in_cluster_times_taps(taps, cluster, share):
    left = ternary_multiplications(64, 32, 49, cluster) / macs(64, 32, taps, 49)
    assert round(100 * (1 - left), 2) == share


def counted(layer, shape):
    """MACs and multiplications of one image, by walking over outputs, clusters, channels and taps."""
    products = multiplications = 0
    outputs, inputs, *kernel = layer.constants["weight"].shape
    pixels = list(product(*map(range, shape[:-1])))
    for _ in product(pixels, range(outputs)):
        clusters = set()
        for i, _tap in product(range(inputs), list(product(*map(range, kernel)))):
            products += 1
            clusters.add(i // layer.attributes["cluster"])
        multiplications += len(clusters)
    return products, multiplications if layer.weight_format == "ternary" else products


@given(networks.int_networks())
def test_counts_are_those_of_a_walk(network):
    """Grouped and strided, short last clusters, any format; layers without weights cost nothing."""
    cost = network_cost(network)
    weighted = [layer for layer in network.layers if "weight" in layer.constants]
    assert [layer.name for layer in cost.layers] == [layer.name for layer in weighted]
    for layer, its_cost in zip(weighted, cost.layers, strict=True):
        assert (its_cost.macs, its_cost.multiplications) == counted(layer, network.shapes[layer.name])
        assert its_cost.additions == its_cost.macs
        assert (its_cost.op, its_cost.format) == (layer.op, layer.weight_format)
        assert 0 <= its_cost.replaced <= 1
        assert its_cost.format == "ternary" or its_cost.replaced == 0
    assert cost.macs == sum(layer.macs for layer in cost.layers)
    assert cost.multiplications == sum(layer.multiplications for layer in cost.layers)
    assert cost.multiplications_replaced == 1 - cost.multiplications / cost.macs


def test_the_small_network():
    """Four taps and two outputs at one pixel, clusters of one channel: 2 of 8; an int8 fc of 2 x 2 keeps its 4."""
    cost = network_cost(networks.small())
    assert [(layer.macs, layer.multiplications) for layer in cost.layers] == [(8, 2), (4, 4)]
    assert cost.layers[0].replaced == 0.75
    assert cost.multiplications_replaced == 0.5
    assert (cost.macs, cost.multiplications, cost.additions) == (12, 6, 12)
    network = networks.small()
    assert layer_cost(network.layers[1], (5, 3, 2)).macs == 8 * 15


def test_a_network_without_weights_has_nothing_to_replace():
    network = networks.small()
    assert network_cost(networks.small(layers=network.layers[:1], classes=4)).multiplications_replaced == 0.0


def test_json():
    """Sums, shares and layers, as the command line writes them."""
    written = json.loads(json.dumps(network_cost(networks.small()).as_json()))
    assert {name: written[name] for name in written if name != "layers"} == {
        "macs": 12,
        "multiplications": 6,
        "additions": 12,
        "multiplications_replaced": 0.5,
    }
    assert written["layers"][0] == {
        "name": "001_conv",
        "op": "conv",
        "format": "ternary",
        "macs": 8,
        "multiplications": 2,
        "additions": 8,
        "replaced": 0.75,
    }
