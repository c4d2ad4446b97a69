"""Error feedback, descent, exchange: never uphill, at rest only where no single change helps, row by row."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.quantization import descent as module
from refengine.quantization.descent import Problem, descend, exchange, feed_back, nearest


def problem(seed, outputs=3, columns=6, step=3, top=1):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((50, columns)) @ rng.standard_normal((columns, columns))
    wanted = rng.standard_normal((outputs, columns))
    codes = rng.integers(-top, top + 1, (outputs, columns)).astype(float)
    scales = rng.uniform(0.1, 1.5, (outputs, -(-columns // step)))
    return wanted, x.T @ x / 50, codes, scales


def error(wanted, covariance, codes, scales, step):
    """d^T H d, as the docstring writes it."""
    missing = [
        [w - s for w, s in zip(*pair, strict=True)] for pair in zip(wanted, spread(codes, scales, step), strict=True)
    ]
    return np.array(
        [sum(a * h * b for (a, b), h in zip(product(d, d), covariance.ravel(), strict=True)) for d in missing]
    )


def spread(codes, scales, step):
    return [[code * s[j // step] for j, code in enumerate(row)] for row, s in zip(codes, scales, strict=True)]


@given(st.floats(-20, 20), st.integers(-7, 7), st.sampled_from([1.0, 7.0]))
def test_nearest_is_nearest_and_the_start_wins_a_tie(wanted, start, top):
    start = float(max(-top, min(top, start)))
    found = nearest(wanted, start, top)
    distances = {code: abs(wanted - code) for code in np.arange(-top, top + 1)}
    assert distances[found] == min(distances.values())
    if distances[start] == min(distances.values()):
        assert found == start


@given(st.integers(0, 10**6), st.sampled_from([1, 7]), st.booleans())
def test_a_descent_never_goes_uphill(seed, top, free):
    wanted, covariance, codes, scales = problem(seed, top=top)
    units = np.zeros(3) if free else np.full(3, 1 / 64)
    if not free:
        scales = np.ceil(scales * 64) / 64
    before = error(wanted, covariance, codes, scales, 3)
    for _ in range(3):
        descend(Problem(wanted, covariance, 3, float(top)), codes, scales, units, 1)
        after = error(wanted, covariance, codes, scales, 3)
        assert np.all(after <= before + 1e-9 * (1 + before))
        before = after
    assert np.abs(codes).max() <= top
    assert scales.min() >= 0
    if not free:
        assert np.array_equal(scales * 64, np.trunc(scales * 64))
        assert scales.max() * 64 <= 127


@pytest.mark.parametrize("seed", range(8))
def test_at_rest_no_single_code_can_be_better(seed):
    wanted, covariance, codes, scales = problem(seed)
    units = np.full(3, 1 / 64)
    scales = np.ceil(scales * 64) / 64
    descend(Problem(wanted, covariance, 3, 1.0), codes, scales, units, 1000)
    rest = error(wanted, covariance, codes, scales, 3)
    for o, j, code in product(range(3), range(6), (-1, 0, 1)):
        tried = codes.copy()
        tried[o, j] = code
        assert error(wanted, covariance, tried, scales, 3)[o] >= rest[o] - 1e-9


def test_weights_that_are_codes_times_scales_stay():
    _, covariance, codes, scales = problem(4)
    wanted = np.array(spread(codes, scales, 3))
    kept = codes.copy(), scales.copy()
    descend(Problem(wanted, covariance, 3, 1.0), codes, scales, np.zeros(3), 5)
    assert np.array_equal(codes, kept[0])
    assert np.allclose(scales, kept[1])


def test_rows_do_not_see_each_other():
    wanted, covariance, codes, scales = problem(5, outputs=7)
    alone = codes.copy(), scales.copy()
    descend(Problem(wanted, covariance, 3, 1.0), codes, scales, np.zeros(7), 4)
    for o in (6, 0, 3, 1, 2, 5, 4):
        one = slice(o, o + 1)
        descend(Problem(wanted[one], covariance, 3, 1.0), *(part[one] for part in alone), np.zeros(1), 4)
    assert np.array_equal(codes, alone[0])
    assert np.allclose(scales, alone[1], rtol=1e-12)  # a product of fewer rows may round differently


@pytest.mark.parametrize("top", [1, 7])
@pytest.mark.parametrize("seed", range(4))
def test_blocks_of_columns_decide_as_columns_one_by_one(monkeypatch, seed, top):
    """37 columns in blocks of 3, 6 and all at once: the same codes, and scales but for the rounding of sums."""
    wanted, covariance, codes, scales = problem(seed, outputs=5, columns=37, top=top)
    root = np.linalg.cholesky(np.linalg.inv(covariance + 0.1 * np.eye(37))).T
    order = np.random.default_rng(seed).permutation(37)
    found = []
    for block in (1, 6, 1000):
        monkeypatch.setattr(module, "_BLOCK", block)
        made = np.zeros(codes.shape), scales.copy()
        feed_back(Problem(wanted[:, order], root, 3, float(top)), order, *made)
        fed = made[0].copy()
        descend(Problem(wanted, covariance, 3, float(top)), *made, np.zeros(5), 6)
        found.append((fed, *made))
    for other in found[1:]:
        assert np.array_equal(other[0], found[0][0])
        assert np.array_equal(other[1], found[0][1])
        assert np.allclose(other[2], found[0][2], rtol=1e-9)


def test_feedback_in_one_block_is_its_formula():
    wanted, covariance, _, scales = problem(9, columns=12)
    root = np.linalg.cholesky(np.linalg.inv(covariance)).T
    codes, expected, w = np.zeros((3, 12)), np.zeros((3, 12)), wanted.copy()
    for j in range(12):
        s = scales[:, j // 3]
        expected[:, j] = np.clip(np.rint(w[:, j] / s), -1, 1)
        w -= ((w[:, j] - s * expected[:, j]) / root[j, j])[:, None] * root[j] * (np.arange(12) > j)
    feed_back(Problem(wanted, root, 3, 1.0), np.arange(12), codes, scales)
    assert np.array_equal(codes, expected)


def test_without_covariance_feedback_is_plain_rounding():
    wanted = np.array([[0.2, -0.7, 1.6, -0.4]])
    codes, scales = np.zeros((1, 4)), np.array([[0.5, 1.0]])
    feed_back(Problem(wanted, np.eye(4), 2, 7.0), np.arange(4), codes, scales)
    assert codes.tolist() == [[0, -1, 2, 0]]


def test_feedback_passes_an_error_on_to_the_columns_after_it():
    """Two columns that always go together: what one loses the other makes good."""
    covariance = np.array([[1.0, 0.999], [0.999, 1.0]])
    root = np.linalg.cholesky(np.linalg.inv(covariance)).T
    wanted, codes = np.array([[0.4, 0.4]]), np.zeros((1, 2))
    feed_back(Problem(wanted, root, 2, 1.0), np.arange(2), codes, np.ones((1, 1)))
    assert codes.tolist() == [[0, 1]]
    turned = np.ascontiguousarray(np.linalg.cholesky(np.linalg.inv(covariance[::-1, ::-1])).T)
    feed_back(Problem(wanted, turned, 2, 1.0), np.array([1, 0]), codes, np.ones((1, 1)))
    assert codes.tolist() == [[1, 0]]


@given(st.integers(0, 10**6), st.sampled_from([1, 2, 7]), st.integers(1, 4))
def test_an_exchange_never_goes_uphill_and_leaves_scales_alone(seed, top, step):
    wanted, covariance, codes, scales = problem(seed, step=step, top=top)
    before, kept = error(wanted, covariance, codes, scales, step), scales.copy()
    exchange(Problem(wanted, covariance, step, float(top)), codes, scales)
    assert np.all(error(wanted, covariance, codes, scales, step) <= before * (1 + 1e-9))
    assert np.array_equal(scales, kept)
    assert np.array_equal(codes, np.trunc(codes))
    assert np.abs(codes).max() <= top


def test_an_exchange_finds_two_codes_that_must_move_together():
    covariance, wanted, scales = np.array([[1.0, 0.9], [0.9, 1.0]]), np.array([[0.4, 0.6]]), np.ones((1, 1))
    codes = np.array([[1.0, 0.0]])
    descend(Problem(wanted, covariance, 2, 1.0), codes, scales, np.ones(1), 9)
    assert codes.tolist() == [[1, 0]]
    exchange(Problem(wanted, covariance, 2, 1.0), codes, scales)
    assert codes.tolist() == [[0, 1]]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("top", [1, 7])
def test_an_exchange_is_what_its_docstring_says(seed, top):
    wanted, covariance, codes, scales = problem(seed, outputs=1, columns=7, top=top)
    expected = exchanged(wanted, covariance, codes.copy(), scales, 3, top)
    exchange(Problem(wanted, covariance, 3, float(top)), codes, scales)
    assert np.array_equal(codes, expected)


def exchanged(wanted, covariance, codes, scales, step, top):
    """The same, trying every value of every code and computing every error anew."""

    def error_of(tried):
        return error(wanted, covariance, tried, scales, step)[0]

    def with_code(tried, j, code):
        return np.where(np.arange(codes.shape[1]) == j, float(code), tried)

    for j in range(codes.shape[1]):
        for change in (1, -1):
            if abs(codes[0, j] + change) > top:
                continue
            tried = with_code(codes, j, codes[0, j] + change)
            for _ in range(3):
                for k in (k for k in range(codes.shape[1]) if k != j):
                    values = [with_code(tried, k, code) for code in range(-top, top + 1)]
                    tried = min((tried, *values), key=error_of)
            if error_of(tried) < error_of(codes):
                codes = tried
                break
    return codes


def test_exchanges_come_nearer_to_the_best_of_all_codes():
    """Of all 729 ternary codes of six columns: descent alone ends above the best in more problems than exchanges do."""
    missed = {"descend": 0, "exchange": 0}
    everything = np.array([*product((-1.0, 0.0, 1.0), repeat=6)])
    for seed in range(40):
        wanted, covariance, codes, scales = problem(seed, outputs=1)
        best = error(np.repeat(wanted, len(everything), 0), covariance, everything, scales.repeat(729, 0), 3).min()
        for how in missed:
            for _ in range(8):
                if how == "exchange":
                    exchange(Problem(wanted, covariance, 3, 1.0), codes, scales)
                else:
                    at_rest(wanted, covariance, codes, scales)
            missed[how] += bool(error(wanted, covariance, codes, scales, 3)[0] > best + 1e-9)
    assert missed["exchange"] < missed["descend"] / 4


def at_rest(wanted, covariance, codes, scales):
    """Descend with scales that cannot move: their only multiple in reach is what they are."""
    held = scales.copy()
    descend(Problem(wanted, covariance, 3, 1.0), codes, scales, np.zeros(1), 1)
    scales[:] = held


def test_rows_of_an_exchange_do_not_see_each_other():
    wanted, covariance, codes, scales = problem(6, outputs=7)
    alone = codes.copy()
    exchange(Problem(wanted, covariance, 3, 1.0), codes, scales)
    for o in (6, 0, 3, 1, 2, 5, 4):
        one = slice(o, o + 1)
        exchange(Problem(wanted[one], covariance, 3, 1.0), alone[one], scales[one])
    assert np.array_equal(codes, alone)
