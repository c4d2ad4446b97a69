"""Workloads: sizes are those of the tensors of a run, and a float network's are those that quantize makes of it."""

from itertools import product
from math import ceil, prod

import networks
import numpy as np
import pytest
from float_networks import every_op
from hypothesis import given

from refengine.accuracy.workload import FLOAT32, as_the_paper_counts, in_clusters, in_format, workloads
from refengine.engine.run import run
from refengine.network.geometry import geometry
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme


@given(networks.int_networks())
def test_reads_and_writes_are_the_tensors_of_a_run(network):
    """One image through the definition: what each layer was handed, and what it gave."""
    sizes = {}

    def see(layer, operands, result):
        added = 0 if result.residual is None else result.residual.size
        sizes[layer.name] = (sum(operand.size for operand in operands) + added, result.result.size)
        assert (result.result.dtype == np.int32) == raw[layer.name]

    layers = workloads(network)
    raw = {layer.name: layer.raw for layer in layers}
    run(network, networks.random_images(network, 1), "reference", see)
    assert {layer.name: (layer.reads, layer.writes) for layer in layers} == sizes
    assert [layer.raw for layer in layers] == [False] * (len(layers) - 1) + [True]


def clusters_by_hand(layer):
    """(clusters, those with a code other than 0, codes other than 0), by a walk over every code."""
    weight, cluster = layer.constants["weight"], layer.attributes["cluster"]
    all_of_them, live, nonzero = set(), set(), 0
    for place in product(*map(range, weight.shape)):
        mine = (place[0], place[1] // cluster)
        all_of_them.add(mine)
        if weight[place] != 0:
            live.add(mine)
            nonzero += 1
    return len(all_of_them), len(live), nonzero


@given(networks.int_networks())
def test_filters_are_those_of_a_walk_over_the_codes(network):
    """Grouped and strided, short last clusters, any format."""
    for layer, work in zip(network.layers, workloads(network), strict=True):
        assert (work.name, work.op) == (layer.name, layer.op)
        assert (work.filters is None) == ("weight" not in layer.constants)
        if work.filters is not None:
            clusters, live, nonzero = clusters_by_hand(layer)
            assert work.filters.codes == layer.constants["weight"].size
            assert (work.filters.live, work.filters.nonzero) == (live, nonzero)
            assert work.filters.clusters == (0 if layer.weight_format == "int8" else clusters)
            assert work.filters.pixels == prod(network.shapes[layer.name][:-1])


@given(networks.int_networks())
def test_constants_are_those_of_the_layer(network):
    for layer, work in zip(network.layers, workloads(network), strict=True):
        step = layer.requantize
        assert work.biases == len(layer.constants.get("bias", ()))
        assert work.signs == len(layer.constants.get("sign", ()))
        if step is None:
            assert (work.multipliers, work.shifts) == (0, 0)
        else:
            aligned = [] if step.residual_shift is None else step.residual_shift.tolist()
            assert work.multipliers == len(step.multiplier)
            assert work.shifts == len(step.shift.tolist() + aligned)
            largest = max(step.multiplier.tolist())
            assert 256 ** (work.multiplier_bytes - 1) <= max(largest, 1) < 256**work.multiplier_bytes


def without_codes(layer):
    """A workload with its name's number and what only real codes tell left out, 8-bit weights being in no clusters."""
    fields = {**vars(layer), "name": layer.name.partition("_")[2]}
    if layer.filters is not None:
        filters = {**vars(layer.filters), "nonzero": None, "live": None}
        fields["filters"] = {**filters, "cluster": layer.filters.clusters and layer.filters.cluster}
    return fields


@pytest.mark.parametrize("make", [every_op, lambda: geometry("resnet20")], ids=["every_op", "resnet20"])
def test_a_float_network_is_what_quantize_makes_of_it(make):
    """Layer by layer; requantize layers that only a calibration asks for are left out."""
    network = make()
    pixels = np.random.default_rng(3).integers(0, 256, (2, *network.input_shape)).astype(np.uint8)
    made = quantize(network, pixels, Scheme(method="paper"))
    invented = {layer.name for layer in made.layers if layer.op == "requantize" and not layer.covers}
    expected = [without_codes(layer) for layer in workloads(made) if layer.name not in invented]
    assert [without_codes(layer) for layer in workloads(network)] == expected


@pytest.mark.parametrize("cluster", [1, 2, 3, 64])
def test_other_clusters_are_those_of_another_quantization(cluster):
    network = every_op()
    pixels = np.random.default_rng(3).integers(0, 256, (2, *network.input_shape)).astype(np.uint8)
    mixed = (("004_conv", "int4"),)
    schemes = (Scheme(layers=mixed), Scheme(cluster=cluster, layers=mixed))
    four, other = (workloads(quantize(network, pixels, scheme)) for scheme in schemes)
    assert formats(other) == ["int8", "int4", "ternary", "int8"]
    assert [without_codes(layer) for layer in in_clusters(four, cluster)] == [without_codes(layer) for layer in other]


def formats(layers):
    return [layer.filters.format for layer in layers if layer.filters]


def test_formats_replace_those_of_layers_with_clusters():
    """first and last in 8 bits; other formats where clusters are, or everywhere; the paper keeps the first alone."""
    layers = workloads(every_op())
    assert formats(layers) == ["int8", "ternary", "ternary", "int8"]
    assert formats(in_format(layers, "int4")) == ["int8", "int4", "int4", "int8"]
    assert formats(in_format(layers, "int8")) == ["int8"] * 4
    assert formats(in_format(layers, FLOAT32)) == [FLOAT32] * 4
    assert formats(as_the_paper_counts(layers, 4)) == ["int8", "ternary", "ternary", "ternary"]
    assert all(layer.floats for layer in in_format(layers, FLOAT32))
    assert not any(layer.floats for layer in in_format(layers, "int8"))


def test_a_cluster_is_no_wider_than_its_layer():
    layers = in_clusters(workloads(every_op()), 64)
    ternary = [layer.filters for layer in layers if layer.filters and layer.filters.format == "ternary"]
    assert [(f.inputs, f.cluster, f.clusters) for f in ternary] == [(1, 1, 4), (2, 2, 6)]
    assert all(f.clusters == f.outputs * ceil(f.inputs / 64) for f in ternary)
