"""Whether a DUT's dump is the golden itself, shares files with it, or is a copy of it: nothing would be tested then."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from .dump import Dump

_SAME_BYTES = 1 << 22


def copies(golden: Dump, dut: Dump) -> Iterator[str]:
    """A note where two files hold the same bytes."""
    if golden.path is None or dut.path is None or same_file(golden.path, dut.path):
        return
    if same_content(golden.path, dut.path):
        yield f"{dut.file} and {golden.file} are byte for byte the same file: make sure that the DUT is no copy"


def shared(dut: Dump, golden: Dump) -> Iterator[tuple[Path, Path]]:
    """Files of two folders that are one file, under whatever names."""
    known = {_identity(path): path for path in (golden.files or {}).values()}
    for path in (dut.files or {}).values():
        if _identity(path) in known and dut.path != golden.path:
            yield path, known[_identity(path)]


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def same_file(one: Path, other: Path) -> bool:
    """Whether both exist and are one file."""
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def same_content(one: Path, other: Path) -> bool:
    """Whether two regular files hold the same bytes; read only as far as they do."""
    if not (one.is_file() and other.is_file()) or one.stat().st_size != other.stat().st_size:
        return False
    with open(one, "rb") as a, open(other, "rb") as b:
        while block := a.read(_SAME_BYTES):
            if block != b.read(_SAME_BYTES):
                return False
    return True
