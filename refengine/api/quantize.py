"""quantize: a float network and calibration images in, an integer network out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import SchemeError
from ..network.batches import cores
from ..network.float_network import FloatNetwork
from ..network.images import LabelledImages
from ..network.int_network import IntNetwork
from ..numbers.arith import arithmetic_named
from ..quantization.calibration_set import calibration_set
from ..quantization.plan import Plan, check_alone, read_plan
from ..quantization.quantize import quantize as quantized
from ..quantization.scheme import Scheme
from ..text import PathLike
from .given import GivenImages, float_network, opened_images

Array = np.ndarray[Any, Any]
Progress = Callable[[int, int, str], object]


def quantize(
    network: FloatNetwork | PathLike,
    images: GivenImages,
    *,
    weights: str = "ternary",
    cluster: int = 4,
    method: str = "calibrated",
    first: str = "int8",
    last: str = "int8",
    layers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    scale_exponent: str = "channel",
    activations: str = "uint8",
    exponents: str = "mse",
    reestimate: bool | None = None,
    equalize: bool = True,
    views: int = 4,
    multiplier_bits: int | None = None,
    rounding: str | None = None,
    seed: int = 0,
    arith: str | None = None,
    accumulator_bits: int = 32,
    accumulator_policy: str = "error",
    calibration_images: int | None = None,
    plan: Plan | PathLike | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    warn: Callable[[str], object] | None = None,
) -> IntNetwork:
    """Quantize a float network, calibrated on images; the same arguments give the same integers (contract E, F, T).

    ``network``: a float network or the path of one, also of ONNX.  ``images``: an array uint8 (N, H, W, C), a file of
    images or its path; ``calibration_images`` of them are taken, evenly spaced, or else 1,024, fewer where these have
    more than 2^25 pixels.  Layers with large tensors see as many of them as 1 GiB of floats has room for.  Where the
    images have another height and width than the network, it is made for theirs.

    ``weights``, ``first``, ``last``: ternary, int4 or int8, of the middle layers and of the two ends.  ``layers``:
    formats by layer name, shell pattern or role (first, last, depthwise, pointwise), the last one that fits wins.
    ``cluster``: filters that share a scale.  ``method``: ``calibrated`` on the images, or by the weights alone.
    ``scale_exponent``: one a ``channel`` or one a ``layer``.  ``activations``: uint8 or int8, after a ReLU.
    ``exponents``: ``mse``, ``max`` or ``dynamic``.  ``accumulator_bits``: 16 to 32, with the ``accumulator_policy``
    ``error``, ``wrap`` or ``saturate`` for a sum that does not fit (contract A).  ``reestimate``: batch norm on the
    images; None: if any layer is ternary, unless the method is ``calibrated``.  ``equalize``: bring channels to like
    ranges first, by powers of two.  ``views``: how many views of an image, mirrored and moved, layers may see that
    have few windows, 1 for the image alone.  ``rounding`` and ``multiplier_bits``: None for ``half_up`` and 8, or for
    those of the design that ``arith`` names.  ``seed``: of stochastic rounding.  ``plan``: the format and cluster of
    each layer, as ``refengine search`` makes it, or the path of its file, in place of the five arguments that say so by
    pattern.

    ``threads``: None for one on each core; changes no number.  ``progress(done, total, layer)`` is called before each
    layer, ``warn(line)`` for images that show next to nothing (None: a UserWarning).  SchemeError for a choice that
    does not exist, NetworkError or AccumulatorOverflow, naming the layer, where it cannot be done.

        >>> import refengine as re
        >>> images = re.load("weights/fashion-calibration-1000.h5")
        >>> model = re.quantize("weights/resnet20-fashion.h5", images[:8], method="paper", layers={"layer1.*": "int4"})
        >>> [layer.weight_format for layer in model.layers if layer.weight_format][:4]
        ['int8', 'int4', 'int4', 'int4']
    """
    rounding, multiplier_bits = _arithmetic(arith, rounding, multiplier_bits)
    scheme = Scheme(
        weights=weights,
        cluster=cluster,
        method=method,
        first=first,
        last=last,
        layers=tuple(layers.items()) if isinstance(layers, Mapping) else tuple(layers),
        scale_exponent=scale_exponent,
        activations=activations,
        exponents=exponents,
        reestimate=reestimate,
        equalize=equalize,
        views=views,
        multiplier_bits=multiplier_bits,
        rounding=rounding,
        seed=seed,
        accumulator_bits=accumulator_bits,
        accumulator_policy=accumulator_policy,
    )
    by_layer = plan if plan is None or isinstance(plan, Plan) else read_plan(plan)
    check_alone(by_layer, scheme)
    floats = float_network(network)
    pixels = _calibration(floats, images, calibration_images)
    if (dull := _dull(pixels)) is not None:
        (warn or _warning)(f"{dull}: exponents and weights will fit that, and nothing else")

    def show(layer: str, done: int, total: int) -> None:
        if progress is not None:
            progress(done, total, layer)

    return quantized(floats, pixels, scheme, show, cores() if threads is None else threads, by_layer)


def _warning(line: str) -> None:
    warnings.warn(line, UserWarning, stacklevel=3)


def _calibration(network: FloatNetwork, images: GivenImages, wanted: int | None) -> Array:
    """The images to calibrate on; what is no array of images at all is left to the quantizer to refuse."""
    with opened_images(images) as given:
        if isinstance(given, LabelledImages):
            return given.take(calibration_set(network, given.shape[:2], given.count, wanted))
        if given.ndim != 4 or not len(given):
            return given
        return given[calibration_set(network, given.shape[1:3], len(given), wanted)]


def _dull(images: Array) -> str | None:
    """What is wrong with calibration images, uint8 (N, H, W, C), that show next to nothing; None if they do not."""
    if images.ndim != 4 or not len(images):
        return None
    if len(images) == 1:
        return "there is one calibration image"
    if (images == images[0]).all():
        return f"all {len(images)} calibration images are the same"
    if (images == images[:, :1, :1]).all():
        return "every calibration image is of one colour"
    return None


def _arithmetic(name: str | None, rounding: str | None, bits: int | None) -> tuple[str, int]:
    """Rounding and width of the multipliers; SchemeError where no layer has the design's, or another was asked for."""
    if name is None:
        return rounding or Scheme.rounding, Scheme.multiplier_bits if bits is None else bits
    design = arithmetic_named(name)
    if design.obstacle is not None:
        raise SchemeError(f"arith {name}: {design.obstacle}; 'refengine arith' counts what it would change")
    if rounding not in (None, design.rounding):
        raise SchemeError(f"arith {name} rounds {design.rounding}, rounding is {rounding}")
    widest = design.multiplier_bits
    if bits is None:
        return design.rounding, Scheme.multiplier_bits if widest is None else min(widest, Scheme.multiplier_bits)
    if widest is not None and bits > widest:
        raise SchemeError(f"arith {name} has multiplier_bits up to {widest}, multiplier_bits is {bits}")
    return design.rounding, bits
