"""What operators declare of themselves is so: who moves codes, who keeps channels apart, what an attribute may be."""

import networks
import numpy as np
import pytest

from refengine.engine.run import run
from refengine.ops import OPS
from refengine.ops.interface import FLAG, Attribute, sources

MOVING = [name for name, operator in OPS.items() if operator.MOVES]


def observed(seed):
    """(layer, operands, result) of every layer of a network with every operator."""
    network, seen = networks.every_op(seed=seed), []
    run(network, networks.random_images(network, 2), "reference", lambda *what: seen.append(what))
    return network, seen


NETWORK, SEEN = observed(340)


@pytest.mark.parametrize("op", MOVING)
def test_whoever_moves_codes_gives_the_codes_of_its_sources(op):
    for layer, operands, result in SEEN:
        if layer.op == op:
            found = sources(OPS[op], [operand.shape[1:] for operand in operands], layer.arguments)
            flat = np.concatenate([operand.reshape(len(operand), -1) for operand in operands], axis=1)
            codes = np.where(found < 0, 0, flat[:, found])
            assert np.array_equal(codes, result.result)
            assert (found < 0).any() <= OPS[op].PADS


def test_no_other_operator_moves_codes():
    """Codes pass through a maxpool too, but which ones depends on them."""
    passing = {name for name, operator in OPS.items() if not operator.ACCUMULATES}
    assert passing - {*MOVING} == {"maxpool"}


@pytest.mark.parametrize("op", [name for name, operator in OPS.items() if operator.INPUTS != 0])
def test_channelwise_is_what_a_change_of_one_channel_shows(op):
    """Another channel of an operand changes that channel of the result alone, wherever the operator says so."""
    layers = [(layer, operands) for layer, operands, _ in SEEN if layer.op == op]
    for layer, operands in layers:
        before = OPS[op].reference(*operands, **layer.arguments)
        changed = [operand.copy() for operand in operands]
        changed[0][..., 0] ^= 1
        after = OPS[op].reference(*changed, **layer.arguments)
        if OPS[op].CHANNELWISE:
            assert np.array_equal(before[..., 1:], after[..., 1:])
            assert before.shape[-1] == operands[0].shape[-1]
    assert layers


@pytest.mark.parametrize(
    ("attribute", "good", "bad"),
    [
        (FLAG, [True, False], [0, 1, None]),
        (Attribute(1), [1, 65536], [0, 65537, True, 1.0, None, (1,)]),
        (Attribute(0, 22, count=2), [(0, 22)], [(0, 23), (0,), [0, 1], (0, True), 1]),
    ],
    ids=["flag", "one", "two"],
)
def test_an_attribute_allows_what_it_says(attribute, good, bad):
    assert all(attribute.allows(value) for value in good)
    assert not any(attribute.allows(value) for value in bad)


def test_an_attribute_says_its_range():
    assert [str(one) for one in (FLAG, Attribute(1, 9), Attribute(0, 9, count=4))] == [
        "true or false",
        "an integer in 1..9",
        "4 integers in 0..9",
    ]


def test_elements_are_counted_through_all_operands():
    shapes = [(1, 1, 2), (1, 1, 3), (1, 1, 1), (1, 1, 2)]
    assert sources(OPS["concat"], shapes, {}).ravel().tolist() == [*range(8)]
