"""What a float network accepts, and how it names what it refuses."""

import dataclasses
import math

import float_networks
import pytest
from float_networks import CONV, WINDOW, every_op, gated, layer, ones, refused
from hypothesis import given

from refengine.network.float_layer import LAYER_OPS
from refengine.network.float_network import FloatNetwork, shapes, with_input_shape


def network(*layers, input_shape=(4, 4, 1), classes=2, **changes):
    channels = "gray" if input_shape[2] == 1 else "RGB"
    scale = (1.0,) * input_shape[2]
    fields = {"mean": scale, "std": scale, "channels": channels, **changes}
    return FloatNetwork("n", input_shape, classes, layers=(layer(0, "input"), *layers), **fields)


def head(source, size, classes=2):
    return layer(99, "fc", [source], {"weight": ones(classes, size)})


# ---- shapes


def test_shapes_of_every_op():
    found = list(shapes(every_op()).values())
    assert found == [
        *[(7, 6, 3), (7, 6, 4), (7, 6, 4), (7, 6, 4), (7, 6, 4), (7, 6, 4), (7, 6, 6), (7, 6, 14)],
        *[(4, 4, 14), (4, 4, 17), (3, 4, 17), (3, 4, 17), (1, 1, 17), (17,), (5,)],
    ]


def test_every_op_has_every_op():
    assert {layer.op for network in (every_op(), gated()) for layer in network.layers} == set(LAYER_OPS)


@given(float_networks.networks())
def test_random_networks_have_the_shapes_that_they_say(made):
    found = shapes(made)
    assert list(found) == [layer.name for layer in made.layers]
    assert all(size >= 0 for shape in found.values() for size in shape)
    assert math.prod(list(found.values())[-1]) == made.classes


def test_another_input_shape_changes_every_shape():
    other = with_input_shape(every_op(), (9, 20))
    assert other.input_shape == (9, 20, 3)
    assert shapes(other)["001_conv"] == (9, 20, 4)
    plain = network(head("000_input", 16))
    refused("layer '099_fc' (fc): its input has shape (5, 4, 1), 20 numbers", with_input_shape, plain, (5, 4))


def test_global_pool_can_be_the_last_layer():
    assert shapes(network(layer(1, "global_avgpool", ["000_input"]), classes=1))["001_global_avgpool"] == (1, 1, 1)


# ---- one layer


def test_nothing_can_be_changed_afterwards():
    weight = ones(2, 16)
    made = layer(1, "fc", ["000_input"], {"weight": weight})
    weight[:] = 5
    assert (made.constants["weight"] == 1).all()
    with pytest.raises(ValueError, match="read-only"):
        made.constants["weight"][:] = 5
    with pytest.raises(TypeError):
        made.attributes["x"] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.name = "other"


# ---- the whole


def test_a_network_needs_one_input_layer_first():
    refused("has no layers", FloatNetwork, "n", (4, 4, 1), 2, (1,), (1,), "gray", ())
    alone = (layer(0, "input"),)
    refused("needed an input layer and at least one more", FloatNetwork, "n", (4, 4, 1), 16, (1,), (1,), "gray", alone)
    relu = (layer(0, "relu", ["000_relu"]), layer(1, "input"))
    refused("starts with '000_relu' (relu)", FloatNetwork, "n", (4, 4, 1), 16, (1,), (1,), "gray", relu)
    refused("layer '001_input' is a second input layer", network, layer(1, "input"), head("000_input", 16))


def test_inputs_must_be_earlier_layers():
    fc = head("001_add", 16)
    refused("layer '099_fc' (fc): its input '007_no' does not exist", network, head("007_no", 16))
    loop = layer(1, "add", ["000_input", "099_fc"])
    refused("layer '001_add' (add): its input '099_fc' is not before it (a cycle", network, loop, fc)
    refused("its input '001_add' is not before it", network, layer(1, "add", ["000_input", "001_add"]), fc)
    refused("layer '001_relu' exists twice", network, layer(1, "relu", ["000_input"]), layer(1, "relu", ["001_relu"]))


def test_an_unused_layer_is_refused():
    extra = layer(1, "relu", ["000_input"])
    refused("layer '001_relu' is used by no other layer", network, extra, head("000_input", 16))


def test_last_layer_gives_the_classes():
    refused("layer '099_fc' (fc) is the last one and gives (3,), needed 2", network, head("000_input", 16, classes=3))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"channels": "RGBA"}, "channels is 'RGBA', needed one of RGB, BGR, gray"),
        ({"channels": "RGB"}, "needed 3 channels for RGB"),
        ({"mean": (1, 2)}, "mean is (1, 2), needed 1 finite"),
        ({"mean": (math.nan,)}, "mean is"),
        ({"mean": 3}, "mean is 3"),
        ({"std": (0,)}, "needed numbers above 0"),
        ({"std": (-1,)}, "needed numbers above 0"),
        ({"std": (math.inf,)}, "std is"),
        ({"input_shape": (0, 4, 1)}, "input_shape"),
        ({"input_shape": (4, 1 << 20, 1)}, "input_shape"),
        ({"input_shape": (4, 4.0, 1)}, "input_shape"),
        ({"classes": 0}, "classes"),
        ({"classes": 2.0}, "classes"),
    ],
)
def test_wrong_fields_of_a_network_are_refused(changes, words):
    refused(words, dataclasses.replace, network(head("000_input", 16)), **changes)


def test_shapes_that_do_not_fit():
    def conv(weight, **changes):
        return network(layer(1, "conv", ["000_input"], {"weight": weight}, **{**CONV, **changes}), head("001_conv", 1))

    refused("layer '001_conv' (conv): a kernel of 5 does not fit into 4 + 0 + 0 pixels", conv, ones(1, 1, 5, 5))
    refused("its input has 1 channels, its weight wants 2 in each of 1 groups", conv, ones(1, 2, 1, 1))
    refused("has 3 output channels in 2 groups", conv, ones(3, 1, 1, 1), group=2)
    refused("more than 268435456 numbers", conv, ones(1, 1, 1, 1), pads=(60000, 60000, 0, 0))
    pool = layer(1, "maxpool", ["000_input"], **{**WINDOW, "kernel_shape": (9, 9)})
    refused("layer '001_maxpool' (maxpool): a kernel of 9", network, pool, head("001_maxpool", 1))
    small = layer(1, "maxpool", ["000_input"], **WINDOW)
    add = layer(2, "add", ["000_input", "001_maxpool"])
    refused("'002_add' (add): its inputs have shapes (4, 4, 1) and (2, 2, 1)", network, small, add, head("002_add", 1))
    join = layer(2, "concat", ["000_input", "001_maxpool"])
    refused("they may differ in channels only", network, small, join, head("002_concat", 1))
    flat = layer(1, "flatten", ["000_input"])
    for op, more in (("global_avgpool", {}), ("maxpool", WINDOW), ("pad_channels", {"before": 0, "after": 0})):
        after = layer(2, op, ["001_flatten"], **more)
        refused("its input has shape (16,), needed (H, W, C)", network, flat, after, head(after.name, 16))
    norm = layer(1, "batchnorm", ["000_input"], dict.fromkeys(("gamma", "beta", "mean", "var"), ones(1)), epsilon=0.1)
    refused("its input has 3 channels, gamma has 1", network, norm, head("001_batchnorm", 48), input_shape=(4, 4, 3))
