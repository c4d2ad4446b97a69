"""The arena: no two tensors that are alive together share a byte, and its size follows what is alive, not the depth."""

from itertools import pairwise
from math import prod

import pytest
from networks import dynamic, every_op, plain_requantize, seeded, small, with_fc_on

from refengine.errors import RangeError
from refengine.interop.c.memory import PIXELS, memory
from refengine.network.int_network import IntLayer


def alive(network):
    """For each position, the names of the results that are made or still read there."""
    for position, layer in enumerate(network.layers):
        later = [name for after in network.layers[position:] for name in (*after.inputs, after.residual)]
        yield [layer.name, *(earlier.name for earlier in network.layers[:position] if earlier.name in later)]


@pytest.mark.parametrize("network", [every_op(), dynamic(), *(seeded(seed, ["conv", "add"] * 4) for seed in range(5))])
def test_what_is_alive_together_has_places_of_its_own(network):
    taken = memory(network)
    for names in alive(network):
        names = [name for name in names if name != network.layers[-1].name]
        places = sorted((taken.offsets[name], taken.offsets[name] + prod(network.shapes[name])) for name in names)
        assert all(end <= begin for (_, end), (begin, _) in pairwise(places))
        assert all(end <= taken.codes for _, end in places)


def chain(depth):
    """Pixels of 4x4, brought to the same codes again and again."""
    layers = [small().layers[0]]
    for number in range(1, depth):
        fields = {"name": f"{number:03d}_requantize", "op": "requantize", "inputs": (layers[-1].name,)}
        layers.append(IntLayer(**fields, exponent=0, requantize=plain_requantize()))
    return small(input_shape=(4, 4, 1), classes=16, layers=tuple(layers))


def test_a_deeper_network_of_the_same_width_takes_no_more_codes():
    shallow, deep = memory(chain(4)), memory(chain(40))
    assert shallow.codes == deep.codes == 2 * 16
    assert deep.layers - shallow.layers == 36


def test_a_dynamic_layer_keeps_all_of_its_sums():
    network = dynamic()
    assert any(network.dynamic.values())
    most = max(prod(network.shapes[layer.name]) for layer in network.layers if network.dynamic[layer.name])
    assert memory(network).accumulators >= most


def test_an_image_that_takes_gigabytes_is_refused():
    with pytest.raises(RangeError, match=r"one image takes \d+ bytes in C, needed less than 2147483648"):
        memory(with_fc_on((50000, 50000, 1)))


def test_the_parts_of_a_hand_made_network():
    """2x2 pixels, a conv of 4 taps to one pixel of 2 channels, an fc of 2."""
    taken = memory(small())
    assert (taken.totals, taken.row, taken.layers) == (2, 2, 3)
    assert (taken.accumulators, taken.patch) == (2 * PIXELS, 4 * PIXELS)
    assert taken.codes == 4 + 2
    assert taken.bytes == 8 * -(-(2 * 8 + 4 * (2 * PIXELS + 2) + 2 * 4 * PIXELS + 6 + 3) // 8)
