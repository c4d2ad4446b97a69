"""Layers with the codes they read, for the tests of hypotheses and causes: any network's, and convolutions to order."""

import numpy as np
from mutation.faults import FAULTS
from networks import random_images

from refengine.engine.run import run
from refengine.golden.diagnose.hypotheses import Case, named
from refengine.golden.diagnose.machine import machine_of
from refengine.golden.diagnose.recompute import recompute
from refengine.network.int_network import IntLayer, IntNetwork
from refengine.numbers.formats import INT8, UINT8, WEIGHT_FORMATS
from refengine.numbers.requantize import Requantize


def cases_of(network, count=3, first_image=0):
    """[(case, result)] of every layer of a network, run on random images."""
    found, tensors = [], {}

    def observe(layer, operands, result):
        tensors[layer.name] = result.result
        residual = None if layer.residual is None else tensors[layer.residual]
        found.append((Case(network, layer, tuple(operands), residual, first_image), result))

    run(network, random_images(network, count), "reference", observe, first_image)
    return found


def step(rng, channels, shift, activation="relu", rounding="half_up", residual_shift=None, signed=False, top=None):
    """A requantization of 8-bit multipliers, another shift in every channel."""
    fmt = INT8 if signed else UINT8
    shifts = np.asarray(shift + rng.integers(-1, 2, channels))
    return Requantize(
        rng.integers(128, 256, channels),
        shifts,
        None if residual_shift is None else shifts + residual_shift,
        rounding,
        fmt,
        activation,
        fmt.lo if activation == "none" else 0,
        fmt.hi if top is None else top,
    )


def conv_case(
    seed=0,
    count=2,
    weight_format="ternary",
    size=(5, 5),
    inputs=4,
    outputs=3,
    kernel=(3, 3),
    strides=(1, 1),
    pads=(1, 1, 1, 1),
    group=1,
    cluster=3,
    signed_input=False,
    residual=False,
    finer=0,
    shift=13,
    accumulator=(32, "error"),
    **stepping,
):
    """A convolution behind another one, with random codes in all of its range; ``stepping`` goes to ``step``.

    ``finer``: by how many bits the residual's unit is finer than the result's.
    """
    rng = np.random.default_rng(seed)
    fmt = WEIGHT_FORMATS[weight_format]
    source_format = INT8 if signed_input else UINT8

    def convolution(name, reads, weight, scale, pads, strides, group, cluster, requantize, residual=None, **more):
        constants = {"weight": weight, "scale": scale, "bias": rng.integers(-9000, 9000, len(weight), np.int32)}
        attributes = {"strides": strides, "pads": pads, "group": group, "cluster": cluster}
        exponents = {"weight_format": "int8", "weight_exponent": np.full(len(weight), -9)}
        exponent = -3 - finer if name == "002_added" else -3
        return IntLayer(
            name, "conv", (reads,), exponent, constants, attributes, requantize, residual, **exponents | more
        )

    def plain(outputs, inputs, kernel=(1, 1)):
        codes = rng.integers(-127, 128, (outputs, inputs, *kernel), np.int8)
        return codes, np.ones((outputs, 1), np.int8)

    one_pixel = ((0, 0, 0, 0), (1, 1), 1)
    start = IntLayer(
        "000_input", "input", (), -3, {"bias": np.array([-5000], np.int32)}, {"flip": False},
        step(rng, 1, 15, "none", signed=True),
    )  # fmt: skip
    read = convolution(
        "001_read", "000_input", *plain(inputs, 1), *one_pixel, 1,
        step(rng, inputs, 13, "none" if signed_input else "relu", signed=signed_input),
    )  # fmt: skip
    layers = [start, read]
    if residual:
        added = convolution(
            "002_added", "000_input", *plain(outputs, 1, kernel), pads, strides, 1, 1,
            step(rng, outputs, 15, "none", signed=True),
        )  # fmt: skip
        layers.append(added)
        stepping["residual_shift"] = -finer
    per_group = inputs // group
    scale_shape = (outputs, 1 if weight_format == "int8" else -(-per_group // cluster))
    layer = convolution(
        "003_conv", "001_read",
        rng.integers(fmt.lo, fmt.hi, (outputs, per_group, *kernel), np.int8, endpoint=True),
        np.ones(scale_shape, np.int8) if weight_format == "int8" else rng.integers(20, 128, scale_shape, np.int8),
        pads, strides, group, per_group if weight_format == "int8" else cluster,
        step(rng, outputs, shift, **stepping), "002_added" if residual else None,
        weight_format=weight_format, accumulator_bits=accumulator[0], accumulator_policy=accumulator[1],
    )  # fmt: skip
    pool = IntLayer("004_pool", "global_avgpool", ("003_conv",), -3, {}, {}, step(rng, 1, 12, "none", signed=True))
    last = {"weight": np.ones((2, outputs), np.int8), "scale": np.ones((2, 1), np.int8), "bias": np.zeros(2, np.int32)}
    logits = IntLayer(
        "005_fc", "fc", ("004_pool",), -3, last, {"cluster": outputs},
        weight_format="int8", weight_exponent=np.full(2, -9),
    )  # fmt: skip
    network = IntNetwork("one conv", (*size, 1), 2, "gray", (*layers, layer, pool, logits))
    x = rng.integers(source_format.lo, source_format.hi, (count, *size, inputs), source_format.dtype, endpoint=True)
    shape = (count, *network.shapes["003_conv"])
    return Case(network, layer, (x,), rng.integers(-128, 128, shape, np.int8) if residual else None)


def assert_as_planted(case, fault, name):
    """A hypothesis writes what a planted mistake does, which shares no line with it, and not what is right."""
    planted = FAULTS[fault].stages(case)
    machine = named(name)(machine_of(case))
    assert planted is not None
    assert machine is not None
    found = recompute(machine, [*planted], None, [*planted])
    for stage, values in planted.items():
        np.testing.assert_array_equal(found[stage], values, f"{fault} {name} {stage}")
    right = recompute(machine_of(case), [*planted])
    assert any(not np.array_equal(right[stage], values) for stage, values in planted.items())
