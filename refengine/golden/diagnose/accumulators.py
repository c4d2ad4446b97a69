"""The accumulators of a machine, everywhere or at single elements.

A convolution runs by the definition's kernel wherever its 16-bit operands hold the codes and weights, else window by
window, as a pool does.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from ...numbers.accumulator import confine
from ...ops import OPS, conv
from .machine import POOLS, Machine, kernel, taps

ELEMENTS_AT_ONCE = 1 << 21
_INT16 = 2**15 - 1


def accumulators(machine: Machine, where: np.ndarray | None, read: np.ndarray | None = None) -> np.ndarray:
    """The sums, as the accumulator holds them: int64 (S,) or (N, ...).

    ``read``: what the convolution's ``windows`` hold at a few positions, where that is known already.
    """
    if machine.kept is not None:
        return _kept(machine, where)
    if machine.packed is not None:
        return _packed(machine, where)
    if machine.op == "conv":
        if where is not None and read is not None:
            acc = _sums_at(machine, where, read)
        else:
            acc = _conv(machine) if where is None else _in_blocks(_conv_at, machine, where)
    elif machine.op in POOLS:
        acc = _in_blocks(_pool_at, machine, _everywhere(machine) if where is None else where)
    else:
        acc = OPS[machine.op].reference(*machine.operands, **machine.constants, **machine.attributes)
        acc = acc if where is None else acc.reshape(-1)[where]
    if where is None:
        acc = acc.reshape(machine.case.count, *machine.case.shape)
    if machine.narrow is not None:
        bits, policy = machine.narrow
        acc, _ = confine(acc, bits, "wrap" if policy == "error" else policy)
    return acc.astype(np.int64)


def _and_the_last(sums: np.ndarray, bias: np.ndarray, axis: int) -> np.ndarray:
    """Each sum with the one before it."""
    before = np.roll(sums, 1, axis)
    before[(slice(None),) * axis + (0,)] = 0
    return sums + before


def _bias_once(sums: np.ndarray, bias: np.ndarray, axis: int) -> np.ndarray:
    """Each sum of products with all those before it, and the first one's bias."""
    return np.cumsum(sums - bias, axis) + bias.take([0], axis)


KEPT: Mapping[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "all": lambda sums, bias, axis: np.cumsum(sums, axis),
    "last": _and_the_last,
    "products": _bias_once,
}
RUNS: Mapping[str, Callable[[int, int, int, int], tuple[tuple[int, ...], int]]] = {  # (N, H, W, C) -> shape and axis
    "channel": lambda n, h, w, c: ((n, h * w, c), 2),
    "pixel": lambda n, h, w, c: ((n, h * w, c), 1),
    "row": lambda n, h, w, c: ((n * h, w, c), 1),
    "result": lambda n, h, w, c: ((n, h * w * c), 1),
    "image": lambda n, h, w, c: ((n, h * w, c), 0),
}


def _kept(machine: Machine, where: np.ndarray | None) -> np.ndarray:
    """Sums of an accumulator that is not cleared: each contains those before it, or the last one."""
    what, over = machine.kept or ("", "")
    sums = accumulators(replace(machine, kept=None), None)
    shape, axis = RUNS[over](*_hwc(machine))
    bias = np.broadcast_to(machine.constants["bias"].astype(np.int64), sums.shape).reshape(shape)
    runs = KEPT[what](sums.reshape(shape), bias, axis)
    bits, policy = machine.narrow or (32, "wrap")
    held, _ = confine(runs.reshape(sums.shape), bits, "wrap" if policy == "error" else policy)
    return (held if where is None else held.reshape(-1)[where]).astype(np.int64)


def _packed(machine: Machine, where: np.ndarray | None) -> np.ndarray:
    """Sums of which each second one is too small by one where its neighbour's products are negative."""
    plain = replace(machine, packed=None)
    constants, channels = machine.constants, machine.case.shape[-1]
    other = np.minimum(np.arange(channels) ^ 1, channels - 1)
    neighbour = plain.constant(
        weight=np.ascontiguousarray(constants["weight"][other]),
        scale=constants["scale"][other],
        bias=np.zeros_like(constants["bias"]),
    )
    channel = np.arange(channels) if where is None else where % channels
    borrows = (channel % 2 == machine.packed) & (channel < channels // 2 * 2)
    return accumulators(plain, where) - (borrows & (accumulators(neighbour, where) < 0))


def _everywhere(machine: Machine) -> np.ndarray:
    return np.arange(machine.case.count * int(np.prod(machine.case.shape)))


def _in_blocks(function: Callable, machine: Machine, where: np.ndarray) -> np.ndarray:
    """``function`` of a few positions at a time, so that their windows fit into the memory."""
    block = max(1, ELEMENTS_AT_ONCE // taps(machine))
    parts = [function(machine, where[first : first + block]) for first in range(0, len(where), block)]
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _rows(machine: Machine, axis: int, positions: np.ndarray) -> np.ndarray:
    """Rows (axis 0) or columns (axis 1) of the input under the windows at ``positions``: (S,) -> (S, K)."""
    start = positions * machine.attributes["strides"][axis] - machine.attributes["pads"][axis] + machine.origin[axis]
    lines = start[:, None] + np.arange(kernel(machine)[axis])
    read = machine.lines[axis]
    return lines if read is None else read(positions[:, None], lines)


def _windows_at(
    machine: Machine, images: np.ndarray, rows: np.ndarray, columns: np.ndarray, channels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The codes under single windows and which of them lie in the image: (S, KH, KW, I) and (S, KH, KW, 1)."""
    x = machine.operands[0]
    height, width = x.shape[1:3]
    inside = (((rows >= 0) & (rows < height))[:, :, None] & ((columns >= 0) & (columns < width))[:, None, :])[..., None]
    pixels = (images[:, None] * height + np.clip(rows, 0, height - 1))[:, :, None] * width
    pixels = pixels + np.clip(columns, 0, width - 1)[:, None, :]
    places = pixels[..., None] * x.shape[3] + channels[:, None, None, :]
    codes = x.reshape(-1).take(places).astype(np.int32)
    if isinstance(machine.fill, str) or inside.all():
        return codes, inside
    fill = np.broadcast_to(np.asarray(machine.fill, np.int32), x.shape[3])[channels][:, None, None, :]
    return np.where(inside, codes, fill), inside


def windows(machine: Machine, where: np.ndarray) -> np.ndarray:
    """What a convolution reads for single elements, a few of them: int32 (S, KH, KW, I)."""
    weight = machine.constants["weight"]
    images, y, x, o = np.unravel_index(where, _hwc(machine))
    first = o // (len(weight) // machine.attributes["group"]) * weight.shape[1]
    channels = first[:, None] + np.arange(weight.shape[1])
    return _windows_at(machine, images, _rows(machine, 0, y), _rows(machine, 1, x), channels)[0]


def _conv_at(machine: Machine, where: np.ndarray) -> np.ndarray:
    """Accumulators at single elements, a few of them."""
    return _sums_at(machine, where, windows(machine, where))


def _sums_at(machine: Machine, where: np.ndarray, read: np.ndarray) -> np.ndarray:
    """Accumulators of windows (S, KH, KW, I); sums are modulo 2**32, as in an INT32 accumulator."""
    weight, scale, bias = (machine.constants[name] for name in ("weight", "scale", "bias"))
    o = where % machine.case.shape[-1]
    if machine.products is not None:
        products = read * weight[o].transpose(0, 2, 3, 1)
        return machine.products(products, scale[o], bias[o].astype(np.int64)).astype(np.int32)
    sums = np.einsum("syxi,siyx->si", read, weight[o])
    if machine.add is None:
        return (np.einsum("si,si->s", sums, scale[o]) + bias[o]).astype(np.int32)
    starts = np.flatnonzero(np.diff(machine.clusters, prepend=-1))
    acc = bias[o].astype(np.int64)
    for partial, channel in zip(np.add.reduceat(sums, starts, axis=1).T, starts, strict=True):
        acc = machine.add(acc, partial.astype(np.int64), scale[o, channel].astype(np.int64))
    return acc.astype(np.int32)


def _hwc(machine: Machine) -> tuple[int, ...]:
    """(N, H, W, C) of the result, 1 x 1 pixel where it has none."""
    shape = machine.case.shape
    return (machine.case.count, *((1, 1, *shape) if len(shape) == 1 else shape))


def _conv(machine: Machine) -> np.ndarray:
    """All accumulators: by the kernel wherever its 16-bit operands hold the codes and weights."""
    weight, scale = machine.constants["weight"], machine.constants["scale"]
    if machine.products is not None or machine.lines != (None, None):
        return _in_blocks(_conv_at, machine, _everywhere(machine))
    products = weight * scale[:, :, None, None]
    x = _padded(machine)
    if max(int(np.abs(products).max(initial=0)), int(np.abs(x).max(initial=0))) > _INT16:
        return _in_blocks(_conv_at, machine, _everywhere(machine))
    bias = machine.constants["bias"].astype(np.int32)
    if machine.add is None:
        return _dense(machine, x, products, bias)
    acc = np.broadcast_to(bias.astype(np.int64), _hwc(machine))
    zeros, group, inputs = np.zeros_like(bias), machine.attributes["group"], weight.shape[1]
    for g in range(int(machine.clusters.max()) + 1):
        members = np.flatnonzero(machine.clusters == g)
        channels = (np.arange(group)[:, None] * inputs + members).reshape(-1)
        partial = _dense(machine, np.ascontiguousarray(x[..., channels]), weight[:, members], zeros)
        acc = machine.add(acc, partial.astype(np.int64), scale[:, members[0]].astype(np.int64))
    return acc.astype(np.int32)


def _dense(machine: Machine, x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """The plain sum of products over windows that lie inside ``x``."""
    return conv.dense(
        x,
        weight=weight,
        scale=np.ones((len(weight), 1), np.int32),
        bias=bias,
        strides=machine.attributes["strides"],
        pads=(0, 0, 0, 0),
        group=machine.attributes["group"],
        cluster=weight.shape[1],
    )


def _padded(machine: Machine) -> np.ndarray:
    """The codes under all windows, what lies outside the image filled in: int32 (N, rows, columns, I)."""
    x = machine.operands[0]
    _, out_h, out_w, _ = _hwc(machine)
    rows, columns = (
        np.arange((count - 1) * machine.attributes["strides"][axis] + kernel(machine)[axis])
        + machine.origin[axis] - machine.attributes["pads"][axis]
        for axis, count in enumerate((out_h, out_w))
    )  # fmt: skip
    height, width = x.shape[1:3]
    codes = x[:, np.clip(rows, 0, height - 1)][:, :, np.clip(columns, 0, width - 1)].astype(np.int32)
    if isinstance(machine.fill, str):
        return codes
    inside = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))
    return np.where(inside[:, :, None], codes, np.asarray(machine.fill, np.int32))


def _pool_at(machine: Machine, where: np.ndarray) -> np.ndarray:
    images, y, x, channel = np.unravel_index(where, _hwc(machine))
    codes, inside = _windows_at(machine, images, _rows(machine, 0, y), _rows(machine, 1, x), channel[:, None])
    count = len(where)
    inside = np.broadcast_to(inside, codes.shape)
    return machine.pool(codes.reshape(count, -1).astype(np.int64), inside.reshape(count, -1), machine)
