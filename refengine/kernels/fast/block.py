"""A block: some pixels of one panel, tile by tile, from sums in registers to codes.

A rung has tiles of a few shapes (pixels, vectors), one for each width of panel.  Beside the tile of n pixels there are
one of n - 1 and one of a single pixel, so that any number of pixels is covered without a rest:

    pixels = (n - 1) * less + n * many + alone              alone = 0 from (n - 1) * (n - 2) pixels on
"""

from numba import types
from numba.extending import intrinsic

from ..lanes import I64, Loop, number
from . import step
from .epilogue import End
from .step import field, first_channel


def make_block(rung, shapes, tile, lifted=False):
    """block(row, first, end, panel, sums, stride): all int64, the codes of a step's pixels ``first`` to ``end``.

    ``row`` is the address of a step (``step.py``), ``panel`` the number of its panel, whose WIDTH belongs to one of the
    ``shapes``.  Where ``sums`` is not 0 it receives int32 (end - first, WIDTH), a pixel every ``stride`` bytes.  Where
    the step has a TABLE, codes go where the step says.  ``tile(builder, rung, vectors, row, first, panel)`` reads what
    all tiles of the panel share; its ``sums(pixel, pixels)`` computes a tile: vectors of sums, a list of them a pixel.
    """

    @intrinsic
    def block(context, row, first, end, panel, sums, stride):
        signature = types.void(*[types.int64] * 6)

        def generate(context, builder, signature, arguments):
            row, first, end, panel, sums, stride = arguments
            width = field(builder, row, step.WIDTH)
            for pixels, vectors in shapes:
                with builder.if_then(builder.icmp_signed("==", width, number(vectors * rung.lanes))):
                    own = tile(builder, rung, vectors, row, first, panel)
                    finish = End(builder, rung, row, first_channel(builder, row, panel), first, sums, stride, lifted)
                    _all_tiles(builder, pixels, first, end, own, finish)
            return context.get_dummy_value()

        return signature, generate

    return block


def _all_tiles(builder, large, first, end, tile, finish):
    """Tiles of one less, then whole ones, then single pixels."""
    pixel = first
    counts = deal(builder, builder.sub(end, first), large)
    for size, count in zip((large - 1, large, 1), counts, strict=True):
        last = builder.add(pixel, builder.mul(count, number(size)))
        loop = Loop(builder, [pixel])
        (pixel,) = loop.values
        loop.leave_unless(builder.icmp_signed("<", pixel, last))
        finish.emit(pixel, tile.sums(pixel, size))
        loop.close([builder.add(pixel, number(size))])


def deal(builder, pixels, large):
    """How many tiles of ``large`` - 1 pixels, of ``large`` and of one make up ``pixels``."""
    size, fewer = number(large), number(large - 1)
    wanted = builder.urem(builder.sub(size, builder.urem(pixels, size)), size)
    fits = builder.icmp_signed(">=", pixels, builder.mul(wanted, fewer))
    less = builder.select(fits, wanted, number(0, I64))
    rest = builder.sub(pixels, builder.mul(less, fewer))
    return less, builder.udiv(rest, size), builder.urem(rest, size)
