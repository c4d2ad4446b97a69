"""The paper's accounting: its ResNet-101 figures to the digit, and the counts of a loop over one image's products."""

import json
from dataclasses import replace
from itertools import pairwise, product
from math import ceil

import networks
import numpy as np
import pytest
from float_networks import every_op
from hypothesis import given

from refengine.accuracy.cost import Counts, Storage, cost_of, macs, network_cost, ternary_multiplications
from refengine.accuracy.workload import FLOAT32, as_the_paper_counts, in_clusters, in_format, workloads
from refengine.engine.run import run
from refengine.network.geometry import geometry


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


def multiplications(layers, cluster):
    """All of them, and those that ternary layers leave, the first convolution counted as 8-bit."""
    total = left = 0
    for number, (inputs, outputs, kernel, height, width) in enumerate(layers):
        all_of_it = macs(inputs, outputs, kernel * kernel, height * width)
        total += all_of_it
        left += ternary_multiplications(inputs, outputs, height * width, cluster) if number else all_of_it
    return total, left


def percent_replaced(layers, cluster):
    """Share of the multiplications that becomes additions."""
    total, left = multiplications(layers, cluster)
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


@pytest.fixture(scope="module")
def resnet101():
    return workloads(geometry("resnet101"))


@pytest.mark.parametrize(("cluster", "left", "share"), [(4, 1_133_285_376, "85.03"), (64, 181_468_416, "97.60")])
def test_the_geometry_gives_the_integers_behind_the_figures(resnet101, cluster, left, share):
    """The network as it is built; with the last layer in 8 bits, as a default scheme has it, 85.01 and 97.58 %."""
    paper = cost_of(as_the_paper_counts(resnet101, cluster))
    assert (paper.macs, paper.multiplications) == multiplications(RESNET101, cluster) == (7_570_194_432, left)
    assert f"{100 * paper.multiplications_replaced:.2f}" == share
    scheme = cost_of(in_clusters(resnet101, cluster))
    assert scheme.multiplications == left + 1000 * (2048 - 2048 // cluster)
    assert f"{100 * scheme.multiplications_replaced:.1f}" == f"{float(share):.1f}"


@pytest.mark.parametrize(("taps", "cluster", "share"), [(1, 4, 75.00), (9, 4, 97.22), (1, 64, 98.44), (9, 64, 99.83)])
def test_one_layer_keeps_one_in_cluster_times_taps(taps, cluster, share):
    left = ternary_multiplications(64, 32, 49, cluster) / macs(64, 32, taps, 49)
    assert round(100 * (1 - left), 2) == share


def walked(layer, shape, skipping):
    """Operations of one image, by walking over outputs, clusters, channels and taps, adding as an adder would."""
    products = scalings = additions = 0
    weight, cluster = layer.constants["weight"], layer.attributes["cluster"]
    outputs, inputs, *kernel = weight.shape
    for _pixel, o in product(product(*map(range, shape[:-1])), range(outputs)):
        for first in range(0, inputs, cluster):
            terms = 0
            for i, *tap in product(range(first, min(first + cluster, inputs)), *map(range, kernel)):
                if skipping and weight[(o, i, *tap)] == 0:
                    continue
                products += layer.weight_format != "ternary"
                terms += 1
            if layer.weight_format == "int8":  # every product goes to the accumulator
                additions += terms
            elif terms:  # the first term starts the sum, which the scale multiplies and the accumulator takes
                additions += terms - 1 + 1
                scalings += 1
    return Counts(products, scalings, additions)


@given(networks.int_networks())
def test_counts_are_those_of_a_walk(network):
    """Grouped and strided, short last clusters, any format; layers without weights cost nothing."""
    cost = network_cost(network)
    for layer, its_cost in zip(network.layers, cost.layers, strict=True):
        assert (its_cost.name, its_cost.op, its_cost.format) == (layer.name, layer.op, layer.weight_format)
        shape, weighted = network.shapes[layer.name], "weight" in layer.constants
        assert its_cost.counts == (walked(layer, shape, False) if weighted else Counts())
        assert its_cost.without_zeros == (walked(layer, shape, True) if weighted else Counts())
        assert its_cost.additions == its_cost.macs
        assert its_cost.multiplications == its_cost.counts.products + its_cost.counts.scalings
        if its_cost.format == "int4":
            assert its_cost.replaced == 1 - its_cost.multiplications / its_cost.macs < 0
        else:
            assert 0 <= its_cost.replaced <= 1
            assert its_cost.format == "ternary" or its_cost.replaced == 0
    assert cost.macs == network.macs == sum(layer.macs for layer in cost.layers)
    assert cost.multiplications == sum(layer.multiplications for layer in cost.layers)
    assert cost.multiplications_replaced == 1 - cost.multiplications / cost.macs
    assert cost.additions_without_zeros == sum(layer.without_zeros.additions for layer in cost.layers)


def test_depthwise_and_short_clusters_by_hand():
    """Depthwise: one channel a filter, so a multiplication for each output; 5 channels are 3 clusters of 2."""
    depthwise, pointwise = (cost_of(in_clusters(workloads(every_op()), 4)).layers[number] for number in (2, 3))
    assert (depthwise.macs, depthwise.counts) == (42 * 4 * 9, Counts(0, 42 * 4, 42 * 4 * 9))
    assert (pointwise.macs, pointwise.counts) == (42 * 6 * 2, Counts(0, 42 * 6, 42 * 6 * 2))
    assert ternary_multiplications(5, 1, 1, 2) == 3


@given(networks.int_networks())
def test_bytes_moved_are_those_of_a_run(network):
    """The arrays that the definition reads and writes, whose types are the smallest that hold the codes."""
    moved = {}

    def see(layer, operands, result):
        read = [*operands, *([] if result.residual is None else [result.residual])]
        moved[layer.name] = (sum(array.nbytes for array in read), result.result.nbytes)

    run(network, networks.random_images(network, 1), "reference", see)
    cost = network_cost(network)
    assert {layer.name: (layer.bytes_read, layer.bytes_written) for layer in cost.layers} == moved
    assert cost.bytes_moved == sum(map(sum, moved.values()))
    floats = cost_of(in_format(workloads(network), FLOAT32))
    assert all(layer.bytes_written == 4 * np.prod(network.shapes[layer.name]) for layer in floats.layers)
    assert floats.layers[0].bytes_read == np.prod(network.input_shape)


BITS = {"ternary": 2, "int4": 4, "int8": 8}


@given(networks.int_networks())
def test_bytes_of_the_constants(network):
    for layer, its_cost in zip(network.layers, network_cost(network).layers, strict=True):
        constants, step, storage = layer.constants, layer.requantize, its_cost.storage
        bits = BITS.get(layer.weight_format, 2) * (constants["weight"].size if "weight" in constants else 0)
        bits += 2 * (constants["sign"].size if "sign" in constants else 0)
        assert storage.codes == ceil(bits / 8)
        scaled = layer.weight_format in ("ternary", "int4")
        assert storage.scales == (constants["scale"].nbytes if scaled else 0)
        assert storage.biases == (constants["bias"].nbytes if "bias" in constants else 0)
        if step is not None:
            wide = max(1, ceil(max(value.bit_length() for value in step.multiplier.tolist()) / 8))
            assert storage.multipliers == wide * step.multiplier.size
        assert storage.total == storage.codes + storage.scales + storage.biases + storage.multipliers + storage.shifts


def test_bytes_of_the_small_network_are_those_counted_by_hand():
    """The small network's 8 ternary codes are 2 bytes, in floats 32; the input's bias is a float as well."""
    cost = network_cost(networks.small())
    assert cost.layers[1].storage == Storage(codes=2, scales=2, biases=8, multipliers=2, shifts=2)
    assert cost.layers[2].storage == Storage(codes=4, scales=0, biases=8)
    assert cost.storage == Storage(codes=6, scales=2, biases=20, multipliers=3, shifts=3)
    floats = cost_of(in_format(workloads(networks.small()), FLOAT32))
    assert floats.storage == Storage(codes=4 * 12, biases=4 * 5)


def test_larger_clusters_take_fewer_multiplications_and_bytes(resnet101):
    """And the same additions and codes."""
    costs = [cost_of(in_clusters(resnet101, size)) for size in (1, 2, 3, 4, 7, 16, 64, 100, 4096)]
    for smaller, larger in pairwise(costs):
        assert larger.multiplications <= smaller.multiplications
        assert larger.storage.total <= smaller.storage.total
        assert (larger.additions, larger.bytes_moved) == (smaller.additions, smaller.bytes_moved)
        assert replace(larger.storage, scales=0) == replace(smaller.storage, scales=0)


def test_scales_of_4_bit_codes_are_multiplications(resnet101):
    """All MACs, and on top what ternary codes in the same clusters leave; the layers of 8 bits count once."""
    for size in (1, 4, 64):
        ternary = in_clusters(resnet101, size)
        four, its_ternary = cost_of(in_format(ternary, "int4")), cost_of(ternary)
        plain = sum(layer.macs for layer in four.layers if layer.format == "int8")
        assert four.multiplications == four.macs + its_ternary.multiplications - plain


def test_operations_of_the_small_network_are_those_counted_by_hand():
    """Four taps and two outputs at one pixel, clusters of one channel: 2 of 8; an int8 fc of 2 x 2 keeps its 4."""
    cost = network_cost(networks.small())
    assert [(layer.macs, layer.multiplications) for layer in cost.layers] == [(0, 0), (8, 2), (4, 4)]
    assert cost.layers[1].replaced == 0.75
    assert cost.multiplications_replaced == 0.5
    assert (cost.macs, cost.multiplications, cost.additions, cost.additions_without_zeros) == (12, 6, 12, 10)


def test_a_network_without_weights_has_nothing_to_replace():
    network = networks.small()
    assert network_cost(networks.small(layers=network.layers[:1], classes=4)).multiplications_replaced == 0.0


def test_codes_that_nobody_knows_have_no_zeros_to_leave_out():
    assert network_cost(every_op()).additions_without_zeros is None


def test_json_has_sums_shares_and_layers():
    """Sums, shares and layers, as the command line writes them."""
    written = json.loads(json.dumps(network_cost(networks.small()).as_json()))
    assert {name: written[name] for name in written if name != "layers"} == {
        "macs": 12,
        "multiplications": 6,
        "additions": 12,
        "additions_without_zeros": 10,
        "multiplications_replaced": 0.5,
        "storage": {"codes": 6, "scales": 2, "biases": 20, "multipliers": 3, "shifts": 3, "total": 34},
        "bytes_moved": 4 + 4 + 4 + 2 + 2 + 8,
    }
    assert written["layers"][1] == {
        "name": "001_conv",
        "op": "conv",
        "format": "ternary",
        "cluster": 1,
        "macs": 8,
        "counts": {"products": 0, "scalings": 2, "additions": 8},
        "without_zeros": {"products": 0, "scalings": 2, "additions": 6},
        "storage": {"codes": 2, "scales": 2, "biases": 8, "multipliers": 2, "shifts": 2},
        "bytes_read": 4,
        "bytes_written": 2,
        "multiplications": 2,
        "additions": 8,
        "replaced": 0.75,
    }
