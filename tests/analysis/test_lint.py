"""Each rule strikes at a network that is built to break exactly it, and small clean networks have no findings."""

import json
from dataclasses import replace

import networks
import numpy as np
import pytest
from hypothesis import given

from refengine.analysis.lint import ERROR, RULES, SEVERITIES, figures, lint
from refengine.engine.run import run
from refengine.network.int_network import IntLayer, IntNetwork
from refengine.numbers.formats import INT8, UINT8, signed_bits

SMALL = networks.small()


def conv_with(constants=(), requantize=(), **changed):
    """``small`` with a changed convolution."""
    layer = SMALL.layer("conv")
    step = networks.plain_requantize(INT8, multiplier=np.array([5, 2]), shift=np.array([3, 2]))
    fields = {**vars(step), **dict(requantize)}
    constants = {**{name: array.copy() for name, array in layer.constants.items()}, **dict(constants)}
    return networks.with_layer(SMALL, "001_conv", constants=constants, requantize=type(step)(**fields), **changed)


def fc_with(weight=((100, -50), (-127, 3)), scale=((1,), (1,)), bias=(7, 0), **changed):
    """``small`` with a changed last layer."""
    arrays = {"weight": np.array(weight, np.int8), "scale": np.array(scale, np.int8), "bias": np.array(bias, np.int32)}
    return networks.with_layer(SMALL, "002_fc", constants=arrays, **changed)


def joined(op, input_exponent=0, exponent=0):
    """Pixels and a convolution of them, brought together by an add or as the residual of a second convolution."""
    image, conv, fc = SMALL.layers
    constants = {
        "weight": conv.constants["weight"][:1],
        "scale": np.array([[3]], np.int8),
        "bias": np.array([10], np.int32),
    }
    where = {"strides": (1, 1), "pads": (0, 0, 1, 1), "group": 1, "cluster": 1}
    one = {"constants": constants, "attributes": where, "weight_exponent": np.array([-4])}
    image = IntLayer(**{**vars(image), "exponent": input_exponent})
    step = networks.plain_requantize(INT8, multiplier=np.array([5]), shift=np.array([5]))
    first = IntLayer(**{**vars(conv), **one, "exponent": 0, "requantize": step})
    if op == "add":
        shifts = (max(input_exponent, 0), max(-input_exponent, 0))
        step = networks.plain_requantize(INT8, multiplier=np.array([1]), shift=np.array([2 + shifts[0]]))
        second = IntLayer("002_add", "add", ("000_input", "001_conv"), exponent, {}, {"shifts": shifts}, step)
    else:
        shift = 9
        step = networks.plain_requantize(
            INT8,
            multiplier=np.array([128]),
            shift=np.array([shift]),
            residual_shift=np.array([shift + input_exponent - exponent]),
        )
        fields = {"name": "002_conv", "inputs": ("001_conv",), "residual": "000_input", "requantize": step}
        second = IntLayer(**{**vars(conv), **one, **fields, "exponent": exponent})
    weight = {"weight": np.array([[1, 2, 3, 4], [4, 3, 2, 1]], np.int8), "scale": np.ones((2, 1), np.int8)}
    last = {"constants": {**weight, "bias": np.zeros(2, np.int32)}, "attributes": {"cluster": 4}}
    last["exponent"] = exponent - 4
    return networks.small(layers=(image, first, second, IntLayer(**{**vars(fc), **last, "inputs": (second.name,)})))


def padded():
    """A channel of zeros comes in."""
    image, conv, fc = SMALL.layers
    pad = IntLayer("001_pad", "pad_channels", ("000_input",), 0, attributes={"before": 0, "after": 1})
    weight = conv.constants["weight"].repeat(2, axis=1)
    constants = {**conv.constants, "weight": weight, "scale": conv.constants["scale"].repeat(2, axis=1)}
    conv = IntLayer(**{**vars(conv), "inputs": ("001_pad",), "constants": constants})
    return networks.small(layers=(image, pad, conv, fc))


def without_multiplier():
    """A second convolution whose products count nothing: its residual alone comes out."""
    network = joined("residual")
    step = replace(network.layer("002_conv").requantize, multiplier=np.array([0]))
    return networks.with_layer(network, "002_conv", requantize=step)


ZEROED = SMALL.layer("conv").constants["weight"] * np.array([1, 0], np.int8)[:, None, None, None]
TERNARY = {"attributes": {"cluster": 1}, "weight_format": "ternary"}
BROKEN = {
    "zero-weights": conv_with({"weight": ZEROED}),
    "zero-multiplier": without_multiplier(),
    "constant-output": conv_with({"bias": np.array([2**24, -20], np.int32)}, {"shift": np.array([22, 2])}),
    "always-saturates": conv_with({"bias": np.array([10, 10**5], np.int32)}),
    "dead-inputs": padded(),
    "zero-scales": fc_with(((1, -1), (-1, 1)), ((100, 0), (50, 120)), **TERNARY),
    "zero-clusters": fc_with(((1, 0), (-1, 1)), ((100, 7), (50, 120)), **TERNARY),
    "absurd-exponent": conv_with(weight_exponent=np.array([40, -5])),
    "coarse-multiplier": conv_with(requantize={"multiplier": np.array([200, 3]), "shift": np.array([8, 2])}),
    "wide-total": conv_with(requantize={"multiplier": np.array([160, 2**23]), "shift": np.array([8, 24])}),
    "bias-at-the-edge": fc_with(bias=(2**30, 2**30)),
    "bias-dominates": fc_with(bias=(2**17, 2**17)),
    "operands-far-apart": joined("add", input_exponent=4, exponent=4),
    "overweight-operand": joined("add", input_exponent=6),
    "can-wrap": fc_with(((127, 127), (-127, 3)), bias=(900, 0), accumulator_bits=16, accumulator_policy="wrap"),
    "can-clip": fc_with(((127, 127), (-127, 3)), bias=(900, 0), accumulator_bits=16, accumulator_policy="saturate"),
    "unused-codes": conv_with(requantize={"shift": np.array([8, 7])}),
    "class-never-wins": fc_with(((100, 0), (1, 1)), bias=(20000, 0)),
    "equal-classes": fc_with(((100, -50), (100, -50)), bias=(7, 7)),
    "coded-logits": fc_with(requantize=networks.plain_requantize(INT8, shift=np.array([7]))),
    "clipped-pixels": networks.with_layer(SMALL, "000_input", constants={"bias": np.array([-2560], np.int32)}),
    "scaled-int8": fc_with(scale=((2,), (1,))),
    "unit-of-logits": networks.with_layer(SMALL, "002_fc", exponent=-5),
}


def rules_of(network):
    return [finding.rule for finding in lint(network)]


@pytest.mark.parametrize("rule", BROKEN)
def test_a_network_that_breaks_exactly_one_rule(rule):
    (finding,) = lint(BROKEN[rule])
    line = next(line for line in RULES if line.name == rule)
    assert (finding.rule, finding.severity) == (rule, line.severity)
    assert (finding.meaning, finding.advice) == (line.meaning, line.advice)


def test_every_rule_is_broken_by_a_network_and_explains_itself():
    assert [rule.name for rule in RULES] == [*BROKEN]
    for rule in RULES:
        assert rule.severity in SEVERITIES
        assert rule.meaning.endswith(".")
        assert rule.advice.endswith(".")


@pytest.mark.parametrize("network", [SMALL, joined("add"), joined("residual")], ids=["small", "add", "residual"])
def test_a_clean_network_has_no_findings(network):
    assert lint(network) == ()


@pytest.mark.parametrize(
    ("rule", "layer", "channels", "detail"),
    [
        ("zero-weights", "001_conv", (1,), "no weight is left, the bias comes out; 1 of them is constant"),
        ("zero-multiplier", "002_conv", (0,), "multiplier 0"),
        ("constant-output", "001_conv", (0,), "always 20"),
        ("always-saturates", "001_conv", (1,), "rounded values are 48725..50638 for every image"),
        ("dead-inputs", "001_conv", (1,), "these channels of the input are always 0: 50 % of the work adds nothing"),
        ("zero-scales", "002_fc", (0,), "1 of 4 clusters have codes and the scale 0"),
        ("zero-clusters", "002_fc", (0,), "1 of 4 clusters (25 %) have no code"),
        ("absurd-exponent", "001_conv", (0,), "weight exponents 40"),
        ("coarse-multiplier", "001_conv", (1,), "multipliers of 2 bits beside 8"),
        ("bias-at-the-edge", "002_fc", (0, 1), "biases of 1073741824"),
        ("operands-far-apart", "002_add", (), "of 001_conv the lowest 4 bits lie below the result's unit"),
        (
            "overweight-operand",
            "002_add",
            (),
            "one code of 000_input is worth 2^6 of the result's: codes above 2 saturate",
        ),
        ("can-wrap", "002_fc", (0,), "finished sums may need 17 bits, the accumulator has 16"),
        ("can-clip", "002_fc", (0,), "finished sums may need 17 bits, partial ones 17, the accumulator has 16"),
        ("unused-codes", "001_conv", (), "bits are never used"),
        ("class-never-wins", "002_fc", (1,), "which another class always reaches"),
        ("equal-classes", "002_fc", (1,), "those of a class before"),
        ("coded-logits", "002_fc", (), "the logits are int8 codes"),
        ("clipped-pixels", "000_input", (0,), "biases from -2560 on under codes from 0 on"),
        ("scaled-int8", "002_fc", (0,), "1 clusters with scales 1..2"),
        ("unit-of-logits", "002_fc", (), "exponent -5, a step of the sums is worth 2^-6"),
    ],
)
def test_every_rule_finds_its_planted_defect(rule, layer, channels, detail):
    finding = lint(BROKEN[rule])[0]
    assert (finding.layer, finding.channels) == (layer, channels)
    assert detail in finding.detail


def test_a_residual_is_looked_at_as_an_operand_is():
    assert rules_of(joined("residual", exponent=5)) == ["operands-far-apart"]
    assert "overweight-operand" in rules_of(joined("residual", input_exponent=6))


@pytest.mark.parametrize(("activation", "rule"), [("none", "always-saturates"), ("clip", "constant-output")])
def test_what_an_activation_cuts_is_no_saturation(activation, rule):
    """A ReLU6 that is always exceeded is a constant; beyond the format it is a saturation."""
    lo = -128 if activation == "none" else 0
    network = conv_with({"bias": np.array([10, 10**5], np.int32)}, {"activation": activation, "lo": lo})
    assert rules_of(network) == [rule]


def test_a_dead_channel_has_no_coarse_multiplier():
    """What it would be multiplied by does not matter."""
    weights = conv_with({"weight": ZEROED}, {"multiplier": np.array([200, 3]), "shift": np.array([8, 2])})
    assert rules_of(weights) == ["zero-weights"]


def test_a_constant_channel_is_found_where_it_becomes_constant():
    """Pools and additions behind it do not report it again."""
    network = networks.every_op()
    found = [finding for finding in lint(network) if finding.rule == "constant-output"]
    assert not [finding for finding in found if network.layer(finding.layer).op in ("avgpool", "global_avgpool")]


@given(networks.int_networks())
def test_what_is_called_constant_is_constant(network):
    """Every claim about all images holds for random ones; and any network can be looked at."""
    findings = lint(network)
    claims = {"zero-multiplier", "constant-output", "always-saturates"}
    images = np.concatenate([networks.random_images(network, 4), np.zeros((1, *network.input_shape), np.uint8)])
    results, operands_of = {}, {}

    def observe(layer, operands, result):
        results[layer.name], operands_of[layer.name] = result, operands[0]

    run(network, images, "reference", observe)
    may_leave = {finding.layer for finding in findings if finding.rule in ("can-wrap", "can-clip")}
    assert {name for name, result in results.items() if result.overflowed} <= may_leave
    for finding in findings:
        json.dumps(figures(finding))
        assert all(0 <= channel < finding.of for channel in finding.channels)
        if finding.rule in claims and network.layer(finding.layer).residual is None:
            codes = results[finding.layer].result.reshape(-1, finding.of)[:, list(finding.channels)]
            assert (codes == codes[0]).all()
        if finding.rule == "unused-codes":
            lo, hi = (int(end) for end in finding.detail.split(" ")[1].split(".."))
            assert lo <= results[finding.layer].result.min() <= results[finding.layer].result.max() <= hi
        if finding.rule == "dead-inputs":
            assert not operands_of[finding.layer][..., list(finding.channels)].any()
        if finding.rule == "class-never-wins":
            logits = results[finding.layer].result.reshape(len(images), -1)
            assert not {*logits.argmax(axis=1).tolist()} & {*finding.channels}


def test_errors_come_from_numbers_that_nobody_wants():
    found = [finding for network in BROKEN.values() for finding in lint(network)]
    assert {finding.rule for finding in found if finding.severity == ERROR} == {"always-saturates"}


@pytest.mark.parametrize(("policy", "rules"), [("wrap", []), ("saturate", ["can-clip"])])
def test_partial_sums_alone_that_are_too_wide(policy, rules):
    """127 * 200 * 2 needs 17 bits, and 16 with the bias of -25000: what wraps on the way wraps back (contract A3)."""
    step = {"format": UINT8, "activation": "clip", "lo": 0, "hi": 200}
    conv = conv_with(requantize=step).layer("conv")
    fc = fc_with(((127, 127), (1, 1)), bias=(-25000, 0), accumulator_bits=16, accumulator_policy=policy).layer("fc")
    network = networks.small(layers=(SMALL.layers[0], conv, fc))
    assert rules_of(network) == rules
    if rules:
        (finding,) = lint(network)
        assert finding.channels == (0,)
        assert finding.detail == "finished sums may need 16 bits, partial ones 17, the accumulator has 16"


def dead():
    """A channel far behind a ReLU, with an enormous bias and a tiny unit, in front of one that reads it alone.

    Pixels, a convolution of two channels, a depthwise one, a last layer; the second channel is 0 in all of them.
    """
    image, conv, fc = SMALL.layers
    step = networks.plain_requantize(multiplier=np.array([5, 1]), shift=np.array([3, 40]), activation="relu", lo=0)
    bias = np.array([10, -(2**30) - 5], np.int32)
    units = {"weight_exponent": np.array([-4, -40]), "requantize": step}
    first = {**vars(conv), **units, "constants": {**conv.constants, "bias": bias}}
    kernels = {"weight": np.array([[[[1]]], [[[1]]]], np.int8), "scale": np.array([[3], [0]], np.int8), "bias": bias}
    where = {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 2, "cluster": 1}
    second = {**vars(conv), **units, "name": "002_conv", "inputs": ("001_conv",), "constants": kernels}
    weight = {"weight": np.array([[100, -50], [100, 3]], np.int8)}
    last = {**vars(fc), "name": "003_fc", "inputs": ("002_conv",), "constants": {**fc.constants, **weight}}
    layers = (image, IntLayer(**first), IntLayer(**{**second, "attributes": where}), IntLayer(**last))
    return networks.small(layers=layers)


def test_a_dead_channel_is_one_finding_a_layer():
    """Neither its bias, its unit nor its scales are found again, nor that the next layer reads zeros in vain."""
    found = [(finding.layer, finding.rule, finding.channels) for finding in lint(dead())]
    assert found == [
        ("001_conv", "constant-output", (1,)),
        ("002_conv", "zero-weights", (1,)),
        ("003_fc", "dead-inputs", (1,)),
    ]


def test_a_constant_channel_says_that_it_widens_the_accumulator():
    network = dead()
    for finding in lint(network)[:2]:
        lo, hi = network.bounds[finding.layer]
        bits = signed_bits(int(lo[0]), int(hi[0]))
        assert finding.detail.endswith(f"; sums of 32 bits, where {bits} hold all that are not constant")
        assert "any bias that makes the same code" in finding.advice


@pytest.mark.parametrize(("joined_with", "needle"), [(False, "A smaller exponent"), (True, "that of the others")])
def test_an_exponent_that_others_share_is_not_to_be_changed(joined_with, needle):
    """Behind a flattening, too, codes are joined with those of another layer."""
    image, conv, fc = BROKEN["unused-codes"].layers
    assert "A smaller exponent" in lint(BROKEN["unused-codes"])[0].advice
    twin = IntLayer(**{**vars(conv), "name": "002_conv"})
    flat = IntLayer("003_flatten", "flatten", ("001_conv",), conv.exponent)
    inputs = ("001_conv", "002_conv") if joined_with else ("001_conv",)
    join = IntLayer("004_concat", "concat", inputs, conv.exponent)
    width = 2 * len(inputs)
    constants = {
        "weight": np.ones((2, width), np.int8) * 3,
        "scale": np.ones((2, 1), np.int8),
        "bias": np.arange(2, dtype=np.int32),
    }
    last = {
        **vars(fc),
        "name": "005_fc",
        "inputs": ("004_concat",),
        "constants": constants,
        "attributes": {"cluster": width},
    }
    network = networks.small(layers=(image, conv, twin, flat, join, IntLayer(**last)))
    finding = next(finding for finding in lint(network) if finding.rule == "unused-codes")
    assert needle in finding.advice


def test_a_share_that_is_not_0_is_not_called_so():
    """One of 200 input channels."""
    image, _, fc = SMALL.layers
    pad = IntLayer("001_pad", "pad_channels", ("000_input",), 0, attributes={"before": 0, "after": 1})
    wide = IntLayer("002_concat", "concat", ("000_input",) * 199 + ("001_pad",), 0)
    weight = np.ones((2, 201 * 4), np.int8)
    constants = {"weight": weight, "scale": np.ones((2, 1), np.int8), "bias": np.arange(2, dtype=np.int32)}
    last = {**vars(fc), "name": "003_fc", "inputs": ("002_concat",), "constants": constants}
    network = networks.small(layers=(image, pad, wide, IntLayer(**{**last, "attributes": {"cluster": 201 * 4}})))
    (finding,) = [finding for finding in lint(network) if finding.rule == "dead-inputs"]
    assert finding.detail.endswith("less than 1 % of the work adds nothing")
    assert (finding.channels, finding.of) == ((200,), 201)


def test_one_layer_networks_can_be_looked_at():
    """The input alone, whose codes are the logits."""
    image = SMALL.layers[0]
    network = IntNetwork("one", (1, 1, 1), 1, "gray", (image,))
    assert rules_of(network) == ["coded-logits"]
