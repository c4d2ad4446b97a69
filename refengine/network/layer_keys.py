"""Layer keys in files: ``004_conv1``, a number that orders the layers and a name."""

import re
from collections.abc import Iterable

from ..errors import NetworkError
from ..text import shown
from .read_hdf5 import CheckedGroup

_KEY = re.compile(r"([0-9]{1,9})(_[^/]*)?")


def in_order(group: CheckedGroup) -> list[str]:
    """The keys of a file's layers by their numbers; FileError for a key without one, or two of one number."""
    keys: dict[int, str] = {}
    for key in group.names():
        match = _KEY.fullmatch(key)
        if not match:
            raise group.error(f"has a member {shown(key)}, layers are called like '004_conv1'")
        number = int(match[1])
        if number in keys:
            raise group.error(f"has two layers of number {number}, {shown(keys[number])} and {shown(key)}")
        keys[number] = key
    return [keys[number] for number in sorted(keys)]


def check_rising(names: Iterable[str], file: str) -> None:
    """NetworkError unless a file that knows layers by their numbers alone would keep the order of ``names``."""
    before = -1
    for name in names:
        match = _KEY.fullmatch(name)
        if not match or not name.isprintable() or int(match[1]) <= before:
            raise NetworkError(f"{file}: layer {name!r} needs a number above {before} in front, as '004_conv1'")
        before = int(match[1])
