"""A block: some pixels of one panel, tile by tile, from sums in registers to codes.

An instruction set has tiles of a few shapes (pixels, vectors), one for each width of panel.  Beside the tile of n
pixels there are one of n - 1 and one of a single pixel, so that any number of pixels is covered without a rest:

    pixels = (n - 1) * less + n * many + alone              alone = 0 from (n - 1) * (n - 2) pixels on
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ..instruction_sets import Target
from ..lanes import I64, Loop, number
from . import step
from .epilogue import Epilogue
from .step import field, first_channel


class Tiles(Protocol):
    """The tiles of one panel."""

    def sums(self, pixel: ir.Value, pixels: int) -> list[list[ir.Value]]:
        """Sums of some pixels from ``pixel`` on: a list of vectors for each."""


def make_block(
    target: Target, shapes: Sequence[tuple[int, int]], tile: Callable[..., Tiles], lifted: bool = False
) -> Any:
    """block(row, first, end, panel, sums, stride): all int64, the codes of a step's pixels ``first`` to ``end``.

    ``row`` is the address of a step (``step.py``), ``panel`` the number of its panel, whose WIDTH belongs to one of the
    ``shapes``.  Where ``sums`` is not 0 it receives int32 (end - first, WIDTH), a pixel every ``stride`` bytes.  Where
    the step has a TABLE, codes go where the step says.  ``tile(builder, target, vectors, row, first, panel)`` reads
    what all tiles of the panel share and computes them.
    """

    @intrinsic
    def block(
        context: Any, row: ir.Value, first: ir.Value, end: ir.Value, panel: ir.Value, sums: ir.Value, stride: ir.Value
    ) -> Any:
        signature = types.void(*[types.int64] * 6)

        def generate(context: Any, builder: ir.IRBuilder, signature: Any, arguments: Sequence[ir.Value]) -> ir.Value:
            emit_tiles(builder, target, shapes, tile, lifted, *arguments)
            return context.get_dummy_value()

        return signature, generate

    return block


def emit_tiles(
    builder: ir.IRBuilder,
    target: Target,
    shapes: Sequence[tuple[int, int]],
    tile: Callable[..., Tiles],
    lifted: bool,
    row: ir.Value,
    first: ir.Value,
    end: ir.Value,
    panel: ir.Value,
    sums: ir.Value,
    stride: ir.Value,
) -> None:
    """The code of ``make_block``."""
    width = field(builder, row, step.WIDTH)
    for pixels, vectors in shapes:
        with builder.if_then(builder.icmp_signed("==", width, number(vectors * target.lanes))):
            own = tile(builder, target, vectors, row, first, panel)
            epilogue = Epilogue(builder, target, row, first_channel(builder, row, panel), first, sums, stride, lifted)
            _all_tiles(builder, pixels, first, end, own, epilogue)


def _all_tiles(
    builder: ir.IRBuilder, large: int, first: ir.Value, end: ir.Value, tile: Tiles, epilogue: Epilogue
) -> None:
    """Tiles of one less, then whole ones, then single pixels."""
    pixel = first
    counts = deal(builder, builder.sub(end, first), large)
    for size, count in zip((large - 1, large, 1), counts, strict=True):
        last = builder.add(pixel, builder.mul(count, number(size)))
        loop = Loop(builder, [pixel])
        (pixel,) = loop.values
        loop.leave_unless(builder.icmp_signed("<", pixel, last))
        epilogue.emit(pixel, tile.sums(pixel, size))
        loop.close([builder.add(pixel, number(size))])


def deal(builder: ir.IRBuilder, pixels: ir.Value, large: int) -> tuple[ir.Value, ir.Value, ir.Value]:
    """How many tiles of ``large`` - 1 pixels, of ``large`` and of one make up ``pixels``."""
    size, fewer = number(large), number(large - 1)
    wanted = builder.urem(builder.sub(size, builder.urem(pixels, size)), size)
    fits = builder.icmp_signed(">=", pixels, builder.mul(wanted, fewer))
    less = builder.select(fits, wanted, number(0, I64))
    rest = builder.sub(pixels, builder.mul(less, fewer))
    return less, builder.udiv(rest, size), builder.urem(rest, size)
