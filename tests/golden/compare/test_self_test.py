"""The self-test: catches what the comparison looks at, and says what it does not."""

import numpy as np
import pytest
from networks import small

from refengine.golden.compare import self_test as module
from refengine.golden.compare.compare import LayerReport
from refengine.golden.compare.pairs import Rules
from refengine.golden.compare.seeds import SEEDS
from refengine.golden.compare.self_test import self_test
from refengine.golden.dumps.dump import Damaged, Dump, Held, in_memory


def held(seed=0, shape=(3, 4, 4, 3)):
    rng = np.random.default_rng(seed)
    code = rng.integers(0, 256, shape).astype(np.uint8)
    return {"accumulator": rng.integers(-999, 999, shape).astype(np.int32), "code": code}


DUMPED = {"a": held(0), "b": held(1)}


def seeded_into(rules=None, dumped=None, network=None, golden=None):
    dumped = DUMPED if dumped is None else dumped
    return self_test(in_memory(dumped if golden is None else golden), in_memory(dumped), rules, network)


def missed(result):
    return {(one.seed, one.layer, one.stage) for one in result.missed}


def not_applicable(result):
    return {(one.seed, one.layer, one.stage, one.why) for one in result.not_applicable}


def test_everything_is_caught_where_everything_is_compared():
    result = seeded_into()
    assert result.passed
    assert set(result.caught.values()) == {4}
    assert result.cannot_tell == 4


def test_nothing_is_caught_in_an_excluded_layer():
    result = seeded_into(Rules(exclude=("b",)))
    assert not result.passed
    assert missed(result) == {(seed, "b", stage) for seed in SEEDS for stage in ("accumulator", "code")}
    assert {one.why for one in result.missed} == {"excluded by name"}


def test_nothing_is_caught_in_a_stage_that_is_not_chosen():
    result = seeded_into(Rules(stages=("code",)))
    assert missed(result) == {(seed, layer, "accumulator") for seed in SEEDS for layer in DUMPED}
    assert {one.why for one in result.missed} == {"stage accumulator is not compared"}


def test_one_image_cannot_be_exchanged():
    one = {"a": {"code": DUMPED["a"]["code"][:1]}}
    result = seeded_into(dumped=one)
    assert not_applicable(result) == {("images_swapped", "a", "code", "needs 2 images")}
    assert result.passed


def test_images_that_show_nothing():
    flat = {"a": {"code": np.zeros((2, 4, 4, 3), np.uint8)}}
    result = seeded_into(dumped=flat)
    unseen = {"channels_swapped", "rows_swapped", "stale_tile", "all_zeros", "constant"}
    unseen |= {"sign_flipped", "images_swapped", "channels_reversed", "nchw"}
    assert {one.seed for one in result.not_applicable} == unseen
    assert {one.why for one in result.not_applicable} == {"changes nothing in these images"}
    assert result.passed


def test_vectors_have_no_rows():
    vectors = {"a": {"code": np.arange(20, dtype=np.uint8).reshape(2, 10)}}
    result = seeded_into(dumped=vectors)
    assert {(one.seed, one.why) for one in result.not_applicable} == {
        ("rows_swapped", "nothing there to exchange"),
        ("nchw", "nothing there to exchange"),
    }
    assert result.passed


def test_a_stage_that_the_golden_has_not_is_beyond_it():
    golden = {"a": DUMPED["a"], "b": {"code": DUMPED["b"]["code"]}}
    result = seeded_into(golden=golden)
    assert {(one.layer, one.stage, one.why) for one in result.not_applicable} == {
        ("b", "accumulator", "not in the golden")
    }
    assert result.passed


def test_a_damaged_array_is_not_tested():
    arrays = {name: {stage: Held(array) for stage, array in held.items()} for name, held in DUMPED.items()}
    arrays["b"]["code"] = Damaged("b.npy: is empty")
    result = self_test(in_memory(DUMPED), Dump("dut", "folder", arrays, 3))
    assert result.untested == {"b code": "b.npy: is empty"}
    assert result.passed


def test_an_earlier_image_is_tried_where_the_last_shows_nothing():
    codes = DUMPED["a"]["code"].copy()
    codes = np.concatenate([codes, np.zeros((6, 4, 4, 3), np.uint8)])
    assert seeded_into(dumped={"a": {"code": codes}}).passed


def test_layers_that_nobody_dumped():
    network = small()
    codes = np.arange(4, dtype=np.int8).reshape(2, 1, 1, 2)
    result = seeded_into(dumped={"001_conv": {"code": codes}}, network=network)
    assert result.untested == {"000_input": "in neither dump", "002_fc": "in neither dump"}
    assert result.passed


def test_a_test_of_nothing_is_not_passed():
    result = seeded_into(golden={"a": DUMPED["a"]}, dumped={"b": DUMPED["b"]}, rules=Rules(exclude=("b",)))
    assert not result.passed


def test_a_comparison_that_sees_nothing_is_found_out(monkeypatch):
    """The test of the self-test: with a comparison that passes everything, every seed is missed."""
    monkeypatch.setattr(module, "compare_layer", lambda pair: LayerReport(pair.layer, "equal"))
    result = seeded_into()
    assert not any(result.caught.values())
    assert len(result.missed) == 4 * len(SEEDS)


@pytest.mark.parametrize("bits", [1, 8, 0x80])
def test_a_comparison_that_ignores_bits_is_found_out(monkeypatch, bits):
    real = module.compare_layer

    def blind(pair):
        for golden, dut in pair.stages.values():
            for side in (golden, dut):
                object.__setattr__(side, "array", side.array & ~side.array.dtype.type(bits & 0x7F))
        return real(pair)

    monkeypatch.setattr(module, "compare_layer", blind)
    assert ("one_bit" in {one.seed for one in seeded_into().missed}) == bool(bits & 1)
