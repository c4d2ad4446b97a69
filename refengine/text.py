"""Text that messages print: names, paths and values of files that nobody has checked yet, each on one line."""

import os

PathLike = str | os.PathLike[str]


def printable(text: object) -> str:
    """The text on one line: characters that do not print are written as escapes."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def shown(value: object, limit: int = 80) -> str:
    """The value as a message quotes it: its repr on one line, cut after ``limit`` characters."""
    text = printable(repr(value[: 2 * limit] if isinstance(value, str | bytes) else value))
    return text if len(text) <= limit else text[: limit - 3] + "..."


def reason_of(error: BaseException) -> str:
    """First line of what the library said."""
    lines = str(error).splitlines()
    return printable(lines[0])[:200] if lines else type(error).__name__
