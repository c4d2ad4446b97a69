"""Fine-tuning computes in the engine's integers, in training and out of it, and writes what quantize finds again."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from float_networks import networks
from hypothesis import given
from in_torch import assert_the_engines_integers, pixels_of
from networks import random_images
from trainable import trainable

from refengine.engine.run import run
from refengine.errors import NetworkError, SchemeError
from refengine.interop.torch.finetune import Tuning
from refengine.network.float_file import read_float_network
from refengine.network.float_network import FloatNetwork
from refengine.network.images import open_images
from refengine.ops.conv import integer_weights
from refengine.optional import installed, package
from refengine.quantization.clusters import METHODS
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme

pytestmark = pytest.mark.skipif(not installed("torch"), reason="torch is missing")

WEIGHTS = Path(__file__).resolve().parents[3] / "weights"
SCHEMES = [
    Scheme(cluster=4, method="optimal"),
    Scheme(cluster=64, method="paper"),
    Scheme(weights="int4", cluster=8, method="optimal"),
    Scheme(cluster=2, method="optimal", first="ternary", last="ternary", activations="int8"),
    Scheme(cluster=4, method="optimal", scale_exponent="layer", exponents="mse"),
]


def started(scheme=SCHEMES[0], network=None, count=24, seed=0):
    """A tuning of a small network, its calibration images, and the network of integers that quantize makes of it."""
    network = trainable() if network is None else network
    images = random_images(network, count, seed)
    made = quantize(network, images, dataclasses.replace(scheme, reestimate=True, equalize=False))
    return Tuning(network, images, scheme), images, made


def learn(tuning, images, labels, steps, rate=0.05):
    """Gradient steps on one batch; the losses before each."""
    torch = package("torch")
    optimizer = torch.optim.SGD([*tuning.parameters.values()], rate, momentum=0.9)
    losses = []
    for _ in range(steps):
        loss = torch.nn.functional.cross_entropy(tuning(pixels_of(images)), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def used(tuning):
    """The network of the integers that the last call used."""
    return dataclasses.replace(tuning.network, layers=tuple(tuning.used.values()))


# ---- integers


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: f"{scheme.weights}-{scheme.cluster}-{scheme.method}")
def test_out_of_training_it_is_the_network_that_quantize_makes(scheme):
    tuning, _, made = started(scheme)
    tuning.training = False
    assert tuning.network.hash == made.hash
    assert_the_engines_integers(tuning, made, random_images(made, 5, seed=1))


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: f"{scheme.weights}-{scheme.cluster}-{scheme.method}")
def test_in_training_its_calibration_images_give_what_quantize_makes(scheme):
    """A batch is the calibration of its own integers; with the same images they are the same, bias and all."""
    tuning, images, made = started(scheme)
    assert_the_engines_integers(tuning, made, images)
    assert used(tuning).hash == made.hash


@pytest.mark.parametrize("cluster", [4, 64])
def test_the_shipped_network(cluster):
    """In training on its calibration images, which are quantize's, and out of it on others."""
    network = read_float_network(WEIGHTS / "resnet20-fashion.h5")
    with open_images(WEIGHTS / "fashion-calibration-1000.h5") as file:
        images, others = file.read(0, 16), file.read(16, 24)
    scheme = Scheme(cluster=cluster, method="optimal")
    tuning, made = Tuning(network, images, scheme), quantize(network, images, scheme)
    assert_the_engines_integers(tuning, made, images)
    tuning.training = False
    assert_the_engines_integers(tuning, made, others)


@given(networks())
def test_random_networks_train_on_the_integers_of_the_engine(network):
    """Their gammas of 0, and convolutions without a batch norm, make training's integers others than quantize's."""
    tuning, images, made = started(network=network, count=5)
    tuning(pixels_of(images))
    assert_the_engines_integers(tuning, used(tuning), images)
    tuning.training = False
    assert_the_engines_integers(tuning, made, random_images(network, 3, seed=1))


@pytest.mark.parametrize("scheme", SCHEMES, ids=lambda scheme: f"{scheme.weights}-{scheme.cluster}-{scheme.method}")
def test_while_it_learns_every_call_is_a_network_of_integers(scheme):
    """Between refreshes too, when exponents lag behind the weights."""
    tuning, images, made = started(scheme)
    learn(tuning, images, np.arange(len(images)) % 5, steps=4)
    fresh = random_images(made, 9, seed=2)
    tuning(pixels_of(fresh))
    assert used(tuning).hash != made.hash
    assert_the_engines_integers(tuning, used(tuning), fresh)


# ---- learning


@pytest.mark.parametrize("scheme", SCHEMES[:3], ids=lambda scheme: f"{scheme.weights}-{scheme.cluster}-{scheme.method}")
def test_it_learns(scheme):
    """A batch of noise by heart: every parameter that counts moves, and the loss falls."""
    tuning, images, _ = started(scheme)
    before = {key: tensor.detach().clone() for key, tensor in tuning.parameters.items()}
    losses = learn(tuning, images, np.arange(len(images)) % 5, steps=25)
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) * 0.8
    still = {key for key, tensor in tuning.parameters.items() if package("torch").equal(tensor.detach(), before[key])}
    assert still == {("001_conv", "bias")}  # which its batch norm takes away again


def test_gradients_in_half_the_bits_point_the_same_way():
    torch = package("torch")
    network, labels = trainable(), torch.arange(24) % 5
    images = random_images(network, 24)
    found = []
    for gradients in (torch.float32, torch.bfloat16):
        tuning = Tuning(network, images, SCHEMES[0], gradients=gradients)
        torch.nn.functional.cross_entropy(tuning(pixels_of(images)), labels).backward()
        found.append(torch.cat([t.grad.flatten() for t in tuning.parameters.values() if t.grad is not None]))
    assert torch.nn.functional.cosine_similarity(*found, dim=0) > 0.99


# ---- what is written


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_weights_that_were_trained(method):
    """Ternary weights are written as what they are worth."""
    tuning, images, _ = started()
    learn(tuning, images, np.arange(len(images)) % 5, steps=3)
    tuning.refresh()
    made = quantize(tuning.float_network(), images, Scheme(cluster=4, method=method))
    assert made.hash == tuning.network.hash
    finer = quantize(tuning.float_network(), images, Scheme(cluster=1, method=method))
    for one, other in zip(made.layers, finer.layers, strict=True):
        if one.weight_format == "ternary":
            pairs = [(layer.constants["weight"], layer.constants["scale"]) for layer in (one, other)]
            weights = [
                integer_weights(codes, scale, layer.attributes["cluster"])
                for (codes, scale), layer in zip(pairs, (one, other), strict=True)
            ]
            np.testing.assert_array_equal(*weights)


def test_before_anything_is_learnt_only_ternary_weights_change():
    tuning, _, made = started()
    ternary = {name for layer in made.layers if layer.weight_format == "ternary" for name in layer.covers}
    assert len(ternary) > 5
    for old, new in zip(tuning.start.layers, tuning.float_network().layers, strict=True):
        changed = {name for name in old.constants if not np.array_equal(old.constants[name], new.constants[name])}
        assert changed == ({"weight"} if old.name in ternary and old.op == "conv" else set()), old.name


def test_means_and_variances_are_those_of_the_sums_since_the_refresh():
    """Of a batch norm's operand, as reals: from the engine's accumulators of the same two batches."""
    tuning, _, _ = started()
    tuning.refresh()
    batches = [random_images(tuning.start, 7, seed) for seed in (3, 4)]
    moments = []
    for images in batches:
        tuning(pixels_of(images))
        network, seen = used(tuning), {}
        run(network, images, observe=lambda layer, _, result, seen=seen: seen.update({layer.name: result.accumulator}))
        layer, reads = network.layers[1], network.layers[0]
        sums = (seen[layer.name] - layer.constants["bias"]) * np.ldexp(1.0, layer.weight_exponent + reads.exponent)
        signs = np.where(tuning.start.layers[2].constants["gamma"] < 0, -1, 1)
        reals = sums * signs + tuning.start.layers[1].constants["bias"]
        moments.append((reals.mean((0, 1, 2)), reals.var((0, 1, 2))))
    written = tuning.float_network().layers[2]
    for name, wanted in zip(("mean", "var"), np.mean(moments, axis=0), strict=True):
        np.testing.assert_allclose(written.constants[name], wanted, rtol=1e-5, atol=1e-5)


# ---- refusals


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rounding": "floor"}, "needs rounding half_up"),
        ({"multiplier_bits": 1}, "multipliers of 8 bits"),
        ({"accumulator_bits": 24}, "accumulators of 32"),
        ({"exponents": "dynamic"}, "static exponents"),
    ],
)
def test_schemes_that_it_cannot_follow_are_refused(changed, message):
    with pytest.raises(SchemeError, match=message):
        started(Scheme(method="optimal", **changed))


def test_methods_that_look_at_more_than_weights_are_refused():
    with pytest.raises(SchemeError, match=r"method is 'calibrated', fine-tuning needs one of paper, .*optimal"):
        started(Scheme())


def test_a_last_layer_with_a_batch_norm_is_refused():
    network = trainable()
    layers = [*network.layers]
    norm = next(layer for layer in layers if layer.op == "batchnorm" and len(layer.constants["gamma"]) == 12)
    constants = {name: array[:5] for name, array in norm.constants.items()}
    last = dataclasses.replace(norm, name="099_batchnorm", inputs=(layers[-1].name,), constants=constants)
    with pytest.raises(NetworkError, match=r"\(fc\) gives the logits and has a batch norm, needed none"):
        started(network=FloatNetwork(**{**vars(network), "layers": (*layers, last)}))
