"""Layers as TOSA graphs, run by TOSA's own reference model: every integer of every operator; what a graph consists of.

Whatever runs needs an environment with tosa-tools, as tests/numbers/test_arith_tosa.py says, named by TOSA_PYTHON.
"""

import json
from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from networks import dynamic, every_op, int_networks, plain_requantize, random_images, seeded, small, with_layer
from tosa_tools import needs_tosa

from refengine.engine.run import run
from refengine.errors import NetworkError
from refengine.interop.tosa.engine import TosaEngine, reference_model
from refengine.interop.tosa.export_layer import layer_graph, left_out, no_rescale, signed, unsigned
from refengine.network.int_network import IntLayer, IntNetwork
from refengine.numbers.formats import INT8, INT32, UINT8
from refengine.numbers.rounding import DOUBLE_ROUND, MODES
from refengine.runs.digest import stages_of

EXACT = (*MODES, DOUBLE_ROUND)


def golden_stages(network, images):
    stages = {}

    def observe(layer, operands, result):
        stages[layer.name] = {stage: array.copy() for stage, array in stages_of(layer, result)}

    run(network, images, "reference", observe)
    return stages


def assert_no_integer_differs(network, count=2):
    """Every stage of every layer, of the golden's shape and type; how many integers that were."""
    images = random_images(network, count)
    golden = golden_stages(network, images)
    codes = {name: stages["code"] for name, stages in golden.items() if "code" in stages}
    found = TosaEngine(network, reference_model()).run(images, codes)
    assert {name: {*stages} for name, stages in found.items()} == {
        layer.name: {*golden[layer.name]} - {*left_out(layer)} for layer in network.layers
    }
    for name, stages in found.items():
        for stage, array in stages.items():
            assert array.dtype == golden[name][stage].dtype
            np.testing.assert_array_equal(array, golden[name][stage], f"{name}.{stage}")
    return sum(array.size for stages in found.values() for array in stages.values())


# ----------------------------------------------------------------------------------------------- by the reference model


@needs_tosa
@pytest.mark.parametrize("rounding", [*EXACT, "stochastic"])
def test_every_operator_in_every_rounding(rounding):
    assert assert_no_integer_differs(every_op(rounding)) >= 500


@needs_tosa
@pytest.mark.parametrize("seed", range(8))
def test_every_operator_with_other_attributes(seed):
    """Groups, strides, uneven padding and windows that end before the image does, residuals, narrow accumulators."""
    ops = ["conv", "pad_channels", "maxpool", "add", "batchnorm", "conv", "concat", "avgpool", "requantize"]
    assert_no_integer_differs(seeded(seed, ops, EXACT))


@needs_tosa
@settings(max_examples=6)
@given(int_networks(roundings=EXACT))
def test_random_networks_agree(network):
    assert_no_integer_differs(network, 1)


@needs_tosa
def test_windows_that_see_nothing_but_padding():
    conv = small().layers[1]
    where = {"strides": (3, 3), "pads": (2, 2, 0, 0), "group": 1, "cluster": 1}
    constants = {
        "weight": np.ones((1, 1, 1, 1), np.int8),
        "scale": np.ones((1, 1), np.int8),
        "bias": np.array([7], np.int32),
    }
    fields = {**vars(conv), "constants": constants, "attributes": where, "weight_exponent": np.zeros(1, np.int64)}
    last = IntLayer(**{**fields, "requantize": None})
    assert_no_integer_differs(IntNetwork("padding", (1, 1, 1), 1, "gray", (small().layers[0], last)))


@needs_tosa
@pytest.mark.parametrize(
    "changed",
    [
        {"format": INT8, "lo": 0, "hi": 90, "activation": "clip"},
        {"format": UINT8, "lo": 0, "hi": 91, "activation": "clip"},
        {"format": INT32, "lo": 0, "hi": 2**20, "activation": "clip"},
        {"multiplier": np.array([2**31 - 1]), "shift": np.array([62])},
        {"multiplier": np.array([0]), "shift": np.array([0])},
        {"multiplier": np.array([3]), "shift": np.array([31]), "rounding": DOUBLE_ROUND},
        {"multiplier": np.array([2**20 + 1]), "shift": np.array([33]), "rounding": DOUBLE_ROUND},
    ],
)
def test_ends_of_a_rescale(changed):
    """Of a last layer, whose codes may be of any format: clips, the widest numbers and the narrowest."""
    step = replace(plain_requantize(UINT8), **{"lo": 0, "hi": 255, **changed})
    layers = small().layers[:2]
    network = small(
        layers=(layers[0], replace(layers[1], requantize=step)), classes=prod(small().shapes[layers[1].name])
    )
    assert no_rescale(network, network.layers[1]) is None
    assert_no_integer_differs(network, 30)


# ------------------------------------------------------------------------------------------------- without running them


def operators_of(network, layer):
    (region,) = layer_graph(network, layer, 1).document["regions"]
    return [operator["op"] for operator in region["blocks"][0]["operators"] if not operator["op"].startswith("CONST")]


def test_layers_become_the_operators_that_are_meant_for_them():
    network = every_op()
    made = {layer.op: operators_of(network, layer) for layer in network.layers if layer.residual is None}
    meant = {"maxpool": "MAX_POOL2D", "concat": "CONCAT", "pad_channels": "PAD", "fc": "CONV2D", "conv": "RESCALE"}
    assert {op: name for op, name in meant.items() if name in made[op]} == meant


def test_what_rescale_cannot_give_is_said():
    network, layers = every_op("half_even"), every_op().layers
    assert {no_rescale(network, layer) for layer in network.layers if layer.residual is None} == {
        None, "half_even is none of its roundings",
    }  # fmt: skip
    assert {no_rescale(every_op(), layer) for layer in layers if layer.residual is not None} == {
        "a residual is added before the rounding"
    }


@pytest.mark.parametrize(
    ("multiplier", "shift", "rounding", "fits"),
    [
        (1, 2, "half_up", True),
        (2**30, 2, "half_up", False),
        (2**30, 40, "half_up", True),
        (1, 2, DOUBLE_ROUND, True),
        (1, 0, "half_up", True),
    ],
)
def test_short_shifts_are_raised_with_their_multipliers(multiplier, shift, rounding, fits):
    """Where the multiplier has room for as many bits as the accumulators have beyond the shift."""
    network = small()
    step = replace(
        network.layer("conv").requantize,
        multiplier=np.array([multiplier]),
        shift=np.array([shift]),
        rounding=rounding,
    )
    changed = with_layer(network, "001_conv", requantize=step)
    assert (no_rescale(changed, changed.layer("conv")) is None) == fits


def test_draws_are_left_out():
    """And with them the codes: the accumulators stay."""
    layer = every_op("stochastic").layers[1]
    assert left_out(layer) == {"code": "stochastic rounding, whose draws no operator makes"}
    assert [*layer_graph(every_op("stochastic"), layer, 1).outputs] == ["accumulator"]


def test_dynamic_exponents_are_refused():
    network = dynamic()
    with pytest.raises(NetworkError, match="TOSA needs a network of static exponents"):
        layer_graph(network, network.layers[0], 1)


def test_a_graph_is_json_and_the_same_for_the_same_layer():
    network = every_op()
    for layer in network.layers:
        once, again = (json.dumps(layer_graph(network, layer, 2).document) for _ in range(2))
        assert once == again


def test_unsigned_codes_are_held_128_less():
    codes = np.arange(256, dtype=np.uint8)
    assert signed(codes).tolist() == [*range(-128, 128)]
    np.testing.assert_array_equal(unsigned(signed(codes)), codes)
    below = np.array([-128, 127], np.int8)
    assert signed(below) is below
