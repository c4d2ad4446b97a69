"""The ledger of a run: how wide each layer's sums became, beside how wide they can become.

For whoever chooses the width of an adder: the lowest and the highest finished sum and total that were seen, the static
bounds (contract A2, Q1), the bits that each needs, and what is left of the declared accumulator.  The bound holds for
every image and every order of summation; what was seen holds for the images that were run, and for finished sums.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..engine.events import Events
from ..engine.predict import images_a_batch, predictor
from ..engine.run import Result, check_images
from ..errors import RangeError
from ..network.batches import Images, batch_size, image_count, map_batches
from ..network.images import LabelledImages
from ..network.int_network import IntLayer, IntNetwork
from ..network.total_bounds import total_ends
from ..numbers.formats import signed_bits
from ..numbers.requantize import total
from ..ops import OPS
from .terms import accumulates
from .witness import ENDS, Witness, proven, witness

Progress = Callable[[int, int], None]


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
class Entry:
    """One accumulating layer: what was seen (of whole sums, before a narrow accumulator), can be, and is declared.

    ``total`` and ``total_bound`` are those before rounding, None where there is no requantization.
    """

    layer: str
    op: str
    events: Events
    sums: Span
    bound: Span
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


def ledger(
    network: IntNetwork,
    images: Images,
    *,
    layers: Sequence[IntLayer] | None = None,
    backend: str = "fast",
    threads: int = 1,
    progress: Progress | None = None,
    first_image: int = 0,
    only: range | None = None,
) -> tuple[Entry, ...]:
    """Run uint8 images (N, H, W, C) and book every accumulating layer among ``layers`` (None: all).

    ``only``: the numbers of the images to run, which are read a batch at a time where they lie in a file;
    ``first_image``: the number of the first one in the run.  Neither batches nor threads nor the backend change a
    number.  RangeError for images that the network cannot read, or for none.
    """
    chosen = [layer for layer in (network.layers if layers is None else layers) if accumulates(layer)]
    seen = {layer.name: _Seen() for layer in chosen}
    numbers = range(image_count(images)) if only is None else only
    if not len(numbers):
        raise RangeError("0 images are to be run, needed at least 1")
    size = images_a_batch(len(numbers), threads, batch_size(network))
    predict = predictor(network, backend, size, observed=[*seen], counted=True)

    def work(numbered: tuple[int, np.ndarray]) -> tuple[int, dict[str, _Seen]]:
        found: dict[str, _Seen] = {}

        def observe(layer: IntLayer, operands: Sequence[np.ndarray], result: Result) -> None:
            found[layer.name] = _seen(layer, operands, result, "reference" if backend == "reference" else "kernels")

        check_images(network, numbered[1])
        prediction = predict(numbered[1], first_image + numbered[0], observe)
        for name, one in found.items():
            one.events = prediction.events[name]
        return len(numbered[1]), found

    done = 0
    for count, found in map_batches(work, _batches(images, numbers, size), threads):
        for name, one in found.items():
            before = seen[name]
            seen[name] = _Seen(
                _joined(before.sums, one.sums), _joined(before.total, one.total), before.events + one.events
            )
        done += count
        if progress is not None:
            progress(done, len(numbers))
    return tuple(_entry(network, layer, seen[layer.name]) for layer in chosen)


def _batches(images: Images, numbers: range, size: int) -> Iterator[tuple[int, np.ndarray]]:
    """(how many come before it, images) for ``size`` images at a time."""
    for start in range(numbers.start, numbers.stop, size):
        stop = min(start + size, numbers.stop)
        pixels = images.read(start, stop) if isinstance(images, LabelledImages) else images[start:stop]
        yield start - numbers.start, pixels


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


def _entry(network: IntNetwork, layer: IntLayer, seen: _Seen) -> Entry:
    lo, hi = network.bounds[layer.name]
    bound = Span(int(lo.min()), int(hi.max()))
    bits, policy = layer.accumulator_bits, layer.accumulator_policy
    reached = total_bound(network, layer)
    return Entry(layer.name, layer.op, seen.events, seen.sums or bound, bound, seen.total, reached, bits, policy)


def total_bound(network: IntNetwork, layer: IntLayer) -> Span | None:
    """Lowest and highest total before rounding (contract Q1), from the sums' bound and the residual's range."""
    ends = total_ends(network, layer)
    return None if ends is None else Span(*ends)


def figures(entry: Entry) -> dict[str, Any]:
    """An entry in types that JSON knows."""
    return {
        "layer": entry.layer,
        "op": entry.op,
        **vars(entry.events),
        "sums": _span_figures(entry.sums),
        "bound": _span_figures(entry.bound),
        "total": _span_figures(entry.total),
        "total_bound": _span_figures(entry.total_bound),
        "accumulator_bits": entry.bits,
        "policy": entry.policy,
        "headroom_seen": entry.headroom_seen,
        "headroom_bound": entry.headroom_bound,
    }


def _span_figures(span: Span | None) -> dict[str, int] | None:
    return None if span is None else {"lo": span.lo, "hi": span.hi, "bits": span.bits}


# ----------------------------------------------------------------------------------------------------------- witnesses


def witnesses(network: IntNetwork, layer: IntLayer) -> tuple[Witness, ...]:
    """The layer's witnesses for both ends, each proven by a run."""
    found = tuple(witness(network, layer, end) for end in ENDS)
    for one in found:
        proven(layer, one)
    return found


def witness_file(layer: IntLayer, found: Sequence[Witness]) -> bytes:
    """The content of a .npz: the witnesses as a batch, and what the layer makes of it.

    ``input_0`` (and ``input_1``), ``residual``, ``accumulator``, ``total``, ``code``: an image for each end, low first;
    ``place``, ``bound``, ``reached``, ``sum``: int64 for each end.
    """
    arrays: dict[str, list[np.ndarray]] = {}
    for one in found:
        result = proven(layer, one)
        for number, operand in enumerate(one.operands):
            arrays.setdefault(f"input_{number}", []).append(operand)
        if one.residual is not None:
            arrays.setdefault("residual", []).append(one.residual)
        if result.accumulator is not None:
            arrays.setdefault("accumulator", []).append(result.accumulator)
            if layer.requantize is not None:
                sums = total(result.accumulator, layer.requantize, one.residual)
                arrays.setdefault("total", []).append(sums)
                arrays.setdefault("code", []).append(result.result)
        for name, value in (("place", one.place), ("bound", one.bound), ("reached", one.reached), ("sum", one.sum)):
            arrays.setdefault(name, []).append(np.array([value], np.int64))
    content = io.BytesIO()
    np.savez(content, **{name: np.concatenate(parts) for name, parts in arrays.items()})  # type: ignore[arg-type]
    return content.getvalue()


def witness_figures(found: Witness) -> dict[str, Any]:
    """A witness without its arrays, in types that JSON knows."""
    names = ("end", "bound", "reached", "sum", "padded", "attains")
    return {**{name: getattr(found, name) for name in names}, "place": list(found.place)}
