"""Files that appear whole or not at all: written under a temporary name beside their own, renamed at the end."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from ..errors import FileError


def beside(target: Path) -> Path:
    """A temporary name in the same folder, hidden, that nothing else has."""
    return target.with_name(f".{target.name[:80]}.{secrets.token_hex(8)}.part")


def write_whole(path: Path, content: bytes, name: str) -> None:
    """Write a file that appears whole or not at all; FileError, calling it ``name``, where it cannot be written."""
    temporary = beside(path)
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(f"{name}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):
            temporary.unlink()
