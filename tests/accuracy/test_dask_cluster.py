"""The door to a cluster: one line where there is none."""

import gc
import socket
import time

import pytest

from refengine.accuracy import dask_cluster
from refengine.accuracy.dask_cluster import connected
from refengine.errors import RefengineError
from refengine.optional import installed, package

needs_distributed = pytest.mark.skipif(not installed("distributed"), reason="distributed is missing")


@needs_distributed
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:{free}", "127.0.0.1:{free}", "tls://127.0.0.1:{free}", "x://y:1"])
@pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
def test_an_address_without_a_scheduler_is_refused_in_one_line(address, monkeypatch):
    """Nor does the client that was not made complain when it is collected."""
    monkeypatch.setattr(dask_cluster, "SECONDS", 1)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = address.format(free=free.getsockname()[1])
    started = time.monotonic()
    with pytest.raises(RefengineError, match="no Dask scheduler answers there") as refusal, connected(address):
        pytest.fail("somebody answered")
    assert str(refusal.value).startswith(f"--dask {address}: ")
    assert "\n" not in str(refusal.value)
    assert time.monotonic() - started < 60
    del refusal
    gc.collect()


@needs_distributed
@pytest.mark.parametrize(
    "address", ["foo", "tcp://foo", "127.0.0.1:0", "host:65536", "host:port", "::1:80", "a b:1", ""]
)
def test_what_is_no_address_is_not_asked(address, monkeypatch):
    monkeypatch.setattr(package("distributed"), "Client", None)
    needed = "is no address, needed one with a port, as tcp://host:8786"
    with pytest.raises(RefengineError, match=needed), connected(address):
        pytest.fail("connected to nowhere")


@pytest.mark.skipif(installed("distributed"), reason="distributed is there")
def test_without_dask_the_error_names_the_extra():
    with pytest.raises(RefengineError, match=r"refengine\[dask\]"), connected("tcp://127.0.0.1:1"):
        pytest.fail("connected by nothing")
