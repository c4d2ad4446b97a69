"""Evaluation: counts that a plain loop confirms, whatever the batches and threads."""

import json
import math
from dataclasses import replace

import float_networks
import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.accuracy.cost import network_cost
from refengine.accuracy.evaluate import Evaluation, count_batch, evaluate, ranks, wilson
from refengine.engine.run import run
from refengine.errors import NetworkError, RangeError
from refengine.network.float_layer import FloatLayer
from refengine.network.float_network import FloatNetwork, with_input_shape
from refengine.network.forward import forward
from refengine.network.images import open_images, write_images
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme
from refengine.runs.predict import BACKENDS, predictor

COUNT = 40


@pytest.fixture(scope="module")
def pair():
    """A float network of seven classes, its integers (with narrow accumulators), images, labels."""
    rng = np.random.default_rng(2)
    plain = {"strides": (1, 1), "pads": (1, 1, 1, 1), "group": 1}
    layers = (
        float_networks.layer(0, "input"),
        float_networks.layer(1, "conv", ["000_input"], {"weight": float_networks.floats(rng, 6, 3, 3, 3)}, **plain),
        float_networks.layer(2, "relu", ["001_conv"]),
        float_networks.layer(3, "conv", ["002_relu"], {"weight": float_networks.floats(rng, 6, 6, 3, 3)}, **plain),
        float_networks.layer(4, "relu", ["003_conv"]),
        float_networks.layer(5, "global_avgpool", ["004_relu"]),
        float_networks.layer(6, "fc", ["005_global_avgpool"], {"weight": float_networks.floats(rng, 7, 6)}),
    )
    real = FloatNetwork("seven", (6, 5, 3), 7, (120.0,) * 3, (60.0,) * 3, "RGB", layers)
    images = rng.integers(0, 256, (COUNT, 6, 5, 3), np.uint8)
    scheme = Scheme(reestimate=False, accumulator_bits=16, accumulator_policy="wrap", exponents="max")
    network = quantize(real, images[:4], scheme)
    labels = np.where(rng.random(COUNT) < 0.6, forward(real, images).argmax(axis=1), rng.integers(0, 7, COUNT))
    return real, network, images, labels


def by_hand(network, images, labels):
    """Top-1 and top-5 of Python's sort: larger logits first, lower classes first among equals."""
    first = five = 0
    for row, label in zip(run(network, images).tolist(), labels.tolist(), strict=True):
        order = sorted(range(len(row)), key=lambda c: (-row[c], c))
        first += order[0] == label
        five += label in order[:5]
    return first, five


def divergence(floats, others):
    """Sum of p log(p / q) for the softmax p of the floats and q of the others."""
    p, q = ([math.exp(x) / sum(map(math.exp, logits)) for x in logits] for logits in (floats, others))
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def without_time(evaluation):
    return replace(evaluation, seconds=0.0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_counts_are_those_of_a_loop(pair, backend):
    real, network, images, labels = pair
    outcome = evaluate(network, (images, labels), float_network=real, backend=backend)
    assert (outcome.correct, outcome.correct_top5) == by_hand(network, images, labels)
    logits = forward(real, images)
    assert outcome.float_correct == int((logits.argmax(axis=1) == labels).sum())
    assert outcome.agreeing == int((logits.argmax(axis=1) == run(network, images).argmax(axis=1)).sum())
    right, real_right = run(network, images).argmax(axis=1) == labels, logits.argmax(axis=1) == labels
    assert (outcome.only_integers, outcome.only_float) == ((right & ~real_right).sum(), (real_right & ~right).sum())
    assert outcome.count == COUNT
    assert outcome.top1 == outcome.correct / COUNT
    assert outcome.top5 == outcome.correct_top5 / COUNT >= outcome.top1
    assert outcome.float_top1 == outcome.float_correct / COUNT
    assert outcome.float_top5 == outcome.float_correct_top5 / COUNT >= outcome.float_top1
    assert outcome.agreement == outcome.agreeing / COUNT
    worth = run(network, images) * 2.0 ** network.layers[-1].exponent
    assert outcome.kl == pytest.approx(sum(map(divergence, logits.tolist(), worth.tolist())) / COUNT, rel=1e-5)
    assert outcome.backend == backend
    assert (outcome.model_hash, outcome.contract, outcome.network) == (network.hash, 1, "seven")
    assert outcome.rounding == ("half_up",)
    assert outcome.multiplications_replaced == network_cost(network).multiplications_replaced
    assert outcome.seconds > 0


@pytest.mark.parametrize("pool", ["global_avgpool", "avgpool"])
def test_the_divergence_of_logits_that_a_pool_gives_is_that_of_averages(pair, pool):
    """Their sums are 30 times the averages that the float network gives."""
    real, _, images, labels = pair
    window = (
        {}
        if pool == "global_avgpool"
        else {"kernel_shape": (6, 5), "strides": (1, 1), "pads": (0, 0, 0, 0), "ceil_mode": False}
    )
    ended = (*real.layers[:5], float_networks.layer(5, pool, ["004_relu"], **window))
    real = replace(real, layers=ended, classes=6)
    network = quantize(real, images[:4], Scheme(weights="int8"))
    outcome = evaluate(network, (images, labels % 6), float_network=real)
    averages = run(network, images) * 2.0 ** network.layers[-1].exponent / 30
    logits = forward(real, images).tolist()
    assert outcome.kl == pytest.approx(sum(map(divergence, logits, averages.tolist())) / COUNT, rel=1e-4)


@pytest.mark.parametrize("backend", [None, *BACKENDS])
@pytest.mark.parametrize("threads", [1, 3])
def test_events_are_those_of_the_run(pair, threads, backend):
    """Values, saturations at either end, overflows: summed over layers that accumulate."""
    _, network, images, labels = pair
    expected = {}

    def observe(layer, operands, result):
        if result.accumulator is not None:
            expected[layer.name] = (result.result.size, *result.saturated, result.overflowed)

    run(network, images, "reference", observe)
    chosen = {} if backend is None else {"backend": backend}
    outcome = evaluate(network, (images, labels), batch=7, threads=threads, **chosen)
    assert outcome.backend == (backend or "fast")
    assert {name: tuple(vars(events).values()) for name, events in outcome.layers.items()} == expected
    assert outcome.saturated == sum(low + high for _, low, high, _ in expected.values())
    assert outcome.overflowed == sum(overflowed for *_, overflowed in expected.values())
    assert outcome.saturated > 0 < outcome.overflowed


@pytest.mark.parametrize("rounding", ["half_up", "stochastic"])
@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (1, 3), (7, 2), (COUNT, 1), (None, 2)])
def test_neither_batch_nor_threads_change_a_result(pair, rounding, batch, threads):
    real, network, images, labels = pair
    if rounding == "stochastic":
        network = quantize(real, images[:4], Scheme(rounding="stochastic"))
    whole = evaluate(network, (images, labels), batch=COUNT)
    assert without_time(evaluate(network, (images, labels), batch=batch, threads=threads)) == without_time(whole)


def test_batches_counted_elsewhere(pair):
    """Whoever counts is handed every image once, in order; ranks say image by image what the counts add up."""
    real, network, images, labels = pair
    handed = []

    def elsewhere(batches):
        for batch in batches:
            handed.append(batch[0])
            yield count_batch(network, real, batch, predictor(network, "kernels", 7, counted=True))

    outcome = evaluate(network, (images, labels), float_network=real, batch=7, elsewhere=elsewhere)
    here = evaluate(network, (images, labels), float_network=real)
    assert without_time(outcome) == without_time(here)
    assert handed == [*range(0, COUNT, 7)]
    np.testing.assert_array_equal(outcome.ranks, here.ranks)
    assert (int((here.ranks == 0).sum()), int((here.ranks < 5).sum())) == by_hand(network, images, labels)


def test_images_in_a_file(pair, tmp_path):
    """With a limit, and with progress told batch by batch."""
    real, network, images, labels = pair
    write_images(tmp_path / "images.h5", images, labels, [f"class {n}" for n in range(7)])
    told = []
    with open_images(tmp_path / "images.h5") as opened:
        outcome = evaluate(
            network,
            opened,
            float_network=real,
            limit=25,
            batch=10,
            progress=lambda done, total: told.append((done, total)),
        )
    assert told == [(10, 25), (20, 25), (25, 25)]
    expected = evaluate(network, (images[:25], labels[:25]), float_network=real)
    assert without_time(outcome) == without_time(expected)


def test_without_a_float_network_there_is_nothing_beside(pair):
    _, network, images, labels = pair
    outcome = evaluate(network, (images, labels))
    assert (
        outcome.float_correct
        is outcome.float_correct_top5
        is outcome.agreeing
        is outcome.only_integers
        is outcome.kl
        is None
    )
    assert outcome.float_top1 is outcome.float_top5 is outcome.agreement is None


def test_fewer_than_six_classes_have_no_top5():
    """Any guess would be among five of five."""
    network = networks.small()
    images = networks.random_images(network, 10)
    outcome = evaluate(network, (images, np.zeros(10, np.int64)))
    assert outcome.top5 is outcome.correct_top5 is None
    assert outcome.correct == int((run(network, images).argmax(axis=1) == 0).sum())


def test_a_float_network_of_another_size_is_made_for_the_images(pair):
    """As ``quantize`` does; the images must be the integer network's."""
    real, network, images, labels = pair
    outcome = evaluate(network, (images, labels), float_network=with_input_shape(real, (9, 9)))
    assert outcome.float_correct == evaluate(network, (images, labels), float_network=real).float_correct


def test_json_has_every_figure_under_its_name(pair):
    """Every figure under its name, in types that JSON knows."""
    real, network, images, labels = pair
    outcome = evaluate(network, (images, labels), float_network=real)
    written = json.loads(json.dumps(outcome.as_json()))
    for name in ("count", "correct", "float_correct", "agreement", "model_hash", "multiplications_replaced", "seconds"):
        assert written[name] == getattr(outcome, name)
    assert (written["top1"], written["top5"]) == (outcome.top1, outcome.top5)
    assert written["rounding"] == ["half_up"]
    assert written["interval95"] == list(outcome.interval)
    first = network.layers[0].name
    assert written["layers"][first] == vars(outcome.layers[first])
    assert set(written) >= set(Evaluation.__dataclass_fields__) - {"ranks"}


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (np.zeros(COUNT - 1, np.int64), "needed one integer for each of 40 images"),
        (np.zeros((COUNT, 1), np.int64), "needed one integer for each of 40 images"),
        (np.zeros(COUNT), "labels are float64"),
        (np.full(COUNT, 7), r"labels lie in 7\.\.7, the network has classes 0\.\.6"),
        (np.full(COUNT, -1), r"labels lie in -1\.\.-1, the network has classes 0\.\.6"),
    ],
)
def test_labels_that_are_none_are_refused(pair, labels, words):
    _, network, images, _ = pair
    with pytest.raises(RangeError, match=words):
        evaluate(network, (images, labels))


def test_what_cannot_be_evaluated_is_refused(pair, tmp_path):
    real, network, images, labels = pair
    with pytest.raises(RangeError, match="0 images are to be run"):
        evaluate(network, (images[:0], labels[:0]))
    with pytest.raises(RangeError, match="0 images are to be run"):
        evaluate(network, (images, labels), limit=0)
    with pytest.raises(RangeError, match="the network reads uint8"):
        evaluate(network, (images[:, 1:], labels))
    with pytest.raises(RangeError, match="backend 'gpu' is unknown"):
        evaluate(network, (images, labels), backend="gpu")
    with pytest.raises(RangeError, match="spread over 0 threads"):
        evaluate(network, (images, labels), threads=0)
    with pytest.raises(RangeError, match="the float network has 5 classes, the other 7"):
        evaluate(network, (images, labels), float_network=float_networks.every_op())
    flat = {**real.layers[-1].constants, "weight": np.ones((7, 180), np.float32)}
    fixed = replace(real, layers=(*real.layers[:5], FloatLayer("006_fc", "fc", ("004_relu",), flat, {})))
    with pytest.raises(NetworkError):
        evaluate(network, (images[:, :, :4], labels), float_network=with_input_shape(fixed, (6, 4)))
    write_images(tmp_path / "images.h5", images, None)
    with (
        open_images(tmp_path / "images.h5", labels_required=False) as opened,
        pytest.raises(RangeError, match="has no labels, an evaluation needs them"),
    ):
        evaluate(network, opened)


# ---------------------------------------------------------------------------------------------------- ranks, intervals


@given(st.lists(st.lists(st.integers(-2, 2), min_size=6, max_size=6), min_size=1, max_size=5), st.data())
def test_ranks_are_places_in_a_sorted_list(rows, data):
    """Many ties, each given to the lower class."""
    labels = [data.draw(st.integers(0, 5)) for _ in rows]
    expected = [
        sorted(range(6), key=lambda c: (-row[c], c)).index(label) for row, label in zip(rows, labels, strict=True)
    ]
    assert ranks(np.array(rows), np.array(labels)).tolist() == expected


def test_ranks_do_not_overflow():
    """The ends of int32 are compared, not subtracted or negated."""
    logits = np.array([[-(2**31), 2**31 - 1, 0]], np.int32)
    assert [int(ranks(logits, np.array([label]))[0]) for label in range(3)] == [2, 0, 1]


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.27753), (10, 10, 0.72247, 1.0), (1, 2, 0.09453, 0.90547), (81, 263, 0.25529, 0.36621)],
)
def test_wilson_intervals_are_the_published_ones(successes, trials, low, high):
    """Where n of n are right, and an ordinary case: 0.2553 to 0.3662 for 81 of 263 in Newcombe (1998)."""
    assert wilson(successes, trials) == pytest.approx((low, high), abs=6e-6)


@given(st.integers(1, 10**6), st.data())
def test_wilson_stays_within_bounds(trials, data):
    successes = data.draw(st.integers(0, trials))
    low, high = wilson(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    mirrored = wilson(trials - successes, trials)
    assert (low, high) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]))
