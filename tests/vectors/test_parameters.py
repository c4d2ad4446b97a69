"""The parameters of a layer: the numbers of the manifest, the same in three languages, in C beside the arrays."""

import re

import pytest
from golden_cases import conv_case
from networks import every_op, random_images, small

from refengine.vectors.parameters import FILE, as_c, as_systemverilog, as_vhdl, parameters
from refengine.vectors.reader import open_vectors
from refengine.vectors.writer import write_vectors

CONV = conv_case(
    7, inputs=7, outputs=5, cluster=4, kernel=(3, 2), strides=(2, 1), pads=(0, 1, 2, 0), size=(6, 5), residual=True
).network
LAYER = "003_conv"


def flat(groups):
    return {name: value for values in groups.values() for name, value in values.items()}


def test_the_numbers_are_those_of_the_network():
    layer = CONV.layer(LAYER)
    found = flat(parameters(CONV, layer))
    wanted = {
        "IN_HEIGHT": 6, "IN_WIDTH": 5, "INPUTS": 7, "OUT_HEIGHT": 3, "OUT_WIDTH": 5, "OUTPUTS": 5,
        "KERNEL_H": 3, "KERNEL_W": 2, "STRIDE_H": 2, "STRIDE_W": 1,
        "PAD_TOP": 0, "PAD_LEFT": 1, "PAD_BOTTOM": 2, "PAD_RIGHT": 0,
        "GROUPS": 1, "CLUSTER": 4, "CLUSTERS": 2, "HAS_RESIDUAL": 1, "RESIDUAL_SIGNED": 1,
        "WEIGHT_W": 2, "SCALE_W": 7, "BIAS_W": 32, "MULTIPLIER_W": 8, "SHIFT_W": 6, "ACC_W": 32, "CODE_W": 8,
        "CLIP_LO": 0, "CLIP_HI": 255,
        "SHIFT_MIN": int(min(layer.requantize.shift)), "SHIFT_MAX": int(max(layer.requantize.shift)),
        "RESIDUAL_SHIFT_MAX": int(max(layer.requantize.residual_shift)),
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted
    assert wanted["OUT_HEIGHT"] == (6 + 0 + 2 - 3) // 2 + 1


def test_widths_are_those_of_a_pack(tmp_path):
    network = every_op()
    made = write_vectors(network, random_images(network, 1), tmp_path / "pack", formats=["npy"])
    bits = {entry.tensor.name: entry.tensor.bits for entry in made.entries}
    names = {"ACC_W": "accumulator", "TOTAL_W": "total", "CODE_W": "code", "WEIGHT_W": "weight"}
    for layer in network.layers:
        found = flat(parameters(network, layer))
        for name, part in names.items():
            assert found.get(name) == bits.get(f"{layer.name}/{part}"), (layer.name, name)


@pytest.mark.parametrize("network", [CONV, every_op(), small()], ids=["conv", "every operator", "small"])
def test_three_languages_say_the_same(network):
    for layer in network.layers:
        groups = parameters(network, layer)
        prefix = "L" + re.sub(r"\W", "_", layer.name).upper()
        in_c = re.findall(rf"^#define {prefix}_(\w+) \(?(-?\d+)\)?$", as_c(layer.name, groups), re.MULTILINE)
        in_sv = re.findall(r"localparam int (\w+) = (-?\d+);", as_systemverilog("pkg", groups))
        in_vhdl = re.findall(r"constant (\w+) : integer := (-?\d+);", as_vhdl("pkg", groups))
        wanted = {name: str(value) for name, value in flat(groups).items()}
        assert dict(in_c) == dict(in_sv) == dict(in_vhdl) == wanted


def test_a_pack_in_c_has_a_header_for_each_layer_that_was_chosen(tmp_path):
    made = write_vectors(CONV, random_images(CONV, 1), tmp_path / "pack", formats=["c"], layers=[LAYER])
    assert [stored.file for stored in made.parameters] == [f"{LAYER}/{FILE}"]
    text = (tmp_path / "pack" / LAYER / FILE).read_text()
    assert text == as_c(LAYER, parameters(CONV, CONV.layer(LAYER)))
    with open_vectors(tmp_path / "pack") as pack:
        assert pack.manifest.parameters == made.parameters
        pack.verify()
        (tmp_path / "pack" / LAYER / FILE).write_text(text.replace("OUTPUTS 5", "OUTPUTS 6"))
    with open_vectors(tmp_path / "pack") as pack, pytest.raises(ValueError, match=rf"{FILE}: was changed"):
        pack.verify()


@pytest.mark.parametrize("formats", [["npy"], ["readmemh", "sv"]])
def test_other_packs_have_none(formats, tmp_path):
    made = write_vectors(CONV, random_images(CONV, 1), tmp_path / "pack", formats=formats)
    assert made.parameters == ()
    assert not [*(tmp_path / "pack").rglob(FILE)]
