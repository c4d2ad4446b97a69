"""Fault hypotheses about the widths of accumulator and partial sums, which are solved for.

Every width is tried on a few wrong values of the dump, from sums that are computed once.  ``GROUPINGS`` are the ways in
which hardware adds up the products of a convolution: one by one, in pairs, tap by tap, cluster by cluster.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from ...numbers.accumulator import confine
from .accumulators import accumulators
from .clues import Clues, Family, Fault, Numbers
from .machine import Machine
from .recompute import stages_at

_WIDTHS = range(3, 32)
_PASSING = ("maxpool", "concat", "pad_channels", "flatten")


def held(values: np.ndarray, bits: int, policy: str) -> np.ndarray:
    """Integers in a register of ``bits`` bits that wraps or saturates: int64."""
    return confine(values, bits, policy)[0].astype(np.int64)


@dataclass(frozen=True)
class Grouping:
    """How products are added up: ``order`` sorts them, ``group`` numbers the sums they meet in.

    Both are functions of (tap, channel, cluster), each int64 (T,) -> int64 (T,) or several of these, the first one
    counting most.  ``size``: that many consecutive ones meet, in place of ``group``.
    """

    words: str
    order: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, ...]]
    group: Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, ...]] | None = None
    size: int = 1

    def starts(self, shape: tuple[int, ...], clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The products (KH, KW, I) in order, and where each sum begins."""
        taps, inputs = int(np.prod(shape[:2])), shape[2]
        tap, channel = (places.reshape(-1) for places in np.indices((taps, inputs)))
        cluster = clusters[channel]
        order = np.lexsort(self.order(tap, channel, cluster)[::-1])
        if self.group is None:
            return order, np.arange(0, len(order), self.size)
        keys = np.stack(self.group(tap, channel, cluster))[:, order]
        return order, np.flatnonzero(np.r_[True, (np.diff(keys) != 0).any(axis=0)])


GROUPINGS = (
    Grouping("each product, tap by tap", lambda t, i, g: (t, i)),
    Grouping("each product, channel by channel", lambda t, i, g: (i, t)),
    Grouping("each product, cluster by cluster", lambda t, i, g: (g, t, i)),
    Grouping("each two products of neighbouring channels", lambda t, i, g: (t, i), size=2),
    Grouping("each two products of neighbouring taps", lambda t, i, g: (i, t), size=2),
    Grouping("each four products of neighbouring channels", lambda t, i, g: (t, i), size=4),
    Grouping("each four products of neighbouring taps", lambda t, i, g: (i, t), size=4),
    Grouping("each kernel tap", lambda t, i, g: (t, i), lambda t, i, g: (t,)),
    Grouping("each cluster", lambda t, i, g: (g, t, i), lambda t, i, g: (g,)),
    Grouping("each tap of a cluster, tap by tap", lambda t, i, g: (t, g, i), lambda t, i, g: (t, g)),
    Grouping("each tap of a cluster, cluster by cluster", lambda t, i, g: (g, t, i), lambda t, i, g: (g, t)),
    Grouping("each input channel", lambda t, i, g: (i, t), lambda t, i, g: (i,)),
    Grouping("each eight products of neighbouring channels", lambda t, i, g: (t, i), size=8),
    Grouping("each sixteen products of neighbouring channels", lambda t, i, g: (t, i), size=16),
)
_SAME_SUMS = (1, 2, 10)  # groupings that differ from another one in their order alone
_PRODUCT, _CLUSTER = 0, 8


def _sums_of(
    number: int, products: np.ndarray, scales: np.ndarray, scaled: bool, clusters: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The sums of a grouping and the scale that each still meets, both int64 (S, K)."""
    order, starts = GROUPINGS[number].starts(products.shape[1:], clusters)
    taps = int(np.prod(products.shape[1:3]))
    flat = products.reshape(len(products), -1)[:, order].astype(np.int64)
    factors = np.tile(scales, (1, taps))[:, order].astype(np.int64)
    sums = np.add.reduceat(flat * factors if scaled else flat, starts, axis=1)
    return sums, np.ones_like(sums) if scaled else factors[:, starts]


def held_partial_sums(policy: str) -> Callable[[int, int, int], Fault]:
    """Sums of a grouping are held in few bits, with their scales or before them."""

    def member(grouping: int, scaled: int, bits: int) -> Fault:
        def fault(machine: Machine) -> Machine | None:
            if machine.op != "conv":
                return None

            def products(values: np.ndarray, scales: np.ndarray, bias: np.ndarray) -> np.ndarray:
                sums, factors = _sums_of(grouping, values, scales, bool(scaled), machine.clusters)
                return bias + (held(sums, bits, policy) * factors).sum(axis=1)

            return replace(machine, products=products)

        return fault

    return member


def saturated_each_time(grouping: int, bias_last: int, bits: int) -> Fault:
    """An accumulator that saturates at each addition of a grouping's sums.

    ``bias_last``: 0 for a bias that comes first, 1 last, 2 first and with all its bits, as if it were loaded.
    """

    def fault(machine: Machine) -> Machine | None:
        if machine.op != "conv":
            return None

        def products(values: np.ndarray, scales: np.ndarray, bias: np.ndarray) -> np.ndarray:
            sums, _ = _sums_of(grouping, values, scales, True, machine.clusters)
            return _stepwise(sums, bias, bias_last, np.array([bits]))[0]

        return replace(machine, products=products, narrow=None)

    return fault


def _stepwise(sums: np.ndarray, bias: np.ndarray, bias_last: int, widths: np.ndarray) -> np.ndarray:
    """Accumulators (W, S) of all widths, clipped after each addition."""
    high = (np.int64(1) << (widths.astype(np.int64) - 1))[:, None]
    steps = {0: [bias, *sums.T], 1: [*sums.T, bias], 2: [*sums.T]}[bias_last]
    acc = np.zeros((len(widths), len(bias)), np.int64) + (bias if bias_last == 2 else 0)
    for step in steps:
        acc = np.clip(acc + step, -high, high - 1)
    return acc


def _products(clues: Clues) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Products (S, KH, KW, I), scales (S, I) and biases (S) at a few wrong values."""

    def made() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []

        def keep(values: np.ndarray, scales: np.ndarray, bias: np.ndarray) -> np.ndarray:
            kept.append((values, scales, bias))
            return bias

        accumulators(replace(clues.machine, products=keep, narrow=None), clues.tried)
        return tuple(np.concatenate(parts) for parts in zip(*kept, strict=True))  # type: ignore[return-value]

    return clues.remembered("products", made)


def _gives(clues: Clues, acc: np.ndarray) -> bool:
    """Whether accumulators at the few wrong values give what was dumped, all stages of it."""
    dumped = clues.got_tried.get("accumulator")
    if dumped is not None and not np.array_equal(acc, dumped):
        return False
    found = stages_at(clues.machine, acc, clues.tried, clues.known_tried)
    return all(np.array_equal(found[stage], got) for stage, got in clues.got_tried.items() if stage in found)


def sums_wrong(clues: Clues) -> bool:
    """Whether a fault of the sums can explain the dump: they differ, where they are dumped."""
    if clues.machine.op in _PASSING or not len(clues.tried):
        return False
    return "accumulator" not in clues.got or bool((clues.got["accumulator"] != clues.golden["accumulator"]).any())


def _plain_sums(clues: Clues) -> np.ndarray:
    """Accumulators of any width at the few wrong values."""
    return clues.remembered("sums", lambda: accumulators(replace(clues.machine, narrow=None), clues.tried))


def accumulator_widths(policy: str) -> Callable[[Clues], Iterator[Numbers]]:
    """Widths in which the finished sum gives every one of the few wrong values."""

    def numbers(clues: Clues) -> Iterator[Numbers]:
        if sums_wrong(clues):
            sums = _plain_sums(clues)
            yield from (
                (bits,)
                for bits in _WIDTHS
                if (clues.machine.narrow or (0,))[0] != bits and _gives(clues, held(sums, bits, policy))
            )

    return numbers


def narrow(policy: str) -> Callable[[int], Fault]:
    """The finished sum in another accumulator."""

    def member(bits: int) -> Fault:
        def fault(machine: Machine) -> Machine | None:
            if machine.op in _PASSING or machine.narrow == (bits, policy):
                return None
            return replace(machine, narrow=(bits, policy))

        return fault

    return member


def partial_widths(policy: str) -> Callable[[Clues], Iterator[Numbers]]:
    """Groupings and widths of partial sums that give every one of the few wrong values."""

    def numbers(clues: Clues) -> Iterator[Numbers]:
        if clues.machine.op != "conv" or clues.machine.narrow is not None or not sums_wrong(clues):
            return
        products, scales, bias = _products(clues)
        clusters = clues.machine.clusters
        seen: set[tuple[bytes, int]] = set()
        for number in range(len(GROUPINGS)):
            for scaled in (1, 0):
                if number in _SAME_SUMS or (not scaled and not _within_clusters(number, products, clusters)):
                    continue
                if scaled and (scales == 1).all():
                    continue
                sums, factors = _sums_of(number, products, scales, bool(scaled), clusters)
                needed = np.maximum(sums.max(axis=1), ~sums.min(axis=1))
                most = int(needed.min()).bit_length()
                for bits in range(2, min(most, 32) + 1):
                    acc = bias + (held(sums, bits, policy) * factors).sum(axis=1)
                    if _gives(clues, acc.astype(np.int32).astype(np.int64)) and (acc.tobytes(), bits) not in seen:
                        seen.add((acc.tobytes(), bits))
                        yield number, scaled, bits

    return numbers


def _within_clusters(number: int, products: np.ndarray, clusters: np.ndarray) -> bool:
    """Whether each sum of a grouping has one scale."""
    order, starts = GROUPINGS[number].starts(products.shape[1:], clusters)
    of = np.tile(clusters, int(np.prod(products.shape[1:3])))[order]
    return bool((np.maximum.reduceat(of, starts) == np.minimum.reduceat(of, starts)).all())


def stepwise_widths(clues: Clues) -> Iterator[Numbers]:
    """Groupings and widths of an accumulator that saturates at each addition."""
    if clues.machine.op != "conv" or not sums_wrong(clues):
        return
    products, scales, bias = _products(clues)
    widths = np.array(_WIDTHS)
    every = clues.machine.constants["bias"]
    least, most = int(every.min()), int(every.max())
    for number in range(len(GROUPINGS)):
        sums, _ = _sums_of(number, products, scales, True, clues.machine.clusters)
        for bias_last in (0, 1, 2):
            for bits, acc in zip(widths, _stepwise(sums, bias, bias_last, widths), strict=True):
                if bias_last == 2 and -(1 << bits - 1) <= least and most < 1 << bits - 1:
                    continue  # it fits, and is no other case than 0
                if _gives(clues, acc):
                    yield number, bias_last, int(bits)


def families() -> Iterator[Family]:
    """All widths of accumulators and partial sums that are solved for."""
    for policy, verb in (("wrap", "wraps"), ("saturate", "saturates")):
        when = " at the end" if policy == "saturate" else ""
        yield Family(
            f"accumulator_{verb}", f"the accumulator {verb}{when}, in a width that is found", "accumulator",
            accumulator_widths(policy), f"an accumulator of {{}} bits {verb}{when}", narrow(policy),
        )  # fmt: skip
        yield Family(
            f"partial_sums_{policy}", f"partial sums {policy}, in a grouping and a width that are found",
            "accumulator", partial_widths(policy), _partial_words(policy), held_partial_sums(policy),
        )  # fmt: skip
    yield Family(
        "accumulator_saturates_stepwise", "the accumulator saturates at each addition, in a width that is found",
        "accumulator", stepwise_widths, _stepwise_words, saturated_each_time,
    )  # fmt: skip


def _partial_words(policy: str) -> Callable[..., str]:
    def words(grouping: int, scaled: int, bits: int) -> str:
        what = GROUPINGS[grouping].words.split(",")[0]
        return f"the sum of {what} {policy}s in {bits} bits{'' if scaled else ', before its scale'}"

    return words


def _stepwise_words(grouping: int, bias_last: int, bits: int) -> str:
    order = {1: ", the bias last", 2: ", the bias loaded with all its bits"}.get(bias_last, "")
    return f"an accumulator of {bits} bits saturates at each addition: of {GROUPINGS[grouping].words}{order}"
