"""Sphinx extension: docstrings are plain text, which this turns into reStructuredText.

An indented block, as a formula or a table, is kept as it stands; examples are marked as such; everything else is prose
in which only ``code`` is markup.
"""

import re

_CODE = re.compile(r"(``.+?``)")
_MARKUP = re.compile(r"([\\*|`]|_(?!\w))")


def escaped(line):
    """Prose whose only markup is ``code``.

    >>> escaped("a*b and ``c*d``, e_")
    'a\\\\*b and ``c*d``, e\\\\_'
    """
    parts = _CODE.split(line)
    return "".join(part if _CODE.fullmatch(part) else _MARKUP.sub(r"\\\1", part) for part in parts)


def marked_up(lines):
    """The lines of a docstring as reStructuredText.

    >>> marked_up(["Sum *all*:", "", "    a * b", "", ">>> 2 * 3", "6"])
    ['Sum \\\\*all\\\\*:', '', '::', '', '    a * b', '', '>>> 2 * 3', '6', '']
    """
    found = []
    for paragraph in paragraphs(lines):
        first = paragraph[0]
        if first.lstrip().startswith(">>>"):
            found += [*paragraph, ""]
        elif first.startswith(" ") or re.fullmatch(r"[=+-][=+ -]+", first):
            if not found[-2:-1] or not found[-2].startswith("    "):
                found += ["::", ""]
            indent = "" if first.startswith(" ") else "    "
            found += [*(indent + line for line in paragraph), ""]
        else:
            found += [*_prose(paragraph), ""]
    return found


def paragraphs(lines):
    """Lines that stand together, and where their indentation begins or ends also apart."""
    found = []
    for line in lines:
        if not line.strip():
            found.append([])
        elif found and found[-1] and line.startswith(" ") == found[-1][0].startswith(" "):
            found[-1].append(line)
        else:
            found.append([line])
    return [paragraph for paragraph in found if paragraph]


def _prose(paragraph):
    """A paragraph or a list; a line that a list does not continue is set in."""
    lines = []
    in_list = False
    for line in paragraph:
        item = re.match(r"([-*]) (.*)", line)
        in_list = in_list or item is not None
        if item:
            lines.append(f"{item[1]} {escaped(item[2])}")
        else:
            lines.append(("  " if in_list else "") + escaped(line.strip()))
    return lines


def _process(app, what, name, obj, options, lines):
    lines[:] = marked_up(lines)


def setup(app):
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _process)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
