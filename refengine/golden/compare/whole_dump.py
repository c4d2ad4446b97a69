"""One explanation for a whole dump: its integers are right and have a different memory layout, the same in every layer.

A layer alone cannot tell: what it read lies wrong too, so that nothing follows from it.  Therefore the first images of
all layers are looked at under each layout: other axes, reversed words, bytes or images.  A layout explains a dump if it
makes most of the layers that it changes equal to the golden, two or more, and makes none differ that is equal as it is.
Vectors prove nothing either way, but for the bytes of integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import FileError
from ..dumps.axes import ORDERS, in_words, orders_between, written_as
from ..dumps.difference import Array
from ..dumps.dump import Damaged, Values
from .pairs import Plan, bytes_of, marks_in

IMAGES = 2
_MOST_BYTES = 1 << 26  # of one stage's sample; larger stages are not looked at
_MOST_IMAGES = 1 << 12
_WORDS = (2, 4, 8, 16)

Change = Callable[[Array, Sequence[int]], Array | None]


@dataclass(frozen=True)
class Layout:
    """A way in which integers may lie; ``change(block, shape of one image)`` gives them as in a trace, or None."""

    sentence: str
    change: Change
    order: str | None = None


@dataclass(frozen=True)
class Explanation:
    """The layout that explains a dump, in words, and how many of the layers that it changes it makes equal."""

    sentence: str
    equal: int
    changed: int


def explained(plan: Plan) -> Explanation | None:
    """The one layout that explains the DUT's dump, None where there is none."""
    in_other_order = _image_order(plan)
    if in_other_order is not None:
        return in_other_order
    alive = {layout: [0, 0] for layout in LAYOUTS}
    shapes: dict[Layout, set[bool]] = {layout: set() for layout in LAYOUTS}
    for stages in _layers(plan):
        samples = [*_samples(stages)]
        if not samples:
            continue
        equal_as_it_is = all(golden.shape == dut.shape and np.array_equal(golden, dut) for golden, dut in samples)
        for layout in [*alive]:
            changed, equal = _under(layout, samples)
            if changed and equal_as_it_is:
                del alive[layout]
                continue
            alive[layout][0] += equal and changed
            alive[layout][1] += changed
            if changed and layout.order is not None:
                shapes[layout] |= {_axes_lie_so(layout.order, golden, dut) for golden, dut in samples}
        if not alive:
            return None
    layout, (made_equal, moved) = max(alive.items(), key=lambda item: item[1][0])
    if made_equal < 2 or 2 * made_equal < moved:
        return None
    option = f": --order N{layout.order} reads them" if layout.order and shapes[layout] == {True} else ""
    return Explanation(f"{layout.sentence}{option}", made_equal, moved)


def _layers(plan: Plan) -> Iterator[list[tuple[Values, Values]]]:
    """The stages that both sides have of each layer that was not excluded."""
    for pair in plan.pairs:
        golden, dut = (side.get(pair.layer, {}) for side in (plan.golden_stages, plan.dut_stages))
        both = [stage for stage in golden if stage in dut and stage in plan.chosen(pair.layer, golden)]
        if both and plan.asked(pair.layer) and not plan.excluded(pair.layer):
            yield [(golden[stage], dut[stage]) for stage in both]


def _samples(stages: Sequence[tuple[Values, Values]]) -> Iterator[tuple[Array, Array]]:
    """The first images of golden and DUT, where these are of one size and the DUT's have no unknown bits."""
    for golden, dut in stages:
        count = min(IMAGES, golden.shape[0], dut.shape[0])
        if any(isinstance(one, Damaged) or _large(one, count) for one in (golden, dut)):
            continue
        try:
            if marks_in(dut, 0, count) is None:
                yield golden.read(0, count), dut.read(0, count)
        except FileError:
            continue


def _large(values: Values, count: int) -> bool:
    return bytes_of(values) // values.shape[0] * count > _MOST_BYTES


def _under(layout: Layout, samples: Sequence[tuple[Array, Array]]) -> tuple[bool, bool]:
    """Whether a layout changes anything in the samples of one layer, and whether all are equal under it."""
    changed, equal = False, True
    for golden, dut in samples:
        made = layout.change(dut, golden.shape[1:])
        made = dut if made is None else made
        changed |= made.shape != dut.shape or not np.array_equal(made, dut)
        equal &= np.array_equal(made, golden)
    return changed, equal


def _axes_lie_so(order: str, golden: Array, dut: Array) -> bool:
    """Whether the shape says the order too, or cannot say anything because its axes are of one length."""
    one, there = golden.shape[1:], dut.shape[1:]
    return order in orders_between(there, one) or (there == one and len({*one}) == 1) or len(one) != len(order)


# ------------------------------------------------------------------------------------------------------------- layouts


def _written(order: str) -> Change:
    return lambda block, shape: written_as(block, order, shape)


def _flipped(axis: int) -> Change:
    return lambda block, shape: np.flip(block, axis) if block.ndim == 4 else None


def _moved(by: int) -> Change:
    return lambda block, shape: np.roll(block, by, axis=-1) if block.ndim == 4 else None


def _turned_around(block: Array, shape: Sequence[int]) -> Array | None:
    if block.ndim != 4:
        return None
    return block.reshape(len(block), -1)[:, ::-1].reshape(block.shape)


def _words_reversed(size: int) -> Change:
    def change(block: Array, shape: Sequence[int]) -> Array | None:
        flat = block.reshape(len(block), -1)
        if block.ndim != 4 or flat.shape[1] % size:
            return None
        return flat.reshape(len(block), -1, size)[..., ::-1].reshape(block.shape)

    return change


def _bytes_reversed(block: Array, shape: Sequence[int]) -> Array:
    return block.byteswap()


LAYOUTS = (
    *(Layout(f"the integers lie in the order {in_words(order)}", _written(order), order) for order in ORDERS),
    Layout("the bytes of each integer are in reverse order", _bytes_reversed),
    Layout("the channels are in reverse order", _flipped(-1)),
    Layout("each channel holds the one before it", _moved(-1)),
    Layout("each channel holds the one after it", _moved(1)),
    Layout("the rows are in reverse order", _flipped(1)),
    Layout("the columns are in reverse order", _flipped(2)),
    Layout("each image is written from its end", _turned_around),
    *(Layout(f"each {size} consecutive values are in reverse order", _words_reversed(size)) for size in _WORDS),
)


# -------------------------------------------------------------------------------------------------------------- images


def _image_order(plan: Plan) -> Explanation | None:
    """The images in another order, the same one in all layers."""
    layers = [*_layers(plan)]
    small = [
        (golden, dut)
        for stages in layers
        for golden, dut in stages
        if golden.shape == dut.shape and 1 < golden.shape[0] <= _MOST_IMAGES
    ]
    if not small:
        return None
    try:
        order = _order_of_images(*min(small, key=lambda pair: bytes_of(pair[0])))
        if order is None:
            return None
        equal = sum(all(_equal_in_order(golden, dut, order) for golden, dut in stages) for stages in layers)
        as_dumped = {n: n for n in order}
        spoils = any(
            all(_equal_in_order(golden, dut, as_dumped, order) for golden, dut in stages)
            and not all(_equal_in_order(golden, dut, order) for golden, dut in stages)
            for stages in layers
        )
    except FileError:
        return None
    if equal < 2 or 2 * equal < len(layers) or spoils:
        return None
    first = next(n for n, there in order.items() if n != there)
    sentence = f"the images are in another order: image {first} of the DUT is image {order[first]} of the golden"
    if len(order) == 2:
        sentence = "the two images are exchanged, or each holds the one before, which of two are the same"
    return Explanation(sentence, equal, len(layers))


def _order_of_images(golden: Values, dut: Values) -> Mapping[int, int] | None:
    """DUT's number of an image -> the golden's, by the integers of one stage; None where one has none, or all agree."""
    places: dict[bytes, list[int]] = {}
    for n in range(golden.shape[0]):
        places.setdefault(_bytes_of_image(golden, n), []).append(n)
    order = {}
    for n in range(dut.shape[0]):
        found = places.get(_bytes_of_image(dut, n))
        if not found:
            return None
        order[n] = found.pop(found.index(n) if n in found else 0)
    return order if any(n != there for n, there in order.items()) else None


def _bytes_of_image(values: Values, n: int) -> bytes:
    return values.read(n, n + 1).astype(np.int64).tobytes()


def _equal_in_order(
    golden: Values, dut: Values, order: Mapping[int, int], other: Mapping[int, int] | None = None
) -> bool:
    """Whether the first images that changed their places, in ``other`` or in ``order`` itself, agree."""
    if golden.shape != dut.shape:
        return False
    moved = [n for n, there in (other or order).items() if n != there][:IMAGES]
    return all(_bytes_of_image(dut, n) == _bytes_of_image(golden, order[n]) for n in moved)
