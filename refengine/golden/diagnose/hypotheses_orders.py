"""Fault hypotheses about where something is read or written: constants, channels, blocks of a layout.

``PATTERNS`` are the ways in which an address goes wrong: ``source(count, k)`` says for each of ``count`` places from
which one it is read.  ``ORDERS`` are the tables that a pattern can happen to.  Only patterns that give all of a few
wrong values become members of a ``Family``.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from .clues import Clues, Family, Fault, Numbers, gives, possible, trying
from .machine import Machine, kernel

Source = Callable[[int, int], np.ndarray]
_MOST = 64


def _inside(source: np.ndarray, count: int) -> np.ndarray:
    """Places that do not exist are read from where they are."""
    return np.where((source >= 0) & (source < count), source, np.arange(count))


def _divisors(count: int) -> Iterator[int]:
    return (k for k in range(2, min(count, _MOST)) if count % k == 0)


def _powers(count: int) -> Iterator[int]:
    return (1 << bit for bit in range(count.bit_length()) if 1 << bit < count)


def _xors(count: int) -> Iterator[int]:
    """Single bits, several low bits, and all numbers up to 8."""
    yield from sorted({*_powers(count), *(2 * k - 1 for k in _powers(count)), *range(1, min(count, 9))})


def _steps(count: int) -> Iterator[int]:
    yield from (k for step in sorted({*_powers(count), *range(1, min(count, 6))}) for k in (step, -step))


def _blocks(count: int) -> Iterator[int]:
    yield from sorted({*_divisors(count), *(k for k in _powers(count) if k > 1), *range(2, min(count, 9))})


def _few(count: int) -> Iterator[int]:
    yield from range(1, min(count, _MOST))


PATTERNS: tuple[tuple[str, Callable[[int], Iterator[int]], Source], ...] = (
    ("place g is read from g xor {}", _xors, lambda n, k: _inside(np.arange(n) ^ k, n)),
    ("each is read {} places on, counted in a circle", _steps, lambda n, k: (np.arange(n) + k) % n),
    ("each is read {} places on, the last ones again and again", _steps,
     lambda n, k: (np.arange(n) + k).clip(0, n - 1)),
    ("each is read {} places on, where there is one", _steps, lambda n, k: _inside(np.arange(n) + k, n)),
    ("the order is reversed in blocks of {}", _blocks,
     lambda n, k: _inside(np.arange(n) // k * k + (k - 1 - np.arange(n) % k), n)),
    ("the order is reversed", lambda n: iter((1,)), lambda n, k: np.arange(n)[::-1]),
    ("place g is read from g / {}", _blocks, lambda n, k: np.arange(n) // k),
    ("all of a block of {} are read from its first place", _blocks, lambda n, k: np.arange(n) // k * k),
    ("place g is read from g mod {}", _blocks, lambda n, k: np.arange(n) % k),
    ("{} banks are read in turn", _divisors, lambda n, k: np.arange(n) % k * (n // k) + np.arange(n) // k),
    ("all are read from place {}", lambda n: iter((0, n - 1)), lambda n, k: np.full(n, k)),
    ("from place {} on each is read one place late", _few,
     lambda n, k: np.where(np.arange(n) >= k, np.arange(n) - 1, np.arange(n))),
    ("from place {} on each is read one place early", _few,
     lambda n, k: _inside(np.where(np.arange(n) >= k, np.arange(n) + 1, np.arange(n)), n)),
    ("the last place is read from place {}", lambda n: iter((0, n - 2)),
     lambda n, k: np.where(np.arange(n) == n - 1, k, np.arange(n))),
)  # fmt: skip


def patterns(count: int, known: tuple[np.ndarray, ...] = ()) -> Iterator[tuple[int, int, np.ndarray]]:
    """(pattern, k, source (count,)) of all patterns that differ, without those that are ``known`` by another name."""
    seen = {np.arange(count).tobytes(), *(source.astype(np.int64).tobytes() for source in known)}
    for number, (_, steps, source) in enumerate(PATTERNS):
        for k in steps(count):
            found = source(count, k).astype(np.int64)
            if found.tobytes() not in seen:
                seen.add(found.tobytes())
                yield number, k, found


def _turned(count: int, *by: int) -> tuple[np.ndarray, ...]:
    return tuple((np.arange(count) + step) % count for step in by)


# ------------------------------------------------------------------------------------------------------------- tables

Change = Callable[[Machine, Callable[[int], np.ndarray]], Machine | None]


def _first_channels(machine: Machine) -> np.ndarray:
    return np.flatnonzero(np.diff(machine.clusters, prepend=-1))


def _scale_clusters(machine: Machine, source: Callable[[int], np.ndarray]) -> Machine | None:
    firsts = _first_channels(machine)
    scale = machine.constants["scale"][:, firsts][:, source(len(firsts))]
    return machine.constant(scale=scale[:, machine.clusters])


def _scale_outputs(machine: Machine, source: Callable[[int], np.ndarray]) -> Machine | None:
    scale = machine.constants["scale"]
    return machine.constant(scale=scale[source(len(scale))])


def _scale_runs_over(machine: Machine, source: Callable[[int], np.ndarray]) -> Machine | None:
    """The last cluster's scale alone comes from another output channel."""
    last = machine.clusters == machine.clusters.max()
    scale = machine.constants["scale"]
    return machine.constant(scale=np.where(last, scale[source(len(scale))], scale))


def _scale_runs_over_first(machine: Machine, source: Callable[[int], np.ndarray]) -> Machine | None:
    """The first cluster's scale alone comes from another output channel."""
    scale = machine.constants["scale"]
    return machine.constant(scale=np.where(machine.clusters == 0, scale[source(len(scale))], scale))


def _constant(name: str) -> Change:
    def change(machine: Machine, source: Callable[[int], np.ndarray]) -> Machine | None:
        values = machine.constants.get(name)
        return None if values is None else machine.constant(**{name: values[source(len(values))]})

    return change


def _weight_inputs(machine: Machine, source: Callable[[int], np.ndarray]) -> Machine | None:
    weight = machine.constants["weight"]
    return machine.constant(weight=np.ascontiguousarray(weight[:, source(weight.shape[1])]))


def _weight_taps(machine: Machine, source: Callable[[int], np.ndarray]) -> Machine | None:
    weight = machine.constants["weight"]
    flat = weight.reshape(*weight.shape[:2], -1)
    return machine.constant(weight=np.ascontiguousarray(flat[..., source(flat.shape[2])].reshape(weight.shape)))


def _outputs(machine: Machine, source: Callable[[int], np.ndarray]) -> Machine | None:
    """Weights and scales together."""
    weight, scale = machine.constants["weight"], machine.constants["scale"]
    order = source(len(weight))
    return machine.constant(weight=np.ascontiguousarray(weight[order]), scale=scale[order])


def _stepping(*names: str) -> Change:
    def change(machine: Machine, source: Callable[[int], np.ndarray]) -> Machine | None:
        if machine.step is None:
            return None
        channels = machine.case.shape[-1]
        order = source(channels)
        return machine.stepping(
            **{name: np.broadcast_to(getattr(machine.step, name), channels)[order] for name in names}
        )

    return change


def _residual(machine: Machine, source: Callable[[int], np.ndarray]) -> Machine | None:
    if machine.residual is None:
        return None
    return replace(machine, residual=machine.residual[..., source(machine.residual.shape[-1])])


def _input_channels(machine: Machine, source: Callable[[int], np.ndarray]) -> Machine | None:
    x = machine.operands[0]
    changed = np.ascontiguousarray(x[..., source(x.shape[-1])])
    return replace(machine, operands=(changed, *machine.operands[1:]))


def _written(axis: int) -> Change:
    def change(machine: Machine, source: Callable[[int], np.ndarray]) -> Machine | None:
        if axis < len(machine.case.shape) and len(machine.case.shape) in (1, 3):
            order = source(machine.case.shape[axis])
            return replace(machine, order=(*machine.order, lambda result: result.take(order, axis + 1)))
        return None

    return change


def _conv(change: Change) -> Change:
    return lambda machine, source: change(machine, source) if machine.op == "conv" else None


# name -> (what is read, group, how it is changed, which steps are named elsewhere)
ORDERS: dict[str, tuple[str, str, Change, tuple[int, ...]]] = {
    "scale_clusters_order": ("scales along the clusters", "clusters", _conv(_scale_clusters), (1, -1)),
    "scale_outputs_order": ("scales along the output channels", "clusters", _conv(_scale_outputs), (1, -1)),
    "scale_last_order": ("the last cluster's scale along the output channels", "clusters", _conv(_scale_runs_over), ()),
    "scale_first_order": (
        "the first cluster's scale along the output channels", "clusters", _conv(_scale_runs_over_first), (),
    ),
    "bias_order": ("biases", "bias", _constant("bias"), (1, -1)),
    "weight_outputs_order": ("weights along the output channels", "weights", _conv(_constant("weight")), (1, -1)),
    "weight_inputs_order": ("weights along the input channels", "weights", _conv(_weight_inputs), ()),
    "weight_taps_order": ("weights along the kernel's taps", "weights", _conv(_weight_taps), ()),
    "output_order": ("weights and scales along the output channels", "weights", _conv(_outputs), ()),
    "multiplier_order": ("multipliers", "scale", _stepping("multiplier"), (1, -1)),
    "shift_order": ("shifts", "scale", _stepping("shift"), (1, -1)),
    "factor_order": ("multipliers and shifts", "scale", _stepping("multiplier", "shift"), (1, -1)),
    "residual_order": ("channels of the residual", "residual", _residual, ()),
    "input_order": ("channels of the input", "input", _input_channels, (-1,)),
    "channel_order": ("channels of the result", "layout", _written(2), (1, -1)),
    "column_order": ("columns of the result", "layout", _written(1), (1, -1)),
    "row_order": ("rows of the result", "layout", _written(0), (1, -1)),
}  # fmt: skip


def order_fault(name: str) -> Callable[[int, int], Fault]:
    """A table read in the order of a pattern."""

    def member(pattern: int, k: int) -> Fault:
        return lambda machine: ORDERS[name][2](machine, lambda count: PATTERNS[pattern][2](count, k))

    return member


def order_numbers(name: str) -> Callable[[Clues], Iterator[Numbers]]:
    """Patterns that give the few wrong values, each order once."""

    def numbers(clues: Clues) -> Iterator[Numbers]:
        change, steps = ORDERS[name][2:]
        counts: list[int] = []

        def ask(count: int) -> np.ndarray:
            counts.append(count)
            return np.arange(count)

        if not possible(clues, ORDERS[name][1]) or change(clues.machine, ask) is None or counts[0] < 2:
            return
        for pattern, k, source in patterns(counts[0], (*_turned(counts[0], *steps), *_known(name, counts[0], clues))):
            machine = change(clues.machine, lambda count, source=source: source)  # type: ignore[misc]
            if machine is not None and gives(clues, machine):
                yield pattern, k

    return numbers


def _known(name: str, count: int, clues: Clues) -> Iterator[np.ndarray]:
    """Orders that have a name of their own among the hypotheses without numbers."""
    places = np.arange(count)
    if name in ("scale_clusters_order", "bias_order", "multiplier_order", "shift_order", "factor_order"):
        yield 0 * places
    if name in ("channel_order", "column_order", "row_order", "input_order", "weight_taps_order"):
        yield places[::-1]
    if name == "column_order":
        yield _inside(places ^ 1, count)
    if name == "channel_order":
        yield from (places ^ (words - 1) for words in (2, 4, 8) if count % words == 0)
    if name == "weight_inputs_order":
        size = clues.machine.attributes["cluster"]
        yield PATTERNS[4][2](count, size)
    if name == "weight_taps_order":
        rows, columns = kernel(clues.machine)
        yield places.reshape(rows, columns)[:, ::-1].reshape(-1)
        yield places.reshape(rows, columns).T.reshape(-1)


def written_blocked(size: int, inverse: int) -> Fault:
    """Written N C/size H W size and read as N H W C, or the reverse."""

    def fault(machine: Machine) -> Machine | None:
        shape = machine.case.shape
        if len(shape) != 3 or shape[-1] % size or shape[-1] == size or shape[0] * shape[1] == 1:
            return None
        height, width, channels = shape

        def order(result: np.ndarray) -> np.ndarray:
            count = len(result)
            if inverse:
                blocks = result.reshape(count, channels // size, height, width, size).transpose(0, 2, 3, 1, 4)
            else:
                blocks = result.reshape(count, height, width, channels // size, size).transpose(0, 3, 1, 2, 4)
            return blocks.reshape(result.shape)

        return replace(machine, order=(*machine.order, order))

    return fault


def _block_sizes(machine: Machine) -> Iterator[Numbers]:
    if len(machine.case.shape) == 3:
        yield from ((size, inverse) for size in _divisors(machine.case.shape[-1]) for inverse in (0, 1))


def families() -> Iterator[Family]:
    """All orders and blocked layouts that are looked for."""
    for name, (what, group, _, _) in ORDERS.items():
        yield Family(name, f"{what} read in another order, which is found", group, order_numbers(name),
                     _order_words(what), order_fault(name))  # fmt: skip
    yield Family("written_blocked", "a blocked layout of channels, whose size is found", "layout",
                 trying(written_blocked, _block_sizes, "layout"), _blocked_words, written_blocked)  # fmt: skip


def _order_words(what: str) -> Callable[..., str]:
    def words(pattern: int, k: int) -> str:
        how = PATTERNS[pattern][0]
        if "{} places on" in how:
            plural = "" if abs(k) == 1 else "s"
            how = how.replace("{} places on", f"{abs(k)} place{plural} {'after' if k > 0 else 'before'} its own")
        return f"{what}: {how.format(k)}"

    return words


def _blocked_words(size: int, inverse: int) -> str:
    if inverse:
        return f"written N H W C, but taken for N C/{size} H W {size} and turned once more"
    return f"written N C/{size} H W {size} (NCHW{size}c), read as N H W C"
