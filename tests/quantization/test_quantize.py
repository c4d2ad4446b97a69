"""quantize: pure, deterministic, valid for every graph and scheme, and an identity where nothing has to be lost."""

from dataclasses import replace

import numpy as np
import pytest
from calibrated import ONE, pixels
from float_networks import every_op, floats, layer, networks
from hypothesis import assume, given
from hypothesis import strategies as st

from refengine.engine.run import run
from refengine.errors import AccumulatorOverflow, NetworkError, RefengineError, SchemeError
from refengine.network.float_network import FloatNetwork
from refengine.network.forward import forward
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import EXPONENTS, Scheme

schemes = st.builds(
    Scheme,
    weights=st.sampled_from(["ternary", "int4", "int8"]),
    first=st.sampled_from(["ternary", "int8"]),
    cluster=st.sampled_from([1, 2, 4]),
    method=st.sampled_from(["paper", "paper-literal", "optimal"]),
    scale_exponent=st.sampled_from(["channel", "layer"]),
    activations=st.sampled_from(["uint8", "int8"]),
    exponents=st.sampled_from(EXPONENTS),
    reestimate=st.sampled_from([None, True, False]),
    multiplier_bits=st.sampled_from([1, 4, 8, 15]),
    rounding=st.sampled_from(["half_up", "floor", "half_even", "stochastic", "double_round"]),
    accumulator_bits=st.sampled_from([32, 20, 16]),
    accumulator_policy=st.sampled_from(["wrap", "saturate"]),
)


@given(networks(steps=7), schemes, st.integers(0, 99))
def test_any_network_by_any_scheme(network, scheme, seed):
    images = pixels(network, seed=seed)
    made = quantize(network, images, scheme)
    covered = [name for done in made.layers for name in done.covers]
    assert sorted(covered) == sorted(given.name for given in network.layers)
    logits = run(made, images)
    assert np.array_equal(run(made, images, backend="reference"), logits)
    if scheme.multiplier_bits == 1:
        weighted = [done for done in made.layers if done.op in ("conv", "fc") and done.requantize is not None]
        assert all(set(done.requantize.multiplier) <= {0, 1} for done in weighted)


@given(networks(steps=6), st.sampled_from(["channel", "layer"]))
def test_eight_bits_follow_the_float_network(network, scope):
    """A wrong sign, bias, exponent or residual is off by its own size; 8 bits are off by a few per cent."""
    images = pixels(network, 12)
    made = quantize(network, images, Scheme(weights="int8", multiplier_bits=15, exponents="max", scale_exponent=scope))
    wanted = forward(network, images)
    got = run(made, images) * 2.0 ** made.layers[-1].exponent
    assert np.sqrt(np.mean((got - wanted) ** 2)) < 0.1 * np.abs(wanted).max() + 1e-6


def test_the_same_file_for_any_number_of_threads_and_nothing_is_written_to():
    network, images = every_op(), pixels(every_op(), 20)
    before = images.copy()
    made = [quantize(network, images, Scheme(), threads=threads).hash for threads in (1, 1, 3)]
    assert len(set(made)) == 1
    assert np.array_equal(images, before)


def test_formats_by_pattern_and_role():
    network = every_op()
    scheme = Scheme(weights="ternary", layers=(("depthwise", "int4"), ("006_*", "int8")))
    made = quantize(network, pixels(network), scheme)
    formats = {done.covers[0]: done.weight_format for done in made.layers if done.weight_format}
    assert formats == {"001_conv": "int8", "004_conv": "int4", "006_conv": "int8", "014_fc": "int8"}


def test_a_pattern_that_means_no_layer_is_refused():
    network = every_op()
    with pytest.raises(SchemeError, match=r"layer pattern 'nosuch\*' means no layer with weights: 001_conv, "):
        quantize(network, pixels(network), Scheme(layers=(("nosuch*", "int4"),)))


def test_layers_that_images_choose_for_and_those_that_cannot():
    """Not the input, a ReLU6, what a concat joins through whatever passes codes on, nor the logits (contract E4)."""
    made = quantize(every_op(), pixels(every_op(), 20), Scheme(exponents="dynamic"))
    by_op = {}
    for done in made.layers:
        by_op.setdefault(done.op, []).append(made.dynamic[done.name] > 0)
    assert by_op["input"] == by_op["concat"] == by_op["maxpool"] == by_op["pad_channels"] == [False]
    assert by_op["conv"] == [False, False, False]
    assert by_op["avgpool"] == by_op["global_avgpool"] == [True]
    assert by_op["fc"] == [False]
    assert made.made_with["exponents"] == "dynamic"


@given(networks(steps=6), st.sampled_from(["uint8", "int8"]))
def test_eight_bits_follow_the_float_network_with_dynamic_exponents(network, activations):
    """Every graph is valid, and loses no more than by static exponents, dark images among them."""
    images = pixels(network, 12)
    images[::2] = 128 + (images[::2] >> 5)
    scheme = Scheme(weights="int8", multiplier_bits=15, exponents="dynamic", activations=activations)
    made = quantize(network, images, scheme)
    wanted = forward(network, images)
    got = run(made, images) * 2.0 ** made.layers[-1].exponent
    assert np.array_equal(run(made, images, backend="reference"), run(made, images))
    assume(np.count_nonzero(wanted) > wanted.size // 4)  # else the logits hang on what one image has left of a ReLU
    assert np.sqrt(np.mean((got - wanted) ** 2)) < 0.1 * np.abs(wanted).max() + 1e-6


def test_dark_images_keep_their_bits():
    """A bright image does not take them away: the error of the dark one is its own, as if it were alone."""
    rng = np.random.default_rng(1)
    layers = (
        layer(0, "input"),
        layer(1, "conv", ["000_input"], {"weight": floats(rng, 6, 1, 3, 3)}, **ONE),
        layer(2, "relu", ["001_conv"]),
        layer(3, "conv", ["002_relu"], {"weight": floats(rng, 6, 6, 3, 3)}, **ONE),
        layer(4, "relu", ["003_conv"]),
        layer(5, "fc", ["004_relu"], {"weight": floats(rng, 3, 96)}),
    )
    network = FloatNetwork("dark", (8, 8, 1), 3, (0.0,), (1.0,), "gray", layers)
    images = pixels(network, 32)
    images[1::2] = images[1::2] >> 4
    wanted = forward(network, images)

    def lost(exponents):
        made = quantize(network, images, Scheme(weights="int8", multiplier_bits=15, exponents=exponents))
        got = run(made, images) * 2.0 ** made.layers[-1].exponent
        return [np.sqrt(np.mean((got - wanted)[start::2] ** 2)) for start in (0, 1)]

    static, dynamic = lost("max"), lost("dynamic")
    assert dynamic[1] < static[1] / 2
    assert dynamic[0] < static[0] * 2


def test_logits_share_one_exponent():
    made = quantize(every_op(), pixels(every_op()), Scheme(last="ternary"))
    last = made.layers[-1]
    assert len(set(last.weight_exponent)) == 1
    assert last.requantize is None


def test_images_of_another_size():
    rng = np.random.default_rng(0)
    layers = (
        layer(0, "input"),
        layer(1, "conv", ["000_input"], {"weight": floats(rng, 3, 1, 3, 3)}, **ONE),
        layer(2, "global_avgpool", ["001_conv"]),
    )
    network = FloatNetwork("any size", (9, 9, 1), 3, (128.0,), (64.0,), "gray", layers)
    images = rng.integers(0, 256, (4, 5, 6, 1)).astype(np.uint8)
    assert quantize(network, images, Scheme()).input_shape == (5, 6, 1)
    fixed = replace(network, layers=(*layers[:2], layer(2, "fc", ["001_conv"], {"weight": floats(rng, 3, 147)})))
    with pytest.raises(NetworkError, match="002_fc"):
        quantize(fixed, images, Scheme())


def test_a_declared_accumulator_that_is_too_narrow_is_refused_by_name():
    network = every_op()
    with pytest.raises(AccumulatorOverflow, match=r"layer '00\d_conv.*its accumulator has 16"):
        quantize(network, pixels(network), Scheme(weights="int8", accumulator_bits=16))


@pytest.mark.parametrize(("shape", "dtype"), [((0, 7, 6, 3), np.uint8), ((2, 7, 6, 3), float), ((7, 6, 3), np.uint8)])
def test_images_that_are_none(shape, dtype):
    images = np.zeros(shape, dtype)
    with pytest.raises(SchemeError, match="calibration needs uint8 images"):
        quantize(every_op(), images)


def test_images_of_another_channel_count():
    with pytest.raises(RefengineError):
        quantize(every_op(), np.zeros((2, 7, 6, 1), np.uint8))


def test_progress_names_every_layer():
    seen = []
    network = every_op()
    quantize(network, pixels(network), Scheme(reestimate=False), lambda *step: seen.append(step))
    assert [step[1] for step in seen] == list(range(len(seen)))
    assert all(total == len(seen) for _, _, total in seen)
