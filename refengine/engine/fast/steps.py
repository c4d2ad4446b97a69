"""From layers to steps: which kernel computes each operator of the fast plan, and what it is handed.

    conv, fc                                   CONV, CLUSTERS, CROSSED: products of windows and panels; the window of fc
                                               is as large as the image
    depthwise conv, average pools, batchnorm,  DEPTHWISE: each channel by itself, with weights that are counts, signs
    add, requantize                            or shifts; an add has two taps, one in each tensor
    maxpool                                    LARGEST
    input, lookup                              LOOKUP: a pixel has 256 values, so its code stands in a table
    whatever only moves codes                  COPY, FILL

Grouped convolutions are products whose panels read only the channels of their groups.  ``steps_of`` gives None for the
little that is left (stochastic rounding, pools whose windows differ in size, extreme shifts, operators without an entry
in ``COMPILERS``): that runs through ``run_layer``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ...kernels.fast import depthwise, step
from ...kernels.fast import plan as kernel
from ...kernels.fast.epilogue import LIFT
from ...network.int_network import IntLayer, IntNetwork
from ...numbers import requantize
from ...numbers.accumulator import confine
from ...numbers.formats import ACTIVATION_FORMATS
from ...numbers.rounding import STOCHASTIC, round_shift
from ...ops import OPS, avgpool, input, lookup
from ...ops.batchnorm import CODE_SHIFT
from ...ops.conv import integer_weights
from ...ops.interface import sources
from .buffers import Buffer, Store
from .cluster_packing import Chains, chains_of, packed_clusters
from .packing import Panels, exact_table, in_reading_order, missing, panels, table, widths

_PLACE = 4  # bytes of a place are a multiple of it
_MAX_WEIGHT = 2**15 - 1

Fields = dict[int, int]


@dataclass(eq=False)
class Compiler:
    """What all steps of one plan share.

    accumulators: int32 (N * pixels, filled channels) of the layers whose accumulators are kept.  counted: whether
    clipped values are counted.  store: the arrays whose addresses stand in steps.
    """

    network: IntNetwork
    buffers: dict[str, Buffer]
    images: int
    counted: bool
    traced: frozenset[str]
    accumulators: dict[str, np.ndarray] = field(default_factory=dict)
    store: Store = field(default_factory=Store)

    def address(self, array: np.ndarray) -> int:
        """The address of a copy that lives as long as the plan."""
        return self.store.address(array)

    def is_last(self, layer: IntLayer) -> bool:
        """Whether the layer gives the logits."""
        return layer is self.network.layers[-1]


@dataclass(frozen=True, eq=False)
class Sums:
    """A layer's accumulators as a sum over the taps of windows.

    starts: where each window of ``source`` begins, int32 (N, OH, OW).  bias int (O), in the layer's unit.
    """

    source: Buffer
    starts: np.ndarray
    bias: np.ndarray


def steps_of(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    """The steps of one layer, None where no kernel of the plan covers it."""
    if not _covered(layer):
        return None
    made = COMPILERS.get(layer.op, _moved if OPS[layer.op].MOVES else None)
    found = None if made is None else made(compiler, layer)
    return None if found is None else [*_border(compiler, compiler.buffers[layer.name]), *found]


def _covered(layer: IntLayer) -> bool:
    rescale = layer.requantize
    return rescale is None or (rescale.rounding != STOCHASTIC and rescale.format.name in ACTIVATION_FORMATS)


# ------------------------------------------------------------------------------------------------------- dense products


def _conv(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    weight, group = _weight(layer), layer.attributes["group"]
    sums = _windows(compiler, layer, layer.constants["bias"])
    if group == len(weight) and weight.shape[1] == 1:
        return _channelwise(compiler, layer, sums, weight.reshape(group, -1), _taps(sums.source, *weight.shape[2:]))
    return _product(compiler, layer, sums, weight, group)


def _fc(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    source = compiler.buffers[layer.inputs[0]]
    height, width, channels = source.shape
    weight = _weight(layer).reshape(-1, channels, height, width)
    starts = source.offsets(np.zeros(1, int), np.zeros(1, int))
    return _product(compiler, layer, Sums(source, starts, layer.constants["bias"]), weight, 1)


def _weight(layer: IntLayer) -> np.ndarray:
    """Integer weights, scales multiplied in: int32 (O, I, KH, KW)."""
    weight = integer_weights(layer.constants["weight"], layer.constants["scale"], layer.attributes["cluster"])
    return weight.reshape(*weight.shape, *[1] * (4 - weight.ndim))


def _product(compiler: Compiler, layer: IntLayer, sums: Sums, weight: np.ndarray, group: int) -> list[Fields]:
    chains = chains_of(layer, sums.source.stored, kernel.TARGET)
    if chains is not None:
        return _clustered(compiler, layer, sums, weight, chains)
    common = _common(compiler, layer, sums, step.CONV)
    begun = np.zeros(common[step.STORED], np.int64)
    begun[: len(weight)] = sums.bias - _zeros_of(sums.source, weight)
    steps = []
    for first, width, count in widths(common[step.STORED], kernel.TARGET.widths):
        for part in _parts(weight, group, first, width, count):
            places, length = _places(sums.source, part)
            rows = in_reading_order(part.by_place(), part.channels(sums.source), length)
            begun[part.first : part.first + len(rows)] += missing(rows, kernel.TARGET)
            for packed in panels(rows, part.first, width, kernel.TARGET.dense):
                steps.append(
                    common
                    | _panelled(compiler, common, begun, packed, packed.limbs)
                    | {
                        step.IMAGES: sums.source.address + part.channel,
                        step.TAPS: len(places),
                        step.OFFSETS: compiler.address(places),
                        step.LENGTH: length,
                    }
                )
    return steps


def _clustered(compiler: Compiler, layer: IntLayer, sums: Sums, weight: np.ndarray, chains: Chains) -> list[Fields]:
    """Panels of codes and scales, for codes whose products with their scale do not fit one limb."""
    common = _common(compiler, layer, sums, step.CROSSED if chains.crossed else step.CLUSTERS)
    offsets = chains.offsets(weight.shape[3], sums.source.stored, sums.source.row_bytes)
    bias = sums.bias - _zeros_of(sums.source, weight)
    return [
        common
        | {step.CHAINS: len(offsets), step.PLACES: offsets.shape[1], step.OFFSETS: compiler.address(offsets)}
        | _panelled(
            compiler,
            common,
            bias,
            Panels(first, width, packed_clusters(layer, chains, kernel.TARGET, first, width, count)),
            1,
        )
        for first, width, count in widths(common[step.STORED], kernel.TARGET.cluster_widths)
    ]


@dataclass(frozen=True, eq=False)
class _Part:
    """Panels that read the same input channels: weights int32 (O, I, KH, KW) of the outputs from ``first`` on.

    ``channel`` is the first input channel; whole: the panels read all channels of a pixel.
    """

    first: int
    weight: np.ndarray
    channel: int
    whole: bool

    def channels(self, source: Buffer) -> int:
        """Channels of a tap, as they are stored."""
        return source.stored if self.whole else self.weight.shape[1]

    def by_place(self) -> np.ndarray:
        """The weights as (O, I, places, taps of a place)."""
        return self.weight if self.whole else self.weight.reshape(*self.weight.shape[:2], -1, 1)


def _parts(weight: np.ndarray, group: int, first: int, width: int, count: int) -> Iterator[_Part]:
    """The weights of ``count`` panels; those of grouped convolutions one by one, with zeros between groups."""
    outputs, inputs = weight.shape[:2]
    if group == 1:
        rows = np.zeros((width * count, *weight.shape[1:]), np.int32)
        rows[: outputs - first] = weight[first : first + len(rows)]
        yield _Part(first, rows, 0, True)
        return
    outputs_of_group = outputs // group
    for start in range(first, first + width * count, width):
        end = min(start + width, outputs)
        q_first, q_last = start // outputs_of_group, max(start, end - 1) // outputs_of_group
        if start >= outputs:
            q_first = q_last = 0
        rows = np.zeros((width, (q_last - q_first + 1) * inputs, *weight.shape[2:]), np.int32)
        for o in range(start, end):
            q = o // outputs_of_group - q_first
            rows[o - start, q * inputs : (q + 1) * inputs] = weight[o]
        yield _Part(start, rows, q_first * inputs, False)


def _places(source: Buffer, part: _Part) -> tuple[np.ndarray, int]:
    """Where the places of a window begin, and how many bytes each has: kernel rows, or single taps of some channels."""
    kernel_h, kernel_w = part.weight.shape[2:]
    if part.whole:
        length = kernel_w * source.stored
        return _taps(source, kernel_h, 1), -(-length // _PLACE) * _PLACE
    return _taps(source, kernel_h, kernel_w), -(-part.weight.shape[1] // _PLACE) * _PLACE


def _taps(source: Buffer, kernel_h: int, kernel_w: int) -> np.ndarray:
    """Where the taps of a window lie from its first one: int32 (KH*KW)."""
    rows, columns = np.arange(kernel_h)[:, None] * source.row_bytes, np.arange(kernel_w) * source.stored
    return (rows + columns).astype(np.int32).ravel()


def _panelled(compiler: Compiler, common: Fields, bias: np.ndarray, packed: Panels, limbs: int) -> Fields:
    initial = np.zeros((limbs, common[step.STORED]), np.int64)
    initial[-1, : len(bias)] = bias
    return {
        step.PANELS: compiler.address(packed.weights),
        step.PANEL_BYTES: packed.weights[0].nbytes,
        step.PANEL_COUNT: packed.count,
        step.LIMBS: limbs,
        step.WIDTH: packed.width,
        step.CHANNEL: packed.first,
        step.INITIAL: compiler.address(_wrapped(initial)),
    }


def _wrapped(values: np.ndarray) -> np.ndarray:
    """Modulo 2**32, as registers hold it: sums that start so end right, because the bound holds for their end."""
    return (values & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def _zeros_of(source: Buffer, weight: np.ndarray) -> np.ndarray:
    """What code 0 as it is stored adds to each sum."""
    return source.zero * weight.reshape(len(weight), -1).sum(axis=1, dtype=np.int64)


# ------------------------------------------------------------------------------------------------- channel by channel


def _channelwise(
    compiler: Compiler, layer: IntLayer, sums: Sums, weight: np.ndarray, taps: np.ndarray
) -> list[Fields] | None:
    """weight int (C or 1, taps); taps int (taps) -> the one step, None where weights or taps leave their types."""
    if np.abs(weight).max() > _MAX_WEIGHT or np.abs(taps).max() >= 2**31:
        return None
    common = _common(compiler, layer, sums, step.DEPTHWISE)
    channels = common[step.CHANNELS]
    if taps.size % 2:  # taps come in pairs
        weight, taps = np.pad(weight, ((0, 0), (0, 1))), np.append(taps, taps[-1])
    rows = np.zeros((taps.size // 2, common[step.STORED], 2), np.int16)
    rows[:, :channels] = weight.reshape(len(weight), -1, 2).transpose(1, 0, 2)
    initial = np.zeros(common[step.STORED], np.int64)
    initial[:channels] = sums.bias - _zeros_of(sums.source, weight)
    own = {
        step.TAPS: taps.size,
        step.OFFSETS: compiler.address(taps.astype(np.int32)),
        step.PANELS: compiler.address(rows),
        step.PANEL_COUNT: common[step.STORED] // depthwise.WIDTH,
        step.WIDTH: depthwise.WIDTH,
        step.INITIAL: compiler.address(_wrapped(initial)),
    }
    return [common | own]


def _batchnorm(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    sums = _pixels(compiler, layer, layer.constants["bias"])
    weight = layer.constants["sign"].astype(np.int64)[:, None] << CODE_SHIFT
    return _channelwise(compiler, layer, sums, weight, np.zeros(1, np.int64))


def _requantize(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    return _channelwise(compiler, layer, _pixels(compiler, layer), np.ones((1, 1), np.int64), np.zeros(1, np.int64))


def _add(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    """Two taps, one in each tensor: they have the same border, so one distance leads from one to the other."""
    a, b = (compiler.buffers[name] for name in layer.inputs)
    if a.bytes.shape != b.bytes.shape:
        return None
    first, second = (np.int64(1) << shift for shift in layer.attributes["shifts"])
    bias = np.array([(a.zero - b.zero) * second])  # the zeros are taken out as if both were a's
    sums = Sums(a, a.pixels(), bias)
    taps = np.array([0, b.address - a.address])
    return _channelwise(compiler, layer, sums, np.array([[first, second]]), taps)


def _avgpool(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    source = compiler.buffers[layer.inputs[0]]
    if len(np.unique(avgpool.counts(source.shape, **layer.attributes))) > 1:
        return None
    kernel_h, kernel_w = layer.attributes["kernel_shape"]
    taps = _taps(source, kernel_h, kernel_w)
    sums = _windows(compiler, layer, np.zeros(1, np.int64))
    return _channelwise(compiler, layer, sums, np.ones((1, taps.size), np.int64), taps)


def _global_avgpool(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    source = compiler.buffers[layer.inputs[0]]
    taps = _taps(source, *source.shape[:2])
    starts = source.offsets(np.zeros(1, int), np.zeros(1, int))
    sums = Sums(source, starts, np.zeros(1, np.int64))
    return _channelwise(compiler, layer, sums, np.ones((1, taps.size), np.int64), taps)


# --------------------------------------------------------------------------------------------------- bytes that move


def _input(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    """One table a channel: what a stored byte each pixel value becomes.  The walker reads the caller's images."""
    if layer.requantize is None or layer.residual is not None:
        return None
    height, width, channels = compiler.buffers[layer.name].shape
    values = np.arange(256, dtype=np.uint8)[:, None] + np.zeros(channels, np.uint8)
    acc = input.reference(values, **layer.arguments)
    order = np.arange(channels)[::-1] if layer.attributes["flip"] else np.arange(channels)
    rows = np.arange(compiler.images * height, dtype=np.int32) * width * channels
    return [_tabled(compiler, layer, layer.requantize, acc, order, rows) | {step.PIXEL_BYTES: channels}]


def _lookup(compiler: Compiler, layer: IntLayer) -> list[Fields] | None:
    """One table a channel: what a stored byte each byte as it is stored becomes."""
    if layer.requantize is None:
        return None
    source, channels = compiler.buffers[layer.inputs[0]], compiler.buffers[layer.name].shape[2]
    addresses = (np.arange(256) ^ source.zero)[:, None] + np.zeros(channels, np.int64)
    acc = lookup.reference(addresses, **layer.arguments)
    rows = source.pixels()[:, :, 0]
    fields = {step.IMAGES: source.address, step.PIXEL_BYTES: source.stored}
    return [_tabled(compiler, layer, layer.requantize, acc, np.arange(channels), rows) | fields]


def _tabled(
    compiler: Compiler,
    layer: IntLayer,
    rescale: requantize.Requantize,
    acc: np.ndarray,
    order: np.ndarray,
    rows: np.ndarray,
) -> Fields:
    """Rows of pixels through tables: acc int32 (256, C) are the sums of all bytes, ``rows`` where each row begins."""
    to = compiler.buffers[layer.name]
    height, width, channels = to.shape
    codes, events = _codes_of_bytes(layer, rescale, acc)
    return {
        **_pixel_steps(compiler, to),
        step.KIND: step.LOOKUP,
        step.PIXELS: compiler.images * height,
        step.PER_IMAGE: height,
        step.BLOCK: _block(compiler.images * height),
        step.STARTS: compiler.address(rows),
        step.RUN: width,
        step.CODE_STARTS: compiler.address(to.pixels()[:, :, 0]),
        step.SOURCE_CHANNELS: compiler.address(order.astype(np.int32)),
        step.CODE_TABLES: compiler.address((codes.view(np.uint8) ^ to.zero).T),
        step.PANEL_COUNT: channels,
        step.EVENT_TABLES: compiler.address(events.T) if compiler.counted else 0,
    }


def _codes_of_bytes(layer: IntLayer, rescale: requantize.Requantize, acc: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The code of each of 256 sums (256, C), and which of ``kernel.EVENTS`` each counts as: u8, a bit each."""
    confined = acc
    if layer.accumulator_bits < 32:
        confined = np.stack([_confined(value, layer) for value in acc])
    rounded = round_shift(requantize.total(confined, rescale), rescale.shift, rescale.rounding)
    happens = {
        kernel.BELOW: rounded < rescale.lo,
        kernel.ABOVE: rounded > rescale.hi,
        kernel.OVERFLOWED: confined != acc,
    }
    events = np.bitwise_or.reduce([where.astype(np.uint8) << event for event, where in happens.items()])
    return requantize.clip(rounded, rescale), events


def _confined(acc: np.ndarray, layer: IntLayer) -> np.ndarray:
    return confine(acc, layer.accumulator_bits, layer.accumulator_policy)[0]


def _maxpool(compiler: Compiler, layer: IntLayer) -> list[Fields]:
    """Places outside the image are replaced by the nearest inside, which a maximum does not notice."""
    source, to = compiler.buffers[layer.inputs[0]], compiler.buffers[layer.name]
    height, width = source.shape[:2]
    (kernel_h, kernel_w), (down, right) = layer.attributes["kernel_shape"], layer.attributes["strides"]
    top, left = layer.attributes["pads"][:2]
    y = np.clip(np.arange(to.shape[0])[:, None] * down - top + np.arange(kernel_h), 0, height - 1)
    x = np.clip(np.arange(to.shape[1])[:, None] * right - left + np.arange(kernel_w), 0, width - 1)
    rows, columns = y * source.row_bytes, x * source.stored
    offsets = rows[:, None, :, None] + columns[None, :, None, :]
    corner = source.offsets(np.zeros(1, int), np.zeros(1, int))
    starts = np.broadcast_to(corner, (compiler.images, *to.shape[:2]))
    common = {
        **_pixel_steps(compiler, to),
        step.KIND: step.LARGEST,
        step.IMAGES: source.address,
        step.STARTS: compiler.address(starts),
        step.TAPS: kernel_h * kernel_w,
        step.OFFSETS: compiler.address(offsets.astype(np.int32)),
    }
    return [
        common | {step.CHANNEL: first, step.WIDTH: width, step.PANEL_COUNT: count}
        for first, width, count in widths(to.stored, kernel.LARGEST_WIDTHS)
    ]


def _moved(compiler: Compiler, layer: IntLayer) -> list[Fields]:
    """Codes that only move: runs of neighbours, those of one tensor and one length in one step; zeros are filled."""
    to, reads = compiler.buffers[layer.name], [compiler.buffers[name] for name in layer.inputs]
    shapes = [compiler.network.shapes[name] for name in layer.inputs]
    runs = _runs(sources(OPS[layer.op], shapes, layer.arguments).reshape(to.shape), to, reads)
    steps = []
    for operand, length in sorted({(run.operand, run.length) for run in runs}):
        some = [run for run in runs if (run.operand, run.length) == (operand, length)]
        ends = _in_every_image(to, [run.end for run in some])
        if operand < 0:
            steps.append(_filled(compiler, to, ends, length))
            continue
        starts = _in_every_image(reads[operand], [run.start for run in some])
        steps.append(
            {
                **_per_image(compiler, to, len(some)),
                step.KIND: step.COPY,
                step.IMAGES: reads[operand].address,
                step.STARTS: compiler.address(starts),
                step.CODE_STARTS: compiler.address(ends),
                step.LENGTH: length,
            }
        )
    return steps


@dataclass(frozen=True)
class _Run:
    """Neighbouring codes of a pixel that come from neighbours, in bytes from an image's first; operand -1: zeros."""

    operand: int
    start: int
    end: int
    length: int


def _runs(found: np.ndarray, to: Buffer, reads: list[Buffer]) -> list[_Run]:
    """All runs of one image: ``found`` int64 (H, W, C) is what ``ops.interface.sources`` says."""
    operands = np.concatenate([np.full(np.prod(read.shape), number) for number, read in enumerate(reads)] + [[-1]])
    places = np.concatenate([_bytes_of(read).ravel() for read in reads] + [[0]])
    operand, place, end = operands[found], places[found], _bytes_of(to)
    breaks = np.ones(found.shape, bool)
    breaks[..., 1:] = np.diff(operand) != 0
    breaks[..., 1:] |= (np.diff(place) != 1) & (operand[..., 1:] >= 0)
    first = np.flatnonzero(breaks)
    lengths = np.diff(first, append=found.size)
    columns = (operand.ravel()[first], place.ravel()[first], end.ravel()[first], lengths)
    return [_Run(*run) for run in zip(*(column.tolist() for column in columns), strict=True)]


def _bytes_of(buffer: Buffer) -> np.ndarray:
    """Where each code of the first image lies: int64 (H, W, C), from the buffer's address."""
    return buffer.pixels()[0][:, :, None].astype(np.int64) + np.arange(buffer.shape[2])


def _in_every_image(buffer: Buffer, places: list[int]) -> np.ndarray:
    """The same places in every image: int32 (N, places)."""
    images, size = len(buffer.bytes), buffer.bytes[0].size
    return (np.arange(images)[:, None] * size + np.array(places)).astype(np.int32)


# -------------------------------------------------------------------------------------------- what steps have in common


def _border(compiler: Compiler, buffer: Buffer) -> list[Fields]:
    """Zeros around every image, where another tensor may have been since the last run."""
    if not buffer.shared or not any(buffer.border):
        return []
    top, left, bottom, right = buffer.border
    height, width = buffer.shape[:2]
    inside, every = np.arange(height), np.arange(-left, width + right)
    outside = np.r_[np.arange(-top, 0), np.arange(height, height + bottom)]
    runs = [
        (buffer.offsets(outside, every[:1]), len(every)),
        (buffer.offsets(inside, every[:1]), left),
        (buffer.offsets(inside, np.array([width])), right),
    ]
    return [
        _filled(compiler, buffer, starts, pixels * buffer.stored) for starts, pixels in runs if starts.size * pixels
    ]


def _filled(compiler: Compiler, to: Buffer, starts: np.ndarray, length: int) -> Fields:
    """Zeros from each of the places on."""
    count = starts.size // compiler.images
    return {
        step.KIND: step.FILL,
        step.PIXELS: starts.size,
        step.PER_IMAGE: count,
        step.BLOCK: count,
        step.PANEL_COUNT: 1,
        step.CODES: to.address,
        step.CODE_STARTS: compiler.address(starts),
        step.LENGTH: length,
        step.ZERO: to.zero,
    }


def _block(pixels: int) -> int:
    """Pixels of an item: as many blocks as are needed, all of about the same size, so that no small one is left over.

    >>> _block(196), _block(49), _block(12544)
    (66, 49, 96)
    """
    blocks = -(-pixels // kernel.BLOCK_PIXELS)
    return -(-pixels // blocks)


def _pixel_steps(compiler: Compiler, to: Buffer) -> Fields:
    """What every step has that writes each pixel of a tensor."""
    return {
        **_per_image(compiler, to, to.shape[0] * to.shape[1]),
        step.STORED: to.stored,
        step.CHANNELS: to.shape[2],
        step.CODE_STARTS: compiler.address(to.pixels()),
    }


def _per_image(compiler: Compiler, to: Buffer, count: int) -> Fields:
    """What every step has that writes so many places of each image."""
    return {
        step.PIXELS: compiler.images * count,
        step.PER_IMAGE: count,
        step.BLOCK: _block(compiler.images * count),
        step.PANEL_COUNT: 1,
        step.CODES: to.address,
    }


def _common(compiler: Compiler, layer: IntLayer, sums: Sums, kind: int) -> Fields:
    """What every step of a layer has that accumulates."""
    to = compiler.buffers[layer.name]
    fields = {
        **_pixel_steps(compiler, to),
        step.KIND: kind,
        step.IMAGES: sums.source.address,
        step.STARTS: compiler.address(sums.starts),
        step.LIMBS: 1,
        step.ACCUMULATOR_BITS: layer.accumulator_bits,
        step.SATURATES: layer.accumulator_policy == "saturate",
    }
    if layer.name in compiler.traced or layer.requantize is None:
        kept = np.zeros((fields[step.PIXELS], to.stored), np.int32)
        compiler.accumulators[layer.name] = kept
        fields[step.SUMS] = kept.ctypes.data
    return fields | _epilogue(compiler, layer, to, kind)


def _epilogue(compiler: Compiler, layer: IntLayer, to: Buffer, kind: int) -> Fields:
    """How accumulators become codes; nothing for those that are the logits."""
    rescale = layer.requantize
    if rescale is None:
        return {}
    fields = {step.LO: rescale.lo + to.zero, step.HI: rescale.hi + to.zero, step.ZERO: to.zero}
    narrow = table(compiler.network, layer, rescale, to.zero)
    if narrow is None:
        fields[step.EXACT_TABLE] = compiler.address(exact_table(rescale, to.shape[2]))
    else:
        later = compiler.counted or (kind != step.DEPTHWISE and narrow[LIFT].any())
        fields[step.LATER_TABLE if later else step.TABLE] = compiler.address(narrow)
    if layer.residual is not None:
        residual = compiler.buffers[layer.residual]
        fields[step.RESIDUAL] = residual.address
        fields[step.RESIDUAL_STARTS] = compiler.address(residual.pixels())
        fields[step.RESIDUAL_ZERO] = residual.zero
    return fields


def _windows(compiler: Compiler, layer: IntLayer, bias: np.ndarray) -> Sums:
    """Windows that slide over the tensor that the layer reads."""
    source, to = compiler.buffers[layer.inputs[0]], compiler.buffers[layer.name]
    (top, left), (down, right) = layer.attributes["pads"][:2], layer.attributes["strides"]
    starts = source.offsets(np.arange(to.shape[0]) * down - top, np.arange(to.shape[1]) * right - left)
    return Sums(source, starts, bias)


def _pixels(compiler: Compiler, layer: IntLayer, bias: np.ndarray | None = None) -> Sums:
    """Windows of one pixel."""
    source = compiler.buffers[layer.inputs[0]]
    return Sums(source, source.pixels(), np.zeros(1, np.int64) if bias is None else bias)


COMPILERS: dict[str, Callable[[Compiler, IntLayer], list[Fields] | None]] = {
    "input": _input,
    "conv": _conv,
    "fc": _fc,
    "batchnorm": _batchnorm,
    "add": _add,
    "maxpool": _maxpool,
    "avgpool": _avgpool,
    "global_avgpool": _global_avgpool,
    "requantize": _requantize,
    "lookup": _lookup,
    "mul": lambda compiler, layer: None,  # by itself: its two tensors are seldom of one size
}
