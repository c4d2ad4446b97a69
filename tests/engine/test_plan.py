"""The fast plan gives the definition's bits: random networks, every rounding, every rung, short batches, threads."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.engine.plan import Plan
from refengine.engine.run import run
from refengine.errors import RangeError
from refengine.kernels import RUNG_OPTION
from refengine.kernels.rungs import RUNGS, runnable
from refengine.network.batches import image_batches, map_batches
from refengine.network.float_file import read_float_network
from refengine.network.images import open_images
from refengine.numbers.formats import INT8, UINT8
from refengine.numbers.rounding import ROUNDINGS
from refengine.quantize.quantize import quantize
from refengine.quantize.scheme import Scheme

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


@given(networks.int_networks(steps=6), st.integers(1, 4), st.integers(0, 99))
def test_random_networks(network, images, seed):
    pixels = networks.random_images(network, images, seed)
    wanted = run(network, pixels, "reference")
    for size in (images, images + 1):
        assert np.array_equal(Plan(network, size).run(pixels), wanted)


def conv_network(seed, weight_format, rounding, fmt, residual, channels=37, multiplier_bits=8):
    """Two convolutions, the second one with the first's input as its residual, on a size that no tile divides."""
    rng = np.random.default_rng(seed)
    top = {"ternary": 1, "int4": 7, "int8": 127}[weight_format]

    def conv(name, source, inputs, kernel, pads, **more):
        weight = rng.integers(-top, top + 1, (channels, inputs, kernel, kernel)).astype(np.int8)
        scale = rng.integers(0, 128, (channels, -(-inputs // 4))).astype(np.int8)
        cluster = 4
        if weight_format == "int8":
            scale, cluster = np.ones((channels, 1), np.int8), inputs
        shift = (
            int(np.log2(255 * inputs * kernel**2 * top * (1 if weight_format == "int8" else 60))) - 7 + multiplier_bits
        )
        step = networks.plain_requantize(
            fmt,
            multiplier=rng.integers(2 ** (multiplier_bits - 1), 2**multiplier_bits, channels),
            shift=np.full(channels, shift),
            rounding=rounding,
            residual_shift=np.full(channels, shift) if more else None,
        )
        constants = {"weight": weight, "scale": scale, "bias": rng.integers(-5000, 5000, channels).astype(np.int32)}
        attributes = {"strides": (1, 1), "pads": pads, "group": 1, "cluster": cluster}
        return replace(
            networks.small().layers[1], name=name, op="conv", inputs=(source,), exponent=0, constants=constants,
            attributes=attributes, requantize=step, weight_format=weight_format,
            weight_exponent=np.zeros(channels, np.int64), **more,
        )  # fmt: skip

    small = networks.small()
    layers = (
        small.layers[0],
        conv("001_conv", "000_input", 1, 3, (1, 1, 1, 1)),
        conv("002_conv", "001_conv", channels, 3, (0, 2, 2, 0), **({"residual": "001_conv"} if residual else {})),
        replace(small.layers[0], name="003_gap", op="global_avgpool", inputs=("002_conv",), constants={}, attributes={},
                requantize=None),
    )  # fmt: skip
    return replace(small, input_shape=(7, 9, 1), classes=channels, layers=layers)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("fmt", [UINT8, INT8])
@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("weight_format", ["ternary", "int4", "int8"])
def test_every_rounding_and_format(weight_format, rounding, fmt, residual):
    network = conv_network(1, weight_format, rounding, fmt, residual)
    pixels = networks.random_images(network, 3, 2)
    assert np.array_equal(Plan(network, 3).run(pixels, 5), run(network, pixels, "reference", first_image=5))


@pytest.mark.parametrize("bits", [1, 4, 15, 31])
def test_every_width_of_multiplier(bits):
    network = conv_network(4, "ternary", "half_up", UINT8, True, multiplier_bits=bits)
    pixels = networks.random_images(network, 2, 3)
    assert np.array_equal(Plan(network, 2).run(pixels), run(network, pixels, "reference"))


@pytest.mark.parametrize("channels", [1, 15, 16, 17, 48, 64, 80, 130])
def test_every_width_of_panel(channels):
    network = conv_network(2, "ternary", "half_up", UINT8, True, channels)
    pixels = networks.random_images(network, 2, 3)
    assert np.array_equal(Plan(network, 2).run(pixels), run(network, pixels, "reference"))


@pytest.mark.parametrize("channels", [3, 16, 35])
@pytest.mark.parametrize("rounding", ["half_up", "half_even"])
@pytest.mark.parametrize("fmt", [UINT8, INT8])
def test_depthwise_convolutions(channels, rounding, fmt):
    network = conv_network(6, "int4", rounding, fmt, True, channels)
    rng = np.random.default_rng(channels)
    weight = rng.integers(-7, 8, (channels, 1, 3, 3)).astype(np.int8)
    layer = network.layers[2]
    constants = {**layer.constants, "weight": weight, "scale": layer.constants["scale"][:, :1]}
    layer = replace(layer, constants=constants, attributes={**layer.attributes, "group": channels, "cluster": 1})
    network = replace(network, layers=(*network.layers[:2], layer, *network.layers[3:]))
    pixels = networks.random_images(network, 2, 3)
    assert np.array_equal(Plan(network, 2).run(pixels), run(network, pixels, "reference"))


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("far", [30, 40, 50, 62])
def test_channels_of_very_different_shifts(far, residual):
    network = conv_network(7, "ternary", "half_up", INT8, residual, 20)
    layer = network.layers[2]
    shift = layer.requantize.shift.copy()
    shift[::3] = min(far, 53) if residual else far
    step = replace(layer.requantize, shift=shift, residual_shift=shift if residual else None)
    network = replace(network, layers=(*network.layers[:2], replace(layer, requantize=step), *network.layers[3:]))
    pixels = networks.random_images(network, 2, 3)
    assert np.array_equal(Plan(network, 2).run(pixels), run(network, pixels, "reference"))


def test_a_plan_forgets_the_images_before():
    network = conv_network(3, "int4", "half_up", INT8, True)
    pixels = networks.random_images(network, 4, 4)
    plan = Plan(network, 4)
    plan.run(255 - pixels)
    for part in (pixels, pixels[:1], pixels[2:]):
        assert np.array_equal(plan.run(part), run(network, part, "reference"))


def test_more_images_than_the_plan_holds():
    network = networks.small()
    with pytest.raises(RangeError, match="the plan is for 2 images at a time, found 3"):
        Plan(network, 2).run(networks.random_images(network, 3, 0))


def test_plans_side_by_side():
    network = conv_network(5, "ternary", "half_up", UINT8, True)
    pixels = networks.random_images(network, 24, 6)
    plans = {}

    def work(numbered):
        first, part = numbered
        return plans.setdefault(first, Plan(network, 4)).run(part, first)

    got = np.concatenate(list(map_batches(work, image_batches(pixels, 4), 3)))
    assert np.array_equal(got, run(network, pixels))


@pytest.mark.parametrize("rung", [rung.name for rung in RUNGS])
def test_every_rung_of_the_ladder(rung):
    """The same tests in a process that is told to use another instruction set."""
    if rung not in {able.name for able in runnable()}:
        pytest.skip(f"this processor has no {rung}")
    told = f"from refengine.kernels.plan import RUNG; assert RUNG.name == {rung!r}; import pytest, sys; "
    chosen = (
        "test_every_width_of_panel or test_every_width_of_multiplier or test_a_plan_forgets or half_even or depthwise"
    )
    script = f"{told} sys.exit(pytest.main(['-q', '-p', 'no:cacheprovider', {__file__!r}, '-k', {chosen!r}]))"
    environment = {**os.environ, RUNG_OPTION: rung}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.mark.parametrize(
    ("name", "images", "scheme"),
    [
        ("resnet20_cifar10", "cifar10-test-1017", Scheme()),
        ("resnet8_mlperf_tiny_cifar10", "cifar10-test-1017", Scheme(weights="int4", rounding="half_even")),
        ("cnn_ccexam_mnist", "mnist-test", Scheme(weights="int8")),
    ],
)
def test_real_networks(name, images, scheme):
    if not DATA.exists():
        pytest.skip(f"{DATA} is not there")
    with open_images(DATA / f"{images}.h5") as file:
        pixels = file.read(0, 12)
    network = quantize(read_float_network(DATA / f"{name}.h5"), pixels, scheme)
    assert np.array_equal(Plan(network, 5).run(pixels[:5]), run(network, pixels[:5]))
    assert np.array_equal(Plan(network, 12).run(pixels), run(network, pixels))
