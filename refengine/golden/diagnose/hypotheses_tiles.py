"""Fault hypotheses about what a convolution leaves out: a tile's halo, a line of the kernel, a cluster, a channel."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from .clues import Clues, Family, Fault, Numbers, gives, possible, trying
from .machine import NOWHERE, Lines, Machine, kernel

_MOST = 64

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


def families() -> Iterator[Family]:
    """All tiles, lines and missing parts that are looked for."""
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
    )  # fmt: skip
    yield Family("tiles_without_halo", "tiles of both axes, of sizes that are found, do not see the pixels around them",
                 "window", _tiles_of_both, _both_words, tiles_without_halo)  # fmt: skip
    for name, sentence, group, words, member, tried in rows:
        yield Family(name, sentence, group, trying(member, tried, group), words, member)


def _halo_words(axis: int, size: int, side: int) -> str:
    return f"tiles of {size} {_AXES[axis]}s do not see the {_AXES[axis]}s {_SIDES[side]} them"


def _both_words(rows: int, columns: int, side: int) -> str:
    return f"tiles of {rows} x {columns} pixels do not see the pixels {_SIDES[side]} them"


def _tile_tap_words(axis: int, size: int, tap: int) -> str:
    which, border = ("first", "first") if tap == 0 else ("last", "last")
    return f"the {which} {_AXES[axis]} of the kernel is left out in the {border} {_AXES[axis]} of each tile of {size}"
