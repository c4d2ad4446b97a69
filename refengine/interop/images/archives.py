"""The files of a data set, wherever they lie: in a folder, in a tar archive (gzipped or not), or one alone.

Nothing is unpacked to the disk.  A file is found by its own name, without its folders.  An archive is hostile until
it is checked: only plain files and folders are in it, none of them leads out of it, sizes are bounded, and a gzipped
stream ends where it grows beyond what any of these data sets needs.
"""

from __future__ import annotations

import gzip
import io
import os
import stat
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from ...errors import FileError, RefengineError
from ...text import PathLike, printable

MAX_UNPACKED = 1 << 30  # bytes of one archive or one gzipped file
MAX_READ = 1 << 28  # bytes asked for at once
MAX_MEMBERS = 1 << 12

_GZIP = b"\x1f\x8b"
_BAD = (
    tarfile.TarError, OSError, EOFError, zlib.error, struct.error, ValueError, LookupError, ArithmeticError,
    RecursionError, AttributeError, TypeError,
)  # fmt: skip


@contextmanager
def guarded(place: str) -> Iterator[None]:
    """Turn whatever the libraries raise on damaged bytes into one FileError that names the place."""
    try:
        yield
    except RefengineError:
        raise
    except _BAD as error:
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise FileError(f"{place}: cannot be read ({printable(reason)[:200]})") from error


class Bounded(io.RawIOBase):
    """A stream that may be read up to a limit of bytes; FileError beyond."""

    def __init__(self, file: Any, limit: int, place: str) -> None:
        self._file, self._limit, self._place = file, limit, place

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._file.tell()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """From the beginning or from here, never behind the limit."""
        target = offset + (self.tell() if whence == os.SEEK_CUR else 0)
        if not 0 <= target <= self._limit or whence == os.SEEK_END:
            raise FileError(f"{self._place}: unpacks to more than {self._limit} bytes")
        return self._file.seek(target)

    def read(self, size: int = -1) -> bytes:
        """The next bytes, all that are left for -1."""
        if size > MAX_READ:
            raise FileError(f"{self._place}: asks for {size} bytes at once, at most {MAX_READ} are read")
        left = self._limit - self.tell()
        data = self._file.read(left + 1 if size < 0 else min(size, left + 1))
        if len(data) > left:
            raise FileError(f"{self._place}: unpacks to more than {self._limit} bytes")
        return data

    def readline(self, size: int | None = -1) -> bytes:
        """The next line, at most ``size`` bytes of it."""
        left = self._limit - self.tell()
        return self._file.readline(left if size is None or size < 0 else min(size, left))


@dataclass(frozen=True, eq=False)
class Files:
    """Files of a source by their own names; ``kind`` is ``folder``, ``archive`` or ``file``."""

    source: str
    kind: str
    names: tuple[str, ...]
    _size: Callable[[str], int | None]
    _open: Callable[[str], Any]

    def size(self, name: str) -> int | None:
        """Bytes of a file, None where only unpacking it can tell; FileError if it cannot be read."""
        with guarded(self.place(name)):
            return self._size(name)

    def place(self, name: str) -> str:
        """What messages call a file."""
        return self.source if self.kind == "file" else f"{self.source}: {printable(name)}"

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """The bytes of one file, unpacked where it is gzipped; FileError where they are damaged."""
        with guarded(self.place(name)), self._open(name) as file:
            yield file

    def read(self, name: str, limit: int) -> bytes:
        """All bytes of a small file; FileError if there are more than ``limit``."""
        with self.open(name) as file:
            data = file.read(limit + 1)
        if len(data) > limit:
            raise FileError(f"{self.place(name)}: is larger than the {limit} bytes that such a file needs")
        return data


@contextmanager
def open_files(path: PathLike) -> Iterator[Files]:
    """The files of a folder, of an archive, or the one that ``path`` is; FileError for what is none of them."""
    source = printable(os.fspath(path))
    with ExitStack() as stack:
        with guarded(source):
            files = _files(path, source, stack)
        yield files


def _files(path: PathLike, source: str, stack: ExitStack) -> Files:
    if os.path.isdir(path):
        return _of_folder(path, source)
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise FileError(f"{source}: is neither a folder nor a regular file")
    if _is_tar(path, source):
        stream = stack.enter_context(_stream(path, source))
        archive = stack.enter_context(tarfile.TarFile(fileobj=stream))
        files = _of_archive(archive, source)
        while stream.read(1 << 20):
            pass  # to the very end, where gzip keeps its checksum
        return files
    name = os.path.basename(os.fspath(path))
    return Files(source, "file", (name,), lambda _: _plain_size(path), lambda _: _stream(path, source))


def _of_folder(path: PathLike, source: str) -> Files:
    with os.scandir(path) as entries:
        paths = {entry.name: entry.path for entry in entries if entry.is_file()}

    def opened(name: str) -> Any:
        return _stream(paths[name], f"{source}: {printable(name)}")

    return Files(source, "folder", tuple(sorted(paths)), lambda name: _plain_size(paths[name]), opened)


def _of_archive(archive: tarfile.TarFile, source: str) -> Files:
    members: dict[str, tarfile.TarInfo] = {}
    for member in _members(archive, source):
        name = os.path.basename(member.name)
        if name in members:
            both = f"{printable(members[name].name)} and {printable(member.name)}"
            raise FileError(f"{source}: holds {printable(name)} twice, as {both}")
        members[name] = member
    names = tuple(sorted(members))
    return Files(
        source, "archive", names, lambda name: members[name].size, lambda name: archive.extractfile(members[name])
    )


def _members(archive: tarfile.TarFile, source: str) -> Iterator[tarfile.TarInfo]:
    """The plain files of an archive; FileError for a member that is anything else than a file or a folder."""
    end = 0
    for _ in range(MAX_MEMBERS):
        member = archive.next()
        if member is None:
            return
        place = f"{source}: {printable(member.name)[:200]}"
        if member.name.startswith("/") or ".." in member.name.split("/"):
            raise FileError(f"{place}: leads out of the archive")
        if not (member.isfile() or member.isdir()) or member.issparse():
            raise FileError(f"{place}: is a link, a device or sparse, only plain files are read")
        if member.offset < end or member.size < 0 or member.offset_data + member.size > MAX_UNPACKED:
            raise FileError(f"{place}: has an impossible size of {member.size} bytes")
        end = member.offset_data + (member.size if member.isfile() else 0)
        if member.isfile():
            yield member
    raise FileError(f"{source}: has more than {MAX_MEMBERS} members")


@contextmanager
def _stream(path: PathLike, place: str) -> Iterator[Any]:
    """The bytes of a file, unpacked where it is gzipped."""
    if _is_gzip(path):
        with gzip.open(path, "rb") as unpacked:
            yield Bounded(unpacked, MAX_UNPACKED, place)
    else:
        with open(path, "rb") as file:
            yield file


def _plain_size(path: PathLike) -> int | None:
    return None if _is_gzip(path) else os.path.getsize(path)


def _is_gzip(path: PathLike) -> bool:
    with open(path, "rb") as file:
        return file.read(2) == _GZIP


def _is_tar(path: PathLike, source: str) -> bool:
    """Whether the first header has the word that every tar archive since 1988 has."""
    with _stream(path, source) as stream:
        try:
            return stream.read(512)[257:262] == b"ustar"
        except _BAD:  # not gzip after all: the reader of the content says so
            return False
