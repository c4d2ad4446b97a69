"""The register tile of a depthwise convolution: sums for a few pixels and one vector of channels.

    sum[i, c] = sum over taps t of activation[pixel i, t, c] * weight[t, c]                     int32

Each channel meets its own weights alone, so there is nothing to broadcast: a tap is one vector of bytes, widened, times
one vector of weights that all pixels share.
"""

from numba import types
from numba.extending import intrinsic

from .lanes import I8, I16, I32, I64, Loop, load, number, repeated, store, vector


def make_depthwise(lanes, pixels):
    """tile(images, starts, taps, offsets, weights, row_bytes, sums): addresses and sizes, int64.

    starts int32, one a pixel, and offsets int32, one a tap, lead from ``images`` to a vector of bytes.  weights int16:
    ``lanes`` for the first tap, the next ``row_bytes`` further on.  sums int32 (pixels, lanes).
    """

    @intrinsic
    def tile(context, images, starts, taps, offsets, weights, row_bytes, sums):
        signature = types.void(*[types.int64] * 7)

        def generate(context, builder, signature, arguments):
            _emit(builder, lanes, pixels, *arguments)
            return context.get_dummy_value()

        return signature, generate

    return tile


def _emit(builder, lanes, pixels, images, starts, taps, offsets, weights, row_bytes, sums):
    begins = []
    for i in range(pixels):
        offset = load(builder, builder.add(starts, number(4 * i)), I32, 4)
        begins.append(builder.add(images, builder.sext(offset, I64)))
    over_taps = Loop(builder, builder.block, [number(0), weights, *[repeated(0, I32, lanes)] * pixels])
    tap, place, *totals = over_taps.values
    offset = builder.sext(load(builder, builder.add(offsets, builder.mul(tap, number(4))), I32, 4), I64)
    weight = builder.sext(load(builder, place, vector(I16, lanes), 2), vector(I32, lanes))
    for i, begin in enumerate(begins):
        codes = builder.zext(load(builder, builder.add(begin, offset), vector(I8, lanes)), vector(I32, lanes))
        totals[i] = builder.add(totals[i], builder.mul(codes, weight))
    done = builder.add(tap, number(1))
    nexts = [done, builder.add(place, row_bytes), *totals]
    for i, total in enumerate(over_taps.close(nexts, builder.icmp_signed("<", done, taps))[2:]):
        store(builder, total, builder.add(sums, number(4 * lanes * i)), 4)
