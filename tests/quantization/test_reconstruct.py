"""Reconstruction: what codes can hold is found again, what is cut off is not asked for, threads change nothing."""

from itertools import product

import numpy as np
import pytest

from refengine.quantization import reconstruct as module
from refengine.quantization.reconstruct import Ridge, Shape, State, Target, reconstruct, reconstruct_dense
from refengine.quantization.windows import Windows


def seen(seed=0, count=4000, columns=12):
    rng = np.random.default_rng(seed)
    mixed = (rng.standard_normal((count, columns)) @ rng.standard_normal((columns, columns))).astype(np.float32)
    return Windows(mixed - mixed.mean(axis=0), np.zeros(columns))


def free(sums):
    return Target(sums.astype(np.float32), np.full(sums.shape, -np.inf), np.full(sums.shape, np.inf))


def state_of(wanted, windows, codes, scales):
    return State(wanted, windows.covariance, codes, scales, Shape(4, 1, "channel"), 1)


def ternary(seed=0, outputs=5, columns=12, step=4):
    rng = np.random.default_rng(seed)
    codes = rng.integers(-1, 2, (outputs, columns)).astype(float)
    scales = rng.integers(64, 120, (outputs, columns // step)) / 128
    return codes, scales, codes * np.repeat(scales, step, axis=1)


def test_a_ridge_gives_least_squares_where_windows_say_enough_and_the_weights_where_they_say_nothing():
    windows, (_, _, weight) = seen(), ternary()
    sums = windows.columns @ weight.T
    found = Ridge(windows.covariance, 10**9).wanted(weight + 1, windows.covariance_with(sums))
    missing = [((w - weight) @ windows.covariance * (w - weight)).sum() for w in (found, weight + 1)]
    assert missing[0] < 0.01 * missing[1]
    nothing = np.zeros((12, 12))
    assert np.allclose(Ridge(nothing, 100).wanted(weight, np.zeros((5, 12))), weight)


def test_codes_and_scales_that_make_the_target_are_found():
    windows, (codes, scales, weight) = seen(), ternary()
    made = reconstruct(windows, free(windows.columns @ weight.T), weight, scales * 1.05, Shape(4, 1, "channel"))
    assert np.array_equal(made[0], codes)
    used = np.array([[codes[o, 4 * g : 4 * g + 4].any() for g in range(3)] for o in range(5)])
    assert np.allclose(made[1][used], scales[used], rtol=0.02)


def test_scales_are_whole_multiples_of_one_power_of_two():
    windows, rng = seen(), np.random.default_rng(3)
    weight = rng.standard_normal((6, 12)) * np.array([1, 100, 0.01, 1, 1, 1])[:, None]
    for scope in ("channel", "layer"):
        made = reconstruct(windows, free(windows.columns @ weight.T), weight, np.ones((6, 3)), Shape(4, 7, scope))
        exponents = [min(e for e in range(-40, 40) if row.max() <= 127 * 2.0**e) for row in made[1]]
        finest = [2.0 ** (e if scope == "channel" else max(exponents)) for e in exponents]
        multiples = made[1] / np.array(finest)[:, None]
        assert np.array_equal(multiples, np.trunc(multiples))
        assert np.abs(made[0]).max() <= 7


@pytest.mark.parametrize("seed", range(4))
def test_few_codes_come_near_the_best_of_all(seed):
    """Against every combination of codes, each with its best scale: the search may miss it, not by much."""
    windows, rng = seen(seed, columns=6), np.random.default_rng(seed)
    weight = rng.standard_normal((1, 6))
    target = windows.columns @ weight.T
    codes, scales = reconstruct(windows, free(target), weight, np.full((1, 1), 0.7), Shape(6, 1, "channel"))
    covariance = windows.covariance

    def error(missing):
        return float(missing @ covariance @ missing)

    best = np.inf
    for tried in product((-1.0, 0.0, 1.0), repeat=6):
        code = np.array(tried)
        curvature = error(code)
        scale = max(0.0, float(weight[0] @ covariance @ code) / curvature) if curvature else 0.0
        best = min(best, error(weight[0] - scale * code))
    nothing = error(weight[0])
    assert error(weight[0] - codes[0] * scales[0, 0]) <= best + 0.05 * nothing


def test_what_is_cut_off_need_not_be_met():
    """Below the threshold the target is wild; with the activation known, what is let through comes out better."""
    windows, (_, _, weight) = seen(1, columns=12), ternary(1)
    sums = windows.columns @ np.random.default_rng(5).standard_normal((5, 12)).T
    wild = np.where(sums < 0, sums * 20, sums).astype(np.float32)
    shape, first = Shape(4, 1, "channel"), np.ones((5, 3))
    none, relu = free(wild), Target(wild, np.zeros(wild.shape), np.full(wild.shape, np.inf))

    def loss(target):
        codes, scales = reconstruct(windows, target, weight, first, shape)
        result = windows.columns @ (codes * np.repeat(scales, 4, axis=1)).T
        shift = relu.relaxed(result + wild.mean(axis=0)).mean(axis=0)
        return float((relu.relaxed(result + shift) - (result + shift)).var())

    assert loss(relu) < loss(none)


def test_relaxed_targets_are_the_result_where_both_are_cut_off():
    target = Target(*(np.array([values], np.float32) for values in ([-5, -5, 3, 9, 9], [0] * 5, [6] * 5)))
    result = np.array([[-1, 2, -7, 7, 4]], np.float32)
    assert target.relaxed(result).tolist() == [[-1, 0, 3, 7, 6]]
    assert target.cuts
    assert not free(np.zeros((1, 1))).cuts


def test_threads_change_nothing():
    windows, weight = seen(2), np.random.default_rng(2).standard_normal((37, 12))
    made = [
        reconstruct(
            windows, free(windows.columns @ weight.T), weight, np.ones((37, 3)), Shape(4, 1, "channel"), threads
        )
        for threads in (1, 2, 5, 9)
    ]
    for codes, scales in made[1:]:
        assert np.array_equal(codes, made[0][0])
        assert np.array_equal(scales, made[0][1])


def test_more_starts_never_lose(monkeypatch):
    windows, weight = seen(4), np.random.default_rng(4).standard_normal((6, 12))
    errors = []
    for starts in (3, 4, 12):
        monkeypatch.setattr(module, "_STARTS", starts)
        state = state_of(weight, windows, np.zeros((6, 12)), np.ones((6, 3)))
        module._search(state, np.ones((6, 3)), module._root(windows.covariance))
        errors.append(module._error(weight, windows.covariance, state.codes, state.scales, 4))
    assert np.all(errors[1] <= errors[0])
    assert np.all(errors[2] <= errors[1])


def test_the_number_of_starts_falls_with_the_work():
    assert module._starts((16, 144)) == 48
    assert module._starts((512, 4608)) == 3


@pytest.mark.parametrize("free", [True, False])
def test_improving_never_loses_and_often_gains(free):
    windows, weight = seen(5), np.random.default_rng(5).standard_normal((6, 12))
    units = np.zeros(6) if free else np.full(6, 1 / 32)
    codes, scales = np.zeros((6, 12)), np.full((6, 3), 0.75)
    state = state_of(weight, windows, codes, scales)
    state.descend(slice(None), units, 50)
    before = module._error(weight, windows.covariance, codes, scales, 4)
    module._improve(state, units, 4)
    after = module._error(weight, windows.covariance, codes, scales, 4)
    assert np.all(after <= before + 1e-9)
    assert np.sum(after < 0.99 * before) >= 2
    if not free:
        assert np.array_equal(scales * 32, np.trunc(scales * 32))


def test_improving_has_bounded_work(monkeypatch):
    """Where one time would be too much already, nothing is done."""
    monkeypatch.setattr(module, "_EXCHANGE_WORK", 6 * 12**2 - 1)
    windows, codes, scales = seen(5), np.ones((6, 12)), np.ones((6, 3))
    module._improve(state_of(np.zeros((6, 12)), windows, codes, scales), np.zeros(6), 4)
    assert np.all(codes == 1)


def test_every_order_is_a_permutation():
    orders = [module._order(start, np.eye(64)) for start in range(48)]
    assert all(sorted(order) == list(range(64)) for order in orders)
    assert len({tuple(order) for order in orders[4:]}) == 44


def test_a_dense_target_is_the_ridge():
    windows, (_, _, weight) = seen(), ternary()
    sums = (windows.columns @ weight.T).astype(np.float32)
    covariance, cross = windows.covariance, windows.covariance_with(sums)
    r = (0.01 + 12 / len(sums)) * np.diag(covariance).mean()
    wanted = np.linalg.solve(covariance + r * np.eye(12), (cross + r * weight).T).T
    assert np.allclose(reconstruct_dense(windows, free(sums), weight), wanted, rtol=1e-9, atol=1e-12)
