"""Names of layers: patterns, numbers that may be left out, and maps."""

import pytest

from refengine.errors import FileError, RangeError
from refengine.golden.dumps.layer_names import covered, dut_names, means, nearest, some


def test_a_pattern_may_leave_out_the_number():
    assert means("conv1", "003_conv1")
    assert means("003_conv1", "003_conv1")
    assert means("0*_conv?", "003_conv1")
    assert not means("conv1", "003_conv10")
    assert not means("1", "003_conv1")


@pytest.mark.parametrize(
    ("golden", "dut", "wanted"),
    [
        (["001_conv", "002_fc"], ["conv", "fc"], {"001_conv": "conv", "002_fc": "fc"}),
        (["conv", "fc"], ["001_conv", "fc"], {"conv": "001_conv"}),
        (["001_conv", "002_conv"], ["conv"], {}),
        (["001_conv"], ["7_conv"], {}),
        (["conv"], ["001_conv", "002_conv"], {}),
        (["001_conv"], ["con"], {}),
    ],
)
def test_a_number_may_be_left_out_where_only_one_layer_can_be_meant(golden, dut, wanted):
    assert dut_names(golden, dut, {}) == wanted


@pytest.mark.parametrize(
    ("golden", "dut"),
    [
        (["001_conv", "002_fc"], ["001_conv", "conv"]),
        (["conv"], ["conv", "001_conv"]),
    ],
)
def test_two_layers_of_the_dut_for_one_of_the_golden_are_refused(golden, dut):
    with pytest.raises(FileError, match=r"both called after .*: --ignore leaves one out"):
        dut_names(golden, dut, {})


def test_layers_of_one_name_and_two_numbers_are_two_layers():
    assert dut_names(["001_conv", "002_conv"], ["001_conv", "002_conv", "3_conv"], {}) == {}
    assert dut_names(["001_conv"], ["001_conv", "002_conv"], {}) == {}


def test_a_map_goes_first():
    names = dut_names(["001_conv", "002_fc"], ["conv", "head", "fc"], {"fc": "head"})
    assert names == {"002_fc": "head", "001_conv": "conv"}
    assert dut_names(["a", "b"], ["a", "b"], {"a": "b", "b": "a"}) == {"a": "b", "b": "a"}


@pytest.mark.parametrize(
    ("given", "needle"),
    [
        ({"nosuch": "conv"}, "--map 'nosuch': the golden has 0 such layers, it has conv, fc"),
        ({"conv": "nosuch"}, "the DUT has no layer 'nosuch', it has conv, fc"),
        ({"conv": "fc"}, "the golden has a layer 'fc' of its own"),
        ({"conv": "fc", "fc": "fc"}, "is mapped twice"),
    ],
)
def test_maps_that_mean_nothing_are_refused(given, needle):
    with pytest.raises(RangeError) as caught:
        dut_names(["conv", "fc"], ["conv", "fc"], given)
    assert needle in str(caught.value)


def test_many_names_are_cut():
    assert some(["a", "b", "c"], 5) == "a, b, c"
    assert some([str(n) for n in range(30)]).endswith("19 and 10 more")


def test_the_nearest_name_is_proposed():
    known = ["000_input", "003_layer1.0.conv2", "012_layer2.0.conv2"]
    assert nearest("layer1.0.conv3", known) == "003_layer1.0.conv2"
    assert nearest("013_layer2.0.conv2", known) == "012_layer2.0.conv2"
    assert nearest("zzz", known) is None
    assert nearest("conv", []) is None


def test_a_pattern_covers_a_thing_by_any_of_its_names():
    assert covered(["*.memh"], "003_conv/code.memh", "code.memh")
    assert covered(["nosuch", "conv"], "003_conv/code.memh", "003_conv")
    assert not covered(["conv"], "003_conv/code.memh", "code.memh")
    assert not covered([], "003_conv")
