"""A search as one page of HTML: the plans that were tried against what they cost, and each layer's choice."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from .. import CONTRACT, __version__
from . import plots
from .choices import COSTS, offered_range
from .html_page import document, percent, table, text
from .plots import LayerLine, Level, Point, Series
from .search import Budget, Search, Tried, front, pareto

_WHAT = {
    "multiplications": "multiplications left, % of the MACs (100 % less those replaced)",
    "energy": "energy of one image, uJ",
    "bytes": "bytes of constants, kB",
}
_POINTS = "points lost, estimated"


def page(search: Search, chosen: Tried, budget: Budget, matplotlib: Any) -> str:
    """The whole document, charts drawn by the module ``matplotlib``."""
    parts = [_summary(search, chosen, budget)]
    parts += [_chart(search, cost, budget, matplotlib) for cost in COSTS]
    parts += [_trials(search, chosen), _layers(search, chosen, matplotlib), _footer(search)]
    return document(f"Search of {search.problem.network}", parts)


def _summary(search: Search, chosen: Tried, budget: Budget) -> str:
    given, trial = search.problem.given, chosen.trial
    return (
        f"<p>Weights of <b>{text(search.problem.network)}</b> for the budget {text(budget)}: the plan "
        f"<b>{text(chosen.name)}</b> replaces {percent(trial.replaced)} of the multiplications and is estimated "
        f"to lose {search.points(chosen):.2f} points against the float network. "
        f"{given.fit} images without labels calibrated, {given.judge} others judged.</p>"
        '<p class="soft">Points are those that are lost if the float network\'s probabilities are right: '
        f"{search.rate:.1f} a unit of divergence (kl), by all trials together.</p>"
    )


def _chart(search: Search, cost: str, budget: Budget, matplotlib: Any) -> str:
    best = pareto(search, cost)
    groups = (
        ("tried, nothing is better in both", [one for one in search.trials if one in best]),
        ("tried", [one for one in search.trials if one not in best]),
    )
    series = [Series(name, tuple(_point(search, one, cost) for one in ones)) for name, ones in groups if ones]
    levels = [Level("budget", budget.value)] if budget.kind == "points" else []
    svg = plots.by_cost(matplotlib, _WHAT[cost], _POINTS, series, _predicted(search, cost), levels)
    return f"<h2>{text(cost.capitalize())}</h2>{svg}"


def _point(search: Search, one: Tried, cost: str) -> Point:
    y = search.points(one)
    tip = f"{one.name}: {percent(one.trial.replaced)} replaced, {y:.2f} points"
    return Point(_shown(one.cost(cost), cost), y, y, y, tip, one.name)


def _shown(value: float, cost: str) -> float:
    """A cost in the unit of its axis."""
    return 100 * value if cost == "multiplications" else value / (1e6 if cost == "energy" else 1e3)


def _predicted(search: Search, cost: str) -> Series:
    """The front by losses that add up, in proportion to what the trials lost."""
    problem = search.problem
    tried = [one for one in search.trials if one.predicted > 0]
    sums = sum(one.predicted for one in tried)
    unit = sum(map(search.points, tried)) / sums if sums else search.rate
    points = []
    for spent, lost in front(problem, cost):
        whole = spent / problem.macs if cost == "multiplications" else spent + problem.fixed[cost]
        points.append(Point(_shown(whole, cost), unit * lost, unit * lost, unit * lost, ""))
    return Series("predicted by losses of layers that add up", tuple(points))


def _trials(search: Search, chosen: Tried) -> str:
    heads = (
        "plan", "replaced>", "energy, uJ>", "constants, kB>", "points, estimated>", "points, these images>",
        "other class>", "kl>", "seconds>", "model",
    )  # fmt: skip
    ordered = sorted(search.trials, key=lambda one: one.trial.replaced)
    rows = [
        [
            text(one.name), percent(one.trial.replaced), f"{one.trial.picojoules / 1e6:.1f}",
            f"{one.trial.constant_bytes / 1e3:.1f}", f"{search.points(one):.2f}", f"{one.trial.points:.2f}",
            f"{one.trial.differing} of {one.trial.count}", f"{one.trial.kl:.5f}", f"{one.trial.seconds:.1f}",
            f"<code>{text(one.trial.model_hash[:12])}</code>",
        ]
        for one in ordered
    ]  # fmt: skip
    marks = ["front" if one is chosen else "" for one in ordered]
    return f"<h2>Plans</h2>{table(heads, rows, marks)}"


def _layers(search: Search, chosen: Tried, matplotlib: Any) -> str:
    problem = search.problem
    heads = ("layer", "weights", "multiplications left>", "loss, kl>", "range of losses>")
    rows = []
    for (name, weights), layer in zip(chosen.plan.layers, problem.choices, strict=True):
        option = next((one for one in layer if one.weights == weights), None)
        low, high = offered_range(layer)
        rows.append(
            [
                text(name), text(weights), "" if option is None else str(option.multiplications),
                "" if option is None else f"{option.loss:.5f}", f"{low:.5f} to {high:.5f}",
            ]
        )  # fmt: skip
    lines = [LayerLine(what, values) for what, values in _noises(search)]
    svg = plots.by_layer(matplotlib, problem.names, [("kl by an error of 1", lines)])
    return f"<h2>Layers</h2>{svg}{table(heads, rows)}"


def _noises(search: Search) -> Iterable[tuple[str, tuple[float | None, ...]]]:
    found: Sequence[Any] = search.problem.sensitivities
    yield "sensitivity", tuple(one.loss(1.0) for one in found)


def _footer(search: Search) -> str:
    given = search.problem.given
    return (
        f'<footer class="soft"><p>refengine {__version__}, contract {CONTRACT}; network SHA-256 '
        f"<code>{given.network[:16]}</code>, calibration <code>{given.calibration[:16]}</code>.</p></footer>"
    )
