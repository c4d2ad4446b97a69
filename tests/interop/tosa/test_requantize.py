"""Codes as TOSA graphs: at the ends of what RESCALE can give, and what it cannot."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from networks import every_op, plain_requantize, small, with_layer
from tosa_tools import assert_no_integer_differs, needs_tosa

from refengine.interop.tosa.requantize import no_rescale
from refengine.numbers.formats import INT8, INT32, UINT8
from refengine.numbers.rounding import DOUBLE_ROUND


@needs_tosa
@pytest.mark.parametrize(
    "changed",
    [
        {"format": INT8, "lo": 0, "hi": 90, "activation": "clip"},
        {"format": UINT8, "lo": 0, "hi": 91, "activation": "clip"},
        {"format": INT32, "lo": 0, "hi": 2**20, "activation": "clip"},
        {"multiplier": np.array([2**31 - 1]), "shift": np.array([62])},
        {"multiplier": np.array([0]), "shift": np.array([0])},
        {"multiplier": np.array([3]), "shift": np.array([31]), "rounding": DOUBLE_ROUND},
        {"multiplier": np.array([2**20 + 1]), "shift": np.array([33]), "rounding": DOUBLE_ROUND},
    ],
)
def test_ends_of_a_rescale(changed):
    """Of a last layer, whose codes may be of any format: clips, the widest numbers and the narrowest."""
    step = replace(plain_requantize(UINT8), **{"lo": 0, "hi": 255, **changed})
    layers = small().layers[:2]
    network = small(
        layers=(layers[0], replace(layers[1], requantize=step)), classes=prod(small().shapes[layers[1].name])
    )
    assert no_rescale(network, network.layers[1]) is None
    assert_no_integer_differs(network, 30)


def test_what_rescale_cannot_give_is_said():
    network, layers = every_op("half_even"), every_op().layers
    assert {no_rescale(network, layer) for layer in network.layers if layer.residual is None} == {
        None, "half_even is none of its roundings",
    }  # fmt: skip
    assert {no_rescale(every_op(), layer) for layer in layers if layer.residual is not None} == {
        "a residual is added before the rounding"
    }


@pytest.mark.parametrize(
    ("multiplier", "shift", "rounding", "fits"),
    [
        (1, 2, "half_up", True),
        (2**30, 2, "half_up", False),
        (2**30, 40, "half_up", True),
        (1, 2, DOUBLE_ROUND, True),
        (1, 0, "half_up", True),
    ],
)
def test_short_shifts_are_raised_with_their_multipliers(multiplier, shift, rounding, fits):
    """Where the multiplier has room for as many bits as the accumulators have beyond the shift."""
    network = small()
    step = replace(
        network.layer("conv").requantize,
        multiplier=np.array([multiplier]),
        shift=np.array([shift]),
        rounding=rounding,
    )
    changed = with_layer(network, "001_conv", requantize=step)
    assert (no_rescale(changed, changed.layer("conv")) is None) == fits
