"""Hypothesis strategies: legal operands of every operator, small enough that a failure can be read."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refengine.numbers.formats import INT4, INT8, INT8_WEIGHT, INT32, SCALE, TERNARY, UINT8
from refengine.numbers.requantize import ACTIVATIONS, Requantize
from refengine.numbers.rounding import ROUNDINGS, STOCHASTIC

activation_formats = st.sampled_from([UINT8, INT8])
weight_formats = st.sampled_from([TERNARY, INT4, INT8_WEIGHT])


def codes(fmt, shape):
    """Arrays whose every element is a legal code of ``fmt``, ends included."""
    return arrays(fmt.dtype, shape, elements=st.integers(fmt.lo, fmt.hi) | st.sampled_from([fmt.lo, 0, fmt.hi]))


def biases(count):
    """INT32 biases, mostly small."""
    return arrays(np.int32, count, elements=st.integers(-1000, 1000) | st.integers(-(2**30), 2**30))


def per_channel(channels, values):
    """int64, one entry a channel or a single one."""
    return st.sampled_from([1, channels]).flatmap(lambda count: arrays(np.int64, count, elements=values))


@st.composite
def images(draw, fmt=None, max_size=5, max_channels=4):
    """A batch of codes (N, H, W, C)."""
    n, h, w, c = (draw(st.integers(1, size)) for size in (3, max_size, max_size, max_channels))
    return draw(codes(fmt or draw(activation_formats), (n, h, w, c)))


@st.composite
def clustered_weights(draw, outputs, inputs, kernel, fmt=None):
    """weight (O, I, *kernel), scale (O, G) and cluster; INT8 weights are one cluster of scale 1."""
    fmt = fmt or draw(weight_formats)
    cluster = inputs if fmt is INT8_WEIGHT else draw(st.integers(1, inputs + 1))
    shape = (outputs, -(-inputs // cluster))
    scale = np.ones(shape, SCALE.dtype) if fmt is INT8_WEIGHT else draw(codes(SCALE, shape))
    return {"weight": draw(codes(fmt, (outputs, inputs, *kernel))), "scale": scale, "cluster": cluster}


@st.composite
def conv_cases(draw, w_format=None):
    """``x`` and the keywords of a legal convolution: grouped or not, padded on any side, any stride."""
    x_format = draw(activation_formats)
    n, h, w, group = (draw(st.integers(1, size)) for size in (2, 5, 5, 3))
    inputs, outputs = draw(st.integers(1, 7 if group == 1 else 3)), group * draw(st.integers(1, 3 if group == 1 else 2))
    kernel = draw(st.integers(1, h)), draw(st.integers(1, w))
    return draw(codes(x_format, (n, h, w, group * inputs))), {
        **draw(clustered_weights(outputs, inputs, kernel, w_format)),
        "bias": draw(biases(outputs)),
        "strides": (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        "pads": tuple(draw(st.integers(0, 2)) for _ in range(4)),
        "group": group,
    }


@st.composite
def fc_cases(draw, w_format=None):
    """``x`` (N, I) or (N, H, W, C) and the keywords of a legal fully connected layer."""
    x = draw(images(max_size=2, max_channels=3))
    if draw(st.booleans()):
        x = x.reshape(len(x), -1)
    inputs, outputs = x[0].size, draw(st.integers(1, 3))
    return x, {**draw(clustered_weights(outputs, inputs, (), w_format)), "bias": draw(biases(outputs))}


@st.composite
def pool_cases(draw):
    """``x`` and the keywords of a legal pool: no window lies in padding alone."""
    x = draw(images())
    pads = tuple(draw(st.integers(0, 2)) for _ in range(4))
    kernel_shape = tuple(
        draw(st.integers(max(pads[axis], pads[axis + 2]) + 1, x.shape[axis + 1] + pads[axis] + pads[axis + 2]))
        if max(pads[axis], pads[axis + 2]) < x.shape[axis + 1] + pads[axis] + pads[axis + 2]
        else 1
        for axis in (0, 1)
    )
    return x, {
        "kernel_shape": kernel_shape,
        "strides": (draw(st.integers(1, 3)), draw(st.integers(1, 3))),
        "pads": pads,
        "ceil_mode": draw(st.booleans()),
    }


@st.composite
def requantize_cases(draw, roundings=ROUNDINGS):
    """Accumulators (N, P, C) with legal parameters; a residual and random bits where the parameters want them."""
    n, p, c = (draw(st.integers(1, size)) for size in (2, 3, 3))
    fmt = draw(st.sampled_from([UINT8, INT8]))
    activation = draw(st.sampled_from(ACTIVATIONS))
    lo = fmt.lo if activation == "none" else 0
    hi = draw(st.integers(1, fmt.hi)) if activation == "clip" else fmt.hi
    with_residual = draw(st.booleans())
    widest = 2**30 if with_residual else 2**31 - 1  # keeps the total within 2**62, as a network's checks do (Q1)
    parameters = Requantize(
        multiplier=draw(per_channel(c, st.integers(0, 255) | st.integers(0, widest))),
        shift=draw(per_channel(c, st.integers(0, 12) | st.integers(0, 62))),
        residual_shift=draw(per_channel(c, st.integers(0, 12) | st.integers(0, 53))) if with_residual else None,
        rounding=draw(st.sampled_from(roundings)),
        format=fmt,
        activation=activation,
        lo=lo,
        hi=hi,
    )
    shape = (n, p, c)
    small = st.integers(-2000, 2000)
    bits = None
    if parameters.rounding == STOCHASTIC:
        bits = draw(arrays(np.uint64, shape, elements=st.integers(0, 2**64 - 1)))
    return {
        "acc": draw(arrays(np.int32, shape, elements=small | st.integers(INT32.lo, INT32.hi))),
        "parameters": parameters,
        "residual": draw(codes(draw(activation_formats), shape)) if with_residual else None,
        "bits": bits,
    }
