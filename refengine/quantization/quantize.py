"""quantize: a float network, calibration images and a scheme give an integer network.

One walk through the layers in execution order.  The calibration images run through the integer layers as they are
made, so each layer is calibrated on the codes that it will really read: accumulate, re-estimate batch norm, fold,
choose the output's exponent, requantize, go on.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..errors import RefengineError, SchemeError
from ..network.activations import ACTIVATIONS
from ..network.float_network import FloatNetwork, shapes, with_input_shape
from ..network.int_network import IntLayer, IntNetwork
from ..numbers.formats import INT8_WEIGHT
from ..ops import OPS
from . import plain, tabled
from .calibration_set import room, those_with_room_first
from .equalize import equalized
from .float_moments import float_moments
from .float_side import FloatSide
from .fuse import Group, fuse
from .normalising import not_normalising
from .one_thread import one_thread
from .plan import SAID_BY_A_PLAN, Plan, Weights, check_alone, check_fits
from .scheme import CALIBRATED, ROLES, Scheme, matches
from .views import with_views
from .walk import Made, Walk
from .weighted import weighted

Progress = Callable[[str, int, int], None]


@one_thread()
def quantize(
    network: FloatNetwork,
    images: np.ndarray,
    scheme: Scheme = Scheme(),  # noqa: B008  (frozen)
    progress: Progress | None = None,
    threads: int = 1,
    plan: Plan | None = None,
) -> IntNetwork:
    """Quantize ``network`` by ``scheme``, calibrated on uint8 images (N, H, W, C).

    A pure function: the same network, images and scheme give the same integers, whatever the number of threads.  Where
    the images' height and width are not the network's, the network is made for theirs, if its layers allow it.  A
    ``plan`` says each layer's format and cluster in place of the scheme.
    ``progress(layer, done, total)`` is called before each layer.  NetworkError, SchemeError or AccumulatorOverflow,
    naming the layer, where it cannot be done.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or not len(images):
        raise SchemeError(f"calibration needs uint8 images (N, H, W, C), found {images.dtype} of shape {images.shape}")
    if images.shape[3] != network.input_shape[2]:
        raise SchemeError(
            f"calibration images have {images.shape[3]} channels, network {network.name!r} "
            f"reads {network.input_shape[2]} ({network.channels})"
        )
    if images.shape[1:3] != tuple(network.input_shape[:2]):
        network = with_input_shape(network, images.shape[1:3])
    formats = _weight_formats(network.name, fuse(network), scheme, plan)
    reestimate = _reestimate(scheme, formats)
    made_with = {"network": network.name, "source": network.source, "licence": network.licence, **scheme.described()}
    if plan is not None:
        made_with = {name: value for name, value in made_with.items() if name not in SAID_BY_A_PLAN}
        made_with["plan"] = plan.described()
    if scheme.equalize:
        scaled = equalized(network, images, reestimate)
        network, made_with["equalized"] = scaled.network, scaled.described()
    groups = fuse(network)
    seen = min(len(images), room(shapes(network).values()))
    images = those_with_room_first(images, seen)
    if reestimate:  # moments of floats and integers are those of the same images
        images = images[:seen]
    odd = not_normalising(network, images) if reestimate else ()
    if odd:
        made_with["not_normalising"] = ", ".join(odd)
    folded = [group.core.name for group in groups[:-1] if group.weighted and _norm(group) in (None, *odd)]
    moments = float_moments(network, images, folded, progress) if reestimate and folded else {}
    side = FloatSide(network, images[:seen], threads)
    walk = Walk(network, scheme, images, groups, reestimate, formats, moments, threads, side, odd, seen=seen)
    layers: list[IntLayer] = []
    for done, group in enumerate(groups):
        if progress is not None:
            progress(group.core.name, done, len(groups))
        try:
            walk = with_views(walk, group, layers)
            made = STEPS[group.core.op](walk, group)
        except RefengineError as error:
            raise type(error)(f"layer {group.core.name!r} ({group.core.op}): {error}") from error
        layers += made.layers
        walk = _next(walk, done, made)
    made_with |= {"calibration_images": str(len(images)), "reestimated": "yes" if reestimate else "no"}
    made_with["views_seen"] = str(walk.views)
    return IntNetwork(network.name, network.input_shape, network.classes, network.channels, tuple(layers), made_with)


def _reestimate(scheme: Scheme, formats: dict[str, Weights]) -> bool:
    """What the scheme says, or else: for ternary weights that were not chosen on the calibration images."""
    if scheme.reestimate is not None:
        return scheme.reestimate
    return any(weights.format == "ternary" for weights in formats.values()) and scheme.method != CALIBRATED


def _norm(group: Group) -> str | None:
    return None if group.batchnorm is None else group.batchnorm.name


def _weight_formats(network: str, groups: tuple[Group, ...], scheme: Scheme, plan: Plan | None) -> dict[str, Weights]:
    """The weights of every layer that has some; SchemeError for a pattern that means none, a plan that does not fit."""
    with_weights = [group.core.name for group in groups if group.weighted]
    if plan is not None:
        check_alone(plan, scheme)
        check_fits(plan, network, with_weights)
        return dict(plan.layers)
    ends = (with_weights[:1], with_weights[-1:])
    roles = {group.core.name: _roles(group, *(group.core.name in end for end in ends)) for group in groups}
    for pattern, _ in scheme.layers:
        if pattern not in ROLES and not any(matches(pattern, name, roles[name]) for name in with_weights):
            raise SchemeError(f"layer pattern {pattern!r} means no layer with weights: {', '.join(with_weights)}")
    chosen = {name: scheme.format_of(name, roles[name]) for name in with_weights}
    return {name: Weights(fmt, 1 if fmt == INT8_WEIGHT.name else scheme.cluster) for name, fmt in chosen.items()}


def _roles(group: Group, first: bool, last: bool) -> tuple[str, ...]:
    roles = [name for name, plays in (("first", first), ("last", last)) if plays]
    if group.core.op == "conv":
        _, inputs, *kernel = group.core.constants["weight"].shape
        if inputs == 1 and group.core.attributes["group"] > 1:
            roles.append("depthwise")
        elif kernel == [1, 1]:
            roles.append("pointwise")
    return tuple(roles)


def _next(walk: Walk, done: int, made: Made) -> Walk:
    """Where the walk stands after a group, without the tensors that no later one reads."""
    needed = {name for group in walk.groups[done + 1 :] for name in (*group.inputs, group.residual)}
    output = walk.groups[done].output
    if walk.scheme.method == CALIBRATED:
        walk.float_side.output(output)
        walk.float_side.keep({name for name in needed if name is not None})
    tensors = dict(walk.tensors) if made.tensor is None else {**walk.tensors, output: made.tensor}
    kept = {name: tensor for name, tensor in tensors.items() if name in needed}
    return replace(walk.after(made.layers), tensors=kept)


STEPS: dict[str, Callable[[Walk, Group], Made]] = {
    **{name: plain.passed for name, operator in OPS.items() if not operator.ACCUMULATES},
    "input": plain.input_layer,
    "conv": weighted,
    "fc": weighted,
    "batchnorm": plain.batchnorm,
    "add": plain.add,
    "avgpool": plain.average,
    "global_avgpool": plain.average,
    "relu": plain.relu,
    "mul": plain.mul,
    **dict.fromkeys(ACTIVATIONS, tabled.lookup),
}
