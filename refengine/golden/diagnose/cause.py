"""Why a layer differs: the layer is recomputed from its own inputs under every hypothesis, and the dump is compared.

A few hundred values, half of them wrong ones, sort the hypotheses out; those that reproduce them all are recomputed
whole.  A cause is *certain* only if it alone reproduces every value, right ones too, if there are enough wrong ones,
and if these come from enough different sums to mean something.  Of several that reproduce everything none is certain:
all are named, and what would tell them apart.  Otherwise the best explanation is given with its share of the wrong
values: agreement where the dump is right anyway counts for nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product

import numpy as np

from .evidence import Evidence, Match, Sample, Score, everything, sample_of, screened, with_faults
from .hypotheses import Hypothesis, candidates, is_hypothesis, kind, named
from .hypotheses_accumulator import GROUPINGS
from .machine import Case, machine_of, stages_of_case, taps
from .observe import Observation, observe
from .recompute import recompute, requantized
from .structure import Finding, affected, findings, places_in_words

__all__ = ["ENOUGH", "Diagnosis", "Match", "diagnose"]

ENOUGH = (
    8  # wrong values, and different sums behind them, that a hypothesis must reproduce before its name means anything
)
_SAMPLE = 256
_LARGE_SAMPLE = 4096
_WHOLE_CHECKS = 6
_PAIR_LEADERS = 5
_PAIR_SAMPLE = 64
_MOST_PRODUCTS = 1 << 28
_PAIR_BUDGET = 3 << 27
_READ_OFF = ("constant_offset", "channel_offsets", "not_written")  # whatever differs a little can be described so
_BITS = ("stuck_bits", "inverted_bits")
_DESCRIPTIONS = (*_READ_OFF, "all_zero", "constant")
_LISTED = 10
_TOLD = 3
_VARIED = 4  # different pairs of what should be and what is there
_OF_CODES = 16  # from codes alone, so many times more is needed


@dataclass(frozen=True)
class Diagnosis:
    """Why a layer differs.

    ``cause``: the name of the best explanation, None where nothing explains anything.  ``certain``: it alone
    reproduces every value.  ``sentence``: that in words.  ``ranked``: the best explanations, best first.  ``remarks``:
    what else is to be seen in the differences.  ``where``: where they lie and what they are.
    """

    cause: str | None
    certain: bool
    sentence: str
    ranked: tuple[Match, ...] = ()
    remarks: tuple[str, ...] = ()
    where: tuple[Observation, ...] = ()


def diagnose(
    case: Case,
    stage: str | None,
    got: np.ndarray | Mapping[str, np.ndarray],
    unknown: Mapping[str, np.ndarray] | None = None,
) -> Diagnosis:
    """Why a dump of a layer differs from the contract.

    ``got``: integers (N, ...) of ``stage``, or {stage: integers}; stages are accumulator, total and code, and logits
    for the result of the last layer.  ``unknown``: {stage: bool (N, ...)}, values with bits that are neither 0 nor 1,
    which are left out.  RangeError for a stage that the layer has not, another shape or other numbers.
    """
    evidence = Evidence(case, got if isinstance(got, Mapping) else {stage or "": got}, unknown)
    count = evidence.left_out
    out = f"; {count} value{'s' if count > 1 else ''} with unknown bits left out" if count else ""
    if not evidence.differing:
        return Diagnosis(None, False, f"all {evidence.size} {'known ' if out else ''}values agree{out}")
    seen = where(evidence)
    judged = _judged(evidence, _explained(evidence), seen)
    judged = replace(judged, sentence=judged.sentence + out)
    return replace(judged, remarks=(*_remarks(evidence), *(one.sentence for one in seen)), where=seen)


# ----------------------------------------------------------------------------------------------------------- explaining


def _explained(evidence: Evidence) -> list[Match]:
    """The matches of all that was tried, best first."""
    sample = sample_of(evidence, _SAMPLE)
    tried = {hypothesis.name: hypothesis for hypothesis in candidates(sample)}
    scores = sorted(screened(sample, [*tried.values()]), key=lambda score: score.rank, reverse=True)
    found = _structural(evidence)
    found += _whole(evidence, [*_few_of_each([score for score in scores if score.perfect])])
    if not _named(found):
        partial = [score for score in scores if score.match.equal == score.match.total and not score.perfect]
        partial.sort(key=lambda score: score.match.spoiled)
        found += _whole(evidence, [*_few_of_each(partial)], places=True)
    if not _named(found):
        found += _whole(evidence, _pairs(evidence, sample, scores, tried)[:_WHOLE_CHECKS])
    known = {match.name for match in found}
    found += [score.match for score in scores if score.match.name not in known and score.match.equal]
    return found


def _few_of_each(scores: Sequence[Score]) -> Iterator[Score]:
    """The scores, of each family the first ones: where many widths do, no more is to be learned from all of them."""
    seen: dict[str, int] = {}
    for score in scores:
        name = kind(score.match.name)
        seen[name] = seen.get(name, 0) + 1
        if seen[name] <= _WHOLE_CHECKS:
            yield score


def _named(found: Sequence[Match]) -> bool:
    """Something is exact that says why, not only what."""
    return any(match.exact and match.name not in _DESCRIPTIONS for match in found)


def _structural(evidence: Evidence) -> list[Match]:
    """Faults of memories and bits that explain the stages that differ, everywhere or in some channels."""
    places = affected(evidence.anywhere, evidence.anywhere.ndim - 1)
    count = evidence.anywhere.shape[-1]
    looks: list[tuple[str | None, np.ndarray]] = [(None, np.arange(count))]
    if len(places) < count:
        looks.append((places_in_words(places, count, "channel"), places))
    for place, channels in looks:
        stages = evidence.differing[:1] if evidence.follows else evidence.differing
        names = [{found.name for found in _found(evidence, stage, channels)} for stage in stages]
        common = set.intersection(*names)
        if common:
            order = [found.name for found in _found(evidence, evidence.differing[0], channels)]
            return [Match(name, evidence.total, evidence.total, 0, True, place) for name in order if name in common]
    return []


def _found(evidence: Evidence, stage: str, channels: np.ndarray) -> tuple[Finding, ...]:
    skipped = evidence.case.skipped * int(np.prod(evidence.case.shape))
    golden, got, known = evidence.golden[stage], evidence.got[stage], evidence.known
    return findings(golden[..., channels], got[..., channels], skipped, known[..., channels])


def _whole(evidence: Evidence, scores: Sequence[Score], places: bool = False) -> list[Match]:
    """Matches over the whole dump; with ``places``, of hypotheses that are at work in a part of it."""
    if not scores:
        return []
    large = sample_of(evidence, _LARGE_SAMPLE)
    matches = []
    for score in scores:
        names = score.match.name.split(" + ")
        machine = with_faults(large.machine, names)
        closer_look = None if machine is None else large.score(score.match.name, machine)
        if closer_look is None or not (closer_look.perfect or (places and closer_look.explains)):
            matches.append(score.match if closer_look is None else closer_look.match)
            continue
        if _slow(evidence, names):
            matches.append(_sampled(evidence, score.match.name))
            continue
        same = _same(evidence, score.match.name)
        match = evidence.match(score.match.name, same)
        place = _place(evidence, same) if places and not match.exact else None
        matches.append(match if place is None else replace(match, spoiled=0, equal=evidence.total, place=place))
    return matches


def _slow(evidence: Evidence, names: Sequence[str]) -> bool:
    """Whether a whole recomputation would go through every single product of a large layer."""
    machine = with_faults(evidence.machine, [name for name in names if is_hypothesis(name)])
    if machine is None or (machine.products is None and machine.lines == (None, None)):
        return False
    return evidence.anywhere.size * taps(machine) > _MOST_PRODUCTS


def _sampled(evidence: Evidence, name: str) -> Match:
    """The match of a hypothesis at as many values as take a few seconds."""
    sample = sample_of(evidence, max(_LARGE_SAMPLE, _MOST_PRODUCTS // taps(evidence.machine) // 4))
    machine = with_faults(sample.machine, name.split(" + "))
    match = Match(name, 0, 1) if machine is None else sample.score(name, machine).match
    if match.equal < match.total or match.spoiled:
        return match
    return Match(name, evidence.total, evidence.total, 0, True, None, len(sample.where))


def _place(evidence: Evidence, same: Mapping[str, np.ndarray]) -> str | None:
    """Channels, images, rows or columns that hold all differences, and in which a hypothesis reproduces everything."""
    names = {1: "channel"} if evidence.anywhere.ndim == 2 else {3: "channel", 1: "row", 2: "column"}
    for axis, name in {**names, 0: "image"}.items():
        places = affected(evidence.anywhere, axis)
        words = places_in_words(places, evidence.anywhere.shape[axis], name)
        if words is not None and all(same[stage].take(places, axis).all() for stage in evidence.stages):
            return words
    return None


def _pairs(
    evidence: Evidence, sample: Sample, scores: Sequence[Score], hypotheses: Mapping[str, Hypothesis]
) -> list[Score]:
    """Two hypotheses that together reproduce the sample: the most promising ones, each with all others."""
    few = sample.few(2 * _PAIR_SAMPLE)
    by_rank = [score.match.name for score in scores[:_PAIR_LEADERS]]
    nearest = sorted(scores, key=lambda score: score.closer, reverse=True)[:_PAIR_LEADERS]
    leaders = [*dict.fromkeys([*by_rank, *(score.match.name for score in nearest)])]
    alive = [score.match.name for score in scores]
    budget = max(1, _PAIR_BUDGET // (len(few.where) * taps(sample.machine)))
    position = {name: place for place, name in enumerate(hypotheses)}
    pairs = dict.fromkeys(
        tuple(sorted(pair, key=position.__getitem__)) for pair in product(leaders, alive) if pair[0] != pair[1]
    )
    found = []
    for one, other in islice(pairs, budget):
        if any(score.perfect for score in screened(few, [hypotheses[other]], [one])):
            found += [score for score in screened(sample, [hypotheses[other]], [one]) if score.perfect]
    return sorted(found, key=lambda score: [position[name] for name in score.match.name.split(" + ")])


# -------------------------------------------------------------------------------------------------------------- judging


def _judged(evidence: Evidence, found: Sequence[Match], seen: Sequence[Observation]) -> Diagnosis:
    """A cause out of the matches, no more certain than they allow."""
    exact = _best_exact(found)
    ranked = (*exact, *(match for match in found if match not in exact))[: max(_LISTED, len(exact))]
    if not exact:
        return _partial(evidence, ranked, seen)
    cause = exact[0]
    sentence = _reproduced(evidence, exact)
    if len(exact) > 1:
        return Diagnosis(cause.name, False, f"{sentence}. {_telling(evidence, exact)}", ranked)
    doubt = _doubt(evidence, cause)
    return Diagnosis(cause.name, doubt is None, sentence if doubt is None else f"{sentence}{doubt}", ranked)


def _reproduced(evidence: Evidence, exact: Sequence[Match]) -> str:
    """The causes in words, one or several, and how much they reproduce."""
    words = _words_of_all(evidence, exact)
    share = f"all {evidence.size} values, {evidence.total} of them wrong"
    if len(words) == 1:
        unsure = ", and this dump cannot tell its numbers apart" if len(exact) > 1 else ""
        return f"{words[0]}: this reproduces {share}{unsure}"
    return f"{'; or '.join(words)}: each reproduces {share}, and this dump cannot tell them apart"


def _words_of_all(evidence: Evidence, exact: Sequence[Match]) -> list[str]:
    """Each match in words; members of one family together."""
    words: dict[str, list[Match]] = {}
    for match in exact:
        words.setdefault(f"{kind(match.name)} {match.place}" if "=" in match.name else match.name, []).append(match)
    return [
        _words(evidence, alike[0]) + (f" (or with {len(alike) - 1} other numbers)" if len(alike) > 1 else "")
        for alike in words.values()
    ]


def _doubt(evidence: Evidence, cause: Match) -> str | None:
    """Why a cause that alone reproduces everything is not certain; None where it is."""
    if " + " in cause.name:
        return "; other pairs may do so too"
    if cause.sampled:
        return f", tried at {cause.sampled} of {evidence.anywhere.size} places only"
    if cause.name in _DESCRIPTIONS:
        return ", but it says what, not why"
    if cause.name == "images_rotated" and evidence.case.count == 2:
        return "; with two images an exchange and a rotation are the same"
    if kind(cause.name) == "bias_missing_in" and "accumulator" not in evidence.stages:
        return ", but from codes alone another number for the bias may do so too"
    if evidence.total < ENOUGH:
        return ", too few to be certain"
    if evidence.observations < _VARIED:
        return ", but the wrong values are too much alike to be certain"
    alone = evidence.stages == ("code",) and len(stages_of_case(evidence.case)) > 1
    if alone and (evidence.total < _OF_CODES * ENOUGH or evidence.observations < _OF_CODES):
        return ", from codes alone, too few and too much alike to be certain"
    if evidence.different_sums < ENOUGH:
        return f", but these come from {evidence.different_sums} different sums, too few to be certain"
    if cause.place is not None and "image" in cause.place:
        return ", but what an image leaves right proves nothing of the others"
    return _each_addition(evidence, cause.name)


def _each_addition(evidence: Evidence, name: str) -> str | None:
    """Whether an accumulator that saturates at the end may do so at each addition, in an order that nobody knows."""
    if kind(name) != "accumulator_saturates" or machine_of(evidence.case).op != "conv":
        return None
    large, bits = sample_of(evidence, _LARGE_SAMPLE), name.split("=")[1]
    for grouping in range(len(GROUPINGS)):
        for bias_last in (0, 1, 2):
            each = f"accumulator_saturates_stepwise={grouping},{bias_last},{bits}"
            machine = with_faults(large.machine, [each])
            match = None if machine is None else large.score(each, machine).match
            if match is not None and match.total - match.equal + match.spoiled < ENOUGH:
                return ", but at the end or at each addition: too few values would tell"
    return None


def _best_exact(found: Sequence[Match]) -> tuple[Match, ...]:
    """Those that reproduce everything; what was read off the dump only where there is nothing better."""
    exact = [match for match in found if match.exact]
    everywhere = [match for match in exact if match.place is None] or exact
    causes = [match for match in everywhere if match.name not in _READ_OFF]
    singles = [match for match in causes if " + " not in match.name]
    # of what is at work in a place alone, a number that was solved for comes after a fault without one
    singles.sort(key=lambda match: (match.name in _BITS, match.place is not None and "=" in match.name))
    return tuple(singles or causes or everywhere[:1])


def _partial(evidence: Evidence, ranked: tuple[Match, ...], seen: Sequence[Observation]) -> Diagnosis:
    """What is said where nothing reproduces everything: nearly everything, or only where the differences lie."""
    best = ranked[0] if ranked else None
    if best is None or 10 * (best.equal - best.spoiled) < 9 * best.total or _slow(evidence, best.name.split(" + ")):
        return _unexplained(evidence, ranked, seen)
    same = _same(evidence, best.name)
    best = evidence.match(best.name, same)
    if 10 * (best.equal - best.spoiled) < 9 * best.total:
        return _unexplained(evidence, ranked, seen)
    sentence = (
        f"best explanation: {_words(evidence, best)}; "
        f"it reproduces {_percent(best.equal, best.total)} of the {best.total} wrong values"
    )
    if best.spoiled:
        sentence += f" and would change {best.spoiled} right ones"
    complete = _complete_channels(evidence, same)
    if complete is not None:
        sentence += f"; in {complete} it would write exactly what is there"
    return Diagnosis(best.name, False, sentence, (best, *ranked[1:]))


def _same(evidence: Evidence, name: str) -> dict[str, np.ndarray]:
    """Where a hypothesis writes what is there, all stages, everywhere."""
    values = everything(evidence.case, name.split(" + "), evidence.stages, evidence.differing)
    return {stage: evidence.same(stage, values[stage]) for stage in evidence.stages}


def _unexplained(evidence: Evidence, ranked: tuple[Match, ...], seen: Sequence[Observation]) -> Diagnosis:
    """No cause: where the differences lie, and the channels in which a hypothesis writes exactly what is there."""
    sentence = f"no fault hypothesis explains the {evidence.total} wrong values"
    told = [one.sentence for one in seen if one.kind != "share"][:_TOLD]
    if told:
        sentence += f"; {'; '.join(told)}"
    for match in ranked[:_TOLD]:
        if match.equal * 4 > match.total and not _slow(evidence, match.name.split(" + ")):
            complete = _complete_channels(evidence, _same(evidence, match.name))
            if complete is not None:
                sentence += f"; in {complete} all is as if {_words(evidence, match)}"
                break
    return Diagnosis(None, False, sentence, ranked)


def _complete_channels(evidence: Evidence, same: Mapping[str, np.ndarray]) -> str | None:
    """The channels with differences in which a hypothesis reproduces everything, where there are some but not all."""
    others = tuple(range(evidence.anywhere.ndim - 1))
    right = np.logical_and.reduce([same[stage].all(axis=others) for stage in evidence.stages])
    places = np.flatnonzero(evidence.anywhere.any(axis=others) & right)
    return places_in_words(places, len(right), "channel") if len(places) else None


def _percent(part: int, whole: int) -> str:
    """A share cut to tenths, so that only everything is 100 %.

    >>> _percent(9999, 10000), _percent(3, 3)
    ('99.9 %', '100.0 %')
    """
    tenths = 1000 * part // whole
    return f"{tenths // 10}.{tenths % 10} %"


def _words(evidence: Evidence, match: Match) -> str:
    """What a match says, and where."""
    if is_hypothesis(match.name.split(" + ")[0]):
        sentence = ", and ".join(named(name).sentence for name in match.name.split(" + "))
        layers = evidence.case.network.layers
        sentence = re.sub(r"layer number (\d+)", lambda found: f"layer {layers[int(found[1])].name}", sentence)
    else:
        channels = np.arange(evidence.anywhere.shape[-1])
        if match.place is not None:
            channels = affected(evidence.anywhere, evidence.anywhere.ndim - 1)
        stage = evidence.differing[0]
        sentence = next(found.sentence for found in _found(evidence, stage, channels) if found.name == match.name)
    return sentence if match.place is None else f"in {match.place} alone, {sentence}"


def _telling(evidence: Evidence, exact: Sequence[Match]) -> str:
    """What would tell hypotheses apart that this dump does not: a stage that it lacks, or other images."""
    names = [match.name for match in exact if is_hypothesis(match.name)]
    case, stages = evidence.case, stages_of_case(evidence.case)
    told = [stage for stage in stages if stage not in evidence.stages and _differing(case, names, [stage])]
    if told:
        return f"The stage {' or '.join(told)} of the same images would"
    differ = _differing(_random_case(case), names, evidence.stages)
    if differ is None:
        return "Nothing here does"
    if differ:
        return f"Other images would: of random ones {_percent(differ, _LARGE_SAMPLE)} of the values differ"
    if all(name.startswith("rounds_half") for name in names):
        return "Only sums that end in a tie, with a negative or an odd quotient, would"
    return "Random images would not either"


def _differing(case: Case, names: Sequence[str], stages: Sequence[str]) -> int | None:
    """At how many of some places a case's values under the first of the hypotheses are not those under another one.

    None where there are no two of them that can happen to it.
    """
    machines = [machine for name in names if (machine := with_faults(machine_of(case), [name])) is not None]
    if len(machines) < 2:
        return None
    where = np.random.default_rng(1).integers(0, case.count * int(np.prod(case.shape)), _LARGE_SAMPLE)
    first, *others = (recompute(machine, stages, where, stages_of_case(case)[-1:]) for machine in machines)
    return max(int(np.count_nonzero(first[stage] != other[stage])) for other in others for stage in stages)


def _random_case(case: Case) -> Case:
    """Three images of random codes, all that the layer's inputs can hold."""
    network, rng = case.network, np.random.default_rng(2)

    def codes(name: str) -> np.ndarray:
        shape, fmt = (3, *network.shapes[name]), network.formats[name]
        return rng.integers(*network.ranges[name], shape, fmt.dtype, endpoint=True)

    pixels = rng.integers(0, 256, (3, *network.input_shape), np.uint8)
    operands = tuple(codes(name) for name in case.layer.inputs) or (pixels,)
    return Case(network, case.layer, operands, None if case.layer.residual is None else codes(case.layer.residual))


def _remarks(evidence: Evidence) -> Iterator[str]:
    """Which stages agree, and what the differences look like."""
    differing, stages = evidence.differing, evidence.stages
    if "accumulator" in stages and "accumulator" not in differing:
        yield "the accumulators agree: the fault lies between accumulator and code"
    if {"accumulator", "code"} <= {*differing}:
        values = requantized(evidence.machine, evidence.got["accumulator"])
        right = evidence.same("code", values).all()
        yield f"the codes are {'right' if right else 'wrong'} for the accumulators of the dump"


def where(evidence: Evidence) -> tuple[Observation, ...]:
    """Where the first stage that differs does so, and how."""
    stage, step = evidence.differing[0], evidence.case.layer.requantize
    ends = (step.lo, step.hi) if stage == "code" and step is not None else None
    skipped = evidence.case.skipped * int(np.prod(evidence.case.shape))
    return observe(evidence.golden[stage], evidence.got[stage], ends, skipped, ~evidence.known)
