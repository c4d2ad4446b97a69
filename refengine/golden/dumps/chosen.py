"""What is read of a dump: files, members and arrays, without those that a pattern leaves out.

Nothing that a dump holds is passed over in silence: what no reader takes is ``passed_over``, by name, unless a pattern
of ``ignore`` means it; then it is as if it were not there, and ``ignored``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import FileError
from ...network.read_hdf5 import MAX_CHILDREN
from .dump import layer_and_stage
from .layer_names import covered

NO_READER = "not read: no array is called so"
EXCHANGED = " (compare GOLDEN DUT: are the two exchanged?)"


class Chosen:
    """What is read of a dump called ``name``, what a pattern left out, and what was passed over.

    of_dut: whether it is a DUT's, which may hold files of numbers and floats.
    """

    def __init__(self, name: str, ignore: tuple[str, ...], of_dut: bool) -> None:
        self.name = name
        self.of_dut = of_dut
        self._ignore = ignore
        self._ignored: dict[str, None] = {}
        self._passed_over: dict[str, str] = {}

    def takes(self, member: str, key: str | None = None) -> bool:
        """Whether a file, member or array is to be read, by its name and by what that says, ``key``."""
        names = [member, member.rpartition("/")[2]]
        if key is not None:
            layer, stage = layer_and_stage(key)
            names += [key, layer, f"{layer}.{stage}", f"{layer}/{stage}"]
        if not covered(self._ignore, *names):
            return True
        self._ignored[member] = None
        return False

    def pass_over(self, member: str, why: str) -> None:
        """Name what is there and cannot be read, unless a pattern leaves it out."""
        if self.takes(member, member.rpartition(".")[0] or None):
            self._passed_over[member] = why

    @property
    def known(self) -> dict[str, Any]:
        """The fields of a Dump."""
        return {"passed_over": self._passed_over, "ignored": tuple(self._ignored)}


def files_below(path: Path, name: str) -> Iterator[str]:
    """Every file below a folder, by its path in it; links to folders are not followed, and named as files are."""

    def refuse(error: OSError) -> None:
        raise FileError(f"{name}: cannot be read ({error.strerror})") from error

    count = 0
    for folder, inner, files in os.walk(path, onerror=refuse):
        links = [one for one in inner if os.path.islink(os.path.join(folder, one))]
        count += len(files) + len(links)
        if count > MAX_CHILDREN:
            raise FileError(f"{name}: has more than {MAX_CHILDREN} files")
        for file in sorted([*files, *links]):
            yield (Path(folder) / file).relative_to(path).as_posix()


def begins_with(path: Path, *magic: bytes) -> bool:
    """Whether a file begins with some bytes; False where it cannot be read, for its reader to say why."""
    try:
        with open(path, "rb") as file:
            return file.read(max(map(len, magic))).startswith(magic)
    except OSError:
        return False
