"""Compiled kernels on disk: what is not just as this user wrote it is compiled again.

A kernel for one signature is one file, so no index can name the wrong one however many processes write at once:

    head      a line that names the format
    digest    SHA-256 of the file's own name and the payload
    payload   a pickle: the function's source, the signature, and what Numba makes of machine code

It lies under a key of all that it is made from: the sources of this room, the versions of Python, NumPy, Numba and
llvmlite, the processor and the instruction set of ``instruction_sets.py``.

Of several processes that need a kernel at one time, one compiles it and the others wait for the file, but not for ever:
who waits is never wrong, only late.

Two checks come before anything is unpickled or handed to LLVM.  The digest is no secret and is there for accidents:
damage, a file cut short, one file under the name of another.  Against other users there are owner and mode: a folder or
file that is not this user's own, or that group or others can write, is not read.  Where no folder can be had, kernels
are compiled in memory and nothing is written.
"""

import hashlib
import inspect
import os
import pickle
import stat
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite.binding import get_host_cpu_features, get_host_cpu_name
from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from ..claims import LOCK, Claims
from ..errors import FileError
from .instruction_sets import chosen_target

FOLDER_OPTION = "REFENGINE_CACHE"

_ROOM = Path(__file__).parent
_HEAD = b"refengine kernel 1\n"
_DIGEST_BYTES = hashlib.sha256().digest_size
_UNFINISHED = ".part"
_SECONDS_UNTIL_ABANDONED = 3600
_SECONDS_OF_WAITING = 120  # for another process's kernel: seconds of computing, which a busy machine stretches
_UNREADABLE = (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, ImportError, pickle.PickleError)
_UNUSABLE = (*_UNREADABLE, RuntimeError)  # which llvmlite raises


# ------------------------------------------------------------------------------------------------------------- the key


def sources_digest(room: Path) -> bytes:
    """SHA-256 of the names and contents of all sources below a folder; FileNotFoundError where there are none."""
    sources = sorted(room.rglob("*.py"))
    if not sources:
        raise FileNotFoundError(f"no sources in {room}")
    digest = hashlib.sha256()
    for source in sources:
        name = source.relative_to(room).as_posix().encode()
        digest.update(name + b"\0" + hashlib.sha256(source.read_bytes()).digest())
    return digest.digest()


def _named_folder() -> Path:
    """The folder that the user's environment names for caches; RuntimeError for a user without a home."""
    named = os.environ.get(FOLDER_OPTION) or os.environ.get("XDG_CACHE_HOME")
    if named:
        return Path(named).absolute()
    home = Path.home()
    if os.environ.get("HOME") == "" or not home.is_dir():
        raise RuntimeError("this user has no home")
    return home.joinpath(".cache")


def cache_folder() -> Path:
    """Where kernels of just these sources, versions, processor and instruction set are kept.

    RuntimeError or OSError where there is no such place; RangeError for an instruction set that cannot be had.
    """
    digest = hashlib.sha256(sources_digest(_ROOM))
    python = f"{sys.implementation.cache_tag}{getattr(sys, 'abiflags', '')}"
    processor = (get_host_cpu_name(), get_host_cpu_features().flatten(), chosen_target().name)
    for part in (python, np.__version__, numba.__version__, llvmlite.__version__, *processor):
        digest.update(part.encode() + b"\0")
    return _named_folder().joinpath("refengine", digest.hexdigest()[:24])


# ----------------------------------------------------------------------------------------------------------- the files


def _distrusted(status: os.stat_result) -> str | None:
    """Why other users may have written what has this owner and mode; None if they cannot have.

    Systems without user numbers keep a user's folder private in their own way, which is not looked into.
    """
    if not hasattr(os, "geteuid"):
        return None
    if status.st_uid != os.geteuid():
        return f"belongs to user {status.st_uid}, not to user {os.geteuid()}"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return "can be written by other users (chmod go-w)"
    return None


class Store:
    """Files in a folder below two others, all private: each is read back just as this user wrote it, or not at all."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._told = False

    def read(self, name: str) -> bytes | None:
        """The payload of a file; None where there is none that can be believed."""
        if not self._usable:
            return None
        try:
            with open(self.folder.joinpath(name), "rb") as file:
                status = os.fstat(file.fileno())
                reason = _distrusted(status)
                if reason or not stat.S_ISREG(status.st_mode):
                    self._tell(self.folder.joinpath(name), reason or "is no ordinary file")
                    return None
                content = file.read()
        except OSError:
            return None
        head, payload = content[: len(_HEAD) + _DIGEST_BYTES], content[len(_HEAD) + _DIGEST_BYTES :]
        return payload if head == self._head(name, payload) else None

    def write(self, name: str, payload: bytes) -> None:
        """Keep a file, whole or not at all; a folder that cannot be used stays as it is."""
        if not self._usable:
            return
        with suppress(OSError):
            self._remove_abandoned()
            handle, temporary = tempfile.mkstemp(_UNFINISHED, f".{name[:80]}.", self.folder)  # for its owner alone
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(self._head(name, payload) + payload)
                os.replace(temporary, self.folder.joinpath(name))
            finally:
                with suppress(OSError):
                    os.unlink(temporary)

    def awaited(self, name: str) -> bytes | None:
        """The payload of a file that another process may be making; None where this process is to make it.

        In the second case it is claimed until ``give_back``, unless two minutes of waiting were in vain.
        """
        if self._claims is not None:
            self._claims.wait(_key(name), _SECONDS_OF_WAITING)
        payload = self.read(name)
        if payload is not None:
            self.give_back(name)
        return payload

    def give_back(self, name: str) -> None:
        """End the claim of a file, made or not."""
        if self._claims is not None:
            self._claims.give_back(_key(name))

    @cached_property
    def _claims(self) -> Claims | None:
        """Who makes which file; None where that cannot be told."""
        if not self._usable:
            return None
        with suppress(FileError, OSError):
            os.close(os.open(self.folder.joinpath(LOCK), os.O_CREAT | os.O_WRONLY, 0o600))
            return Claims(self.folder)
        return None

    @staticmethod
    def _head(name: str, payload: bytes) -> bytes:
        digest = hashlib.sha256(name.encode() + b"\0")
        digest.update(payload)
        return _HEAD + digest.digest()

    @cached_property
    def _usable(self) -> bool:
        """Whether all three folders can be believed; those that are missing are made, for this user alone."""
        private = (self.folder.parent.parent, self.folder.parent, self.folder)
        try:
            for folder in (*reversed(self.folder.parents), self.folder):
                folder.mkdir(0o700, exist_ok=True)
                reason = _distrusted(folder.stat()) if folder in private else None
                if reason:
                    self._tell(folder, reason)
                    return False
        except OSError:
            return False
        return True

    def _tell(self, place: Path, reason: str) -> None:
        """Say once why kernels are compiled again."""
        if not self._told and sys.stderr is not None:
            self._told = True
            with suppress(OSError, ValueError):
                print(f"refengine: kernels are compiled anew: {str(place)!r} {reason}", file=sys.stderr, flush=True)

    def _remove_abandoned(self) -> None:
        """Remove what processes that were killed while they wrote have left."""
        oldest = time.time() - _SECONDS_UNTIL_ABANDONED
        for file in self.folder.glob(f".*{_UNFINISHED}"):
            with suppress(OSError):
                if file.lstat().st_mtime < oldest:
                    file.unlink()


def _key(name: str) -> str:
    """What a file's claim is known by."""
    return hashlib.sha256(name.encode()).hexdigest()


@cache
def _store() -> Store | None:
    """The store of this process, named once; None where no folder can be named."""
    try:
        return Store(cache_folder())
    except (RuntimeError, OSError):
        return None


# ---------------------------------------------------------------------------------------------------- Numba's interface


class KernelCache(NullCache):
    """What Numba asks for compiled code of one function; anything that goes wrong is as good as an empty cache."""

    def __init__(self, function: Any, store: Store) -> None:
        self._function = function
        self._store = store
        self._source = hashlib.sha256(Path(inspect.getfile(function)).read_bytes()).digest()

    @property
    def cache_path(self) -> str:
        """The folder of the files."""
        return str(self._store.folder)

    def load_overload(self, signature: Any, target: Any) -> Any:
        """The compiled function for a signature, or None where none is kept that can be believed.

        None leaves the kernel to this process: ``save_overload`` follows, unless it cannot be compiled at all.
        """
        target.refresh()
        with suppress(*_UNUSABLE):
            name = self._name(signature, target.codegen())
            payload = self._store.read(name)
            if payload is None:
                payload = self._store.awaited(name)
            if payload is not None:
                kept, reduced = pickle.loads(payload)
                return CompileResult._rebuild(target, *reduced) if kept == signature else None
        return None

    def save_overload(self, signature: Any, compiled: Any) -> None:
        """Keep a compiled function, if there is room."""
        with suppress(*_UNUSABLE):
            name = self._name(signature, compiled.codegen)
            try:
                if not compiled.lifted and not compiled.library.has_dynamic_globals:
                    self._store.write(name, dumps((signature, compiled._reduce())))
            finally:
                self._store.give_back(name)

    def _name(self, signature: Any, codegen: Any) -> str:
        """A file's name: the function's, and a digest of its source, its bytecode, the signature and the target."""
        function = self._function
        digest = hashlib.sha256(self._source + hashlib.sha256(function.__code__.co_code).digest())
        place = (function.__module__, function.__qualname__, inspect.getfile(function))
        digest.update(repr((place, signature, codegen.magic_tuple())).encode())
        return f"{function.__name__[:60]}-{digest.hexdigest()[:32]}.kernel"


def kept(dispatcher: Any) -> Any:
    """Let a function that Numba compiles be kept on disk, unless it closes over values that no source shows."""
    store, function = _store(), dispatcher.py_func
    if store is not None and function.__closure__ is None:
        with suppress(OSError, TypeError):  # functions that have no file
            dispatcher._cache = KernelCache(function, store)
    return dispatcher
