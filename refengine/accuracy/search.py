"""A search: each layer's format and cluster size, so that the loss is least for the cost, or the cost for the loss.

1. Sensitivities: a job a layer (search_jobs.py).  2. A plan for a budget, exactly, by losses that add up (choices.py).
3. Trials: that plan quantized and run on the images that judge.  For a budget of points the sum of losses allowed is
then corrected by what was measured, and the next plan is tried, until a trial lies just within the budget.

Later layers are calibrated on what earlier ones give and repair some of what these lose; nothing repairs the last one.
How much is not known beforehand.  So of a layer's loss a share is counted that grows from the first layer, where it is
one of LEFT, to 1 in the last one, and every one of these has its plans tried.

A trial's points are estimated as rate * kl, with one rate for all trials, points by kl of all together and a guess that
weighs little: what each image adds to kl is far less a matter of chance than how many images change their class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import RangeError, RefengineError
from ..network.float_file import read_float_network
from ..network.float_network import with_input_shape
from ..network.images import open_images
from ..quantization.plan import Plan, Weights
from ..text import shown
from .choices import INT8, Option, least, measured, options, total
from .cost import cost_of
from .energy import HOROWITZ, energy
from .processes import Failure
from .search_folder import Share, answers_of, claim_folder
from .search_jobs import Given, SearchJob, Sensitivity, Sources, Trial, given_of
from .workload import Workload, in_format, workloads

KINDS = ("points", "replaced", "energy", "bytes")
USUAL_TRIALS = 6
LEFT = (0.5, 0.1, 1.0)  # of a loss in the first layer at the end of the network
FRONT = 24  # plans of a predicted front
_CLOSE = 0.85  # share of a budget of points at which no other plan is tried
_USUAL_RATE, _USUAL_KL = 15.0, 0.02  # points by kl, and what kl of trials weighs as much as this guess
_TIGHTER = 3  # plans that are tried to meet a budget of costs
_NOTHING = 1e-9  # share of the MACs, which two sums of floats may differ by
_STEP = 4.0  # at most by this factor is a sum of losses changed without a trial on either side

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Budget:
    """At most ``points`` of accuracy or ``bytes`` or a share of int8's ``energy``, or a share ``replaced`` at least."""

    kind: str
    value: float

    def __str__(self) -> str:
        return f"{self.kind}={self.value:g}"


def budget_of(text: str) -> Budget:
    """A budget as it is written, KIND=NUMBER; RangeError for anything else.

    >>> budget_of("replaced=0.8")
    Budget(kind='replaced', value=0.8)
    """
    kind, _, number = text.partition("=")
    try:
        value = float(number if number.isascii() and "_" not in number else "")
    except ValueError:
        value = float("nan")
    if kind not in KINDS or not value == value:
        raise RangeError(f"--budget is {shown(text)}, needed points=1.0, replaced=0.8, energy=0.5 or bytes=500000")
    top = {"points": 100.0, "replaced": 1.0, "energy": 1.0, "bytes": float(2**62)}[kind]
    if not 0 < value <= top:
        raise RangeError(f"--budget is {shown(text)}, needed {kind} above 0 and at most {top:g}")
    return Budget(kind, value)


@dataclass(frozen=True)
class Tried:
    """A plan that was quantized and run: what it is called, the sum of its layers' losses, what was measured."""

    name: str
    plan: Plan
    predicted: float
    trial: Trial

    def cost(self, name: str) -> float:
        """What is to be little: multiplications left (share of the MACs), energy (pJ) or bytes."""
        return {"multiplications": 1 - self.trial.replaced, "energy": self.trial.picojoules,
                "bytes": float(self.trial.constant_bytes)}[name]  # fmt: skip


@dataclass(frozen=True)
class Problem:
    """What a search works on: the network's layers with weights and their options, and what no plan changes.

    macs, int8_energy: of one image.  fixed: energy (pJ) and bytes of layers without weights.
    """

    network: str
    given: Given
    names: tuple[str, ...]
    choices: tuple[tuple[Option, ...], ...]
    sensitivities: tuple[Sensitivity, ...]
    macs: int
    int8_energy: float
    fixed: dict[str, float]

    def plan(self, chosen: Sequence[Option]) -> Plan:
        """The plan that options, one a layer, are."""
        return Plan(self.network, tuple(zip(self.names, (option.weights for option in chosen), strict=True)))

    def counting(self, left: float) -> tuple[tuple[Option, ...], ...]:
        """The choices; of their losses a share counts that grows from ``left`` in the first layer to 1 in the last."""
        last = max(1, len(self.names) - 1)
        shares = [left ** (1 - place / last) for place in range(len(self.names))]
        return tuple(
            tuple(replace(option, loss=option.loss * share) for option in layer)
            for layer, share in zip(self.choices, shares, strict=True)
        )

    def predicted(self, plan: Plan, left: float = 1.0) -> float | None:
        """The sum of losses of a plan, counted so; None where it has what was not offered."""
        sums = 0.0
        for (_, weights), layer in zip(plan.layers, self.counting(left), strict=True):
            found = [option.loss for option in layer if option.weights == weights]
            if not found:
                return None
            sums += found[0]
        return sums

    def limit(self, budget: Budget) -> tuple[str, float]:
        """A budget of costs as a field of options, and the most that its sum may be."""
        if budget.kind == "replaced":
            return "multiplications", (1 - budget.value) * self.macs
        if budget.kind == "energy":
            return "energy", budget.value * self.int8_energy - self.fixed["energy"]
        return "bytes", budget.value - self.fixed["bytes"]

    def excess(self, budget: Budget, trial: Trial) -> float:
        """By how much a trial takes more than a budget of costs allows, 0 or less where it meets it."""
        if budget.kind == "replaced":
            return (budget.value - trial.replaced - _NOTHING) * self.macs
        if budget.kind == "energy":
            return trial.picojoules - budget.value * self.int8_energy
        return trial.constant_bytes - budget.value


@dataclass
class Search:
    """A search that goes on: its folder, the share of work, and what was tried.  Trials are in the order of trying."""

    folder: Path
    share: Share
    problem: Problem
    progress: Progress
    complain: Callable[[str], None]
    trials: list[Tried] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Points by kl of all trials; before there is much to see, a usual one."""
        found = [one.trial for one in self.trials]
        kl, points = sum(one.kl for one in found), sum(one.points for one in found)
        return (points + _USUAL_RATE * _USUAL_KL) / (kl + _USUAL_KL)

    def points(self, tried: Tried) -> float:
        """The points that a trial is estimated to lose."""
        return self.rate * tried.trial.kl

    def try_plans(self, plans: Sequence[tuple[str, Plan]]) -> list[Tried]:
        """Quantize and run plans, those alone that were not; RefengineError where one fails."""
        known = {one.plan for one in self.trials}
        new = {plan: name for name, plan in plans if plan not in known}
        jobs = {_trial_job(self.problem.given, plan): plan for plan in new}
        answers = answers_of(self.folder, [*jobs], self.share, self._show("plans"), self.complain)
        for job, plan in jobs.items():
            answer = answers[job.key]
            if not isinstance(answer, Trial):
                raise RefengineError(f"plan {new[plan]} cannot be tried: {_reason(answer)}")
            self.trials.append(Tried(new[plan], plan, self.problem.predicted(plan) or 0.0, answer))
        return [one for one in self.trials if one.plan in {plan for _, plan in plans}]

    def _show(self, what: str) -> Callable[[int, int], None]:
        return lambda done, count: self.progress(done, count, what)


# ----------------------------------------------------------------------------------------------------------- the search


def prepare(
    folder: Path,
    sources: Sources,
    share: Share,
    wanted: int | None = None,
    progress: Progress = lambda done, count, what: None,
    complain: Callable[[str], None] = lambda line: None,
) -> Search:
    """Measure the sensitivities that the folder does not hold yet; ``wanted``: how many images calibrate.

    FileError where the folder is another search's: of other files or other numbers of images.
    """
    given = given_of(sources, wanted)
    network = read_float_network(sources.network)
    with open_images(sources.calibration, labels_required=False) as file:
        network = with_input_shape(network, file.shape[:2])
    claim_folder(folder, given)
    layers = workloads(network)
    with_weights = [layer for layer in layers if layer.filters is not None]
    jobs = [
        SearchJob(given, layer.name, tuple(map(str, measured(layer.filters))))
        for layer in with_weights
        if layer.filters
    ]
    answers = answers_of(folder, jobs, share, lambda done, count: progress(done, count, "layers"), complain)
    found = []
    for job in jobs:
        answer = answers[job.key]
        if not isinstance(answer, Sensitivity):
            raise RefengineError(f"layer {job.layer!r} cannot be measured: {_reason(answer)}")
        found.append(answer)
    return Search(folder, share, _problem(network.name, given, layers, found), progress, complain)


def _problem(network: str, given: Given, layers: Sequence[Workload], found: Sequence[Sensitivity]) -> Problem:
    with_weights = [layer for layer in layers if layer.filters is not None]
    others = cost_of(layer for layer in layers if layer.filters is None)
    eight = cost_of(in_format(tuple(layers), INT8.format))
    return Problem(
        network,
        given,
        tuple(layer.name for layer in with_weights),
        tuple(options(layer, one) for layer, one in zip(with_weights, found, strict=True)),
        tuple(found),
        eight.macs,
        energy(eight.layers, HOROWITZ).total,
        {"energy": energy(others.layers, HOROWITZ).total, "bytes": float(others.storage.total)},
    )


def uniform(problem: Problem, weights: Weights) -> Plan:
    """Every layer the same but the first and the last, which are int8, as ``quantize`` has it."""
    inner = [weights] * (len(problem.names) - 2)
    ends = [INT8] * (len(problem.names) - len(inner))
    return Plan(problem.network, tuple(zip(problem.names, [*ends[:1], *inner, *ends[1:]], strict=True)))


def within_points(search: Search, points: float, cost: str, trials: int = USUAL_TRIALS) -> Tried:
    """The plan of least ``cost`` found that loses no more than ``points``, after at most so many trials.

    RefengineError where even int8 throughout loses more.
    """
    repeated = 0
    for number in range(trials):
        left = LEFT[number % len(LEFT)]
        chosen = least(search.problem.counting(left), cost, "loss", _allowed(search, points, left))
        plan = uniform_int8(search.problem) if chosen is None else search.problem.plan(chosen)
        repeated = repeated + 1 if any(one.plan == plan for one in search.trials) else 0
        search.try_plans([(f"points {number + 1}", plan)])
        nearest = max((one for one in search.trials if search.points(one) <= points), key=search.points, default=None)
        near = nearest is not None and search.points(nearest) >= _CLOSE * points
        if (near and number + 1 >= len(LEFT)) or repeated == len(LEFT):
            break
    found = best_within(search, points, cost)
    if found is None:
        search.try_plans([("int8", uniform_int8(search.problem))])
        found = best_within(search, points, cost)
    if found is None:
        lost = min(map(search.points, search.trials))
        raise RefengineError(f"no plan loses {points:g} points or less; the best one tried loses {lost:.2f}")
    return found


def best_within(search: Search, points: float, cost: str) -> Tried | None:
    """Of all trials that lose no more than ``points`` the one of least cost."""
    good = [one for one in search.trials if search.points(one) <= points]
    return min(good, key=lambda one: (one.cost(cost), one.trial.kl), default=None)


def _allowed(search: Search, points: float, left: float) -> float:
    """The sum of losses at which ``points`` are expected: in proportion, by the nearest trials on either side."""
    sums = [(search.problem.predicted(one.plan, left) or 0.0, search.points(one)) for one in search.trials]
    measured_ones = sorted(pair for pair in sums if pair[0] > 0)
    below = [pair for pair in measured_ones if pair[1] <= points]
    above = [pair for pair in measured_ones if pair[1] > points]
    if below and above and below[-1][0] < above[0][0]:
        (low, less), (high, more) = below[-1], above[0]
        return low + (high - low) * (0.97 * points - less) / (more - less)
    if not measured_ones:
        return points / search.rate
    predicted, lost = below[-1] if below else above[0]
    factor = points / lost if lost > 0 else _STEP
    return predicted * min(_STEP, max(1 / _STEP, 0.97 * factor))


def within_cost(search: Search, budget: Budget) -> Tried:
    """Of all trials within a budget of costs the one of least loss, the solver's plans among them.

    RefengineError where no plan is so cheap.
    """
    problem = search.problem
    name, limit = problem.limit(budget)
    first = [(left, least(problem.counting(left), "loss", name, limit)) for left in LEFT]
    search.try_plans([(_called(budget, left), problem.plan(chosen)) for left, chosen in first if chosen is not None])
    for left in LEFT:
        _meet(search, budget, left)
    good = [one for one in search.trials if problem.excess(budget, one.trial) <= 0]
    if not good:
        lowest = sum(min(getattr(option, name) for option in layer) for layer in problem.choices)
        raise RefengineError(f"--budget {budget} cannot be met, {_lowest(problem, budget, lowest)}")
    return min(good, key=lambda one: one.trial.kl)


def _meet(search: Search, budget: Budget, left: float) -> None:
    """Try the plan of least loss for a budget.

    The model may take a little more than what was counted beforehand, wider multipliers for one: then a plan that takes
    as much less is tried.
    """
    name, limit = search.problem.limit(budget)
    for _ in range(_TIGHTER):
        chosen = least(search.problem.counting(left), "loss", name, limit)
        if chosen is None:
            return
        (tried,) = search.try_plans([(_called(budget, left), search.problem.plan(chosen))])
        excess = search.problem.excess(budget, tried.trial)
        if excess <= 0:
            return
        limit -= excess


def _called(budget: Budget, left: float) -> str:
    return f"{budget}, {left:g} left"


def _lowest(problem: Problem, budget: Budget, lowest: float) -> str:
    if budget.kind == "replaced":
        return f"at most {1 - lowest / problem.macs:.4f} are replaced"
    if budget.kind == "energy":
        return f"the least energy is {(lowest + problem.fixed['energy']) / problem.int8_energy:.4f} of int8's"
    return f"the fewest bytes are {lowest + problem.fixed['bytes']:.0f}"


def uniform_int8(problem: Problem) -> Plan:
    """Every layer int8."""
    return Plan(problem.network, tuple((name, INT8) for name in problem.names))


def front(problem: Problem, cost: str, count: int = FRONT) -> list[tuple[float, float]]:
    """(cost, sum of losses) of plans of least loss, evenly spaced in cost from the least that is possible to int8's."""
    lowest = sum(min(getattr(option, cost) for option in layer) for layer in problem.choices)
    highest = sum(max(getattr(option, cost) for option in layer if option.weights == INT8) for layer in problem.choices)
    points = []
    for step in range(count):
        limit = lowest + (highest - lowest) * step / (count - 1)
        chosen = least(problem.choices, "loss", cost, limit * (1 + 1e-12))
        if chosen is not None:
            points.append((total(chosen, cost), total(chosen, "loss")))
    return points


def pareto(search: Search, cost: str) -> list[Tried]:
    """Trials than which none costs as little and loses less, the cheapest first."""
    found: list[Tried] = []
    for one in sorted(search.trials, key=lambda one: (one.cost(cost), one.trial.kl)):
        if not found or one.trial.kl < found[-1].trial.kl:
            found.append(one)
    return found


def _trial_job(given: Given, plan: Plan) -> SearchJob:
    return SearchJob(given, None, tuple(str(weights) for _, weights in plan.layers))


def _reason(answer: object) -> str:
    return answer.reason if isinstance(answer, Failure) else "its result is of another kind"
