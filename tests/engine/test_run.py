"""Whole networks, layer by layer, against plain Python integers; and what must not change a bit.

``oracle_run`` is the loop of the contract with the oracle's operators: nothing of refengine computes in it.
"""

import networks
import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.engine.run import BACKENDS, run
from refengine.errors import RangeError
from refengine.network.batches import map_batches
from refengine.numbers.rounding import ROUNDINGS

SEEDS = (9, 340, 908)


def oracle_run(network, images, first_image=0):
    """{layer name: (accumulators or None, codes, saturated, overflowed)} in unbounded integers, int64 arrays."""
    found, tensors = {}, {}
    for position, layer in enumerate(network.layers):
        operands = [tensors[name] for name in layer.inputs] or [images]
        if layer.op == "requantize":
            value = operands[0].astype(np.int64)
        else:
            value = as_array(getattr(oracle, layer.op)(*operands, **layer.constants, **layer.attributes))
        found[layer.name] = finished(layer, value, tensors.get(layer.residual), position, first_image)
        tensors[layer.name] = found[layer.name][1]
    return found


def as_array(numbers):
    """A dictionary from index to integer as an int64 array."""
    array = np.empty([max(ends) + 1 for ends in zip(*numbers, strict=True)], np.int64)
    assert len(numbers) == array.size
    for index, value in numbers.items():
        array[index] = value
    return array


def finished(layer, value, residual, position, first_image):
    """Confine and requantize, element by element."""
    if layer.op in networks.PASSING:
        return None, value, (0, 0), 0
    acc, codes, low, high, overflowed = value.copy(), value.copy(), 0, 0, 0
    for index, total in np.ndenumerate(value):
        if layer.accumulator_bits < 32:
            acc[index] = oracle.confine(int(total), layer.accumulator_bits, layer.accumulator_policy)
            overflowed += int(acc[index] != total)
        codes[index] = acc[index]
        if layer.requantize is not None:
            codes[index], below, above = code(layer.requantize, acc, residual, index, position, first_image)
            low, high = low + below, high + above
    return acc, codes, (low, high), overflowed


def code(step, acc, residual, index, position, first_image):
    """One code, and whether it was saturated below or above."""
    channel = index[-1]
    multiplier, shift = (int(np.resize(values, channel + 1)[channel]) for values in (step.multiplier, step.shift))
    arguments = {"rounding": step.rounding}
    if residual is not None:
        shifts = np.resize(step.residual_shift, channel + 1)
        arguments |= {"residual": int(residual[index]), "residual_shift": int(shifts[channel])}
    if step.rounding == "stochastic":
        element = int(np.ravel_multi_index(index[1:], acc.shape[1:]))
        arguments["bits"] = oracle.random_bits(step.seed, position, first_image + index[0], element)
    free = oracle.requantize(int(acc[index]), multiplier, shift, lo=-(2**70), hi=2**70, **arguments)
    below, above = free < step.lo and step.activation == "none", free > step.hi and step.activation != "clip"
    return min(max(free, step.lo), step.hi), int(below), int(above)


def observed(network, images, backend, first_image=0):
    """{layer name: Result} of one run, and the logits."""
    results = {}
    logits = run(
        network, images, backend, lambda layer, _, result: results.__setitem__(layer.name, result), first_image
    )
    return results, logits


def check_against_oracle(network, images, backend, first_image=0):
    """Every accumulator, code and counter of every layer."""
    expected = oracle_run(network, images, first_image)
    results, logits = observed(network, images, backend, first_image)
    assert list(results) == [layer.name for layer in network.layers]
    for name, result in results.items():
        acc, codes, saturated, overflowed = expected[name]
        assert (result.accumulator is None) == (acc is None)
        if acc is not None:
            assert result.accumulator.dtype == np.int32
            np.testing.assert_array_equal(result.accumulator, acc, name)
        np.testing.assert_array_equal(result.result, codes, name)
        assert result.result.dtype == network.formats[name].dtype
        lo, hi = network.ranges[name]
        assert lo <= result.result.min() <= result.result.max() <= hi
        assert (result.saturated, result.overflowed) == (saturated, overflowed), name
    assert logits.dtype == np.int32
    np.testing.assert_array_equal(logits, expected[network.layers[-1].name][1].reshape(len(images), -1))


@pytest.mark.parametrize("backend", BACKENDS)
@given(network=networks.int_networks(), seed=st.integers(0, 99), first_image=st.sampled_from([0, 7]))
def test_random_networks_are_the_contract(backend, network, seed, first_image):
    """Residuals, concats, pools, depthwise and grouped convolutions, any rounding, any accumulator."""
    check_against_oracle(network, networks.random_images(network, 2, seed), backend, first_image)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_rounding(rounding, backend):
    """A network with every operator, rounded throughout in one way."""
    network = networks.every_op(rounding)
    check_against_oracle(network, networks.random_images(network, 2), backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("policy", ["wrap", "saturate"])
def test_narrow_accumulators(policy, backend):
    """Sums that leave 16 bits, counted, and what is left of them."""
    network = networks.small()
    bias = {**network.layers[1].constants, "bias": np.array([2**15 - 200, -(2**15) + 300], np.int32)}
    network = networks.with_layer(network, "001_conv", constants=bias, accumulator_bits=16, accumulator_policy=policy)
    network = networks.with_layer(network, "002_fc", accumulator_bits=16, accumulator_policy=policy)
    images = networks.random_images(network, 64)
    check_against_oracle(network, images, backend)
    results, _ = observed(network, images, backend)
    assert 0 < results["001_conv"].overflowed < 128


def test_every_operator_occurs():
    """What the tests above claim to cover."""
    assert {layer.op for layer in networks.every_op().layers} == set(networks.STEPS) | {"input"}
    layers = [layer for seed in SEEDS for layer in networks.every_op(seed=seed).layers]
    assert any(layer.residual for layer in layers)
    assert {layer.accumulator_policy for layer in layers} == {"error", "wrap", "saturate"}
    assert {layer.weight_format for layer in layers} == {None, "ternary", "int4", "int8"}
    convolutions = [layer for layer in layers if layer.op == "conv"]
    assert any(layer.attributes["group"] == len(layer.constants["weight"]) > 1 for layer in convolutions)  # depthwise


@pytest.mark.parametrize("seed", SEEDS)
def test_reference_and_kernels_give_the_same(seed):
    """Sixteen images, every layer."""
    network = networks.every_op(seed=seed)
    images = networks.random_images(network, 16)
    reference, kernels = (observed(network, images, backend)[0] for backend in ("reference", "kernels"))
    for name, result in reference.items():
        np.testing.assert_array_equal(kernels[name].result, result.result, name)
        assert kernels[name].result.dtype == result.result.dtype
        assert (kernels[name].saturated, kernels[name].overflowed) == (result.saturated, result.overflowed)


@pytest.mark.parametrize("rounding", ["half_up", "stochastic", "double_round"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_neither_batch_nor_threads_change_a_bit(rounding, backend):
    """One batch of 64; 64 batches of one; seven at a time over two threads, each told where it stands."""
    network = networks.every_op(rounding)
    images = networks.random_images(network, 64)
    whole = run(network, images, backend)
    assert len(np.unique(whole, axis=0)) > 1
    for size, threads in ((1, 1), (7, 2)):
        starts = range(0, 64, size)

        def work(start, size=size):
            return run(network, images[start : start + size], backend, first_image=start)

        np.testing.assert_array_equal(np.concatenate(list(map_batches(work, starts, threads))), whole)


def test_stochastic_rounding_looks_at_the_position_in_the_run():
    """The same image twice is rounded twice; the same position is rounded alike."""
    network = networks.every_op("stochastic")
    image = networks.random_images(network, 1)
    codes = [observed(network, image, "kernels", first)[0]["001_conv"].result for first in (0, 1, 0)]
    assert not np.array_equal(codes[0], codes[1])
    np.testing.assert_array_equal(codes[0], codes[2])


def test_the_observer_sees_what_a_layer_read():
    """Operands are the results of the layers that it names, the images for the input."""
    network = networks.every_op()
    images = networks.random_images(network, 2)
    results = {}

    def observe(layer, operands, result):
        read = [results[name].result for name in layer.inputs] or [images]
        assert all(one is other for one, other in zip(operands, read, strict=True))
        assert (result.residual is None) == (layer.residual is None)
        results[layer.name] = result

    run(network, images, observe=observe)
    assert len(results) == len(network.layers)


def test_images_are_left_alone():
    network = networks.every_op()
    images = networks.random_images(network, 2)
    images.setflags(write=False)
    before = images.copy()
    run(network, images)
    np.testing.assert_array_equal(images, before)


def test_a_network_may_end_in_codes():
    """Logits are int32 (N, classes) in any case."""
    last = networks.with_layer(networks.small(), "001_conv", weight_exponent=np.array([-4, -4])).layers[1]
    network = networks.small(layers=(networks.small().layers[0], last), classes=2)
    images = networks.random_images(network, 3)
    logits = run(network, images)
    assert (logits.dtype, logits.shape) == (np.int32, (3, 2))
    np.testing.assert_array_equal(logits, oracle_run(network, images)["001_conv"][1].reshape(3, 2))


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 2, 2, 1), np.int8),
        np.zeros((1, 2, 2, 1), np.float32),
        np.zeros((1, 2, 2, 3), np.uint8),
        np.zeros((1, 3, 2, 1), np.uint8),
        np.zeros((2, 2, 1), np.uint8),
    ],
    ids=lambda images: f"{images.dtype} {images.shape}",
)
def test_other_images_are_refused(images):
    with pytest.raises(RangeError, match=r"the network reads uint8 of shape \(2, 2, 1\)"):
        run(networks.small(), images)


def test_an_unknown_backend_is_refused():
    with pytest.raises(RangeError, match="backend 'cuda' is unknown; available: reference, kernels"):
        run(networks.small(), networks.random_images(networks.small(), 1), "cuda")
