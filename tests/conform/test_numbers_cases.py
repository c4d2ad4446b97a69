"""Cases of functions: what is special about them occurs."""

from collections import Counter

import numpy as np
import pytest
from conform_customers import some

from refengine.conform import numbers_cases
from refengine.conform.answers import answer
from refengine.numbers.rounding import MODES, ROUNDINGS


def test_every_mode_and_shift_has_its_ties():
    """Of both signs and parities wherever a quotient of such a shift has them; and the ends of R1."""
    cases = some(1, "round_shift").values()
    pairs = {(case.parameters["rounding"], case.parameters["shift"]): case.inputs["t"] for case in cases}
    assert {*pairs} == {(rounding, shift) for rounding in ROUNDINGS for shift in range(63)}
    for (_, shift), t in pairs.items():
        assert {2**62, -(2**62)} <= {*t.tolist()}
        if 1 <= shift <= 60:
            ties = t[t % 2**shift == 2 ** (shift - 1)] // 2**shift
            assert {(q < 0, q % 2 == 1) for q in ties.tolist()} == {
                (a, b) for a in (False, True) for b in (False, True)
            }


def test_modes_are_told_apart_by_every_shift():
    """No two modes give the same on the cases of another mode, whatever the shift from 1 on."""
    from refengine.numbers.rounding import round_shift

    for case in some(1, "round_shift").values():
        shift = case.parameters["shift"]
        if case.parameters["rounding"] in MODES and 1 < shift < 61:
            rounded = {mode: round_shift(case.inputs["t"], shift, mode).tobytes() for mode in MODES}
            assert len({*rounded.values()}) == len(MODES), case.why


def test_requantizations_reach_both_ends_of_the_clip_and_beyond():
    reached = Counter()
    for case in some(1, "requantize").values():
        words, found = case.parameters["requantize"], answer(case)
        if not words["dynamic"]:
            reached["below"] += bool(found["saturated"][0])
            reached["above"] += bool(found["saturated"][1])
            reached["lo"] += bool((found["code"] == words["lo"]).any())
            reached["hi"] += bool((found["code"] == words["hi"]).any())
        assert np.abs(found["total"].astype(object)).max() <= 2**62
    assert min(reached.values()) > 100


def test_totals_come_near_the_bound():
    cases = [case for case in some(1, "requantize").values() if case.why.endswith("totals near 2**62")]
    assert len(cases) == len(ROUNDINGS)
    assert max(int(answer(case)["total"].max()) for case in cases) > 2**62 - 2**33


def test_images_choose_every_d():
    chosen = Counter()
    for case in some(1, "requantize").values():
        if case.parameters["requantize"]["dynamic"] == 7:
            d = answer(case)["d"].tolist()
            chosen.update(d)
            assert d[0] == d[-1] or "residual" in case.inputs  # the same accumulators
    assert {*chosen} == {*range(8)}


@pytest.mark.parametrize("policy", ["wrap", "saturate"])
def test_sums_lie_on_both_sides_of_every_width(policy):
    cases = [case for case in some(1, "confine").values() if case.parameters["accumulator"][1] == policy]
    assert {case.parameters["accumulator"][0] for case in cases} == {*range(16, 33)}
    for case in cases:
        top = 2 ** (case.parameters["accumulator"][0] - 1)
        assert {top - 1, -top} <= {*case.inputs["sum"].tolist()}


def test_more_draws_more():
    once, twice = (len([*numbers_cases.top(more)]) for more in (1, 2))
    assert twice == 2 * once
