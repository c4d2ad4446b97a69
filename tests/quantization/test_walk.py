"""The walk's small parts: names, the logits' group, formats."""

import numpy as np
from calibrated import pixels
from float_networks import every_op

from refengine.numbers.formats import INT8, UINT8
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme
from refengine.quantization.walk import Tensor, sign_of


def test_layers_are_numbered_in_the_order_of_execution():
    made = quantize(every_op(), pixels(every_op()), Scheme())
    assert [done.name[:4] for done in made.layers] == [f"{n:03d}_" for n in range(len(made.layers))]


def test_one_signed_tensor_makes_the_result_signed():
    tensors = [Tensor("x", np.zeros((1, 1), fmt.dtype), 0, fmt, fmt.lo, fmt.hi) for fmt in (UINT8, INT8)]
    assert sign_of(tensors[0], tensors[0]) is UINT8
    assert sign_of(*tensors) is INT8
