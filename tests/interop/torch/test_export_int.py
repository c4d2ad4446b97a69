"""Integer networks in PyTorch: every integer is the engine's, and gradients are those of the reals behind the codes."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from in_torch import assert_the_engines_integers, integers, pixels_of
from networks import averaging, every_op, int_networks, random_images, small, with_layer

from refengine.engine.run import run
from refengine.errors import NetworkError
from refengine.interop.torch.export_int import PASS, SUM, IntForward, convolve, functions, requantized
from refengine.network.int_network import IntNetwork
from refengine.ops import OPS
from refengine.optional import installed, package

pytestmark = pytest.mark.skipif(not installed("torch"), reason="torch is missing")


def plain(network):
    """The network with accumulators of 32 bits."""
    layers = (dataclasses.replace(layer, accumulator_bits=32, accumulator_policy="error") for layer in network.layers)
    return dataclasses.replace(network, layers=tuple(layers))


# ---- forward


def test_every_operator_has_its_step():
    assert {*SUM, *PASS, "conv", "fc"} == {*OPS}
    assert {name for name in OPS if not OPS[name].ACCUMULATES} == {*PASS}


def test_every_operator_gives_the_integers_of_the_engine():
    network = plain(every_op())
    assert_the_engines_integers(IntForward(network), network, random_images(network, 5))


@pytest.mark.parametrize("op", ["global_avgpool", "avgpool"])
def test_logits_of_an_average_are_averages(op):
    network = averaging(op)
    images = random_images(network, 4)
    wanted = np.ldexp(run(network, images).astype(float), network.layers[-1].exponent) / 9
    np.testing.assert_allclose(IntForward(network)(pixels_of(images)).numpy(), wanted, rtol=1e-6)


@given(int_networks(roundings=("half_up",)))
def test_random_networks_give_the_integers_of_the_engine(network):
    network = plain(network)
    assert_the_engines_integers(IntForward(network), network, random_images(network, 3))


def test_sums_beyond_float32_are_exact():
    """3000 odd products of up to 255 * 127 come to more than 2**24, where float32 knows even numbers only."""
    torch = package("torch")
    rng = np.random.default_rng(1)
    weight = (rng.integers(30, 64, (2, 3000)) * 2 - 1).astype(np.int8)
    fc = with_layer(small(), "002_fc", constants={**small().layers[2].constants}).layers[2]
    constants = {"weight": weight, "scale": np.ones((2, 1), np.int8), "bias": np.zeros(2, np.int32)}
    fc = dataclasses.replace(fc, constants=constants, attributes={"cluster": 3000})
    x = rng.integers(0, 128, (4, 3000)) * 2 + 1
    wanted = x @ weight.T.astype(np.int64)
    assert wanted.max() > 2**24
    assert not (wanted % 4 == 0).all()
    found = convolve(fc, torch.from_numpy(x).float())
    np.testing.assert_array_equal(integers(found), wanted)
    single = torch.from_numpy(x).float() @ torch.tensor(weight.T.copy()).float()
    assert not np.array_equal(integers(single), wanted)


# ---- backward


def conv_layer(**changed):
    return dataclasses.replace(small().layers[1], **changed)


def test_the_gradient_of_sums_is_that_of_a_convolution():
    """By the codes that come in, and by the real weights of which a product of codes is one in ``unit``."""
    torch = package("torch")
    layer, rng = conv_layer(), np.random.default_rng(2)
    unit = torch.tensor([0.5, -0.25])
    products = torch.tensor(layer.constants["weight"].astype(np.float32)) * torch.tensor([[[[3.0]]], [[[5.0]]]])
    x = torch.from_numpy(rng.integers(0, 256, (3, 1, 5, 5))).float().requires_grad_()
    weight = (products * unit[:, None, None, None]).clone().requires_grad_()
    factors = torch.from_numpy(rng.normal(size=(3, 2, 4, 4))).float()
    (convolve(layer, x, weight, unit) * factors).sum().backward()

    x2, weight2 = x.detach().clone().requires_grad_(), weight.detach().clone().requires_grad_()
    sums = torch.nn.functional.conv2d(x2, weight2 / unit[:, None, None, None])
    (sums * factors).sum().backward()
    torch.testing.assert_close(x.grad, x2.grad)
    torch.testing.assert_close(weight.grad, weight2.grad)


def test_the_gradient_of_codes_passes_where_they_lie_inside_their_range():
    torch = package("torch")
    layer = conv_layer(constants={"bias": np.array([0, 0], np.int32)})  # times 5/8 and 2/4, int8
    acc = torch.tensor([[8.0, 2.0], [-400.0, 3.0], [100.0, 500.0]], requires_grad=True)
    codes = functions().requantization.apply(acc, None, None, None, layer, None)
    assert codes.tolist() == [[5, 1], [-128, 2], [63, 127]]
    codes.sum().backward()
    assert acc.grad.tolist() == [[0.625, 0.5], [0, 0.5], [0.625, 0]]


def test_the_gradient_of_a_residual_is_its_unit():
    torch = package("torch")
    step = dataclasses.replace(small().layers[1].requantize, residual_shift=np.array([4, 3]))
    layer = conv_layer(constants={"bias": np.array([0, 0], np.int32)}, requantize=step)
    acc = torch.zeros(1, 2, requires_grad=True)
    residual = torch.tensor([[7.0, -5.0]], requires_grad=True)
    codes = functions().requantization.apply(acc, residual, None, None, layer, None)
    assert codes.tolist() == [[14, -10]]
    codes.sum().backward()
    assert residual.grad.tolist() == [[2, 2]]


def test_the_gradient_of_a_batch_norm_goes_through_its_moments():
    """Codes finer than the gradient notices: what is left of the requantization is gamma * xhat + beta."""
    torch = package("torch")
    rng = np.random.default_rng(3)
    acc = torch.from_numpy(rng.integers(-3000, 3000, (6, 2, 3, 3))).float()
    gamma, beta = torch.tensor([1.5, -0.5]), torch.tensor([0.25, 1.0])
    factors = torch.from_numpy(rng.normal(size=acc.shape)).float()
    leaves = [tensor.clone().requires_grad_() for tensor in (acc, gamma, beta)]
    turned = leaves[0] * torch.tensor([1.0, -1.0])[:, None, None]  # sums are turned where gamma is negative
    mean, var = turned.mean((0, 2, 3)).detach(), turned.var((0, 2, 3), correction=0).detach()
    step = dataclasses.replace(small().layers[1].requantize, multiplier=np.array([1, 1]), shift=np.array([6, 6]))
    layer = conv_layer(exponent=-5, constants={"bias": np.array([0, 0], np.int32)}, requantize=step)
    apply = functions().requantization.apply
    codes = apply(turned, None, leaves[1], leaves[2], layer, [mean, (var + 1e-5).rsqrt()])
    assert codes.abs().max() < 127
    (codes * factors).sum().backward()

    wanted = [tensor.clone().requires_grad_() for tensor in (acc, gamma, beta)]
    normed = torch.nn.functional.batch_norm(wanted[0], None, None, wanted[1], wanted[2], True, eps=1e-5)
    (normed * 2**5 * factors).sum().backward()
    for one, other in zip(leaves, wanted, strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)


# ---- refusals


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rounding": "floor"}, "layer '001_conv' rounds floor, needed half_up"),
        ({"dynamic": 2}, "layer '001_conv' has dynamic exponents, needed static ones"),
    ],
)
def test_what_it_cannot_follow_is_refused(changed, message):
    step = dataclasses.replace(small().layers[1].requantize, **changed)
    with pytest.raises(NetworkError, match=message):
        IntForward(with_layer(small(), "001_conv", requantize=step))


def test_narrow_accumulators_are_refused():
    network = with_layer(small(), "001_conv", accumulator_bits=16, accumulator_policy="wrap")
    with pytest.raises(NetworkError, match="layer '001_conv': accumulators wrap, needed 'error'"):
        IntForward(network)


def test_codes_need_a_requantization():
    torch = package("torch")
    with pytest.raises(NetworkError, match="'002_fc' has no requantization"):
        requantized(small().layers[2], torch.zeros(1, 2), None)


def test_the_result_needs_no_more_than_the_network():
    """A forward keeps the layers that it used, which make the same network."""
    network = plain(every_op())
    forward = IntForward(network)
    forward(pixels_of(random_images(network, 1)))
    assert dataclasses.replace(network, layers=tuple(forward.used.values())).hash == network.hash
    assert isinstance(forward.network, IntNetwork)
