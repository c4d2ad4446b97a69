"""Numba kernels: they add integers; what rounds or clips is handed to them as numbers.

Every file imports nothing of refengine but this room.  Compiled kernels are cached on disk under a key of everything
that they are made from: the sources of this room, the versions of Numba and llvmlite, the processor and the rung of
``rungs.py``.  A cached kernel can therefore never be older than its source; where no folder can be written, kernels
are compiled again in each process, which costs time and nothing else.
"""

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
from llvmlite.binding import get_host_cpu_features, get_host_cpu_name

FOLDER_OPTION = "REFENGINE_CACHE"
RUNG_OPTION = "REFENGINE_RUNG"


def cache_folder() -> Path:
    """Where compiled kernels of just these sources, versions, processor and rung are kept."""
    import numba  # here, because asking for the rung should not load the compiler

    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + source.read_bytes())
    features = get_host_cpu_features().flatten()
    rung = os.environ.get(RUNG_OPTION, "")
    for part in (numba.__version__, llvmlite.__version__, get_host_cpu_name(), features, rung):
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
    except (RuntimeError, OSError):
        pass
    finally:
        numba_settings.CACHE_DIR = before
    return dispatcher
