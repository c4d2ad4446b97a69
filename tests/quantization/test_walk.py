"""The walk's small parts: names, the logits' group, formats."""

import numpy as np
import pytest
from calibrated import pixels
from float_networks import every_op

from refengine.numbers.formats import INT8, UINT8
from refengine.quantization.quantize import STEPS, quantize
from refengine.quantization.scheme import Scheme
from refengine.quantization.walk import Tensor, sign_of


def test_layers_are_numbered_in_the_order_of_execution():
    made = quantize(every_op(), pixels(every_op()), Scheme())
    assert [done.name[:4] for done in made.layers] == [f"{n:03d}_" for n in range(len(made.layers))]


def test_one_signed_tensor_makes_the_result_signed():
    tensors = [Tensor("x", np.zeros((1, 1), fmt.dtype), 0, fmt, fmt.lo, fmt.hi) for fmt in (UINT8, INT8)]
    assert sign_of(tensors[0], tensors[0]) is UINT8
    assert sign_of(*tensors) is INT8


def test_a_step_changes_nothing_that_it_was_given():
    """Every step gets the walk before its group and gives what it made; both can be looked at again."""
    network, seen = every_op(), []

    def recorded(step):
        def recording(walk, group):
            before = (walk.made, dict(walk.tensors), [tensor.codes.tobytes() for tensor in walk.tensors.values()])
            made = step(walk, group)
            after = (walk.made, dict(walk.tensors), [tensor.codes.tobytes() for tensor in walk.tensors.values()])
            assert before == after
            seen.append((walk.made, len(made.layers)))
            return made

        return recording

    with pytest.MonkeyPatch.context() as patch:
        for op, step in STEPS.items():
            patch.setitem(STEPS, op, recorded(step))
        layers = quantize(network, pixels(network), Scheme()).layers
    assert [start for start, _ in seen] == [0, *np.cumsum([count for _, count in seen])[:-1]]
    assert sum(count for _, count in seen) == len(layers)
