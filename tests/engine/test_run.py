"""Whole networks, layer by layer, against plain Python integers; and what must not change a bit.

``oracle_run`` is the loop of the contract with the oracle's operators: nothing of refengine computes in it.
"""

import weakref

import networks
import numpy as np
import oracle
import pytest
from everyday import everyday
from hypothesis import given, settings
from hypothesis import strategies as st

from refengine.engine.run import BACKENDS, run
from refengine.errors import NetworkError, RangeError
from refengine.network.batches import map_batches
from refengine.numbers.rounding import ROUNDINGS
from refengine.ops import OPS

SEEDS = (9, 340, 908)


def oracle_run(network, images, first_image=0):
    """{layer name: (accumulators or None, codes, saturated, overflowed, coarser)} in unbounded integers, int64 arrays.

    Dynamic exponents as hardware has them: codes are summed, and each image's sum is shifted before the bias comes in.
    """
    found, tensors = {}, {}
    for position, layer in enumerate(network.layers):
        operands = [tensors[name] for name in layer.inputs] or [(images, None)]
        value = accumulated(layer, *zip(*operands, strict=True))
        residual = None if layer.residual is None else moved(*tensors[layer.residual])
        found[layer.name] = finished(layer, value, residual, position, first_image)
        if layer.op in networks.PASSING:
            found[layer.name] = (*found[layer.name][:-1], operands[0][1])
        tensors[layer.name] = found[layer.name][1], found[layer.name][-1]
    return found


def accumulated(layer, codes, coarser):
    """Sums of codes, those of an image moved by what it chose; then the bias."""
    arguments = {**layer.constants, **layer.attributes}
    if layer.op == "requantize":
        return moved(codes[0].astype(np.int64), coarser[0])
    if layer.op == "mul":
        return as_array(oracle.mul(*(moved(x, d) for x, d in zip(codes, coarser, strict=True))))
    if layer.op == "add":
        a, b = (moved(x, d) * 2**shift for x, d, shift in zip(codes, coarser, arguments["shifts"], strict=True))
        return a + b
    if layer.op in networks.PASSING or coarser[0] is None:
        return as_array(getattr(oracle, layer.op)(*codes, **arguments))
    bias = arguments.pop("bias", np.zeros(1, np.int64))
    without = {"bias": np.zeros_like(bias)} if "bias" in layer.constants else {}
    return moved(as_array(getattr(oracle, layer.op)(*codes, **arguments, **without)), coarser[0]) + bias.astype(
        np.int64
    )


def moved(codes, coarser):
    """Integers of each image times two to what it chose."""
    wide = codes.astype(np.int64)
    return wide if coarser is None else np.stack([image * 2**more for image, more in zip(wide, coarser, strict=True)])


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
        return None, value, (0, 0), 0, None
    acc, codes, low, high, overflowed, coarser = value.copy(), value.copy(), 0, 0, 0, None
    for index, total in np.ndenumerate(value):
        if layer.accumulator_bits < 32:
            acc[index] = oracle.confine(int(total), layer.accumulator_bits, layer.accumulator_policy)
            overflowed += int(acc[index] != total)
        codes[index] = acc[index]
    if layer.requantize is None:
        return acc, codes, (0, 0), overflowed, None
    if layer.requantize.dynamic:
        coarser = [chosen(layer.requantize, acc, residual, n) for n in range(len(acc))]
    for index in np.ndindex(*acc.shape):
        more = 0 if coarser is None else coarser[index[0]]
        codes[index], below, above = code(layer.requantize, acc, residual, index, position, first_image, more)
        low, high = low + below, high + above
    return acc, codes, (low, high), overflowed, coarser


def chosen(step, acc, residual, n):
    """What an image adds to its exponent."""
    parts = [total_and_shift(step, acc, residual, (n, *place)) for place in np.ndindex(*acc.shape[1:])]
    return oracle.coarser(*zip(*parts, strict=True), step.lo, step.hi, step.dynamic)


def total_and_shift(step, acc, residual, index):
    """What is rounded, and the shift of its channel (Q1)."""
    multiplier, shift, left = (
        0 if values is None else int(np.resize(values, index[-1] + 1)[index[-1]])
        for values in (step.multiplier, step.shift, step.residual_shift)
    )
    return int(acc[index]) * multiplier + (0 if residual is None else int(residual[index]) * 2**left), shift


def code(step, acc, residual, index, position, first_image, more):
    """One code, and whether it was saturated below or above."""
    total, shift = total_and_shift(step, acc, residual, index)
    bits = None
    if step.rounding == "stochastic":
        element = int(np.ravel_multi_index(index[1:], acc.shape[1:]))
        bits = oracle.random_bits(step.seed, position, first_image + index[0], element)
    free = oracle.round_shift(total, shift + more, step.rounding, bits)
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
        acc, codes, saturated, overflowed, coarser = expected[name]
        assert (result.accumulator is None) == (acc is None)
        if acc is not None:
            assert result.accumulator.dtype == np.int32
            np.testing.assert_array_equal(result.accumulator, acc, name)
        np.testing.assert_array_equal(result.result, codes, name)
        assert result.result.dtype == network.formats[name].dtype
        lo, hi = network.ranges[name]
        assert lo <= result.result.min() <= result.result.max() <= hi
        assert (result.saturated, result.overflowed) == (saturated, overflowed), name
        assert (None if result.coarser is None else result.coarser.tolist()) == coarser, name
    assert logits.dtype == np.int32
    np.testing.assert_array_equal(logits, expected[network.layers[-1].name][1].reshape(len(images), -1))


@pytest.mark.parametrize("backend", BACKENDS)
@given(network=networks.int_networks(), seed=st.integers(0, 99), first_image=st.sampled_from([0, 7]))
def test_random_networks_are_the_contract(backend, network, seed, first_image):
    """Residuals, concats, pools, depthwise and grouped convolutions, any rounding, any accumulator."""
    check_against_oracle(network, networks.random_images(network, 2, seed), backend, first_image)


@pytest.mark.parametrize("backend", BACKENDS)
@given(network=networks.dynamic_networks(), seed=st.integers(0, 99), first_image=st.sampled_from([0, 7]))
def test_random_networks_with_dynamic_exponents_are_the_contract(backend, network, seed, first_image):
    """Three images, one of them dark and one flat, so that they choose differently (contract D)."""
    images = networks.random_images(network, 3, seed)
    images[1] >>= 5
    images[2] = seed
    check_against_oracle(network, images, backend, first_image)


@pytest.mark.slow
def test_dynamic_networks_are_what_they_should_be():
    """What the test above claims to cover: every kind of reader, several choices, and saturation at their end."""
    readers, choices, formats = set(), set(), set()

    @settings(max_examples=300, database=None, derandomize=True, deadline=None)
    @given(network=networks.dynamic_networks())
    def look(network):
        results, _ = observed(network, networks.random_images(network, 2), "kernels")
        for layer in network.layers:
            readers.update(layer.op for name in layer.inputs if network.dynamic[name])
            if layer.residual is not None and network.dynamic[layer.residual]:
                readers.add("residual")
            if layer.requantize is not None and layer.requantize.dynamic:
                formats.add((layer.requantize.format.name, layer.requantize.activation))
                choices.update(results[layer.name].coarser.tolist())

    look()
    assert readers >= {*networks.STEPS, "residual"} - {"concat", "lookup", "dilated"}
    assert choices == set(range(8))
    assert formats == {("uint8", "relu"), ("uint8", "none"), ("int8", "none")}


def test_an_exponent_that_nobody_needs_coarser_is_the_static_one():
    """Where all images choose 0, dynamic changes no code (D2); where they may choose, none is lost beyond one step."""
    network = networks.every_op()
    images = networks.random_images(network, 8)
    static, logits = observed(network, images, "kernels")
    allowed = [layer for layer in network.layers if layer.requantize is not None and layer.requantize.dynamic == 0]
    same = 0
    for layer in allowed:
        changed = networks.made_dynamic(network, layer.name, 2)
        results, after = observed(changed, images, "kernels")
        if changed is not network and not results[layer.name].coarser.any():
            np.testing.assert_array_equal(results[layer.name].result, static[layer.name].result)
            np.testing.assert_array_equal(after, logits)
            same += 1
    assert same


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_every_rounding_gives_the_oracles_integers(rounding, backend):
    """A network with every operator, rounded throughout in one way."""
    network = networks.every_op(rounding)
    check_against_oracle(network, networks.random_images(network, 2), backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("policy", ["wrap", "saturate"])
def test_narrow_accumulators_give_the_oracles_integers_and_counts(policy, backend):
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
    assert {layer.op for layer in networks.every_op().layers} == set(networks.STEPS) - {"dilated"} | {"input"}
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


@pytest.mark.parametrize("make", [networks.every_op, networks.dynamic])
@pytest.mark.parametrize("rounding", everyday(["stochastic", "half_up", "double_round"], 3))
@pytest.mark.parametrize("backend", BACKENDS)
def test_neither_batch_nor_threads_change_a_bit(rounding, backend, make):
    """One batch of 64; 64 batches of one; seven at a time over two threads, each told where it stands."""
    network = make(rounding=rounding)
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


def test_images_of_another_shape_are_told_theirs_and_what_was_needed():
    network = networks.every_op()
    height, width, channels = network.input_shape
    with pytest.raises(
        RangeError, match=rf"shape \({height + 1}, {width}, {channels}\), the network reads uint8 of shape"
    ):
        run(network, np.zeros((1, height + 1, width, channels), np.uint8))
    with pytest.raises(RangeError, match=r"^0 images are to be run, needed at least 1$"):
        run(network, np.zeros((0, height, width, channels), np.uint8))


def test_results_are_freed_after_their_last_reader_and_accumulators_at_once():
    """What is alive while a layer is observed: its operands, itself, and what later layers still read."""
    network = networks.every_op()
    accumulators, codes, late = [], {}, {}
    position = {layer.name: n for n, layer in enumerate(network.layers)}
    last = {}
    for layer in network.layers:
        last |= dict.fromkeys((*layer.inputs, *filter(None, [layer.residual])), position[layer.name])
    viewed = {name for layer in network.layers if not OPS[layer.op].ACCUMULATES for name in layer.inputs}

    def observe(layer, operands, result):
        assert not [one for one in accumulators if one() is not None]
        for name, reference in codes.items():
            if reference() is not None and last[name] < position[layer.name]:
                late[layer.name] = name
        if result.accumulator is not None and result.accumulator is not result.result:
            accumulators.append(weakref.ref(result.accumulator))
        if OPS[layer.op].ACCUMULATES and layer.name not in viewed:
            codes[layer.name] = weakref.ref(result.result)

    run(network, networks.random_images(network, 2), "reference", observe)
    assert late == {}
    assert min(len(accumulators), len(codes)) > 3


def test_what_a_layer_raises_names_the_layer(monkeypatch):
    def fails(*operands, **arguments):
        raise NetworkError("no room")

    network = networks.every_op()
    monkeypatch.setattr(OPS["conv"], "reference", fails)
    with pytest.raises(NetworkError, match=r"^layer '\d+_\w+' \(conv\): no room$"):
        run(network, networks.random_images(network, 1), "reference")


def test_an_unknown_backend_is_refused():
    with pytest.raises(RangeError, match="backend 'cuda' is unknown; available: reference, kernels"):
        run(networks.small(), networks.random_images(networks.small(), 1), "cuda")
