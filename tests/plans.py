"""What a plan must give: the integers of the definition, layer by layer; and small networks that stress it."""

from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import networks
import numpy as np

from refengine.engine.events import Events
from refengine.engine.fast import buffers
from refengine.engine.fast.plan import Plan
from refengine.engine.run import run
from refengine.numbers.formats import INT8, UINT8

# ---------------------------------------------------------------------------------------------------------- comparisons


@contextmanager
def sharing(shared):
    """Places in memory are used again, or (networks as small as those of tests) every tensor has its own."""
    with patch.object(buffers, "SMALL", 0 if shared else buffers.SMALL):
        yield


def seen(run_it):
    """{layer name: (operands, Result)} of a run, and its logits; ``run_it`` is handed an observer."""
    found = {}

    def observe(layer, operands, result):
        assert layer.name not in found
        found[layer.name] = operands, result

    return run_it(observe), found


def defined(network, images, first_image=0, backend="reference"):
    """Logits and all results, as ``run`` gives them."""
    logits, found = seen(lambda observe: run(network, images, backend, observe, first_image))
    return logits, found


def assert_same(name, got, wanted):
    """Two layers' operands and results: every array with its type, and every count."""
    (operands, result), (wanted_operands, expected) = got, wanted
    pairs = [
        *zip(operands, wanted_operands, strict=True),
        (result.result, expected.result),
        (result.accumulator, expected.accumulator),
        (result.residual, expected.residual),
        (result.coarser, expected.coarser),
    ]
    for mine, other in pairs:
        assert (mine is None) == (other is None), name
        if mine is not None:
            assert (mine.dtype, mine.shape) == (other.dtype, other.shape), name
            np.testing.assert_array_equal(mine, other, name)
    assert (result.saturated, result.overflowed) == (expected.saturated, expected.overflowed), name


def events_of(found):
    """The events that a run's results imply."""
    return {
        name: Events(result.result.size, *result.saturated, result.overflowed)
        for name, (_, result) in found.items()
        if result.accumulator is not None
    }


def assert_run(plan, images, wanted, observed=(), first_image=0):
    """One run of a plan: logits, and everything that it shows of the observed layers, in order."""
    logits, expected = wanted
    got, found = seen(lambda observe: plan.run(images, first_image, observe))
    assert got.dtype == np.int32
    np.testing.assert_array_equal(got, logits)
    assert list(found) == [name for name in expected if name in observed]
    for name in found:
        assert_same(name, found[name], expected[name])


def check(network, images, *, threads=1, first_image=0, backend="reference"):
    """Plans that show every layer, that count, and that do neither, against ``run``."""
    wanted = defined(network, images, first_image, backend)
    names = [layer.name for layer in network.layers]
    assert_run(Plan(network, len(images), threads=threads), images, wanted, (), first_image)
    assert_run(Plan(network, len(images), threads=threads, observed=names), images, wanted, names, first_image)
    counting = Plan(network, len(images) + 1, threads=threads, counted=True)
    assert_run(counting, images, wanted, (), first_image)
    assert counting.events() == events_of(wanted[1])


def logits_of(network, images, threads=2):
    """The logits of a new plan: what another process is asked for."""
    return Plan(network, len(images), threads=threads).run(images)


# ------------------------------------------------------------------------------------------------------------- networks


def conv_network(
    seed,
    weight_format="ternary",
    rounding="half_up",
    fmt=UINT8,
    residual=True,
    channels=37,
    multiplier_bits=8,
    kernel=3,
    **second,
):
    """Two convolutions, the second one with the first's result as its residual, on a size that no tile divides.

    ``second`` changes fields of the second layer.
    """
    rng = np.random.default_rng(seed)
    shape = {"weight_format": weight_format, "rounding": rounding, "fmt": fmt, "multiplier_bits": multiplier_bits}
    first = conv(rng, "001_conv", "000_input", 1, channels, (1, 1, 1, 1), **shape)
    pads = (0, 2, 2, 0) if kernel == 3 else (0, 0, 0, 0)
    last = conv(
        rng, "002_conv", "001_conv", channels, channels, pads, residual="001_conv" if residual else None,
        kernel=kernel, **shape,
    )  # fmt: skip
    return ending_in_a_mean((7, 9, 1), networks.small().layers[0], first, replace(last, **second))


def conv(
    rng,
    name,
    source,
    inputs,
    outputs,
    pads,
    *,
    weight_format="ternary",
    rounding="half_up",
    fmt=UINT8,
    multiplier_bits=8,
    residual=None,
    group=1,
    strides=(1, 1),
    kernel=3,
):
    """A convolution with random codes, whose results are some hundred codes; ``inputs`` of a group."""
    top = {"ternary": 1, "int4": 7, "int8": 127}[weight_format]
    weight = rng.integers(-top, top + 1, (outputs, inputs, kernel, kernel)).astype(np.int8)
    scale, cluster = rng.integers(0, 128, (outputs, -(-inputs // 4))).astype(np.int8), 4
    if weight_format == "int8":
        scale, cluster = np.ones((outputs, 1), np.int8), inputs
    largest = 255 * inputs * kernel**2 * top * (1 if weight_format == "int8" else 60)
    shift = largest.bit_length() - 8 + multiplier_bits
    step = networks.plain_requantize(
        fmt,
        multiplier=rng.integers(2 ** (multiplier_bits - 1), 2**multiplier_bits, outputs),
        shift=np.full(outputs, shift),
        rounding=rounding,
        residual_shift=None if residual is None else np.full(outputs, shift),
    )
    return replace(
        networks.small().layers[1],
        name=name,
        inputs=(source,),
        exponent=0,
        constants={"weight": weight, "scale": scale, "bias": rng.integers(-5000, 5000, outputs).astype(np.int32)},
        attributes={"strides": strides, "pads": pads, "group": group, "cluster": cluster},
        requantize=step,
        residual=residual,
        weight_format=weight_format,
        weight_exponent=np.zeros(outputs, np.int64),
    )


def lifted_network(weight_format, fmt, kernel=3, shift=8):
    """Sums so small that shifts are small too, and in each filter some weights that exceed 8 bits."""
    network = conv_network(8, weight_format, fmt=fmt, kernel=kernel)
    constants, step = network.layers[2].constants, network.layers[2].requantize
    scale = constants["scale"].copy()
    if weight_format != "int8":
        scale = np.random.default_rng(8).integers(0, 2, scale.shape).astype(np.int8)
        scale[:, 0] = 127
    shifts = np.full(37, shift)
    return networks.with_layer(
        network,
        "002_conv",
        constants={**constants, "scale": scale, "bias": constants["bias"] // 16},
        requantize=replace(step, shift=shifts, residual_shift=shifts),
    )


def depthwise_network(seed, channels, rounding="half_up", fmt=UINT8):
    """The second convolution has a filter a channel."""
    network = conv_network(seed, "int4", rounding, fmt, channels=channels)
    constants = network.layers[2].constants
    weight = np.random.default_rng(channels).integers(-7, 8, (channels, 1, 3, 3)).astype(np.int8)
    constants = {**constants, "weight": weight, "scale": constants["scale"][:, :1]}
    attributes = {**network.layers[2].attributes, "group": channels, "cluster": 1}
    return networks.with_layer(network, "002_conv", constants=constants, attributes=attributes)


def grouped_network(seed, channels, group, depth=1, weight_format="int4", fmt=UINT8, kernel=3):
    """A convolution with groups between two that see all channels; ``depth`` outputs for each input."""
    rng = np.random.default_rng(seed)
    shape = {"weight_format": weight_format, "fmt": fmt}
    outputs = channels * depth
    residual = "001_conv" if depth == 1 else None
    layers = (
        conv(rng, "001_conv", "000_input", 1, channels, (1, 1, 1, 1), **shape),
        conv(rng, "002_conv", "001_conv", channels // group, outputs, (1, 0, 0, 1), group=group, kernel=kernel,
             residual=residual if kernel == 2 else None, strides=(1, 1) if kernel == 2 else (2, 1), **shape),
        conv(rng, "003_conv", "002_conv", outputs, 5, (0, 0, 0, 0), kernel=1, **shape),
    )  # fmt: skip
    return ending_in_a_mean((6, 7, 1), networks.small().layers[0], *layers)


def ending_in_a_mean(shape, *layers, **changed):
    """The layers and a global average, whose sums are the logits; ``changed`` are fields of the network."""
    last = layers[-1]
    mean = replace(
        networks.small().layers[0],
        name=f"{len(layers):03d}_gap",
        op="global_avgpool",
        inputs=(last.name,),
        constants={},
        attributes={},
        requantize=None,
    )
    classes = len(last.constants["weight"])
    return networks.small(input_shape=shape, classes=classes, layers=(*layers, mean), **changed)


def grown(seed, shape, append, rounding="half_up"):
    """A network of what ``append`` appends to a ``networks.Growing``; shapes of 1 or 3 channels."""
    rng = np.random.default_rng(seed)
    growing = networks.Growing(lambda options: options[rng.integers(len(options))], rng, (rounding,))
    growing.accumulating("input", [], {"bias": rng.integers(-999, 1, shape[2], np.int32)}, image=shape, flip=False)
    append(growing)
    return growing.network(shape, 5, "gray" if shape[2] == 1 else "RGB")


def widened(network):
    """The same structure without narrow accumulators and other roundings than half up: what 32 bits are for."""
    layers = [
        replace(
            layer,
            accumulator_bits=32,
            accumulator_policy="error",
            requantize=layer.requantize and replace(layer.requantize, rounding="half_up"),
        )
        for layer in network.layers
    ]
    return replace(network, layers=tuple(layers))


def deep(blocks, channels=24, shape=(24, 24, 1)):
    """Equal convolutions one after the other."""
    rng = np.random.default_rng(blocks)
    first = conv(rng, "000_first", "000_input", 1, channels, (1, 1, 1, 1), fmt=INT8)
    layers = [networks.small().layers[0], first]
    for number in range(blocks):
        layers.append(conv(rng, f"{number:03d}_conv", layers[-1].name, channels, channels, (1, 1, 1, 1), fmt=INT8))
    return ending_in_a_mean(shape, *layers)


def products(network):
    """Products of weights and codes for one image."""
    return sum(
        layer.constants["weight"].size * int(np.prod(network.shapes[layer.name][:-1]))
        for layer in network.layers
        if "weight" in layer.constants
    )
