"""Production engines: each gives about the float network's logits, with any batch and number of threads."""

import logging

import numpy as np
import pytest

from refengine.bench import peers
from refengine.errors import RefengineError
from refengine.interop.onnx.export_float import onnx_input
from refengine.network import geometry as geometries
from refengine.network.forward import forward
from refengine.optional import installed

PACKAGES = {
    "openvino": ("onnx", "openvino", "nncf"),
    "onnxruntime": ("onnx", "onnxruntime"),
    "torch": ("torch",),
}
HERE = [name for name, needed in PACKAGES.items() if all(installed(package) for package in needed)]
TINY = geometries.Geometry(12, 5, (16, 32), (1, 1), "bottleneck", stride_in=1, large_stem=False)


@pytest.fixture
def network(monkeypatch):
    monkeypatch.setattr(geometries, "GEOMETRIES", {"tiny": TINY})
    return geometries.geometry("tiny")


def pixels_of(network, count):
    return np.random.default_rng(count).integers(0, 256, (count, *network.input_shape)).astype(np.uint8)


def test_every_peer_is_tested():
    assert set(PACKAGES) == set(peers.PEERS)


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize(("batch", "threads"), [(1, 1), (3, 2)])
def test_logits_are_about_those_of_the_float_network(network, name, batch, threads, capfd):
    images = pixels_of(network, 8)
    engine = peers.peer(name, network, images, batch, threads)
    printed = capfd.readouterr()
    x = engine.prepare(onnx_input(network, images[:batch]))
    found = engine.run(x).copy()
    wanted = forward(network, images[:batch])
    assert found.shape == wanted.shape
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.9
    assert not np.array_equal(found, wanted)
    assert np.array_equal(engine.run(x), found)
    assert (engine.name, printed) == (name, ("", ""))
    assert engine.version[0].isdigit()


@pytest.mark.parametrize("name", [name for name in peers.PEERS if name not in HERE])
def test_a_peer_that_is_not_installed_says_how_to_get_it(network, name):
    with pytest.raises(RefengineError, match=r'cannot be imported \(.*\); needed: pip install "refengine\[bench\]"'):
        peers.peer(name, network, pixels_of(network, 2))


def test_an_unknown_peer_lists_the_known_ones(network):
    with pytest.raises(RefengineError, match="engine 'tvm' is unknown; available: openvino, onnxruntime, torch"):
        peers.peer("tvm", network, pixels_of(network, 2))


def test_what_a_tool_raises_becomes_one_line(network, monkeypatch, caplog):
    def fails(*_):
        logging.getLogger("tool").error("talk")
        raise RuntimeError("no\n  such layer")

    monkeypatch.setitem(peers.PEERS, "openvino", fails)
    with pytest.raises(RefengineError, match=r"openvino cannot make an int8 engine of network 'tiny': no such layer"):
        peers.peer("openvino", network, pixels_of(network, 2))
    assert caplog.records == []


def test_batches_are_filled_up_from_the_beginning():
    batches = peers._in_batches(np.arange(5), 3)
    assert [batch.tolist() for batch in batches] == [[0, 1, 2], [3, 4, 0]]
    assert [batch.tolist() for batch in peers._in_batches(np.arange(2), 5)] == [[0, 1, 0, 1, 0]]


def test_a_peer_made_of_nothing_is_still_a_peer(network, monkeypatch):
    """What bench builds on: a name, a version, and two functions."""
    made = peers.Peer("fake", "1", lambda x: x, lambda x: x.reshape(len(x), -1)[:, :5])
    monkeypatch.setitem(peers.PEERS, "fake", lambda *_: made)
    assert peers.peer("fake", network, pixels_of(network, 1)) is made
