"""Accumulator ranges: how wide each layer's sums became in a run, beside how wide they can become.

To choose the width of an adder: the lowest and the highest finished sum and total that were seen, the static
bounds (contract A2, Q1), the bits that each needs, and what is left of the declared accumulator.  The bound holds for
every image and every order of summation; what was seen holds for the images that were run, and for finished sums.

A channel that gives one code for every image needs no accumulator, and its bias may be enormous (a batch norm whose
factor is near 0).  So the bound is there twice: of all channels, and of those that are not constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.events import Events
from ..engine.run import Result
from ..errors import NetworkError
from ..network.batches import Images
from ..network.int_network import IntLayer, IntNetwork
from ..network.total_bounds import total_ends
from ..numbers.formats import signed_bits
from ..numbers.requantize import total
from ..ops import OPS
from .intervals import reach
from .observed import Progress, observed
from .terms import accumulates


@dataclass(frozen=True)
class Span:
    """The lowest and the highest value, and the two's-complement width that holds both."""

    lo: int
    hi: int

    @property
    def bits(self) -> int:
        """The smallest width that holds them (contract N5)."""
        return signed_bits(self.lo, self.hi)

    def __or__(self, other: Span) -> Span:
        return Span(min(self.lo, other.lo), max(self.hi, other.hi))


@dataclass(frozen=True)
class AccumulatorRange:
    """One accumulating layer: what was seen (of whole sums, before a narrow accumulator), can be, and is declared.

    ``constant``: how many channels give one code for every image; ``varying_bound``: that of the others, None where
    there are none.  Where exponents are dynamic no channel is called constant.  ``total`` and ``total_bound`` are those
    before rounding, None where there is no requantization.
    """

    layer: str
    op: str
    events: Events
    sums: Span
    bound: Span
    constant: int
    varying_bound: Span | None
    total: Span | None
    total_bound: Span | None
    bits: int
    policy: str

    @property
    def headroom_seen(self) -> int:
        """Declared bits less those that the sums needed."""
        return self.bits - self.sums.bits

    @property
    def headroom_bound(self) -> int:
        """Declared bits less those that the bound needs; below 0 where ``wrap`` or ``saturate`` can strike."""
        return self.bits - self.bound.bits


@dataclass
class _Seen:
    """What the batches of one layer came to so far."""

    sums: Span | None = None
    total: Span | None = None
    events: Events = field(default_factory=Events)


def accumulator_ranges(
    network: IntNetwork,
    images: Images,
    *,
    layers: Sequence[IntLayer] | None = None,
    backend: str = "fast",
    threads: int = 1,
    progress: Progress | None = None,
    first_image: int = 0,
    only: range | None = None,
) -> tuple[AccumulatorRange, ...]:
    """Run uint8 images (N, H, W, C) and report every accumulating layer among ``layers`` (None: all).

    ``only``: the numbers of the images to run, which are read a batch at a time where they lie in a file;
    ``first_image``: the number of the first one in the run.  Neither batches nor threads nor the backend change a
    number.  RangeError for images that the network cannot read, or for none; NetworkError where no layer accumulates.
    """
    chosen = [layer for layer in (network.layers if layers is None else layers) if accumulates(layer)]
    if not chosen:
        raise NetworkError("no chosen layer accumulates: codes pass through all of them")
    seen = {layer.name: _Seen() for layer in chosen}

    def look(layer: IntLayer, operands: Sequence[np.ndarray], result: Result) -> _Seen:
        return _seen(layer, operands, result, "reference" if backend == "reference" else "kernels")

    for batch in observed(
        network, images, chosen, look,
        backend=backend, threads=threads, progress=progress, first_image=first_image, only=only,
    ):  # fmt: skip
        for name, one in batch.found.items():
            before = seen[name]
            seen[name] = _Seen(
                _joined(before.sums, one.sums), _joined(before.total, one.total), before.events + batch.events[name]
            )
    constant = constant_channels(network)
    return tuple(_range(network, layer, seen[layer.name], constant[layer.name]) for layer in chosen)


def constant_channels(network: IntNetwork) -> dict[str, np.ndarray]:
    """Of each layer the channels that give one code for every image (``reach``): bool (C)."""
    if any(network.dynamic.values()):
        return {name: np.zeros(shape[-1], bool) for name, shape in network.shapes.items()}
    channels = {name: shape[-1] for name, shape in network.shapes.items()}
    return {name: np.broadcast_to(one.result.constant, channels[name]) for name, one in reach(network).items()}


def _joined(a: Span | None, b: Span | None) -> Span | None:
    return a | b if a is not None and b is not None else a or b


def _seen(layer: IntLayer, operands: Sequence[np.ndarray], result: Result, backend: str) -> _Seen:
    sums = result.accumulator
    if layer.accumulator_bits < 32:  # what the narrow accumulator held is not how far the sum went
        sums = getattr(OPS[layer.op], backend)(*operands, **layer.arguments)
    before_rounding = None
    if layer.requantize is not None and result.accumulator is not None:
        before_rounding = _span(total(result.accumulator, layer.requantize, result.residual))
    return _Seen(None if sums is None else _span(sums), before_rounding)


def _span(values: np.ndarray) -> Span:
    return Span(int(values.min()), int(values.max()))


def _range(network: IntNetwork, layer: IntLayer, seen: _Seen, constant: np.ndarray) -> AccumulatorRange:
    lo, hi = (np.broadcast_to(end, len(constant)) for end in network.bounds[layer.name])
    bound = Span(int(lo.min()), int(hi.max()))
    return AccumulatorRange(
        layer=layer.name,
        op=layer.op,
        events=seen.events,
        sums=seen.sums or bound,
        bound=bound,
        constant=int(np.count_nonzero(constant)),
        varying_bound=None if constant.all() else Span(int(lo[~constant].min()), int(hi[~constant].max())),
        total=seen.total,
        total_bound=total_bound(network, layer),
        bits=layer.accumulator_bits,
        policy=layer.accumulator_policy,
    )


def total_bound(network: IntNetwork, layer: IntLayer) -> Span | None:
    """Lowest and highest total before rounding (contract Q1), from the sums' bound and the residual's range."""
    ends = total_ends(network, layer)
    return None if ends is None else Span(*ends)


def figures(found: AccumulatorRange) -> dict[str, Any]:
    """A range in types that JSON knows."""
    return {
        "layer": found.layer,
        "op": found.op,
        **vars(found.events),
        "sums": _span_figures(found.sums),
        "bound": _span_figures(found.bound),
        "constant_channels": found.constant,
        "varying_bound": _span_figures(found.varying_bound),
        "total": _span_figures(found.total),
        "total_bound": _span_figures(found.total_bound),
        "accumulator_bits": found.bits,
        "policy": found.policy,
        "headroom_seen": found.headroom_seen,
        "headroom_bound": found.headroom_bound,
    }


def _span_figures(span: Span | None) -> dict[str, int] | None:
    return None if span is None else {"lo": span.lo, "hi": span.hi, "bits": span.bits}
