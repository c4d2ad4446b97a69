"""What is known of an array before the DUT's is read: from a manifest, or from a shape and a type."""

import numpy as np
from dumps import network_and_images

from refengine.golden.dumps.dump import in_memory
from refengine.golden.dumps.expected import of_array
from refengine.golden.dumps.open_dump import open_dump
from refengine.vectors.writer import Layout, write_vectors


def test_a_pack_says_what_its_manifest_says(tmp_path):
    network, images = network_and_images(2)
    layer = next(layer.name for layer in network.layers if layer.op == "conv")
    layout = Layout(word_bits=64, orders=["nchw"], first="high")
    write_vectors(network, images, tmp_path / "pack", layout=layout)
    with open_dump(tmp_path / "pack") as dump:
        expected = dump.expects(layer, "code")
        values = dump.values(layer, "code")
    assert (expected.shape, expected.dtype, expected.order) == (values.shape, values.dtype, "nchw")
    assert (expected.bits, expected.packing.elements, expected.packing.first) == (8, 8, "high")
    assert expected.images * expected.elements == np.prod(values.shape)
    assert expected.words(expected.packing) == -(-expected.elements // 8)


def test_another_golden_says_what_its_arrays_are():
    dump = in_memory({"conv": {"code": np.zeros((2, 3, 4, 5), np.int8), "accumulator": np.zeros((2, 7), np.int32)}})
    code, accumulator = (dump.expects("conv", stage) for stage in ("code", "accumulator"))
    assert (code.bits, code.signed, code.axes, code.order) == (8, True, "nhwc", "nhwc")
    assert (accumulator.bits, accumulator.axes, accumulator.elements) == (32, "nc", 7)
    assert of_array((1, 2), np.dtype(np.uint64)).packing.bits == 63
