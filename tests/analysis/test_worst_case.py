"""A worst-case stimulus attains the static bound exactly, a run proves it, and no search finds anything worse."""

import networks
import numpy as np
import oracle
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refengine.analysis.terms import accumulates, operand_ranges, operand_shapes, terms
from refengine.analysis.worst_case import ENDS, LOW, Stimulus, proven, stimulus, whole_sum
from refengine.engine.run import run_layer
from refengine.errors import NetworkError, RefengineError
from refengine.numbers.formats import INT8


def sizes(network):
    return ((layer, end) for layer in network.layers if accumulates(layer) for end in ENDS)


def within(network, layer, found):
    for operand, (lo, hi) in zip(found.operands, operand_ranges(network, layer), strict=True):
        assert lo <= int(operand.min()) <= int(operand.max()) <= hi


@given(networks.int_networks())
@example(networks.every_op())
def test_the_bound_is_attained_without_padding(network):
    for layer, end in sizes(network):
        found = stimulus(network, layer, end)
        within(network, layer, found)
        assert proven(layer, found).accumulator is not None
        lo, hi = network.bounds[layer.name]
        bound = int(lo.min()) if end == LOW else int(hi.max())
        if not found.padded:
            assert (found.bound, found.reached, found.attains) == (bound, bound, True)
        else:
            assert layer.op == "conv"
            assert abs(found.reached) <= abs(found.bound)
        assert (found.sum >= bound) if end == LOW else (found.sum <= bound)


def product(tap, code, operands):
    """Code by weight, by another code, or the entry of a table."""
    if tap.table is not None:
        return tap.table[code % 256]
    return code * (tap.weight if tap.by is None else int(operands[tap.by[0]][(0, *tap.by[1])]))


@given(networks.int_networks(), st.integers(0, 2**32 - 1))
def test_a_random_search_never_exceeds_it(network, seed):
    """The negative control: sums of random codes, everywhere in the result, of every order of their terms."""
    rng = np.random.default_rng(seed)
    for layer in (layer for layer in network.layers if accumulates(layer)):
        low, high = (stimulus(network, layer, end) for end in ENDS)
        ranges, shapes = operand_ranges(network, layer), operand_shapes(network, layer)
        operands = [
            rng.integers(lo, hi, (3, *shape), endpoint=True).astype(np.int8 if lo < 0 else np.uint8)
            for (lo, hi), shape in zip(ranges, shapes, strict=True)
        ]
        wide = type(layer)(**{**vars(layer), "accumulator_bits": 32, "requantize": None, "residual": None})
        sums = run_layer(wide, operands, backend="reference").accumulator
        assert low.reached <= int(sums.min())
        assert int(sums.max()) <= high.reached
        place = tuple(int(rng.integers(size)) for size in network.shapes[layer.name])
        parts = terms(network, layer, place)
        values = [parts.bias] + [
            part.factor * product(tap, 0 if tap.padding else int(operands[tap.operand][(0, *tap.place)]), operands)
            for part in parts.parts
            for tap in part.taps
        ]
        assert sum(values) == whole_sum(parts, operands) == int(sums[(0, *place)])
        running = np.cumsum(rng.permutation(values))
        assert low.reached <= int(running.min())
        assert int(running.max()) <= high.reached


def test_the_bias_of_the_other_sign_is_not_in_what_is_reached():
    network = networks.small()
    low, high = (stimulus(network, network.layer("conv"), end) for end in ENDS)
    assert (low.place[2], low.bound, low.reached, low.sum) == (1, -2 * 5 * 255 - 20, -2570, -2570)
    assert (high.place[2], high.bound, high.reached, high.sum) == (0, 2 * 3 * 255 + 10, 1540, 1540)
    layer = network.layer("fc")
    found = stimulus(network, layer, LOW)
    assert found.operands[0].tolist() == [[[[-128, 127]]]]
    assert (found.bound, found.reached, found.sum) == (-19150, -19150, -19150 + 7)


def image_smaller_than_kernel(pads=(1, 1, 1, 1)):
    """A 3x3 convolution of a 2x2 image."""
    network = networks.small()
    weight = np.arange(-4, 5, dtype=np.int8).reshape(1, 1, 3, 3)
    constants = {"weight": weight, "scale": np.array([[1]], np.int8), "bias": np.array([7], np.int32)}
    attributes = {"strides": (1, 1), "pads": pads, "group": 1, "cluster": 1}
    shape = 2 + pads[0] + pads[2] - 2, 2 + pads[1] + pads[3] - 2
    conv = {"constants": constants, "attributes": attributes, "weight_format": "int8", "weight_exponent": np.array([0])}
    conv["requantize"] = networks.plain_requantize(INT8)
    fc_weight = np.ones((2, shape[0] * shape[1]), np.int8)
    fc = {"weight": fc_weight, "scale": np.ones((2, 1), np.int8), "bias": np.zeros(2, np.int32)}
    layers = [
        network.layers[0],
        *(
            type(layer)(**{**vars(layer), **changed})
            for layer, changed in zip(
                network.layers[1:],
                (conv, {"constants": fc, "attributes": {"cluster": fc_weight.shape[1]}}),
                strict=True,
            )
        ),
    ]
    return networks.small(layers=tuple(layers))


@pytest.mark.parametrize("pads", [(1, 1, 1, 1), (0, 2, 1, 0), (2, 2, 2, 2)])
@pytest.mark.parametrize("end", ENDS)
def test_the_tightest_with_padding(pads, end):
    """Where no window avoids padding, every place and every extreme code is tried, and none is further."""
    network = image_smaller_than_kernel(pads)
    layer = network.layer("conv")
    found = stimulus(network, layer, end)
    proven(layer, found)
    assert found.padded
    assert not found.attains
    tried = []
    for bits in range(16):
        codes = np.array([255 * (bits >> k & 1) for k in range(4)], np.uint8).reshape(1, 2, 2, 1)
        tried += oracle.conv(codes, **layer.arguments).values()
    assert found.sum == (min(tried) if end == LOW else max(tried))
    assert found.reached == (found.sum - 7 if end == LOW else found.sum)


def test_a_residual_stands_at_the_same_end():
    network = networks.every_op()
    layers = [layer for layer in network.layers if layer.residual is not None]
    for layer in layers:
        for end, code in zip(ENDS, network.ranges[layer.residual], strict=True):
            assert set(stimulus(network, layer, end).residual.ravel().tolist()) == {code}
    assert layers


def test_a_layer_that_passes_codes_has_no_stimulus():
    network = networks.every_op()
    with pytest.raises(NetworkError, match="passes codes through, it has no worst sum"):
        stimulus(network, next(layer for layer in network.layers if layer.op == "maxpool"), LOW)


def test_a_wrong_stimulus_is_noticed():
    network = networks.small()
    layer = network.layer("conv")
    found = stimulus(network, layer, LOW)
    wrong = Stimulus(**{**vars(found), "sum": found.sum - 1})
    with pytest.raises(RefengineError, match=r"its stimulus comes to -2570, expected was -2571"):
        proven(layer, wrong)
