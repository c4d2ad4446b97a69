"""What a stimulus exercises of each layer's arithmetic: a mistake in a part that no image reaches cannot be seen.

A point is one part of the arithmetic of one layer, and its count says how often the images reach it:

    clip_low, clip_high   outputs whose rounded value lies below or above the clip (contract Q3)
    tie                   totals that lie exactly between two codes, where rounding modes differ (contract R)
    total_negative        totals below 0, and above 0
    total_positive
    bias                  outputs that would be another integer without the bias
    residual              outputs that would be another integer without the residual
    weight_-1, ...        weights of that code that meet an activation other than 0
    pad_top, ...          outputs that would be another integer if the padding at that border were 1 and not 0
    last_cluster          weights other than 0 of the last, shorter cluster that meet an activation other than 0

A point that no image can reach, by the intervals of ``analysis/intervals.py``, is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.run import Result
from ..errors import NetworkError
from ..network.batches import Images
from ..network.int_network import IntLayer, IntNetwork
from ..numbers.formats import signed_bits
from ..numbers.requantize import Requantize, clip, shifts, total
from ..numbers.rounding import STOCHASTIC, round_shift
from ..ops import OPS, conv, flatten
from .intervals import Reach, reach
from .observed import Progress, observed
from .terms import accumulates, operand_shapes

Array = np.ndarray[Any, Any]

_EVERYWHERE = (slice(None),)
_NAMED = 3  # layers in a sentence

BORDERS = ("top", "left", "bottom", "right")
SENTENCES = {
    "clip_low": "values below the lower end of the clip",
    "clip_high": "values above the upper end of the clip",
    "tie": "totals exactly between two codes",
    "total_negative": "negative totals",
    "total_positive": "positive totals",
    "bias": "outputs that the bias changes",
    "residual": "outputs that the residual changes",
    **{f"pad_{border}": f"outputs that the padding at the {border} border changes" for border in BORDERS},
    "last_cluster": "weights of the last, shorter cluster",
}


@dataclass(frozen=True)
class Point:
    """One part of a layer's arithmetic, and how often the images reached it."""

    name: str
    count: int

    @property
    def sentence(self) -> str:
        """What was counted, in words."""
        if self.name.startswith("weight_"):
            return f"weights of code {self.name.removeprefix('weight_')} that meet an activation"
        return SENTENCES[self.name]


@dataclass(frozen=True)
class LayerCoverage:
    """What a run exercised of one layer: its points, and the widths that its sums needed and may need."""

    layer: str
    op: str
    points: tuple[Point, ...]
    bits_seen: int
    bits_bound: int

    @property
    def reached(self) -> tuple[str, ...]:
        """Names of the points that some image reached."""
        return tuple(point.name for point in self.points if point.count)

    @property
    def missed(self) -> tuple[str, ...]:
        """Names of the points that no image reached."""
        return tuple(point.name for point in self.points if not point.count)


@dataclass(frozen=True, eq=False)
class Seen:
    """What some images came to in one layer: counts of outputs, ends of the sums, and which taps met an activation.

    met: bool like the layer's weights (O, I, KH, KW), for an activation other than 0 at that tap; None without weights.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    sums: tuple[int, int] = (0, 0)
    met: Array | None = None

    def __or__(self, other: Seen) -> Seen:
        counts = {
            name: self.counts.get(name, 0) + other.counts.get(name, 0) for name in {**self.counts, **other.counts}
        }
        met = self.met if other.met is None else other.met if self.met is None else self.met | other.met
        return Seen(counts, (min(self.sums[0], other.sums[0]), max(self.sums[1], other.sums[1])), met)


def coverage(
    network: IntNetwork,
    images: Images,
    *,
    layers: Sequence[IntLayer] | None = None,
    backend: str = "fast",
    threads: int = 1,
    progress: Progress | None = None,
    first_image: int = 0,
    only: range | None = None,
) -> tuple[LayerCoverage, ...]:
    """What uint8 images (N, H, W, C) exercise of every accumulating layer among ``layers`` (None: all).

    Arguments and errors are those of ``observed``; NetworkError where no layer accumulates.
    """
    chosen = accumulating(network, layers)
    seen: dict[str, Seen] = {}
    for batch in observed(
        network, images, chosen, look,
        backend=backend, threads=threads, progress=progress, first_image=first_image, only=only,
    ):  # fmt: skip
        for name, one in batch.found.items():
            seen[name] = seen[name] | one if name in seen else one
    possible = reach(network)
    return tuple(judged(network, layer, seen[layer.name], possible[layer.name]) for layer in chosen)


def accumulating(network: IntNetwork, layers: Sequence[IntLayer] | None = None) -> list[IntLayer]:
    """The layers that have an arithmetic to be covered; NetworkError where there are none."""
    chosen = [layer for layer in (network.layers if layers is None else layers) if accumulates(layer)]
    if not chosen:
        raise NetworkError("no chosen layer accumulates: codes pass through all of them")
    return chosen


def judged(network: IntNetwork, layer: IntLayer, seen: Seen, possible: Reach) -> LayerCoverage:
    """The points that images can reach in a layer, with what some images came to."""
    counts = {**seen.counts, **_weight_counts(layer, seen.met)}
    lo, hi = network.bounds[layer.name]
    there = points(layer, possible, operand_shapes(network, layer)[0])
    return LayerCoverage(
        layer.name,
        layer.op,
        tuple(Point(name, counts.get(name, 0)) for name in there),
        signed_bits(*seen.sums),
        signed_bits(int(lo.min()), int(hi.max())),
    )


def points(layer: IntLayer, possible: Reach, shape: Sequence[int]) -> tuple[str, ...]:
    """Names of the points of a layer, without those that its intervals exclude and padding that no window reads.

    shape: of an image that it reads.
    """
    found: list[str] = []
    step = layer.requantize
    if step is not None and possible.rounded is not None and possible.total is not None:
        found += ["clip_low"] if (possible.rounded.lo < step.lo).any() else []
        found += ["clip_high"] if (possible.rounded.hi > step.hi).any() else []
        found += ["tie"] if step.shift.max() and step.rounding != STOCHASTIC else []
        found += ["total_negative"] if (possible.total.lo < 0).any() else []
        found += ["total_positive"] if (possible.total.hi > 0).any() else []
    found += ["bias"] if np.any(layer.constants.get("bias", 0)) else []
    found += ["residual"] if layer.residual is not None else []
    if "weight" in layer.constants:
        found += [f"weight_{code}" for code in _few(np.unique(layer.constants["weight"]).tolist())]
        if _short_cluster(layer) is not None:
            found += ["last_cluster"]
    found += [f"pad_{border}" for border, read in zip(BORDERS, _read_pads(layer, shape), strict=True) if read]
    return tuple(found)


def _few(codes: list[int]) -> Iterable[int]:
    """All codes of ternary and 4-bit weights; of 8-bit ones the ends and those around 0."""
    return codes if len(codes) <= 15 else [code for code in codes if code in (codes[0], -1, 0, 1, codes[-1])]


# --------------------------------------------------------------------------------------------------------- one batch


def look(layer: IntLayer, operands: Sequence[Array], result: Result) -> Seen:
    """What a batch comes to in one layer, from the operands that it read and the result that it gave."""
    sums = result.accumulator
    if sums is None:
        return Seen()
    changes = {f"pad_{border}": (added, where) for border, where, added in _paddings(layer, operands)}
    if np.any(layer.constants.get("bias", 0)):
        changes["bias"] = -layer.constants["bias"].astype(np.int64), _EVERYWHERE
    counts: dict[str, int] = {}
    if layer.requantize is None:
        for name, (added, where) in changes.items():
            counts[name] = int(np.count_nonzero(np.broadcast_to(added, sums[where].shape)))
    else:
        totals = _Totals(layer.requantize, result)
        counts = totals.counts()
        for name, (added, where) in changes.items():
            counts[name] = totals.changed(totals.total[where] + added * layer.requantize.multiplier, where)
        if result.residual is not None:
            counts["residual"] = totals.changed(total(sums, layer.requantize), _EVERYWHERE)
    met = _met(layer, operands[0]) if "weight" in layer.constants else None
    return Seen(counts, (int(sums.min()), int(sums.max())), met)


class _Totals:
    """The totals of one layer and batch, and how many codes others in their place would change.

    Stochastic rounding is taken as floor, so that a change of the total is not confused with a change of the draw.
    """

    def __init__(self, step: Requantize, result: Result) -> None:
        acc = np.asarray(result.accumulator)
        self.step, self.total = step, total(acc, step, result.residual)
        self._rounding = "floor" if step.rounding == STOCHASTIC else step.rounding
        self._shift = np.broadcast_to(shifts(step, result.coarser, acc.ndim), acc.shape)
        self._rounded = round_shift(self.total, self._shift, self._rounding)
        self._codes = clip(self._rounded, step)

    def counts(self) -> dict[str, int]:
        """How many totals go beyond each end of the clip, are ties, or have each sign."""
        half = np.int64(1) << np.maximum(self._shift - 1, 0)
        counted = {
            "clip_low": self._rounded < self.step.lo,
            "clip_high": self._rounded > self.step.hi,
            "tie": (self._shift > 0) & ((self.total & (2 * half - 1)) == half),
            "total_negative": self.total < 0,
            "total_positive": self.total > 0,
        }
        return {name: int(np.count_nonzero(values)) for name, values in counted.items()}

    def changed(self, totals: Array, where: tuple[slice, ...]) -> int:
        """How many outputs ``where`` differ if these are their totals."""
        codes = clip(round_shift(totals, self._shift[where], self._rounding), self.step)
        return int(np.count_nonzero(codes != self._codes[where]))


# ------------------------------------------------------------------------------------------------ weights and padding


def _pads(layer: IntLayer) -> tuple[int, int, int, int]:
    """Padding of a convolution, top, left, bottom, right; pools are excluded, whose padding takes no part."""
    return layer.attributes["pads"] if layer.op == "conv" else (0, 0, 0, 0)


def _read_pads(layer: IntLayer, shape: Sequence[int]) -> tuple[bool, bool, bool, bool]:
    """Whether a window reads the padding at each border: strided windows can end before that at the bottom or right."""
    pads = _pads(layer)
    if not any(pads):
        return False, False, False, False
    ends = []
    for axis, outputs in enumerate(conv.output_shape(tuple(shape), **layer.arguments)[:2]):
        kernel = layer.constants["weight"].shape[2 + axis]
        ends.append((outputs - 1) * layer.attributes["strides"][axis] + kernel > pads[axis] + shape[axis])
    return pads[0] > 0, pads[1] > 0, ends[0], ends[1]


def _paddings(layer: IntLayer, operands: Sequence[Array]) -> Iterator[tuple[str, tuple[slice, ...], Array]]:
    """Of each padded border: its name, the outputs that read it, and what padding of 1 would add to their sums."""
    if not any(_pads(layer)):
        return
    arguments, (height, width, channels) = layer.arguments, operands[0].shape[1:]
    top, left, bottom, right = _pads(layer)
    spans = {
        "top": (slice(0, top), slice(None)),
        "left": (slice(None), slice(0, left)),
        "bottom": (slice(top + height, None), slice(None)),
        "right": (slice(None), slice(left + width, None)),
    }
    for border, pad in zip(BORDERS, _pads(layer), strict=True):
        if not pad:
            continue
        image = np.zeros((1, top + height + bottom, left + width + right, channels), np.uint8)
        image[(0, *spans[border])] = 1
        without = {**arguments, "pads": (0, 0, 0, 0), "bias": np.zeros_like(arguments["bias"])}
        added = OPS[layer.op].kernels(image, **without).astype(np.int64)
        rows, columns = (np.flatnonzero(added.any(axis=axes)) for axes in ((0, 2, 3), (0, 1, 3)))
        if len(rows):
            where = slice(None), slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
            yield border, where, added[where]


def _short_cluster(layer: IntLayer) -> slice | None:
    """The input channels, within a group, of the last cluster where it is shorter than the others."""
    inputs, cluster = layer.constants["weight"].shape[1], layer.attributes["cluster"]
    if inputs % cluster == 0 or inputs < cluster:
        return None
    return slice(inputs - inputs % cluster, inputs)


def _met(layer: IntLayer, x: Array) -> Array:
    """Which taps of which filter met an activation other than 0: bool (O, I/group, KH, KW), or (O, I) of an fc."""
    weight = layer.constants["weight"]
    if layer.op == "fc":
        return np.broadcast_to(flatten.reference(x).any(axis=0), weight.shape)
    height, width, _ = conv.output_shape(x.shape[1:], **layer.arguments)
    top, left, bottom, right = _pads(layer)
    there = np.pad(x != 0, ((0, 0), (top, bottom), (left, right), (0, 0)))
    strides = layer.attributes["strides"]
    taps = np.empty((x.shape[3], *weight.shape[2:]), bool)
    for ky, kx in np.ndindex(*weight.shape[2:]):
        window = there[:, ky :: strides[0], kx :: strides[1]][:, :height, :width]
        taps[:, ky, kx] = window.any(axis=(0, 1, 2))
    group = layer.attributes["group"]
    by_group = taps.reshape(group, weight.shape[1], *weight.shape[2:])
    return np.repeat(by_group, len(weight) // group, axis=0)


def _weight_counts(layer: IntLayer, met: Array | None) -> dict[str, int]:
    """How many weights of each code met an activation, and how many of the last, shorter cluster."""
    if met is None:
        return {}
    weight = layer.constants["weight"]
    codes, counts = np.unique(weight[met], return_counts=True)
    found = {f"weight_{code}": int(count) for code, count in zip(codes.tolist(), counts.tolist(), strict=True)}
    short = _short_cluster(layer)
    if short is not None:
        found["last_cluster"] = int(np.count_nonzero(met[:, short] & (weight[:, short] != 0)))
    return found


def figures(one: LayerCoverage) -> dict[str, Any]:
    """A layer's coverage in types that JSON knows."""
    return {
        "layer": one.layer,
        "op": one.op,
        "points": {point.name: point.count for point in one.points},
        "missed": [*one.missed],
        "bits_seen": one.bits_seen,
        "bits_bound": one.bits_bound,
    }


def summary(layers: Sequence[LayerCoverage]) -> str:
    """One sentence: how many points were reached, and the layers and points that were not, the first ones by name."""
    reached = sum(len(one.reached) for one in layers)
    missed = [(one.layer, one.missed) for one in layers if one.missed]
    whole = sum(len(one.points) for one in layers)
    sentence = f"exercised: {reached:,} of {whole:,} points of the arithmetic in {len(layers)} layer"
    sentence += "s" if len(layers) != 1 else ""
    if not missed:
        return sentence
    named = "; ".join(f"{layer}: {', '.join(names)}" for layer, names in missed[:_NAMED])
    more = f"; and {len(missed) - _NAMED} more layers" if len(missed) > _NAMED else ""
    return f"{sentence}; not reached: {named}{more}"
