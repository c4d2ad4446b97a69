"""Small float networks for tests: one with every op, and a Hypothesis strategy for random ones."""

import numpy as np
import pytest
from hypothesis import strategies as st

from refengine.errors import NetworkError
from refengine.network.activations import ACTIVATIONS
from refengine.network.float_layer import FloatLayer
from refengine.network.float_network import FloatNetwork, output_shape

WINDOW = {"kernel_shape": (2, 2), "strides": (2, 2), "pads": (0, 0, 0, 0), "ceil_mode": False}
CONV = {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1}


def layer(number, op, inputs=(), constants=None, **attributes):
    """A layer called by its number and op."""
    return FloatLayer(f"{number:03d}_{op}", op, tuple(inputs), constants or {}, attributes)


def floats(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def norms(rng, channels):
    """Constants of a batch normalisation; gamma has zeros and both signs."""
    gamma = rng.integers(-2, 3, channels).astype(np.float32)
    return {
        "gamma": gamma,
        "beta": floats(rng, channels),
        "mean": floats(rng, channels),
        "var": abs(floats(rng, channels)),
    }


def every_op(seed=0):
    """A network of 7x6 RGB images with every op in it, most of them more than once."""
    rng = np.random.default_rng(seed)
    window = {"strides": (2, 2), "pads": (0, 1, 1, 0), "kernel_shape": (3, 2), "ceil_mode": True}
    plain = {"strides": (1, 1), "pads": (1, 1, 1, 1), "group": 1}
    layers = [
        layer(0, "input"),
        layer(1, "conv", ["000_input"], {"weight": floats(rng, 4, 3, 3, 3), "bias": floats(rng, 4)}, **plain),
        layer(2, "batchnorm", ["001_conv"], norms(rng, 4), epsilon=1e-3),
        layer(3, "relu", ["002_batchnorm"], max=6.0),
        layer(4, "conv", ["003_relu"], {"weight": floats(rng, 4, 1, 3, 3)}, **{**plain, "group": 4}),
        layer(5, "add", ["004_conv", "003_relu"]),
        layer(6, "conv", ["005_add"], {"weight": floats(rng, 6, 2, 1, 1)}, strides=(1, 1), pads=(0, 0, 0, 0), group=2),
        layer(7, "concat", ["006_conv", "005_add", "003_relu"]),
        layer(8, "maxpool", ["007_concat"], **window),
        layer(9, "pad_channels", ["008_maxpool"], before=1, after=2),
        layer(10, "avgpool", ["009_pad_channels"], **{**window, "strides": (1, 1)}),
        layer(11, "relu", ["010_avgpool"]),
        layer(12, "global_avgpool", ["011_relu"]),
        layer(13, "flatten", ["012_global_avgpool"]),
        layer(14, "fc", ["013_flatten"], {"weight": floats(rng, 5, 17), "bias": floats(rng, 5)}),
    ]
    return FloatNetwork(
        "every_op", (7, 6, 3), 5, (123.5, 116.0, 103.0), (58.0, 57.5, 57.0), "BGR", tuple(layers), "made here", "none"
    )


def gated(seed=0):
    """A network of 4x5 RGB images: a conv, activations one after the other, a gate, some channels, and an fc."""
    rng, channels, last = np.random.default_rng(seed), 6, 1
    before = f"{last:03d}_conv"
    window = {"strides": (1, 1), "pads": (1, 1, 1, 1), "group": 1}
    ops = [("sigmoid", {}), ("hard_sigmoid", {"alpha": 0.25, "beta": 0.5}), ("tanh", {}), ("elu", {"alpha": 0.75})]
    ops += [("hard_swish", {}), ("silu", {}), ("gelu", {"tanh": False}), ("clip", {"low": -0.5, "high": 0.75})]
    ops += [("erf", {}), ("softplus", {}), ("mish", {})]
    weight = {"weight": floats(rng, channels, 3, 3, 3) / 4}
    layers = [layer(0, "input"), layer(1, "conv", ["000_input"], weight, **window)]
    for number, (op, attributes) in enumerate(ops, start=last + 1):
        layers.append(layer(number, op, [layers[-1].name], **attributes))
    number = last + len(ops) + 1
    slope = {"slope": floats(rng, channels)}
    layers.append(layer(number, "prelu", [before], slope))
    layers.append(layer(number + 1, "mul", [layers[-1].name, layers[-2].name]))
    order = rng.integers(0, channels, 9).astype(np.float32)
    layers.append(layer(number + 2, "gather_channels", [layers[-1].name], {"order": order}))
    layers.append(layer(number + 3, "global_avgpool", [layers[-1].name]))
    layers.append(layer(number + 4, "fc", [layers[-1].name], {"weight": floats(rng, 5, 9), "bias": floats(rng, 5)}))
    return FloatNetwork("gated", (4, 5, 3), 5, (128.0,) * 3, (64.0,) * 3, "RGB", tuple(layers))


@st.composite
def networks(draw, steps=5):
    """Networks of up to ``steps`` random layers and a last fc, on images of a few pixels; constants by a drawn seed."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    channels = draw(st.sampled_from(["gray", "RGB", "BGR"]))
    count = 1 if channels == "gray" else 3
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 6)), count)
    layers, known = [layer(0, "input")], {"000_input": shape}
    for number in range(1, draw(st.integers(0, steps)) + 1):
        made = _next_layer(draw, rng, number, known)
        layers.append(made)
        known[made.name] = output_shape(made, *(known[name] for name in made.inputs))
    classes = draw(st.integers(1, 4))
    constants = {"weight": floats(rng, classes, int(np.prod(known[layers[-1].name])))}
    if draw(st.booleans()):
        constants["bias"] = floats(rng, classes)
    layers.append(layer(len(layers), "fc", [layers[-1].name], constants))
    mean, std = (100.0, 120.5, 3.25)[:count], (50.0, 60.125, 255.0)[:count]
    return FloatNetwork("random", shape, classes, mean, std, channels, tuple(layers))


def _next_layer(draw, rng, number, known):
    """A random layer that fits behind the last one."""
    last = list(known)[-1]
    shape = known[last]
    everywhere = ["batchnorm", "relu", "add", "concat", "flatten", "mul", "gather_channels", *ACTIVATIONS]
    op = draw(st.sampled_from([*everywhere, *_MAPS] if len(shape) == 3 else everywhere))
    if op == "batchnorm":
        return layer(number, op, [last], norms(rng, shape[-1]), epsilon=draw(st.sampled_from([1e-5, 0.5])))
    if op == "relu":
        return layer(number, op, [last], **draw(st.sampled_from([{}, {"max": 6.0}, {"max": 0.5}])))
    if op in ACTIVATIONS:
        constants, attributes = _activation(draw, rng, op, shape[-1])
        return layer(number, op, [last], *constants, **attributes)
    if op == "gather_channels":
        order = rng.integers(0, shape[-1], draw(st.integers(1, 5))).astype(np.float32)
        return layer(number, op, [last], {"order": order})
    if op == "mul":
        fitting = [n for n in known if known[n] in (shape, (1, 1, shape[-1])) and len(known[n]) == len(shape)]
        if last.endswith("sigmoid"):  # times its own input it would be another layer's op
            fitting = [last]
        return layer(number, op, [last, draw(st.sampled_from(fitting))])
    if op == "add":
        return layer(number, op, [last, draw(st.sampled_from([n for n in known if known[n] == shape]))])
    if op == "concat":
        partners = st.sampled_from([n for n in known if known[n][:-1] == shape[:-1]])
        return layer(number, op, [last, *draw(st.lists(partners, max_size=2))])
    return _MAPS[op](draw, rng, number, last, shape) if op in _MAPS else layer(number, op, [last])


def _activation(draw, rng, op, channels):
    """Constants and attributes of an activation."""
    attributes = {
        "clip": {"low": 0.125, "high": draw(st.sampled_from([0.25, 6.0]))},
        "elu": {"alpha": draw(st.sampled_from([1.0, 0.5]))},
        "hard_sigmoid": {"alpha": draw(st.sampled_from([0.25, 0.125])), "beta": 0.5},
        "gelu": {"tanh": draw(st.booleans())},
    }
    return [{"slope": floats(rng, channels)}] if op == "prelu" else [], attributes.get(op, {})


def _conv(draw, rng, number, last, shape):
    group = draw(st.sampled_from([g for g in range(1, shape[2] + 1) if shape[2] % g == 0]))
    outputs = group * draw(st.integers(1, 3))
    kernel, strides, pads = _window(draw, shape)
    apart = tuple(
        draw(st.integers(1, (side - 1) // (k - 1) if k > 1 else 2)) for k, side in zip(kernel, shape[:2], strict=True)
    )
    dilations = {"dilations": apart} if apart != (1, 1) else {}
    constants = {"weight": floats(rng, outputs, shape[2] // group, *kernel)}
    if draw(st.booleans()):
        constants["bias"] = floats(rng, outputs)
    return layer(number, "conv", [last], constants, strides=strides, pads=pads, group=group, **dilations)


def _pool(op):
    def make(draw, rng, number, last, shape):
        kernel, strides, pads = _window(draw, shape)
        pads = tuple(min(pad, size - 1) for pad, size in zip(pads, kernel * 2, strict=True))
        window = {"kernel_shape": kernel, "strides": strides, "pads": pads}
        return layer(number, op, [last], **window, ceil_mode=draw(st.booleans()))

    return make


def _window(draw, shape):
    """Kernel (not larger than the image), strides and pads."""
    kernel = tuple(draw(st.integers(1, min(3, side))) for side in shape[:2])
    return kernel, (draw(st.integers(1, 3)), draw(st.integers(1, 3))), tuple(draw(st.integers(0, 2)) for _ in range(4))


def _plain(op):
    return lambda draw, rng, number, last, shape: layer(number, op, [last])


def _pad(draw, rng, number, last, shape):
    return layer(number, "pad_channels", [last], before=draw(st.integers(0, 2)), after=draw(st.integers(0, 2)))


_MAPS = {
    "conv": _conv,
    "maxpool": _pool("maxpool"),
    "avgpool": _pool("avgpool"),
    "global_avgpool": _plain("global_avgpool"),
    "pad_channels": _pad,
}


def ones(*shape):
    return np.ones(shape, np.float32)


def refused(words, build, *arguments, **keywords):
    """The call is refused with one line that contains these words."""
    with pytest.raises(NetworkError) as caught:
        build(*arguments, **keywords)
    assert words in str(caught.value)
    assert str(caught.value).isprintable()
