"""What only moves codes copies runs of bytes, and fills what no tensor gives; a maximum reads whole windows."""

import networks
import plans
import pytest
from walked_steps import KINDS, Row, assert_steps_are_the_definition, compiled

from refengine.engine.fast.steps import steps_of
from refengine.kernels.fast import step
from refengine.ops import OPS


@pytest.mark.parametrize("seed", range(5))
def test_every_byte_of_a_tensor_is_written_once_by_what_moves_codes(seed):
    network = plans.widened(networks.every_op(seed=seed))
    compiler = compiled(network, 1)
    moving = [layer for layer in network.layers if OPS[layer.op].MOVES and layer.op != "maxpool"]
    assert moving
    for layer in moving:
        written = []
        for fields in steps_of(compiler, layer):
            row = Row(fields)
            assert KINDS[row.kind] in ("COPY", "FILL")
            starts = row.of_pixels(row.code_starts).ravel().tolist()
            written += [start + n for start in starts for n in range(row.length)]
        buffer = compiler.buffers[layer.name]
        wanted = [int(place) + c for place in buffer.pixels().ravel() for c in range(buffer.shape[2])]
        assert sorted(written) == sorted(wanted), layer.name


def test_a_maximum_has_a_tap_for_each_place_of_its_window():
    network = networks.every_op()
    compiler = compiled(network, 2)
    pools = [layer for layer in network.layers if layer.op == "maxpool"]
    for layer in pools:
        height, width = layer.attributes["kernel_shape"]
        assert {fields[step.TAPS] for fields in steps_of(compiler, layer)} == {height * width}
    assert pools
    assert_steps_are_the_definition(network, networks.random_images(network, 2))
