"""Directed stimuli: few images that together exercise what all images of a set do (the points of ``coverage``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from ..network.batches import Images
from ..network.int_network import IntLayer, IntNetwork
from .coverage import accumulating, judged, look
from .intervals import reach
from .observed import Progress, observed

Item = TypeVar("Item")


def points_of_images(
    network: IntNetwork,
    images: Images,
    *,
    layers: Sequence[IntLayer] | None = None,
    threads: int = 1,
    progress: Progress | None = None,
    first_image: int = 0,
    only: range | None = None,
) -> dict[int, frozenset[tuple[str, str]]]:
    """Image number -> the (layer, point) that it reaches by itself; arguments and errors are those of ``coverage``."""
    chosen, possible = accumulating(network, layers), reach(network)
    found = {}
    for batch in observed(
        network, images, chosen, look, threads=threads, progress=progress, first_image=first_image, only=only, batch=1
    ):
        reached = [judged(network, layer, batch.found[layer.name], possible[layer.name]) for layer in chosen]
        found[batch.numbers.start] = frozenset((one.layer, name) for one in reached for name in one.reached)
    return found


def cover(reached: Mapping[Item, frozenset[tuple[str, str]]]) -> tuple[Item, ...]:
    """Few items that together reach what all of them do, none of which can be left out, in the order of ``reached``.

    Each step takes the item that adds most, the first of equals; then items that the later ones made needless go.

    >>> cover({"a": frozenset("12"), "b": frozenset("2"), "c": frozenset("34")})
    ('a', 'c')
    """
    left = frozenset[tuple[str, str]]().union(*reached.values())
    taken: list[Item] = []
    while left:
        best = max(reached, key=lambda item: len(reached[item] & left))
        taken.append(best)
        left -= reached[best]
    for item in list(taken):
        others = frozenset[tuple[str, str]]().union(*(reached[other] for other in taken if other != item))
        if reached[item] <= others:
            taken.remove(item)
    return tuple(item for item in reached if item in taken)
