"""Fault hypotheses about where something is read or written: constants, channels, tiles, lines, blocks of a layout.

``PATTERNS`` are the ways in which an address goes wrong: ``source(count, k)`` says for each of ``count`` places from
which one it is read.  ``ORDERS`` are the tables that a pattern can happen to.  Only patterns that give all of a few
wrong values become members of a ``Family``.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from .clues import Clues, Family, Fault, Numbers
from .machine import NOWHERE, Known, Lines, Machine, kernel, recompute

Source = Callable[[int, int], np.ndarray]
_MOST = 64
SUMS = ("clusters", "bias", "weights", "input", "window", "accumulator")  # groups whose faults show in the sums


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


def gives(clues: Clues, machine: Machine) -> bool:
    """Whether a machine writes what the dump holds at a few wrong values: at eight of them first, then at all."""
    differing = clues.differing
    first = clues.remembered("known first", lambda: Known(clues.machine, clues.tried[:8]))
    for known, stages in ((first, differing[:1]), (clues.known_tried, tuple(clues.got))):
        found = recompute(machine, stages, known.where, differing, known)
        if any(not np.array_equal(found[stage], clues.got_tried[stage][: len(known.where)]) for stage in stages):
            return False
    return True


def possible(clues: Clues, group: str) -> bool:
    """Whether the stages that differ allow a fault of this group: of the sums, behind them, or of their writing."""
    if not len(clues.tried):
        return False
    if "accumulator" not in clues.got or group == "layout":
        return True
    sums = "accumulator" in clues.differing
    return sums if group in SUMS else not (sums and clues.follows)


def trying(
    member: Callable[..., Fault], tried: Callable[[Machine], Iterator[Numbers]], group: str
) -> Callable[[Clues], Iterator[Numbers]]:
    """Numbers that give the few wrong values."""

    def numbers(clues: Clues) -> Iterator[Numbers]:
        for one in tried(clues.machine) if possible(clues, group) else ():
            machine = member(*one)(clues.machine)
            if machine is not None and gives(clues, machine):
                yield one

    return numbers


# ---------------------------------------------------------------------------------------------------- tiles and lines

_AXES = ("row", "column")
_SIDES = ("before", "after", "around")


def tile_without_halo(axis: int, size: int, side: int) -> Fault:
    """Tiles of ``size`` rows or columns of the result see nothing of the tile before, after, or of both."""

    def fault(machine: Machine) -> Machine | None:
        if machine.op != "conv" or machine.case.layer.op == "fc" or kernel(machine)[axis] < 2:
            return None
        stride = machine.attributes["strides"][axis]

        def read(position: np.ndarray, lines: np.ndarray) -> np.ndarray:
            first = position // size * size * stride
            gone = (lines < first) & (side != 1) | (lines >= first + size * stride) & (side != 0)
            return np.where(gone, NOWHERE, lines)

        return with_lines(machine, axis, read)

    return fault


def tiles_without_halo(rows: int, columns: int, side: int) -> Fault:
    """Tiles of ``rows`` by ``columns`` pixels of the result, in both directions."""

    def fault(machine: Machine) -> Machine | None:
        made = tile_without_halo(0, rows, side)(machine)
        return None if made is None else tile_without_halo(1, columns, side)(made)

    return fault


def _tiles_of_both(clues: Clues) -> Iterator[Numbers]:
    """Sizes of tiles at whose borders all wrong values lie."""
    machine = clues.machine
    if machine.op != "conv" or len(machine.case.shape) != 3 or not possible(clues, "window"):
        return
    height, width, channels = machine.case.shape
    pixels = np.unique(clues.where[clues.wrong] // channels % (height * width))
    rows, columns = pixels // width, pixels % width
    for side in (2, 0, 1):
        beside = [(size, _sees_less(machine, 1, size, side, columns)) for size in range(2, min(width, 2 * _MOST))]
        for high in range(2, min(height, 2 * _MOST)):
            above = _sees_less(machine, 0, high, side, rows)
            for wide, less in beside:
                made = tiles_without_halo(high, wide, side)(machine) if (above | less).all() else None
                if made is not None and gives(clues, made):
                    yield high, wide, side


def _sees_less(machine: Machine, axis: int, size: int, side: int, places: np.ndarray) -> np.ndarray:
    """Whether a tile's border lies in the windows at some rows or columns of the result: bool (S,)."""
    faulty = tile_without_halo(axis, size, side)(machine)
    if faulty is None:
        return np.zeros(len(places), bool)
    lines = places[:, None] * machine.attributes["strides"][axis] - machine.attributes["pads"][axis]
    lines = lines + np.arange(kernel(machine)[axis])
    read = faulty.lines[axis]
    return np.asarray(read is not None and (read(places[:, None], lines) != lines).any(axis=1))


def with_lines(machine: Machine, axis: int, read: Lines) -> Machine:
    """A machine whose windows read other rows (axis 0) or columns (axis 1) of the input."""
    return replace(machine, lines=(read, machine.lines[1]) if axis == 0 else (machine.lines[0], read))


def tiles(machine: Machine) -> Iterator[Numbers]:
    """Axis, size and side of all tiles that a result can have."""
    if len(machine.case.shape) == 3:
        for axis in (0, 1):
            sizes = range(2, min(machine.case.shape[axis], 2 * _MOST))
            yield from ((axis, size, side) for size in sizes for side in (2, 0, 1))


def tap_at_tiles(axis: int, size: int, tap: int) -> Fault:
    """One kernel row or column is left out in the first (tap 0) or the last line of each tile."""

    def fault(machine: Machine) -> Machine | None:
        if machine.op != "conv" or machine.case.layer.op == "fc" or kernel(machine)[axis] < 2:
            return None
        last = kernel(machine)[axis] - 1

        def read(position: np.ndarray, lines: np.ndarray) -> np.ndarray:
            border = position % size == (0 if tap == 0 else size - 1)
            column = np.arange(last + 1) == (0 if tap == 0 else last)
            return np.where(border & column, NOWHERE, lines)

        return with_lines(machine, axis, read)

    return fault


def tile_taps(machine: Machine) -> Iterator[Numbers]:
    """Axis, size and side, without what is a missing halo already."""
    if machine.op == "conv" and len(machine.case.shape) == 3:
        for axis in (0, 1):
            if kernel(machine)[axis] == 3 and machine.attributes["strides"][axis] == 1:
                continue
            sizes = range(2, min(machine.case.shape[axis], 2 * _MOST))
            yield from ((axis, size, tap) for size in sizes for tap in (0, 1))


def line_dropped(axis: int, line: int) -> Fault:
    """One row or column of the kernel is left out."""
    return _kernel_line(axis, line, lambda lines: np.full_like(lines, NOWHERE))


def line_stale(axis: int, line: int) -> Fault:
    """One row or column of the kernel reads the line before its own."""
    return _kernel_line(axis, line, lambda lines: lines - 1)


def _kernel_line(axis: int, line: int, change: Callable[[np.ndarray], np.ndarray]) -> Fault:
    def fault(machine: Machine) -> Machine | None:
        if machine.op != "conv" or machine.case.layer.op == "fc" or not 0 <= line < kernel(machine)[axis]:
            return None

        def read(position: np.ndarray, lines: np.ndarray) -> np.ndarray:
            return np.where(np.arange(lines.shape[1]) == line, change(lines), lines)

        return with_lines(machine, axis, read)

    return fault


def kernel_lines(machine: Machine) -> Iterator[Numbers]:
    """Axis and number of every row and column of a kernel that has several."""
    if machine.op == "conv":
        rows, columns = kernel(machine)
        yield from ((0, row) for row in range(rows) if rows > 1)
        yield from ((1, column) for column in range(columns) if columns > 1)


def cluster_missing(number: int) -> Fault:
    """One cluster is left out of every sum."""

    def fault(machine: Machine) -> Machine | None:
        if machine.op != "conv" or machine.clusters.max() == 0:
            return None
        weight = np.where((machine.clusters == number)[:, None, None], 0, machine.constants["weight"])
        return machine.constant(weight=np.ascontiguousarray(weight))

    return fault


def _all_clusters(machine: Machine) -> Iterator[Numbers]:
    if machine.op == "conv" and machine.clusters.max() > 0:
        yield from ((number,) for number in range(int(machine.clusters.max()) + 1))


def channel_missing(number: int) -> Fault:
    """One input channel is left out of every sum."""

    def fault(machine: Machine) -> Machine | None:
        if machine.op != "conv" or not 0 <= number < machine.constants["weight"].shape[1]:
            return None
        weight = machine.constants["weight"].copy()
        weight[:, number] = 0
        return machine.constant(weight=weight)

    return fault


def _all_channels(machine: Machine) -> Iterator[Numbers]:
    if machine.op == "conv" and machine.constants["weight"].shape[1] > 1:
        yield from ((number,) for number in range(machine.constants["weight"].shape[1]))


# ------------------------------------------------------------------------------------------------------ blocked layouts


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
    """All orders, tiles and layouts that are looked for."""
    for name, (what, group, _, _) in ORDERS.items():
        yield Family(name, f"{what} read in another order, which is found", group, order_numbers(name),
                     _order_words(what), order_fault(name))  # fmt: skip
    rows: tuple[tuple[str, str, str, Callable[..., str], Callable[..., Fault], Callable], ...] = (
        ("tile_without_halo", "tiles, of a size that is found, do not see the lines around them", "window",
         _halo_words, tile_without_halo, tiles),
        ("tile_border_tap", "a line of the kernel is left out at the border of tiles, whose size is found", "window",
         _tile_tap_words, tap_at_tiles, tile_taps),
        ("kernel_line_dropped", "a row or column of the kernel, which is found, is left out", "weights",
         lambda axis, line: f"{_AXES[axis]} {line} of the kernel is left out", line_dropped, kernel_lines),
        ("kernel_line_stale", "a row or column of the kernel, which is found, reads the line before its own", "window",
         lambda axis, line: f"{_AXES[axis]} {line} of the kernel reads the {_AXES[axis]} before its own",
         line_stale, kernel_lines),
        ("cluster_missing", "a cluster, which is found, is left out", "clusters",
         lambda number: f"cluster {number} is left out of every sum", cluster_missing, _all_clusters),
        ("input_channel_missing", "an input channel, which is found, is left out", "weights",
         lambda number: f"input channel {number} is left out of every sum", channel_missing, _all_channels),
        ("written_blocked", "a blocked layout of channels, whose size is found", "layout",
         _blocked_words, written_blocked, _block_sizes),
    )  # fmt: skip
    yield Family("tiles_without_halo", "tiles of both axes, of sizes that are found, do not see the pixels around them",
                 "window", _tiles_of_both, _both_words, tiles_without_halo)  # fmt: skip
    for name, sentence, group, words, member, tried in rows:
        yield Family(name, sentence, group, trying(member, tried, group), words, member)


def _order_words(what: str) -> Callable[..., str]:
    def words(pattern: int, k: int) -> str:
        how = PATTERNS[pattern][0]
        if "{} places on" in how:
            plural = "" if abs(k) == 1 else "s"
            how = how.replace("{} places on", f"{abs(k)} place{plural} {'after' if k > 0 else 'before'} its own")
        return f"{what}: {how.format(k)}"

    return words


def _halo_words(axis: int, size: int, side: int) -> str:
    return f"tiles of {size} {_AXES[axis]}s do not see the {_AXES[axis]}s {_SIDES[side]} them"


def _both_words(rows: int, columns: int, side: int) -> str:
    return f"tiles of {rows} x {columns} pixels do not see the pixels {_SIDES[side]} them"


def _tile_tap_words(axis: int, size: int, tap: int) -> str:
    which, border = ("first", "first") if tap == 0 else ("last", "last")
    return f"the {which} {_AXES[axis]} of the kernel is left out in the {border} {_AXES[axis]} of each tile of {size}"


def _blocked_words(size: int, inverse: int) -> str:
    if inverse:
        return f"written N H W C, but taken for N C/{size} H W {size} and turned once more"
    return f"written N C/{size} H W {size} (NCHW{size}c), read as N H W C"
