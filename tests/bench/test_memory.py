"""The memory of an engine, measured in a process of its own."""

import numpy as np
import pytest
from networks import every_op, random_images

from refengine.bench import memory, peers
from refengine.bench.memory import MODEL, OURS, Stored, memory_of
from refengine.errors import RefengineError
from refengine.interop.onnx.export_float import onnx_input
from refengine.network import geometry as geometries
from refengine.network.int_file import write_int_network
from refengine.optional import installed

needs_status = pytest.mark.skipif(not memory.STATUS.exists(), reason="the system does not say how large processes are")


def ours(count):
    network = every_op(seed=2)
    return Stored(OURS, lambda folder: write_int_network(network, folder / MODEL), random_images(network, count))


@pytest.mark.slow
@needs_status
def test_a_model_takes_memory_beyond_its_packages_and_a_larger_batch_takes_more():
    small, large = memory_of(ours(1), 1), memory_of(ours(4000), 1)
    assert 10e6 < small.packages < small.peak < 2e9
    assert large.peak > small.peak + 4000 * np.prod(every_op(seed=2).input_shape)


@needs_status
@pytest.mark.slow
@pytest.mark.parametrize("name", [*peers.PEERS])
def test_stored_peers_run_again(name, monkeypatch):
    if not installed(name) or (name == "openvino" and not installed("nncf")) or not installed("onnx"):
        pytest.skip(f"{name} or what quantizes for it is not installed")
    monkeypatch.setattr(
        geometries, "GEOMETRIES", {"tiny": geometries.Geometry(8, 5, (16, 32), (1, 1), large_stem=False)}
    )
    network = geometries.geometry("tiny")
    pixels = np.random.default_rng(1).integers(0, 256, (2, *network.input_shape)).astype(np.uint8)
    made, batch = peers.peer(name, network, pixels, 2, 1), onnx_input(network, pixels)
    found = memory_of(Stored(name, made.write, batch), 1)
    assert found.packages < found.peak


@needs_status
def test_a_file_that_is_no_model_is_the_error_of_its_reader():
    stored = Stored(OURS, lambda folder: (folder / MODEL).write_bytes(b"none"), np.zeros((1, 4, 4, 3), np.uint8))
    with pytest.raises(RefengineError, match="HDF5"):
        memory_of(stored, 1)


def test_where_the_system_does_not_tell_there_is_none(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "status")
    assert memory_of(ours(1), 1) is None
