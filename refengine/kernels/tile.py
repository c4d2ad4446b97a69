"""The register tile: sums of products for a few pixels and up to 64 output channels, kept in registers throughout.

    sum[i, o] = sum over segments s, bytes k of  activation[pixel i, s, k] * weight[s, k, o]              int32

A pixel's window is a list of segments, one for each kernel row: in an N H W C image a row of KW pixels is one run of
bytes, so no window is ever copied.  An offset table says where each pixel's first segment begins; padding, strides and
row ends are in the table and not in the loop.

Weights lie in panels: for every 4 consecutive bytes of a segment, the 4 weights of each of the panel's channels.  One
step of the loop broadcasts 4 activation bytes and feeds them, with a vector of 4-weight groups, to the dot product of
the instruction set (``rungs``): 4 products added to each lane.  A tile of 6 pixels and 4 vectors keeps 24 vectors of
sums; each step loads 4 weight vectors and 6 broadcasts for 24 dot products, which is what keeps the unit busy.

Everything is exact: products of u8 and s8 are summed in 32 bits, which wrap, and the bounds of the network (contract
A2) keep the true sum inside.
"""

from numba import types
from numba.extending import intrinsic

from .lanes import I32, I64, Loop, broadcast, load, number, repeated, store, vector

UNROLL = 4


def make_tile(dot, lanes, pixels, vectors):
    """A tile of ``pixels`` x ``vectors * lanes`` sums, stored as int32.

    tile(images, starts, segments, segment_stride, segment_bytes, panel, sums): addresses and sizes, int64.  ``images``
    is where the offsets of ``starts`` (int32, one a pixel) count from; ``segment_bytes`` is a multiple of 16; sums
    receives (pixels, vectors * lanes) int32.
    """

    @intrinsic
    def tile(context, images, starts, segments, segment_stride, segment_bytes, panel, sums):
        signature = types.void(*[types.int64] * 7)

        def generate(context, builder, signature, arguments):
            _emit(builder, dot, lanes, pixels, vectors, *arguments)
            return context.get_dummy_value()

        return signature, generate

    return tile


def _emit(builder, dot, lanes, pixels, vectors, images, starts, segments, stride, length, panel, sums):
    """Two nested loops, over segments and over the bytes of a segment, with the sums as their running values."""
    begins = []
    for i in range(pixels):
        offset = load(builder, builder.add(starts, number(4 * i)), I32, 4)
        begins.append(builder.add(images, builder.sext(offset, I64)))
    count = pixels * vectors
    zeros = [repeated(0, I32, lanes)] * count
    before = builder.block
    over_segments = Loop(builder, before, [number(0), number(0), panel, *zeros])
    _, into, weights, *totals = over_segments.values
    rows = [builder.add(begin, into) for begin in begins]
    over_bytes = Loop(builder, builder.block, [number(0), weights, *totals])
    k, weights, *totals = over_bytes.values
    for step in range(UNROLL):
        shift = 4 * lanes * vectors * step
        groups = [
            load(builder, builder.add(weights, number(shift + 4 * lanes * v)), vector(I32, lanes), 4 * lanes)
            for v in range(vectors)
        ]
        for i, row in enumerate(rows):
            four = load(builder, builder.add(builder.add(row, k), number(4 * step)), I32)
            spread = broadcast(builder, four, lanes)
            for v, group in enumerate(groups):
                totals[i * vectors + v] = dot(builder, totals[i * vectors + v], spread, group, lanes)
    k = builder.add(k, number(4 * UNROLL))
    weights = builder.add(weights, number(4 * lanes * vectors * UNROLL))
    totals = over_bytes.close([k, weights, *totals], builder.icmp_signed("<", k, length))[2:]
    weights = over_bytes.last[1]
    done = builder.add(over_segments.values[0], number(1))
    into = builder.add(into, stride)
    totals = over_segments.close([done, into, weights, *totals], builder.icmp_signed("<", done, segments))[3:]
    for index, total in enumerate(totals):
        store(builder, total, builder.add(sums, number(4 * lanes * index)), 4)
