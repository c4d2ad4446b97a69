"""The door to a Dask cluster, an optional package of others (``pip install "refengine[dask]"``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import RefengineError
from .packages import package, quiet

EXTRA = 'pip install "refengine[dask]"'
SECONDS = 5


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A ``distributed.Client`` of the scheduler at ``address``, as tcp://host:8786, for the length of a ``with`` block.

    RefengineError where the package is missing or no scheduler answers within SECONDS.
    """
    distributed = package("distributed", EXTRA)
    try:
        with quiet():
            client = distributed.Client(address, timeout=SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError, AssertionError) as error:  # the last where its thread starves
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise RefengineError(f"--dask {address}: no Dask scheduler answers there ({reason})") from error
    try:
        yield client
    finally:
        with quiet():
            client.close(timeout=SECONDS)
