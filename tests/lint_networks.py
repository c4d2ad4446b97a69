"""Networks that break exactly one rule of lint each, and what they are built from."""

from dataclasses import replace

import networks
import numpy as np

from refengine.analysis.lint import lint
from refengine.network.int_network import IntLayer
from refengine.numbers.formats import INT8

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
    "scaled-int8": fc_with(scale=((2,), (1,))),
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
    "unit-of-logits": networks.with_layer(SMALL, "002_fc", exponent=-5),
}


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


def rules_of(network):
    return [finding.rule for finding in lint(network)]
