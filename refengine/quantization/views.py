"""Further images, and further views of them, for layers that have room for them and see too few windows.

    view 0    the image
    view 1    its mirror image
    view 2    the image, moved by a sixteenth of its height and width, the rows and columns at its edges repeated
    view 3    the mirror image, moved the other way

A layer with n taps is calibrated by the covariance of its windows, n (n + 1) / 2 numbers.  Where the images give less
than 16 windows for each tap, codes are chosen that suit these windows and not the next image's.  So before such a layer
the walk takes in further views: what was decided stays, and the new views run through the layers made so far.  Small
images stay as they are: a digit's mirror image is no digit.  Images that the largest tensors had no room for join in
the same way, before the first layer from which on there is room.  Contract T6.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod

import numpy as np

from ..engine.run import Result
from ..network.float_layer import FloatLayer
from ..network.float_network import shapes
from ..network.int_network import IntLayer, IntNetwork
from ..runs.predict import images_a_batch, predictor
from .calibrated import MOST_TAPS
from .calibration_set import room
from .epilogue import at_exponent, dynamic_bits
from .fuse import Group
from .scheme import CALIBRATED, MOST_VIEWS
from .walk import Tensor, Walk
from .windows import LARGE

WINDOWS_FOR_EACH_TAP = 16
_PART = 16
_BATCH = 8


def view(images: np.ndarray, number: int) -> np.ndarray:
    """View ``number``, 0 to 3, of uint8 images (N, H, W, C).

    >>> view(np.arange(5, dtype=np.uint8).reshape(1, 1, 5, 1), 1).ravel().tolist()
    [4, 3, 2, 1, 0]
    """
    if not 0 <= number < MOST_VIEWS:
        raise ValueError(f"an image has the views 0 to {MOST_VIEWS - 1}, found {number}")
    mirrored, moved = number % 2 == 1, number >= 2
    seen = images[:, :, ::-1] if mirrored else images
    return _moved(seen, -1 if mirrored else 1) if moved else np.ascontiguousarray(seen)


def _moved(images: np.ndarray, sign: int) -> np.ndarray:
    """Pixel (y, x) from (y + sign * H // 16, x - sign * W // 16), or the nearest one that there is."""
    height, width = images.shape[1:3]
    rows = np.clip(np.arange(height) + sign * (height // _PART), 0, height - 1)
    columns = np.clip(np.arange(width) - sign * (width // _PART), 0, width - 1)
    return np.ascontiguousarray(images[:, rows][:, :, columns])


def views_needed(windows: int, taps: int) -> int:
    """How many views of the images give 16 windows for each tap, if one view gives so many ``windows``.

    >>> views_needed(windows=16366, taps=4608), views_needed(windows=65464, taps=2304)
    (5, 1)
    """
    return max(1, -(-WINDOWS_FOR_EACH_TAP * taps // windows))


def with_views(walk: Walk, group: Group, layers: Sequence[IntLayer]) -> Walk:
    """The walk before a group, with all images that there is room for, and the views that the group's layer needs.

    ``layers`` are those made so far.
    """
    wanted = _wanted(walk, group)
    if wanted <= walk.seen or not layers:
        return walk
    images = _of_all_views(walk.images, walk.seen, wanted)
    found = _values(walk, layers, images, walk.seen)
    tensors = {
        name: replace(tensor, codes=np.concatenate([tensor.codes, found[tensor.layer]]))
        for name, tensor in walk.tensors.items()
    }
    side = walk.float_side.with_images(images)
    return replace(walk, tensors=tensors, float_side=side, seen=wanted)


def _of_all_views(images: np.ndarray, first: int, end: int) -> np.ndarray:
    """Those from ``first`` to ``end`` - 1 of all images, then all mirror images, and so on."""
    count = len(images)
    ends = [first, *range((first // count + 1) * count, end, count), end]
    parts = [(start // count, images[start % count : (stop - 1) % count + 1]) for start, stop in pairwise(ends)]
    return np.concatenate([view(part, number) for number, part in parts])


def _wanted(walk: Walk, group: Group) -> int:
    """How many images the walk is to hold: all, in the views that the group's layer needs, or as many as have room."""
    count = len(walk.images)
    wanted = count * _views(walk, group)
    if wanted <= walk.seen:
        return wanted
    sizes = shapes(walk.network)
    most = room(sizes[layer.name] for layer in _from(walk, group))
    return most if most < count else min(wanted, most // count * count)


def _views(walk: Walk, group: Group) -> int:
    """Views of all images that the group's layer needs, as many as the scheme allows; 1 if they are of no use."""
    if not group.weighted or walk.scheme.method != CALIBRATED or min(walk.images.shape[1:3]) < LARGE:
        return 1
    taps = group.core.constants["weight"][0].size
    if taps > MOST_TAPS:
        return 1
    needed = views_needed(len(walk.images) * prod(shapes(walk.network)[group.core.name][:-1]), taps)
    return min(needed, walk.scheme.views)


def _from(walk: Walk, group: Group) -> list[FloatLayer]:
    """The float layers of a group and all later ones, and the tensors that these read."""
    later = walk.groups[walk.groups.index(group) :]
    names = {name for one in later for name in (*one.covers, *one.inputs, one.residual)}
    return [layer for layer in walk.network.layers if layer.name in names]


def _static(walk: Walk, last: Tensor) -> tuple[IntLayer, ...]:
    """The layer that ends a network whose last tensor's exponent is dynamic, which that of logits cannot be."""
    bits = dynamic_bits(last)
    return (at_exponent(walk, last, last.exponent + bits, last.format)[0],) if bits else ()


def _values(walk: Walk, layers: Sequence[IntLayer], images: np.ndarray, first: int) -> dict[str, np.ndarray]:
    """What the layers made so far give for further images, for each layer that later ones read."""
    names = {tensor.layer for tensor in walk.tensors.values()}
    network, sizes = walk.network, shapes(walk.network)
    last = next(group.output for group in reversed(walk.groups) if group.output in walk.tensors)
    ended = (*layers, *_static(walk, walk.tensors[last]))
    made = IntNetwork(network.name, network.input_shape, prod(sizes[last]), network.channels, ended)
    batch = images_a_batch(len(images), 1, _BATCH)
    predict = predictor(made, "fast", batch, threads=walk.threads, observed=sorted(names))
    found: dict[str, list[np.ndarray]] = {name: [] for name in names}

    def observe(layer: IntLayer, operands: Sequence[np.ndarray], result: Result) -> None:
        found[layer.name].append(result.values)

    for start in range(0, len(images), batch):
        predict(images[start : start + batch], first + start, observe)
    return {name: np.concatenate(parts) for name, parts in found.items()}
