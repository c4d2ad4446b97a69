"""The table of layers says what the network says."""

import json

import networks
import numpy as np
from float_networks import every_op

from refengine.cli.layers import FLOAT_HEADS, HEADS, float_layers, float_row, int_layers, int_row
from refengine.network.int_network import IntLayer, IntNetwork
from refengine.numbers.formats import UINT8
from refengine.numbers.requantize import Requantize


def network(bits=32, policy="error"):
    """input -> conv of 6 channels in clusters of 4 -> fc."""
    step = Requantize(np.array([3, 5]), np.array([7]), None, "half_even", UINT8, "relu", 0, 255)
    to_input = Requantize(np.array([200]), np.array([16]), None, "half_even", UINT8, "none", 0, 255)
    codes = np.zeros((2, 6, 1, 1), np.int8)
    codes[0, :3] = 1
    layers = (
        IntLayer("000_input", "input", (), -4, {"bias": np.zeros(1, np.int32)}, {"flip": False}, to_input),
        IntLayer("001_pad", "pad_channels", ("000_input",), -4, attributes={"before": 0, "after": 5}),
        IntLayer(
            "002_conv",
            "conv",
            ("001_pad",),
            -2,
            {"weight": codes, "scale": np.full((2, 2), 127, np.int8), "bias": np.array([0, -9], np.int32)},
            {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1, "cluster": 4},
            step,
            weight_format="ternary",
            weight_exponent=np.array([-7, -9]),
            accumulator_bits=bits,
            accumulator_policy=policy,
            covers=("002_conv", "003_bn"),
        ),
        IntLayer(
            "003_fc",
            "fc",
            ("002_conv",),
            -9,
            {"weight": np.full((3, 8), -2, np.int8), "scale": np.ones((3, 1), np.int8), "bias": np.zeros(3, np.int32)},
            {"cluster": 8},
            weight_format="int8",
            weight_exponent=np.full(3, -7),
        ),
    )
    return IntNetwork("small", (2, 2, 1), 3, "gray", layers)


def test_every_field_of_a_convolution():
    conv = int_layers(network())[2]
    assert conv["weights"] == {
        "format": "ternary",
        "shape": [2, 6, 1, 1],
        "cluster": 4,
        "clusters": 4,
        "nonzero": 3,
        "exponent": [-9, -7],
    }
    assert conv["accumulator"] == {"bound": [-9, 3 * 127 * 255], "bits_needed": 18, "bits": 32, "policy": "error"}
    assert conv["requantize"] == {
        "multiplier": [3, 5],
        "shift": [7, 7],
        "residual_shift": None,
        "rounding": "half_even",
        "activation": "relu",
        "clip": [0, 255],
    }
    assert conv["covers"] == ["002_conv", "003_bn"]


def test_rows_are_as_wide_as_their_heads():
    rows = [int_row(layer) for layer in int_layers(network())]
    assert {len(row) for row in rows} == {len(HEADS)}
    cells = ["002_conv", "conv", "2x2x2", "uint8", "-2", "ternary", "4 of 4", "25%", "18", "3..5", "7"]
    assert rows[2] == cells
    assert rows[1][5:] == [None] * 6
    assert rows[3][6:] == [None, "100%", "13", None, None]


def test_a_dynamic_exponent_is_a_range_and_so_is_what_passes_it_on():
    changed = int_layers(networks.made_dynamic(network(), "000_input", 3))
    assert [layer["dynamic"] for layer in changed] == [3, 3, 0, 0]
    assert [int_row(layer)[4] for layer in changed[:3]] == ["-4..-1", "-4..-1", "-2"]


def test_a_narrow_accumulator_is_named():
    assert int_row(int_layers(network(17, "wrap"))[2])[8] == "18 in 17 wrap"


def test_layers_of_a_float_network():
    layers = float_layers(every_op())
    assert {len(float_row(layer)) for layer in layers} == {len(FLOAT_HEADS)}
    assert float_row(layers[1]) == ["001_conv", "conv", "7x6x4", 112, "group=1 pads=1,1,1,1 strides=1,1"]
    assert float_row(layers[3])[3:] == [None, "max=6.0"]


def test_json_knows_every_type():
    json.dumps([*int_layers(network()), *float_layers(every_op())], allow_nan=False)
