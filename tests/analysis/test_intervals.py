"""No run leaves the intervals, and on a network small enough they are found by trying every image."""

import networks
import numpy as np
from hypothesis import example, given

from refengine.analysis.intervals import reach
from refengine.analysis.terms import accumulates
from refengine.engine.run import run
from refengine.numbers.requantize import total
from refengine.numbers.rounding import ROUNDINGS, STOCHASTIC, round_shift
from refengine.ops import OPS


def contains(interval, array):
    """Whether every channel of a tensor (N, ..., C) stays inside."""
    rows = array.reshape(-1, array.shape[-1])
    return bool((rows.min(axis=0) >= interval.lo).all() and (rows.max(axis=0) <= interval.hi).all())


@given(networks.int_networks())
@example(networks.every_op())
@example(networks.every_op("stochastic"))
def test_no_run_leaves_it(network):
    found = reach(network)
    edges = [np.full((1, *network.input_shape), pixel, np.uint8) for pixel in (0, 255)]
    images = np.concatenate([networks.random_images(network, 3), *edges])

    def observe(layer, operands, result):
        here = found[layer.name]
        assert here.result.lo.shape in ((result.result.shape[-1],), (1,))
        assert contains(here.result, result.result.astype(np.int64))
        assert (here.sums is None) != accumulates(layer)
        if here.sums is not None:
            assert contains(here.sums, OPS[layer.op].reference(*operands, **layer.arguments).astype(np.int64))
        if here.total is not None:
            totals = total(result.accumulator, layer.requantize, result.residual)
            assert contains(here.total, totals)
            if layer.requantize.rounding != STOCHASTIC:
                rounded = round_shift(totals, layer.requantize.shift, layer.requantize.rounding)
                assert contains(here.rounded, rounded)

    run(network, images, "reference", observe)


@given(networks.int_networks(steps=3))
def test_it_is_never_wider_than_the_networks_bounds(network):
    for name, (lo, hi) in network.bounds.items():
        sums = reach(network)[name].sums
        assert (sums.lo >= lo).all()
        assert (sums.hi <= hi).all()


def test_it_is_exact_where_channels_are_independent():
    """A convolution without padding behind the pixels: every extreme image is tried."""
    network = networks.small()
    sums = reach(network)["001_conv"].sums
    tried = []
    for bits in range(16):
        images = np.array([255 * (bits >> k & 1) for k in range(4)], np.uint8).reshape(1, 2, 2, 1)
        run(
            network,
            images,
            "reference",
            lambda layer, _, result: layer.op == "conv" and tried.append(result.accumulator.ravel()),
        )
    np.testing.assert_array_equal(sums.lo, np.min(tried, axis=0))
    np.testing.assert_array_equal(sums.hi, np.max(tried, axis=0))


def test_a_dead_channel_is_dead_downstream():
    network = networks.small()
    conv = dict(network.layers[1].constants)
    conv["weight"] = conv["weight"].copy()
    conv["weight"][1] = 0
    conv["bias"] = np.array([10, 0], np.int32)
    found = reach(networks.with_layer(network, "001_conv", constants=conv))
    assert found["001_conv"].result.constant.tolist() == [False, True]
    whole = reach(network)["002_fc"].sums
    assert (found["002_fc"].sums.hi - found["002_fc"].sums.lo < whole.hi - whole.lo).all()


def test_rounding_keeps_the_order():
    """What the ends of an interval round to are the ends of what rounds: of every mode that is no draw."""
    totals = np.arange(-300, 301, dtype=np.int64)
    for rounding in ROUNDINGS:
        if rounding != STOCHASTIC:
            assert (np.diff(round_shift(totals, 4, rounding)) >= 0).all()
            wide = totals * 2**27
            assert (np.diff(round_shift(wide, 33, rounding)) >= 0).all()
