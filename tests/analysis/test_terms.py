"""The terms of one output: their sum is what the oracle accumulates, place by place, for every operator."""

import networks
import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.analysis.terms import accumulates, check_place, operand_ranges, operand_shapes, terms, unflattened
from refengine.engine.run import run
from refengine.errors import RangeError
from refengine.ops import OPS


def observed(network, images, backend="reference"):
    """(layer, operands, result) of every layer."""
    seen = []
    run(network, images, backend, lambda *what: seen.append(what))
    return seen


def place_in(draw_index, shape):
    return tuple(draw_index(size) for size in shape)


def summed(network, layer, operands, place, image=0):
    """The sum of the terms, in plain integers; and the codes at the taps."""
    found = terms(network, layer, place)
    total, codes = found.bias, []
    for part in found.parts:
        for tap in part.taps:
            code = 0 if tap.padding else int(operands[tap.operand][(image, *tap.place)])
            codes.append((code, tap.padding))
            total += part.factor * product(tap, code, operands, image)
    return total, codes


def product(tap, code, operands, image=0):
    """What a tap adds: its code by its weight, or by another code, or the entry of a table in its place."""
    if tap.table is not None:
        return tap.table[code % 256]
    if tap.by is None:
        return code * tap.weight
    other, place = tap.by
    return code * int(operands[other][(image, *place)])


@given(networks.int_networks(), st.data())
def test_the_terms_sum_to_what_the_oracle_accumulates(network, data):
    for layer, operands, result in observed(network, networks.random_images(network, 1)):
        place = place_in(lambda size: data.draw(st.integers(0, size - 1)), network.shapes[layer.name])
        wanted = int(result.result[(0, *place)])
        if accumulates(layer):
            codes = operands[0].astype(np.int32) if layer.op == "requantize" else None
            sums = (
                dict(np.ndenumerate(codes))
                if codes is not None
                else getattr(oracle, layer.op)(*operands, **layer.arguments)
            )
            assert summed(network, layer, operands, place)[0] == sums[(0, *place)]
        else:
            assert wanted in [
                code
                for code, padding in summed(network, layer, operands, place)[1]
                if not padding or layer.op == "pad_channels"
            ]


def test_every_operator_has_terms():
    """A network with all of them; taps outside an operand are those of padding, and no others."""
    network = networks.every_op()
    assert {layer.op for layer in network.layers} == set(OPS)
    for layer, operands, _ in observed(network, networks.random_images(network, 1)):
        shapes = operand_shapes(network, layer)
        assert [operand.shape[1:] for operand in operands] == [*shapes]
        for place in np.ndindex(*network.shapes[layer.name]):
            for part in terms(network, layer, place).parts:
                for tap in part.taps:
                    inside = all(0 <= i < size for i, size in zip(tap.place, shapes[tap.operand], strict=True))
                    assert inside != tap.padding


def test_a_grouped_convolution_reads_its_group():
    made = [networks.seeded(seed, ["conv"] * 3) for seed in range(10)]
    grouped = [(network, layer) for network in made for layer in network.layers if layer.attributes.get("group", 1) > 1]
    assert len(grouped) > 3
    for network, layer in grouped:
        outputs, inputs = layer.constants["weight"].shape[:2]
        for o in range(outputs):
            channels = {tap.place[2] for part in terms(network, layer, (0, 0, o)).parts for tap in part.taps}
            first = o // (outputs // layer.attributes["group"]) * inputs
            assert channels == {*range(first, first + inputs)}


def test_flattening_is_undone():
    x = np.arange(24).reshape(1, 2, 3, 4)
    flat = oracle.flatten(x)
    assert all(flat[0, k] == x[(0, *unflattened((2, 3, 4), k))] for k in range(24))


def test_operands_have_the_ranges_of_their_formats():
    network = networks.small()
    assert operand_ranges(network, network.layers[0]) == ((0, 255),)
    assert operand_ranges(network, network.layers[2]) == ((-128, 127),)


@pytest.mark.parametrize("place", [(0,), (0, 0, 2), (0, -1, 0), (1, 0, 0)])
def test_a_place_outside_is_refused(place):
    network = networks.small()
    with pytest.raises(RangeError, match=r"layer '001_conv' has no place .*, needed y,x,c in 0,0,0\.\.0,0,1"):
        check_place(network, network.layer("conv"), place)
