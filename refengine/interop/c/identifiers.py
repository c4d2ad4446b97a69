"""Names that C accepts, from names that people give."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...errors import NetworkError
from ...text import shown

LONGEST = 48
_INCLUDED = ("stdint.h", "string.h")
_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_NUMBERED = re.compile(r"[0-9]+(_.*)?")
_KEYWORDS = frozenset(
    """auto break case char const continue default do double else enum extern float for goto if inline int long register
    restrict return short signed sizeof static struct switch typedef union unsigned void volatile while""".split()  # noqa: SIM905
)


def check_name(name: str) -> str:
    """Return ``name`` if the functions of a model can begin with it; NetworkError otherwise."""
    if not _IDENTIFIER.fullmatch(name) or len(name) > LONGEST or name in _KEYWORDS:
        raise NetworkError(
            f"name {shown(name)} is no C identifier: needs a letter, then letters, digits and underscores, "
            f"{LONGEST} at most, and no keyword"
        )
    return name


def check_stem(stem: str) -> str:
    """Return ``stem`` if an ``#include`` can name the file; NetworkError otherwise."""
    if f"{stem}.h" in _INCLUDED:
        raise NetworkError(f"a model called {shown(stem)} would hide the header {stem}.h of C")
    if comment_text(stem) != stem or not stem:
        raise NetworkError(f"files called {shown(stem)} cannot be included in C: needs printable ASCII without quotes")
    return stem


def name_from(text: str) -> str:
    """A name for a model from the name of a file.

    >>> name_from("resnet20-fashion"), name_from("8bit"), name_from("")
    ('resnet20_fashion', 'model_8bit', 'model')
    """
    name = _sanitized(text)
    if not name or not name[0].isalpha() or name in _KEYWORDS:
        name = f"model_{name}".rstrip("_")
    return name[:LONGEST]


def layer_identifiers(names: Sequence[str]) -> list[str]:
    """What follows ``layer_`` in C, for each layer: unique whatever the case, and beginning with a number.

    >>> layer_identifiers(["000_input", "001_layer1.0.conv", "001_layer1.0-conv", "last"])
    ['000_input', '001_layer1_0_conv', '001_layer1_0_conv_2', '003_last']
    """
    taken: set[str] = set()
    made = []
    for position, name in enumerate(names):
        text = _sanitized(name)[:LONGEST]
        base = text if _NUMBERED.fullmatch(text) else f"{position:03d}_{text}".rstrip("_")
        identifier, count = base, 1
        while identifier.lower() in taken:
            count += 1
            identifier = f"{base}_{count}"
        taken.add(identifier.lower())
        made.append(identifier)
    return made


def comment_text(text: str) -> str:
    """One line of printable ASCII that can stand in a comment or between quotes: nothing in it ends either.

    >>> comment_text("a */ b /* c\\n\\"d\\" what??/")
    "a * / b / * c 'd' what? ?/"
    """
    line = "".join(char if char.isascii() and char.isprintable() else "_" for char in " ".join(text.split()))
    line = line.replace('"', "'").replace("\\", "/").replace("*/", "* /").replace("/*", "/ *")
    return re.sub(r"\?(?=\?)", "? ", line)


def _sanitized(text: str) -> str:
    return re.sub(r"_+", "_", re.sub(r"[^A-Za-z0-9]", "_", text)).strip("_")
