"""explain: one output integer, from the codes at its window to the code that comes out."""

from __future__ import annotations

from collections.abc import Sequence

from ..analysis.explain import Explanation
from ..analysis.explain import explain as explained
from ..network.batches import image_count
from ..network.images import LabelledImages, chosen_images
from ..network.int_network import IntNetwork
from ..text import PathLike
from .given import GivenImages, int_network, name_of, opened_images


def explain(
    model: IntNetwork | PathLike,
    images: GivenImages,
    layer: str,
    at: Sequence[int],
    *,
    image: int = 0,
    backend: str = "fast",
) -> Explanation:
    """Explain one output integer: window, clusters, sum, residual, rounding, clip (contract A, Q, R).

    ``layer``: its name, with or without its number.  ``at``: the place (y, x, c) in the layer's result, (k,) in a flat
    one.  ``image``: the number of the image in ``images``.  Everything is computed again in plain Python integers and
    compared with what ``backend`` gave.  NetworkError for an unknown layer, RangeError for a place that does not exist.

        >>> import refengine as re
        >>> images = re.load("weights/fashion-calibration-1000.h5")
        >>> model = re.quantize("weights/resnet20-fashion.h5", images[:8], method="paper")
        >>> found = re.explain(model, images, "conv1", (14, 14, 3))
        >>> step = found.requantization
        >>> step.rounding.rounded == (step.rounding.total + step.rounding.addend) >> step.rounding.shift
        True
    """
    network = int_network(model)
    with opened_images(images) as file:
        number = chosen_images(image_count(file), image, 1, name_of(images)).start
        pixels = file.read(number, number + 1)[0] if isinstance(file, LabelledImages) else file[number]
    return explained(network, pixels, layer, at, image, backend)
