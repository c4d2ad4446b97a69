"""The interface to a Dask cluster, an optional package of others (``pip install "refengine[dask]"``)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import RefengineError
from ..optional import package, quiet

EXTRA = 'pip install "refengine[dask]"'
SECONDS = 5
_ADDRESS = re.compile(r"(\w+://)?(\[[0-9a-fA-F:.%\w]+\]|[^\s:/\[\]]+):(\d{1,5})", re.ASCII)


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A ``distributed.Client`` of the scheduler at ``address``, as tcp://host:8786, for the length of a ``with`` block.

    RefengineError where the package is missing, the address is none, or no scheduler answers within SECONDS.
    """
    distributed = package("distributed", EXTRA)
    match = _ADDRESS.fullmatch(address)
    if match is None or not 0 < int(match[3]) < 1 << 16:
        raise RefengineError(f"--dask {address}: is no address, needed one with a port, as tcp://host:8786")
    client = distributed.Client.__new__(distributed.Client)  # apart from __init__, so that a failed one can be closed
    try:
        with quiet():
            client.__init__(address, timeout=SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError, AssertionError) as error:  # the last where its thread starves
        client.status = "closed"  # or else its end waits for a loop that never began, and complains
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise RefengineError(f"--dask {address}: no Dask scheduler answers there ({reason})") from error
    try:
        yield client
    finally:
        with quiet():
            client.close(timeout=SECONDS)
