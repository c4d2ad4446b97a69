"""A second opinion on every integer, written from docs/contract.md in plain Python integers and Fractions.

Nothing here imports refengine, and NumPy arrays are only indexed.  Slow and literal on purpose: each function is the
formula of its clause.  A tensor comes back as a dictionary from index to integer: ``dict(np.ndenumerate(x))``.
"""

import math
from fractions import Fraction
from itertools import product

HALF = Fraction(1, 2)


# ---- Formats (N) -------------------------------------------------------------------------------------------------


def signed_bits(lo, hi):
    """The first width whose two's complement range holds both ends (N5)."""
    bits = 1
    while not -(2 ** (bits - 1)) <= lo <= hi < 2 ** (bits - 1):
        bits += 1
    return bits


# ---- Rounding (R) ------------------------------------------------------------------------------------------------


def _mirrored(round_magnitude):
    """A rounding of x that treats -x as the mirror image of x."""
    return lambda x: round_magnitude(x) if x >= 0 else -round_magnitude(-x)


ROUNDINGS = {
    "floor": math.floor,
    "ceil": math.ceil,
    "toward_zero": _mirrored(math.floor),
    "away_from_zero": _mirrored(math.ceil),
    "half_up": lambda x: math.floor(x + HALF),
    "half_down": lambda x: math.ceil(x - HALF),
    "half_away": _mirrored(lambda x: math.floor(x + HALF)),
    "half_toward_zero": _mirrored(lambda x: math.ceil(x - HALF)),
    "half_even": round,  # Python rounds a Fraction to the nearest integer, ties to even
}


def srdhm(a, b):
    """gemmlowp's saturating rounding doubling high multiply, without the one case that saturates."""
    nudge = 2**30 if a * b >= 0 else 1 - 2**30
    return math.trunc(Fraction(a * b + nudge, 2**31))


def rdbp(x, exponent):
    """gemmlowp's rounding division by a power of two, with its mask, remainder and threshold."""
    mask = 2**exponent - 1
    threshold = (mask >> 1) + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if x & mask > threshold else 0)


def double_round(t, shift):
    """The two-step rounding of t / 2**shift (R4): a rounded shift by 31 first, one by the rest after it."""
    left, right = max(31 - shift, 0), max(shift - 31, 0)
    return rdbp(srdhm(t << left, 1), right)


def tosa_addend(v, shift):
    """What TOSA's apply_scale_32 adds to the product before it shifts, with its double rounding (R4)."""
    half = 2**shift >> 1
    if shift <= 31:
        return half
    return half + 2**30 if v >= 0 else half - 2**30


GOLDEN = 0x9E3779B97F4A7C15


def splitmix64(seed, count):
    """The first ``count`` outputs of SplitMix64, stepping its state as published."""
    state, outputs = seed % 2**64, []
    for _ in range(count):
        state = (state + GOLDEN) % 2**64
        z = state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % 2**64
        outputs.append(z ^ (z >> 31))
    return outputs


def random_bits(seed, layer, image, element):
    """The 64 random bits of one element (R5): four draws, each from the generator that the one before has seeded."""
    word = seed
    for index in (0, layer, image, element):
        word = splitmix64(word, index + 1)[index]
    return word


def stochastic(t, shift, bits):
    """Floor after adding the ``shift`` highest of the random bits (R5)."""
    return math.floor(Fraction(t + bits // 2 ** (64 - shift), 2**shift))


def round_shift(t, shift, rounding, bits=None):
    """t / 2**shift, rounded once (R1)."""
    if rounding == "stochastic":
        return stochastic(t, shift, bits)
    if rounding == "double_round":
        return double_round(t, shift)
    return ROUNDINGS[rounding](Fraction(t, 2**shift))


# ---- Rescale (S), Requantize (Q), Accumulators (A) ---------------------------------------------------------------


def multiplier_and_shift(factor, bits, max_shift=62):
    """The longest shift up to ``max_shift`` whose nearest multiplier still fits; None if there is none (S1-S3)."""
    if factor == 0:
        return 0, 0
    for shift in range(max_shift, -1, -1):
        multiplier = math.floor(factor * 2**shift + HALF)
        if multiplier < 2**bits:
            return multiplier, shift
    return None


def requantize(acc, multiplier, shift, rounding, lo, hi, residual=0, residual_shift=0, bits=None):
    """One accumulator to one code (Q1-Q3)."""
    total = acc * multiplier + residual * 2**residual_shift
    return min(max(round_shift(total, shift, rounding, bits), lo), hi)


def coarser(totals, shifts, lo, hi, dynamic):
    """What one image adds to its exponent (D2): the smallest that gives its widest total room in a code, or the most.

    totals and shifts: of all elements of the image.  A negative total is as wide as its complement, or cut off by ReLU.
    """
    widest = 0
    for total, shift in zip(totals, shifts, strict=True):
        floored = math.floor(Fraction(total, 2**shift))
        widest = max(widest, floored if floored >= 0 else -1 - floored if lo < 0 else 0)
    more = 0
    while more < dynamic and widest >= 2**more * (hi + 1):
        more += 1
    return more


def confine(value, bits, policy):
    """What an accumulator of ``bits`` bits keeps of a sum (A3, A4)."""
    lo, hi = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if policy == "saturate":
        return min(max(value, lo), hi)
    return (value - lo) % 2**bits + lo


# ---- Windows (W) -------------------------------------------------------------------------------------------------


def output_size(size, kernel, stride, before, after, ceil_mode=False):
    """How many windows there are along one axis, found by placing them one after another (W1, W2)."""
    end = size + after
    starts = [
        start
        for start in range(-before, end + stride, stride)
        if start + kernel <= end or (ceil_mode and start - stride + kernel < end)
    ]
    if ceil_mode and starts[-1] >= size:
        starts.pop()
    return len(starts)


def _window(shape, y, x, kernel_shape, strides, pads):
    """(ky, kx, row, column) of every tap of the window at output (y, x) that lies on a pixel."""
    for ky, kx in product(*map(range, kernel_shape)):
        row, column = y * strides[0] + ky - pads[0], x * strides[1] + kx - pads[1]
        if 0 <= row < shape[1] and 0 <= column < shape[2]:
            yield ky, kx, row, column


def _places(shape, kernel_shape, strides, pads, ceil_mode=False):
    """(n, y, x) of every window."""
    height = output_size(shape[1], kernel_shape[0], strides[0], pads[0], pads[2], ceil_mode)
    width = output_size(shape[2], kernel_shape[1], strides[1], pads[1], pads[3], ceil_mode)
    return product(range(shape[0]), range(height), range(width))


# ---- Operators ---------------------------------------------------------------------------------------------------


def input(pixel, *, bias, flip):
    """acc = pixel * 256 + bias, channels reversed first where the network wants them so (Input)."""
    images, height, width, channels = pixel.shape
    return {
        (n, y, x, c): int(pixel[n, y, x, channels - 1 - c if flip else c]) * 256 + int(bias[c])
        for n, y, x, c in product(range(images), range(height), range(width), range(channels))
    }


def conv_partial_sums(x, *, weight, strides, pads, group, cluster):
    """P[n,y,x,o,g]: the sum over one cluster of input times code, pixels outside left out (Conv, Clusters)."""
    outputs, inputs, *kernel_shape = weight.shape
    sums = {}
    for (n, y, z), o in product(_places(x.shape, kernel_shape, strides, pads), range(outputs)):
        first = o // (outputs // group) * inputs
        for i in range(inputs):
            here = n, y, z, o, i // cluster
            sums.setdefault(here, 0)
            for ky, kx, row, column in _window(x.shape, y, z, kernel_shape, strides, pads):
                sums[here] += int(x[n, row, column, first + i]) * int(weight[o, i, ky, kx])
    return sums


def conv(x, *, weight, scale, bias, strides, pads, group, cluster):
    """acc = bias + the sum over clusters of scale times partial sum (Conv)."""
    acc = {}
    partial = conv_partial_sums(x, weight=weight, strides=strides, pads=pads, group=group, cluster=cluster)
    for (n, y, z, o, g), value in partial.items():
        acc[n, y, z, o] = acc.get((n, y, z, o), int(bias[o])) + int(scale[o, g]) * value
    return acc


def conv_bound(codes, *, weight, scale, bias, cluster):
    """Per output channel, the lowest and highest sum of any subset of terms, each at its own extreme input (A2)."""
    ends = []
    for o in range(len(weight)):
        terms = [[int(bias[o])]]
        for i, ky, kx in product(*map(range, weight.shape[1:])):
            factor = int(scale[o, i // cluster]) * int(weight[o, i, ky, kx])
            terms.append([factor * code for code in codes])
        ends.append((sum(min(0, *term) for term in terms), sum(max(0, *term) for term in terms)))
    return ends


def fc(x, *, weight, scale, bias, cluster):
    """acc = bias + the sum over inputs of scale times code times input (Fc); images are flattened first."""
    flat = x if x.ndim == 2 else flatten(x)
    return {
        (n, o): int(bias[o])
        + sum(int(scale[o, i // cluster]) * int(weight[o, i]) * int(flat[n, i]) for i in range(weight.shape[1]))
        for n, o in product(range(len(x)), range(len(weight)))
    }


def batchnorm(x, *, sign, bias):
    """acc = sign * x * 256 + bias, by channel (Batchnorm)."""
    return {index: int(sign[index[-1]]) * int(x[index]) * 256 + int(bias[index[-1]]) for index in _indices(x.shape)}


def add(a, b, *, shifts):
    """acc = a * 2**shift + b * 2**shift (Add)."""
    return {index: int(a[index]) * 2 ** shifts[0] + int(b[index]) * 2 ** shifts[1] for index in _indices(a.shape)}


def _pool(x, kernel_shape, strides, pads, ceil_mode):
    """index, codes of the valid pixels of that window."""
    for (n, y, z), c in product(_places(x.shape, kernel_shape, strides, pads, ceil_mode), range(x.shape[3])):
        window = _window(x.shape, y, z, kernel_shape, strides, pads)
        yield (n, y, z, c), [int(x[n, row, column, c]) for _, _, row, column in window]


def maxpool(x, *, kernel_shape, strides, pads, ceil_mode):
    """The largest of the codes in the window (Maxpool)."""
    return {index: max(codes) for index, codes in _pool(x, kernel_shape, strides, pads, ceil_mode)}


def avgpool(x, *, kernel_shape, strides, pads, ceil_mode):
    """L times the mean of the codes in the window, L being a multiple of every count (Avgpool)."""
    windows = dict(_pool(x, kernel_shape, strides, pads, ceil_mode))
    common = math.lcm(*map(len, windows.values()))
    means = {index: common * Fraction(sum(codes), len(codes)) for index, codes in windows.items()}
    assert all(mean.denominator == 1 for mean in means.values())
    return {index: int(mean) for index, mean in means.items()}


def global_avgpool(x):
    """The sum of a channel (Global_avgpool)."""
    images, height, width, channels = x.shape
    return {
        (n, 0, 0, c): sum(int(x[n, y, z, c]) for y, z in product(range(height), range(width)))
        for n, c in product(range(images), range(channels))
    }


def concat(*tensors):
    """Channels of the first, then of the second, ... (Concat)."""
    joined, before = {}, 0
    for x in tensors:
        for *place, c in _indices(x.shape):
            joined[(*place, before + c)] = int(x[(*place, c)])
        before += x.shape[-1]
    return joined


def pad_channels(x, *, before, after):
    """Zeros, the channels, zeros (Pad_channels)."""
    images, height, width, channels = x.shape
    return {
        (n, y, z, c): int(x[n, y, z, c - before]) if before <= c < before + channels else 0
        for n, y, z, c in _indices((images, height, width, before + channels + after))
    }


def gather_channels(x, *, order):
    """Channel c is channel order[c] (Gather_channels)."""
    *places, _ = x.shape
    return {(*place, c): int(x[(*place, int(source))]) for place in _indices(places) for c, source in enumerate(order)}


def lookup(x, *, table):
    """The entry at the address that a code's 8 bits are (Lookup)."""
    rows = table.tolist()
    return {place: rows[place[-1] % len(rows)][int(x[place]) % 256] for place in _indices(x.shape)}


def mul(a, b):
    """Each code times the one at its place, or times that of the only pixel (Mul)."""
    return {
        place: int(a[place]) * int(b[place if a.shape == b.shape else (place[0], 0, 0, place[3])])
        for place in _indices(a.shape)
    }


def flatten(x):
    """Channel by channel, row by row (Flatten)."""
    images, height, width, channels = x.shape
    return {
        (n, k): int(x[n, y, z, c])
        for n in range(images)
        for k, (c, y, z) in enumerate(product(range(channels), range(height), range(width)))
    }


def _indices(shape):
    return product(*map(range, shape))
