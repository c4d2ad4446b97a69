"""Files of JSON that carry the SHA-256 of their own content, and plain values held to the types of a dataclass.

What is read is believed when its hash and every type are right.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args, get_type_hints

from ..errors import FileError
from ..text import printable

MAX_BYTES = 1 << 28


def sealed(content: Mapping[str, Any]) -> bytes:
    """The content as JSON, with its SHA-256."""
    return (json.dumps({**content, "sha256": _seal(content)}, indent=1, allow_nan=False) + "\n").encode()


def _seal(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(as_text(content).encode()).hexdigest()


def as_text(content: object) -> str:
    """JSON in one form for one content."""
    return json.dumps(content, sort_keys=True)


def unsealed(path: Path) -> dict[str, Any]:
    """The content of a file that ``sealed`` wrote; FileError where it is anything else."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FileError(f"{printable(path)}: has more than {MAX_BYTES} bytes, no result is so large")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise FileError(f"{printable(path)}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise FileError(f"{printable(path)}: is damaged, it is no JSON") from error
    seal = content.pop("sha256", None) if isinstance(content, dict) else None
    if not isinstance(content, dict) or seal != _seal(content):
        raise FileError(f"{printable(path)}: is damaged, its SHA-256 is not that of its content")
    return content


def typed(kind: Any, values: object, place: Path) -> Any:
    """A dataclass of plain values, each of its annotated type; FileError otherwise."""
    made = values
    if isinstance(values, dict):
        made = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return kind(**check_types(kind, made, set(), place))


def check_types(kind: Any, values: object, apart: set[str], place: Path) -> dict[str, Any]:
    """The values of a dataclass's fields but those ``apart``; FileError unless each has its annotated type."""
    hints = {name: hint for name, hint in get_type_hints(kind).items() if name not in apart}
    if not isinstance(values, dict) or set(values) != set(hints):
        raise FileError(f"{printable(place)}: has not the fields of a {kind.__name__}")
    for name, value in values.items():
        if not _is_a(value, hints[name]):
            raise FileError(f"{printable(place)}: {kind.__name__} has {name} of type {type(value).__name__}")
    return values


def _is_a(value: object, hint: Any) -> bool:
    """Whether a value has an annotated type: a class, ``X | None``, ``tuple[X, ...]`` or a mapping of texts."""
    choices = get_args(hint)
    if type(None) in choices:
        return value is None or any(_is_a(value, choice) for choice in choices if choice is not type(None))
    if not choices:
        whole = type(value) is int and -(2**63) <= value < 2**63
        if hint is float:
            return whole or (isinstance(value, float) and math.isfinite(value))
        return whole if hint is int else type(value) is hint
    if isinstance(value, tuple):
        return all(isinstance(item, choices[0]) for item in value)
    return isinstance(value, dict) and all(isinstance(text, str) for pair in value.items() for text in pair)
