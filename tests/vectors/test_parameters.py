"""Parameters of a layer: the numbers of the network, and one set of names and values in three languages."""

import re

import networks
import pytest
from hypothesis import given

from refengine.ops import OPS
from refengine.vectors.memory import identifier
from refengine.vectors.parameters import as_c, as_systemverilog, as_vhdl, parameters

NAMES = {
    as_systemverilog: r"(?m)^  localparam int (\w+) = (-?\d+);$",
    as_vhdl: r"(?m)^  constant (\w+) : integer := (-?\d+);$",
}


@given(networks.int_networks())
def test_the_numbers_are_those_of_the_layer(network):
    for layer in network.layers:
        found = parameters(network, layer)
        height, width, outputs = (1, 1, *network.shapes[layer.name])[-3:]
        assert found["result"] == {"OUT_HEIGHT": height, "OUT_WIDTH": width, "OUTPUTS": outputs}
        assert ("input" in found) == bool(layer.inputs)
        assert ("requantization" in found) == (layer.requantize is not None)
        if layer.requantize is not None:
            step = found["requantization"]
            shifts = layer.requantize.shift.reshape(-1).tolist()
            assert (step["SHIFT_MIN"], step["SHIFT_MAX"]) == (min(shifts), max(shifts))
            assert (step["CLIP_LO"], step["CLIP_HI"]) == (layer.requantize.lo, layer.requantize.hi)
            assert ("RESIDUAL_SHIFT_MAX" in step) == (layer.residual is not None)
        if "weight" in layer.constants:
            inputs, cluster = layer.constants["weight"].shape[1], found["clusters"]["CLUSTER"]
            clusters = found["clusters"]["CLUSTERS"]
            assert (clusters - 1) * cluster < inputs <= clusters * cluster
        assert ("window" in found) == ("strides" in layer.attributes)


def test_a_window_has_its_kernel_strides_and_pads():
    network = networks.every_op()
    layer = next(layer for layer in network.layers if layer.op == "conv")
    window = parameters(network, layer)["window"]
    assert (window["KERNEL_H"], window["KERNEL_W"]) == layer.constants["weight"].shape[2:]
    assert (window["STRIDE_H"], window["STRIDE_W"]) == tuple(layer.attributes["strides"])
    pads = ("PAD_TOP", "PAD_LEFT", "PAD_BOTTOM", "PAD_RIGHT")
    assert tuple(window[name] for name in pads) == tuple(layer.attributes["pads"])


@pytest.mark.parametrize("write", [as_systemverilog, as_vhdl])
def test_packages_hold_every_name_and_value(write):
    network = networks.every_op()
    for layer in network.layers:
        groups = parameters(network, layer)
        wanted = {name: str(value) for values in groups.values() for name, value in values.items()}
        assert dict(re.findall(NAMES[write], write("layer_pkg", groups))) == wanted


def test_a_header_holds_every_name_and_value_with_the_layers_name_before_it():
    network = networks.every_op()
    assert {layer.op for layer in network.layers} == {*OPS}
    for layer in network.layers:
        groups, prefix = parameters(network, layer), identifier(layer.name).upper()
        text = as_c(layer.name, groups)
        found = re.findall(rf"(?m)^#define {prefix}_(\w+) \(?(-?\d+)\)?$", text)
        assert dict(found) == {name: str(value) for values in groups.values() for name, value in values.items()}
