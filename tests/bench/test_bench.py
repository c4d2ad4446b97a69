"""The comparison: engines take turns, figures are what was measured, and refengine's engine computes the network.

No test asks how long anything takes.
"""

import gc
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from refengine.bench import bench, peers
from refengine.engine.run import run
from refengine.errors import RangeError, RefengineError, SchemeError
from refengine.network import geometry as geometries
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme

TINY = geometries.Geometry(8, 5, (16, 32), (1, 1), large_stem=False)


@pytest.fixture
def network(monkeypatch):
    """A tiny network, no pauses, short bursts, and no model of an earlier run."""
    monkeypatch.setattr(bench, "quantized", quantize)
    monkeypatch.setattr(geometries, "GEOMETRIES", {"tiny": TINY})
    for name, value in {"PAUSE": 0, "ENOUGH": 0, "PEAK_STEPS": 1, "PEAK_WARM_UP": 0}.items():
        monkeypatch.setattr(bench, name, value)
    return geometries.geometry("tiny")


@pytest.fixture
def fake(monkeypatch):
    """A peer that needs no package; returns the inputs that it was called with."""
    seen = []

    def make(network, calibration, batch, threads):
        return peers.Peer("fake", f"for {batch} and {threads}", lambda x: x + 0, lambda x: seen.append(x.shape))

    monkeypatch.setitem(peers.PEERS, "fake", make)
    return seen


def images_of(network, count=3):
    return bench.random_images(network, count, seed=1)


def compared(network, **keywords):
    return bench.compare(network, images_of(network), **{"rounds": 2, "calibrated": False, **keywords})


def test_every_engine_is_measured_in_every_round(network, fake):
    outcome = compared(network, weights=("ternary", "int4"), against=("fake",), batch=2)
    assert [timing.name for timing in outcome.timings] == ["refengine ternary", "refengine int4", "fake"]
    assert [len(timing.seconds) for timing in outcome.timings] == [2, 2, 2]
    assert all(min(timing.seconds) >= 0 for timing in outcome.timings)
    assert outcome.timings[2].version == "for 2 and 1"
    assert set(fake) == {(2, 3, 8, 8)}
    assert (outcome.rounds, outcome.batch, outcome.threads, outcome.network) == (2, 2, 1, "tiny")


def test_clusters_of_several_sizes_are_engines_of_their_own(network):
    outcome = compared(network, weights=("ternary", "int4", "int8"), clusters=(4, 16))
    names = ["ternary N=4", "ternary N=16", "int4 N=4", "int4 N=16", "int8"]
    assert [timing.name for timing in outcome.timings] == [f"refengine {name}" for name in names]


def test_random_weights_are_not_calibrated(network, monkeypatch):
    seen = []
    monkeypatch.setattr(bench, "quantized", lambda *call: seen.append(call[1:3]) or quantize(*call))
    compared(network, calibrated=False)
    ((images, scheme),) = seen
    assert len(images) == 1
    assert (scheme.method, scheme.exponents, scheme.reestimate) == ("optimal", "max", False)


def test_several_threads_add_the_capacity(network):
    outcome = compared(network, weights=("int8",), threads=2, batch=2)
    assert [(timing.name, timing.images) for timing in outcome.timings] == [
        ("refengine int8", 2),
        ("refengine int8, capacity", 4),
    ]


@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_what_is_measured_computes_the_network(network, threads):
    images = images_of(network)
    model = quantize(network, images, Scheme())
    for plan in (bench._compiled(model, 3, threads), bench._compiled(model, 3, threads)):
        assert np.array_equal(plan.run(images), run(model, images, "reference"))


@pytest.mark.slow
def test_the_capacity_runs_a_batch_in_each_thread(network):
    images = images_of(network)
    model = quantize(network, images, Scheme())
    with ThreadPoolExecutor(2) as pool:
        found = bench._capacity("ternary", model, images, 2, pool).run()
    assert [np.array_equal(logits, run(model, images)) for logits in found] == [True, True]


def test_macs_are_those_counted_by_hand(network):
    """8x8x3 to 16; two 3x3 convolutions; strided to 32, one more, and the shortcut's 1x1; fc."""
    wanted = 64 * 9 * 16 * (3 + 16 + 16) + 16 * 9 * 32 * (16 + 32) + 16 * 16 * 32 + 32 * 5
    assert compared(network).macs == wanted


def test_few_images_are_repeated(network, fake):
    compared(network, against=("fake",), batch=5)
    assert set(fake) == {(5, 3, 8, 8)}


def test_the_order_rotates_and_every_measure_begins_with_a_run_that_is_not_counted(network):
    ran = []
    forms = {"a": {"dense": 1.0}, "b": {"crossed": 1.0}, "c": {}}
    engines = [bench.Engine(name, "", 1, lambda name=name: ran.append(name), forms[name]) for name in "abc"]
    timings, peak = bench.measure(engines, 3, lambda: ran.append("|") or (7.0, 8.0, 9.0), lambda *_: None)
    rounds = "".join(ran).split("|")[1:]
    assert [timing.repetitions for timing in timings] == [1, 1, 1]
    assert rounds == ["aabbcc", "bbccaa", "ccaabb"]
    assert peak == {"dense": (7.0, 7.0, 7.0), "crossed": (9.0, 9.0, 9.0)}


def test_short_runs_are_repeated(monkeypatch):
    monkeypatch.setattr(bench, "_seconds", lambda engine, repetitions: 0.001)
    engine = bench.Engine("quick", "", 2, lambda: None)
    assert bench._repetitions(engine) == 3  # of 2 images, a millisecond each, until 5 are full


def test_the_garbage_collector_is_off_while_it_measures(network):
    states = []
    engine = bench.Engine("a", "", 1, lambda: states.append(gc.isenabled()))
    assert gc.isenabled()
    bench.measure([engine], 1, lambda: (1.0, 1.0, 1.0), lambda *_: None)
    assert gc.isenabled()
    assert states[-1] is False


def comparison():
    """Figures that are easy to check: 2 million MACs, three rounds."""
    halves = {"dense": 0.5, "crossed": 0.5}
    timings = [("first", (0.002, 0.004, 0.002), halves), ("other", (0.004, 0.004, 0.001), {})]
    made = tuple(bench.Timing(name, "1", 1, 1, seconds, forms) for name, seconds, forms in timings)
    peak = {"dense": (1e9, 4e9, 2e9), "crossed": (4e9, 4e9, 4e9)}
    return bench.Comparison("n", (1, 1, 1), 2_000_000, "p", "r", 1, 1, made, peak)


def test_rates_shares_and_ratios_follow_from_the_times():
    outcome = comparison()
    first, other = outcome.timings
    assert (first.median, first.best, other.best) == (0.002, 0.002, 0.001)
    assert outcome.rate(first) == pytest.approx(1e9)
    assert outcome.share(first) == pytest.approx((0.0005 + 0.00025) / 0.002)  # a million products at each peak
    assert outcome.share(other) is None
    assert outcome.ratio(other) == bench.Ratio(1.0, 0.75, 1.5)
    assert outcome.ratio(first) == bench.Ratio(1.0, 1.0, 1.0)


def test_json_has_every_round():
    figures = json.loads(json.dumps(comparison().as_json(), allow_nan=False))
    assert figures["engines"][1]["seconds_per_image"] == {
        "median": 0.004,
        "best": 0.001,
        "rounds": [0.004, 0.004, 0.001],
    }
    assert figures["engines"][1]["first_over_this"] == {"median": 1.0, "low": 0.75, "high": 1.5}
    assert figures["peak_macs_per_second"]["dense"] == {"median": 2e9, "best": 4e9, "rounds": [1e9, 4e9, 2e9]}
    assert figures["rounds"] == 3


def test_the_forms_of_a_plan_are_parts_of_its_products(network):
    outcome = compared(network, weights=("int8",))
    assert outcome.timings[0].forms == {"dense": 1.0}
    assert set(outcome.peak) == {"dense"}


def test_peaks_are_rates(network):
    with ThreadPoolExecutor(2) as pool:
        rates = bench.peak_rates(2, pool)
    assert len(rates) == len(bench.FORMS)
    assert min(rates) > 0


def test_random_images_depend_on_the_seed_alone(network):
    first, again, other = (bench.random_images(network, 4, seed) for seed in (1, 1, 2))
    assert (first.dtype, first.shape) == (np.uint8, (4, 8, 8, 3))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_processor_is_named_or_called_by_its_architecture(tmp_path):
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nmodel name\t: Some CPU @ 3 GHz\nmodel name\t: Some other\n")
    assert bench.processor(file) == "Some CPU @ 3 GHz"
    assert isinstance(bench.processor(tmp_path / "missing"), str)


def test_progress_names_layers_and_rounds(network, fake):
    seen = []
    compared(network, against=("fake",), progress=lambda *call: seen.append(call))
    assert (0, 1, "fake") in seen
    assert (1, 2, "") in seen
    assert any("ternary: " in detail for _, _, detail in seen)


@pytest.mark.parametrize("keywords", [{"weights": ()}, {"clusters": ()}, {"batch": 0}, {"threads": 0}, {"rounds": 0}])
def test_counts_below_1_are_refused(network, keywords):
    with pytest.raises(RangeError, match="a comparison needs at least 1 of each, found"):
        compared(network, **keywords)


def test_what_is_missing_is_missed_before_the_work(network, monkeypatch):
    monkeypatch.setattr(bench, "quantized", lambda *_: pytest.fail("the work began"))
    with pytest.raises(RefengineError, match="engine 'tvm' is unknown"):
        compared(network, against=("tvm",))


def test_an_unknown_format_is_refused(network):
    with pytest.raises(SchemeError, match="weights is 'int5'; available: "):
        compared(network, weights=("int5",))
