"""Numba kernels: they add integers; what rounds or clips is handed to them as numbers.

Every file imports nothing of refengine but this room and the errors.  Compiled kernels are cached on disk under a key
of everything that they are made from: the sources of this room, the versions of Numba and llvmlite, the processor and
the rung of ``rungs.py``.  A cached kernel can therefore never be older than its source; where no folder can be written,
kernels are compiled again in each process, which costs time and nothing else.
"""

import hashlib
import os
import pickle
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
from llvmlite.binding import get_host_cpu_features, get_host_cpu_name

_UNREADABLE = (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, ImportError, pickle.PickleError)

FOLDER_OPTION = "REFENGINE_CACHE"
RUNG_OPTION = "REFENGINE_RUNG"


def cache_folder() -> Path:
    """Where compiled kernels of just these sources, versions, processor and rung are kept."""
    import numba  # here, because asking for the rung should not load the compiler

    from .rungs import chosen_rung

    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + source.read_bytes())
    features = get_host_cpu_features().flatten()
    for part in (numba.__version__, llvmlite.__version__, get_host_cpu_name(), features, chosen_rung().name):
        digest.update(part.encode() + b"\0")
    parent = os.environ.get(FOLDER_OPTION) or os.environ.get("XDG_CACHE_HOME") or Path.home().joinpath(".cache")
    return Path(parent).joinpath("refengine", digest.hexdigest()[:24])


@cache
def _folder() -> Path | None:
    """The folder of this process, named once; None for a user without a home, whose kernels are not kept."""
    try:
        return cache_folder()
    except RuntimeError:
        return None


class _Forgiving:
    """Numba's cache of one function, for which a full disk or a damaged file is as good as an empty cache."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *arguments: Any) -> Any:
        """What is kept, or None where nothing is, or nothing that can be read."""
        with suppress(*_UNREADABLE):
            return self._cache.load_overload(*arguments)
        return None

    def save_overload(self, *arguments: Any) -> None:
        """Keep it, if there is room."""
        with suppress(*_UNREADABLE):
            self._cache.save_overload(*arguments)


def jit(function):
    """All compiler flags, once: compiled at first use, cached on disk, running without Python's lock."""
    import numba  # here, because asking for the rung should not load the compiler
    from numba.core import config

    numba_settings: Any = config
    dispatcher = numba.njit(function, nogil=True)
    folder = _folder()
    if folder is None:
        return dispatcher
    before = numba_settings.CACHE_DIR
    try:
        numba_settings.CACHE_DIR = str(folder)
        dispatcher.enable_caching()
        dispatcher._cache = _Forgiving(dispatcher._cache)
    except (RuntimeError, OSError):
        pass
    finally:
        numba_settings.CACHE_DIR = before
    return dispatcher
