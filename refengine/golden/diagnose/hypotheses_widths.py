"""Fault hypotheses about widths, which are solved for: accumulator, partial sums, products, total, bias, residual.

``fitting`` tries every width on a few wrong values of the dump, from values that are computed once; only widths that
give all of them become members of a ``Family``, which must then reproduce everything.  ``GROUPINGS`` are the ways in
which hardware adds up the products of a convolution: one by one, in pairs, tap by tap, cluster by cluster.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...numbers.accumulator import confine
from ...numbers.rounding import round_shift
from .clues import Clues, Family, Fault, Numbers
from .machine import Machine, Parts, accumulators, plain_codes, plain_total, recompute, stages_at

_WIDTHS = range(3, 32)
_TOTAL_WIDTHS = range(8, 63)
_SHIFTS = range(1, 40)
_CHANNELS = 32
_BIAS_SHIFTS = 32
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


# --------------------------------------------------------------------------------------------------------- what can be


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
    found = stages_at(clues.machine, acc, clues.tried)
    return all(np.array_equal(found[stage], got) for stage, got in clues.got_tried.items() if stage in found)


def _sums_wrong(clues: Clues) -> bool:
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
        if _sums_wrong(clues):
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
        if clues.machine.op != "conv" or clues.machine.narrow is not None or not _sums_wrong(clues):
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
    if clues.machine.op != "conv" or not _sums_wrong(clues):
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


# ------------------------------------------------------------------------------------- between accumulator and code


def fitting(
    member: Callable[..., Fault], tried: Callable[[Clues], Iterable[Numbers]], stage: str
) -> Callable[[Clues], Iterator[Numbers]]:
    """Numbers out of ``tried`` that give the few wrong values, of faults that leave what is before ``stage``."""

    def numbers(clues: Clues) -> Iterator[Numbers]:
        before = {"total": ("accumulator",), "code": ("accumulator", "total")}.get(stage, ())
        changed = any((clues.got[one] != clues.golden[one]).any() for one in before if one in clues.got)
        if clues.machine.step is None or changed or not len(clues.tried):
            return
        acc = clues.remembered("held sums", lambda: accumulators(clues.machine, clues.tried))
        for one in tried(clues):
            machine = member(*one)(clues.machine)
            if machine is None:
                continue
            found = stages_at(machine, acc, clues.tried)
            if all(np.array_equal(found[name], got) for name, got in clues.got_tried.items()):
                yield one

    return numbers


def _each(values: Sequence[int]) -> Callable[[Clues], Sequence[Numbers]]:
    return lambda clues: [(value,) for value in values]


def _beyond_shift(clues: Clues) -> Sequence[Numbers]:
    """Widths that leave something of a sum that is shifted right."""
    step = clues.machine.step
    return [] if step is None else [(bits,) for bits in _TOTAL_WIDTHS if bits > int(step.shift.max()) + 2]


def _below_shift(clues: Clues) -> Sequence[Numbers]:
    """First shifts that leave something to a second one."""
    step = clues.machine.step
    return [] if step is None else [(bits,) for bits in _SHIFTS if bits < int(step.shift.min())]


def _offsets(clues: Clues) -> Sequence[Numbers]:
    """Single bits that are no half, quarter or whole unit of all channels."""
    step = clues.machine.step
    if step is None:
        return []
    shifts = {int(shift) for shift in step.shift}
    known = {shift - by for shift in shifts for by in (0, 1, 2)} if len(shifts) == 1 else set()
    return [(bit,) for bit in range(40) if bit not in known]


def _total_of(change: Callable[[Parts, int], np.ndarray]) -> Callable[[int], Fault]:
    def member(number: int) -> Fault:
        def fault(machine: Machine) -> Machine | None:
            if machine.step is None:
                return None
            return replace(machine, total=lambda parts: change(parts, number))

        return fault

    return member


def _of_accumulator(change: Callable[[np.ndarray, int], np.ndarray]) -> Callable[[int], Fault]:
    """What the requantization reads is not what the accumulator holds."""
    return _total_of(lambda parts, number: plain_total(replace(parts, acc=change(parts.acc, number))))


held_total = {
    policy: _total_of(lambda parts, bits, policy=policy: held(plain_total(parts), bits, policy))  # type: ignore[misc]
    for policy in ("wrap", "saturate")
}
read_wrapped = _of_accumulator(lambda acc, bits: held(acc, bits, "wrap"))
read_saturated = _of_accumulator(lambda acc, bits: held(acc, bits, "saturate"))
read_unsigned = _of_accumulator(lambda acc, bits: acc & ((1 << bits) - 1))
read_cut = _of_accumulator(lambda acc, bits: acc >> bits << bits)


def _aligned(policy: str) -> Callable[[int], Fault]:
    def member(bits: int) -> Fault:
        def fault(machine: Machine) -> Machine | None:
            if machine.residual is None or machine.step is None:
                return None
            return replace(machine, total=lambda parts: parts.product + held(parts.aligned, bits, policy))

        return fault

    return member


def _codes_of(change: Callable[[Parts, np.ndarray, int], np.ndarray]) -> Callable[[int], Fault]:
    def member(number: int) -> Fault:
        def fault(machine: Machine) -> Machine | None:
            if machine.step is None:
                return None
            return replace(machine, codes=lambda parts, total: change(parts, total, number))

        return fault

    return member


def few_bits(name: str) -> Callable[[int], Fault]:
    """Multipliers or shifts in a field that is too narrow."""

    def member(bits: int) -> Fault:
        def fault(machine: Machine) -> Machine | None:
            if machine.step is None or not (getattr(machine.step, name) >> bits).any():
                return None
            if (name, bits) == ("multiplier", 7):  # named by itself
                return None
            return machine.stepping(**{name: getattr(machine.step, name) & ((1 << bits) - 1)})

        return fault

    return member


def _clipped(parts: Parts, values: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(values, parts.step.lo), parts.step.hi)


def _half(parts: Parts) -> np.ndarray:
    return (np.int64(1) << parts.step.shift) >> 1


def _logical(parts: Parts, total: np.ndarray, bits: int) -> np.ndarray:
    """Shifted right without its sign, half a unit added before."""
    rounded = total + _half(parts) if parts.step.rounding != "floor" else total
    return _clipped(parts, (rounded & ((1 << bits) - 1)) >> parts.step.shift)


def _logical_then_rounded(parts: Parts, total: np.ndarray, bits: int) -> np.ndarray:
    """Shifted right without its sign, the rounding bit added behind."""
    unsigned = total & ((1 << bits) - 1)
    up = (unsigned >> np.maximum(parts.step.shift - 1, 0)) & (parts.step.shift > 0)
    return _clipped(parts, (unsigned >> parts.step.shift) + up)


def _rounded_sum_held(policy: str) -> Callable[[Parts, np.ndarray, int], np.ndarray]:
    """The sum with its rounding offset is held in few bits."""
    return lambda parts, total, bits: _clipped(parts, held(total + _half(parts), bits, policy) >> parts.step.shift)


def _quotient_held(policy: str) -> Callable[[Parts, np.ndarray, int], np.ndarray]:
    """The quotient is held in few bits while it still has one bit more."""

    def codes(parts: Parts, total: np.ndarray, bits: int) -> np.ndarray:
        kept = total >> np.maximum(parts.step.shift - 1, 0)
        return _clipped(parts, (held(kept, bits, policy) + 1) >> (parts.step.shift > 0))

    return codes


def _quotient_short(policy: str) -> Callable[[Parts, np.ndarray, int], np.ndarray]:
    """The rounded quotient is held in few bits before it is clipped."""

    def codes(parts: Parts, total: np.ndarray, bits: int) -> np.ndarray:
        return _clipped(
            parts, held(round_shift(total, parts.step.shift, parts.step.rounding, parts.bits), bits, policy)
        )

    return codes


def _rounded_twice(first: str, second: str) -> Callable[[Parts, np.ndarray, int], np.ndarray]:
    def codes(parts: Parts, total: np.ndarray, bits: int) -> np.ndarray:
        shift = np.asarray(parts.step.shift)
        least = np.minimum(bits, shift)
        once = round_shift(total, least, first, parts.bits)
        return _clipped(parts, round_shift(once, shift - least, second, parts.bits))

    return codes


def _upper_end(parts: Parts, total: np.ndarray, end: int) -> np.ndarray:
    return np.minimum(plain_codes(parts, total).astype(np.int64), end)


def _lower_end(parts: Parts, total: np.ndarray, end: int) -> np.ndarray:
    return np.maximum(plain_codes(parts, total).astype(np.int64), end)


def _ends(clues: Clues) -> Sequence[Numbers]:
    """The one code that all wrong values are."""
    values = np.unique(clues.got["code"][clues.wrong]) if "code" in clues.got else np.zeros(0, np.int64)
    step = clues.machine.step
    if (
        step is None
        or len(values) != 1
        or int(values[0]) == 127  # named by itself
        or abs(int(values[0]) - step.lo) < 2
        or abs(int(values[0]) - step.hi) < 2
    ):
        return []
    return [(int(values[0]),)]


def _offset_member(bits: int) -> Fault:
    """The rounding offset has one bit only, at another place."""
    return _codes_of(lambda parts, total, bit: _clipped(parts, (total + (np.int64(1) << bit)) >> parts.step.shift))(
        bits
    )


# --------------------------------------------------------------------------------------------------------------- bias


def _bias_of(change: Callable[[np.ndarray, int], np.ndarray]) -> Callable[[int], Fault]:
    def member(number: int) -> Fault:
        def fault(machine: Machine) -> Machine | None:
            if "bias" not in machine.constants:
                return None
            return machine.constant(bias=change(machine.constants["bias"].astype(np.int64), number))

        return fault

    return member


def other_bias(member: Callable[[int], Fault], tried: Sequence[int]) -> Callable[[Clues], Iterator[Numbers]]:
    """Numbers with which another bias gives the few wrong values; those that give the same biases once."""

    def numbers(clues: Clues) -> Iterator[Numbers]:
        machine = clues.machine
        if not _sums_wrong(clues) or "bias" not in machine.constants:
            return
        right = machine.constants["bias"].astype(np.int64)
        seen = {right.tobytes(), np.zeros_like(right).tobytes()}
        for number in tried:
            changed = member(number)(machine)
            if changed is None or changed.constants["bias"].tobytes() in seen:
                continue
            seen.add(changed.constants["bias"].tobytes())
            found = recompute(changed, [*clues.got_tried], clues.tried)
            if all(np.array_equal(found[stage], got) for stage, got in clues.got_tried.items()):
                yield (number,)

    return numbers


def without_bias(*channels: int) -> Fault:
    """Some channels begin with 0."""
    places = np.array(channels)

    def fault(machine: Machine) -> Machine | None:
        bias = machine.constants.get("bias")
        if bias is None or places.max() >= len(bias):
            return None
        changed = bias.copy()
        changed[places] = 0
        return machine.constant(bias=changed)

    return fault


def _channels_without_bias(clues: Clues) -> Iterator[Numbers]:
    """The channels that are wrong, where these are few and others have a bias too."""
    bias = clues.machine.constants.get("bias")
    if bias is None or len(bias) < 2 or not _sums_wrong(clues):
        return
    wrong = np.unique(clues.where[clues.wrong] % clues.machine.case.shape[-1])
    machine = without_bias(*wrong)(clues.machine)
    if machine is None or len(wrong) > _CHANNELS or not machine.constants["bias"].any():
        return
    found = recompute(machine, [*clues.got_tried], clues.tried)
    if all(np.array_equal(found[stage], got) for stage, got in clues.got_tried.items()):
        yield tuple(int(channel) for channel in wrong)


def _channels_words(*channels: int) -> str:
    plural = "s" if len(channels) > 1 else ""
    return f"the bias of channel{plural} {', '.join(map(str, channels))} is missing"


def bias_behind(by: int, in_sums: int) -> Fault:
    """The bias, ``by`` bits to the left, is added to the product; ``in_sums``: the dumped sums have it all the same."""

    def fault(machine: Machine) -> Machine | None:
        bias = machine.constants.get("bias")
        if machine.step is None or bias is None:
            return None
        if not in_sums:
            late = machine.constant(bias=np.zeros_like(bias))
            return replace(late, total=lambda parts: plain_total(parts) + (parts.bias << by))
        return replace(
            machine,
            total=lambda parts: plain_total(replace(parts, acc=parts.acc - parts.bias)) + (parts.bias << by),
        )

    return fault


def _behind(clues: Clues) -> Iterator[Numbers]:
    """Shifts with which a late bias gives the few wrong values."""
    if clues.machine.step is None or "bias" not in clues.machine.constants or not len(clues.tried):
        return
    in_sums = int("accumulator" not in clues.differing)
    for by in range(_BIAS_SHIFTS):
        machine = bias_behind(by, in_sums)(clues.machine)
        if machine is not None:
            found = recompute(machine, [*clues.got_tried], clues.tried)
            if all(np.array_equal(found[stage], got) for stage, got in clues.got_tried.items()):
                yield by, in_sums


def _behind_words(by: int, in_sums: int) -> str:
    return f"the bias is added behind the multiplier{f', {by} bits to the left' if by else ''}"


BIAS_CHANGES: tuple[tuple[str, str, str, Callable[[np.ndarray, int], np.ndarray], range], ...] = (
    ("bias_wraps", "the bias wraps, in a width that is found", "the bias is cut to its lowest {} bits",
     lambda bias, bits: held(bias, bits, "wrap"), range(2, 32)),
    ("bias_saturates", "the bias saturates, in a width that is found", "the bias saturates in {} bits",
     lambda bias, bits: held(bias, bits, "saturate"), range(2, 32)),
    ("bias_low_bits_lost", "the bias loses its lowest bits", "the bias loses its lowest {} bits",
     lambda bias, bits: bias >> bits << bits, range(1, 24)),
    ("bias_cut_toward_zero", "the bias loses its lowest bits, toward zero", "the bias is cut toward 0 by {} bits",
     lambda bias, bits: np.sign(bias) * (np.abs(bias) >> bits << bits), range(1, 24)),
    ("bias_rounded", "the bias is rounded to a power of two", "the bias is rounded to multiples of 2**{}",
     lambda bias, bits: (bias + (1 << bits >> 1)) >> bits << bits, range(1, 24)),
    ("bias_shifted_left", "the bias comes too far left", "the bias is {} bits too far left",
     lambda bias, bits: bias << bits, range(2, 24)),
    ("bias_shifted_right", "the bias comes too far right", "the bias is {} bits too far right",
     lambda bias, bits: bias >> bits, range(2, 24)),
)  # fmt: skip


def families() -> Iterator[Family]:
    """All widths that are solved for."""
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
    wide, narrower = _each(_TOTAL_WIDTHS), _each(_WIDTHS)
    for name, sentence, words, member, tried in (
        ("total_wraps", "the sum before rounding wraps", "the sum before rounding wraps in {} bits",
         held_total["wrap"], wide),
        ("total_saturates", "the sum before rounding saturates", "the sum before rounding saturates in {} bits",
         held_total["saturate"], wide),
        ("accumulator_read_wrapped", "only some bits of the accumulator are multiplied",
         "only the lowest {} bits of the accumulator are multiplied", read_wrapped, narrower),
        ("accumulator_read_saturated", "the accumulator saturates before it is multiplied",
         "the accumulator saturates in {} bits before it is multiplied", read_saturated, narrower),
        ("accumulator_read_unsigned", "the accumulator is multiplied as an unsigned number",
         "the accumulator is multiplied as an unsigned number of {} bits", read_unsigned, narrower),
        ("accumulator_read_cut", "the accumulator loses low bits before it is multiplied",
         "the accumulator loses its lowest {} bits before it is multiplied", read_cut, _each(range(1, 24))),
        ("residual_wraps", "the aligned residual wraps", "the aligned residual wraps in {} bits",
         _aligned("wrap"), _each(range(2, 62))),
        ("residual_saturates", "the aligned residual saturates", "the aligned residual saturates in {} bits",
         _aligned("saturate"), _each(range(2, 62))),
    ):  # fmt: skip
        yield Family(name, f"{sentence}, in a width that is found" if "width" not in sentence else sentence,
                     "widths", fitting(member, tried, "total"), words, member)  # fmt: skip
    codes = (
        ("logical_shift", "a logical for an arithmetic shift, of a width that is found",
         "the shift right is logical, of {} bits: negative sums become large", _logical, _TOTAL_WIDTHS),
        ("logical_shift_rounded", "a logical shift, the rounding bit added behind it",
         "the shift right is logical, of {} bits, and the rounding bit is added behind it", _logical_then_rounded,
         _TOTAL_WIDTHS),
        ("rounded_sum_wraps", "the sum with its rounding offset wraps",
         "the sum with its rounding offset wraps in {} bits", _rounded_sum_held("wrap"), _TOTAL_WIDTHS),
        ("rounded_sum_saturates", "the sum with its rounding offset saturates",
         "the sum with its rounding offset saturates in {} bits", _rounded_sum_held("saturate"), _TOTAL_WIDTHS),
        ("quotient_wraps", "the quotient wraps before it is clipped",
         "the quotient wraps in {} bits before it is clipped",
         _quotient_short("wrap"), range(9, 32)),
        ("quotient_saturates", "the quotient saturates before it is clipped",
         "the quotient saturates in {} bits before it is clipped", _quotient_short("saturate"), range(9, 32)),
        ("unrounded_quotient_wraps", "the quotient wraps while its rounding bit is there",
         "the quotient with its rounding bit wraps in {} bits", _quotient_held("wrap"), range(9, 32)),
        ("rounds_twice", "rounds twice, half up", "rounds twice, half up: first {} bits, then the rest",
         _rounded_twice("half_up", "half_up"), _SHIFTS),
        ("rounds_twice_away", "rounds twice, ties away from zero",
         "rounds twice, ties away from zero: first {} bits, then the rest",
         _rounded_twice("half_away", "half_away"), _SHIFTS),
        ("cut_then_rounded", "low bits are cut before the rounding", "the lowest {} bits are cut before the rounding",
         _rounded_twice("floor", "half_up"), _SHIFTS),
    )  # fmt: skip
    for name, sentence, words, change, tried_numbers in codes:
        member = _codes_of(change)
        every = {_TOTAL_WIDTHS: _beyond_shift, _SHIFTS: _below_shift}.get(tried_numbers) or _each(tried_numbers)
        yield Family(name, sentence, "widths", fitting(member, every, "code"), words, member)
    yield Family("rounding_offset_bit", "the rounding offset is one bit at another place, the same for all channels",
                 "widths", fitting(_offset_member, _offsets, "code"), "2**{} is added before the shift",
                 _offset_member)  # fmt: skip
    for name, sentence, words, change in (
        ("upper_end", "another upper end of the clip, which is found", "the clip ends at {}", _upper_end),
        ("lower_end", "another lower end of the clip, which is found", "the clip begins at {}", _lower_end),
    ):
        member = _codes_of(change)
        yield Family(name, sentence, "clip", fitting(member, _ends, "code"), words, member)
    yield Family("bias_missing_in", "the bias of some channels, which are found, is missing", "bias",
                 _channels_without_bias, _channels_words, without_bias)  # fmt: skip
    yield Family("bias_after_multiplier", "the bias is added behind the multiplier, by a shift that is found", "bias",
                 _behind, _behind_words, bias_behind)  # fmt: skip
    for name, what, stage in (("shift", "shifts", "code"), ("multiplier", "multipliers", "total")):
        member = few_bits(name)
        yield Family(f"{name}_bits_lost", f"{what} keep their low bits, so many as are found", "scale",
                     fitting(member, _each(range(1, 31)), stage),
                     f"only the lowest {{}} bits of the {what} are there", member)  # fmt: skip
    for name, sentence, words, change_of_bias, numbers in BIAS_CHANGES:
        member = _bias_of(change_of_bias)
        yield Family(name, sentence, "bias", other_bias(member, numbers), words, member)


def _partial_words(policy: str) -> Callable[..., str]:
    def words(grouping: int, scaled: int, bits: int) -> str:
        what = GROUPINGS[grouping].words.split(",")[0]
        return f"the sum of {what} {policy}s in {bits} bits{'' if scaled else ', before its scale'}"

    return words


def _stepwise_words(grouping: int, bias_last: int, bits: int) -> str:
    order = ("", ", the bias last", ", the bias loaded with all its bits")[bias_last]
    return f"an accumulator of {bits} bits saturates at each addition: of {GROUPINGS[grouping].words}{order}"
