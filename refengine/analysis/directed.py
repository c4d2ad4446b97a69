"""Directed stimuli: the fewest images that together do what all images of a set do (points of ``coverage``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from ..network.batches import Images
from ..network.int_network import IntLayer, IntNetwork
from .coverage import accumulating, judged, look
from .intervals import reach
from .observed import Progress, observed

Item = TypeVar("Item")
Points = frozenset[tuple[str, str]]

_MOST_STEPS = 2_000_000  # looks at one item, a second or so


def points_of_images(
    network: IntNetwork,
    images: Images,
    *,
    layers: Sequence[IntLayer] | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    first_image: int = 0,
    only: range | None = None,
) -> dict[int, Points]:
    """Image number -> the (layer, point) that it reaches by itself; arguments and errors are those of ``coverage``."""
    chosen, possible = accumulating(network, layers), reach(network)
    found = {}
    for batch in observed(
        network, images, chosen, look, threads=threads, progress=progress, first_image=first_image, only=only, batch=1
    ):
        reached = [judged(network, layer, batch.found[layer.name], possible[layer.name]) for layer in chosen]
        found[batch.numbers.start] = frozenset((one.layer, name) for one in reached for name in one.reached)
    return found


def cover(reached: Mapping[Item, Points]) -> tuple[Item, ...]:
    """The fewest items that together reach what all of them do, in the order of ``reached``.

    A cover is found by taking the item that adds most, the first of equals, without those that later ones made
    needless; then a smaller one is looked for, exhaustively up to a number of steps: each time the point that fewest
    items reach is taken, and one of these items.

    >>> cover({"a": frozenset("12"), "b": frozenset("2"), "c": frozenset("34")})
    ('a', 'c')
    """
    found = _greedy(reached)
    search = _Search(_distinct(reached))
    while found and (smaller := search.cover(len(found) - 1)) is not None:
        found = smaller
    return tuple(item for item in reached if item in found)


def _greedy(reached: Mapping[Item, Points]) -> list[Item]:
    """A cover, none of whose items can be left out."""
    left = Points().union(*reached.values())
    taken: list[Item] = []
    while left:
        best = max(reached, key=lambda item: len(reached[item] & left))
        taken.append(best)
        left -= reached[best]
    for item in list(taken):
        if reached[item] <= Points().union(*(reached[other] for other in taken if other != item)):
            taken.remove(item)
    return taken


def _distinct(reached: Mapping[Item, Points]) -> dict[Item, Points]:
    """The items without those that reach nothing more than another one does, of equals the first."""
    kept: dict[Item, Points] = {}
    for item in sorted(reached, key=lambda item: -len(reached[item])):
        if not any(reached[item] <= points for points in kept.values()):
            kept[item] = reached[item]
    return kept


class _Search(Generic[Item]):
    """Covers of a given size; gives up, as if there were none, after a number of steps.  Points are bits of a mask."""

    def __init__(self, reached: Mapping[Item, Points]) -> None:
        bits = {point: 1 << place for place, point in enumerate(Points().union(*reached.values()))}
        self._masks = {item: sum(bits[point] for point in points) for item, points in reached.items()}
        self._rarest = sorted(bits.values(), key=lambda bit: sum(bool(mask & bit) for mask in self._masks.values()))
        self._steps = _MOST_STEPS

    def cover(self, most: int) -> list[Item] | None:
        """At most so many items that reach everything, or None."""
        return self._cover(sum(self._rarest), most)

    def _cover(self, left: int, most: int) -> list[Item] | None:
        self._steps -= len(self._masks)
        if not left:
            return []
        if self._steps < 0 or most * max((mask & left).bit_count() for mask in self._masks.values()) < left.bit_count():
            return None
        rarest = next(bit for bit in self._rarest if bit & left)
        for item, mask in self._masks.items():
            if mask & rarest:
                rest = self._cover(left & ~mask, most - 1)
                if rest is not None:
                    return [item, *rest]
        return None
