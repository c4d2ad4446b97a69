"""Pixels and codes through tables: every byte as the definition has it, and no table without a rescale."""

from dataclasses import replace

import networks
import numpy as np
import pytest
from walked_steps import Row, compiled, memory

from refengine.engine.fast.steps import steps_of
from refengine.engine.run import run
from refengine.kernels.fast import plan as kernel
from refengine.kernels.instruction_sets import DOT
from refengine.numbers.formats import INT8, UINT8


def test_an_input_without_a_rescale_has_no_step():
    network = networks.small(classes=4, layers=(replace(networks.small().layers[0], requantize=None),))
    assert steps_of(compiled(network, 1), network.layers[0]) is None


@pytest.mark.parametrize("fmt", [UINT8, INT8])
@pytest.mark.parametrize("seed", range(3))
def test_the_table_of_an_input_holds_the_code_of_every_pixel(monkeypatch, seed, fmt):
    """Images of all 256 values in every channel; codes with a sign are stored with their highest bit turned."""
    monkeypatch.setattr(
        kernel, "TARGET", replace(kernel.TARGET, cluster_tiles=(), pairs=False, dense=DOT, signed=False)
    )
    small, wide = networks.small(), networks.every_op(seed=seed)
    first = replace(wide.layers[0], requantize=networks.plain_requantize(fmt))
    pool = replace(small.layers[-1], op="global_avgpool", inputs=(first.name,), constants={}, attributes={})
    pool = replace(pool, weight_format=None, weight_exponent=None)
    network = replace(wide, layers=(first, pool), classes=wide.input_shape[2])
    height, width, channels = network.input_shape
    compiler = compiled(network, 1)
    (fields,) = steps_of(compiler, network.layers[0])
    row = Row(fields)
    tables = memory(row.code_tables, np.uint8, channels, 256)
    order = memory(row.source_channels, np.int32, channels)
    zero = compiler.buffers[network.layers[0].name].zero
    assert zero == (128 if fmt is INT8 else 0)
    codes = {}
    for start in range(0, 256, height * width):
        values = np.resize(np.arange(start, min(256, start + height * width)), height * width)
        image = np.broadcast_to(values.reshape(1, height, width, 1), (1, height, width, channels)).astype(np.uint8)
        run(network, image, observe=lambda layer, read, result: codes.setdefault(layer.name, []).append(result.result))
        made = codes[network.layers[0].name][-1].reshape(-1, channels)
        for value, code in zip(values, made, strict=True):
            assert [int(tables[c, value]) ^ zero for c in range(channels)] == code.view(np.uint8).tolist()
    assert sorted(order.tolist()) == list(range(channels))
