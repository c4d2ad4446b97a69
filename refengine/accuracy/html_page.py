"""A page of HTML without a script or an address: its look, its tables, and texts of files escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from string import Template

from ..text import printable

_STYLE = """
:root { --ink: #1c2127; --soft: #66707b; --line: #d5dade; --paper: #fff; --card: #f4f6f8; --mark: #e7f0fb;
  --bad: #a8322a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7eb; --soft: #97a1ab; --line: #3b434b; --paper: #171b1f;
  --card: #20262c; --mark: #1d3048; --bad: #e58a82; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 76rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0 0 .2rem; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .4rem; }
p { margin: .3rem 0; max-width: 60rem; } .soft { color: var(--soft); } .bad { color: var(--bad); }
.cards { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }
.card { background: var(--card); border-radius: 8px; padding: .7rem 1rem; min-width: 10rem; max-width: 22rem; }
.card b { display: block; font-size: 1.5rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 600; border-bottom: 2px solid var(--line); white-space: nowrap; }
td, th { padding: .2rem .9rem .2rem 0; vertical-align: top; } td { border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; white-space: nowrap; } tr.front td { background: var(--mark); }
.scroll { overflow-x: auto; } svg { max-width: none; height: auto; display: block; }
code { font: .85em ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
td code, td:first-child { white-space: nowrap; } h2 + p { margin-bottom: .8rem; }
footer { margin: 2.5rem 0 1rem; font-size: .85rem; }
"""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title><style>$style</style></head><body>
<h1>$title</h1>
$body
</body></html>
""")


def document(title: str, parts: Iterable[str]) -> str:
    """The whole document of some HTML."""
    return _PAGE.substitute(title=text(title), style=_STYLE, body="\n".join(parts))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], marks: Sequence[str] = ()) -> str:
    """Cells are HTML, whole ones where they begin with ``<td``; a head that ends in '>' is that of figures."""
    kinds = [' class="n"' if head.endswith(">") else "" for head in heads]
    top = "".join(f"<th{kind}>{escape(head.rstrip('>'))}</th>" for head, kind in zip(heads, kinds, strict=True))
    lines = []
    for number, row in enumerate(rows):
        mark = f' class="{marks[number]}"' if marks and marks[number] else ""
        cells = (
            cell if cell.startswith("<td") else f"<td{kind}>{cell}</td>" for cell, kind in zip(row, kinds, strict=False)
        )
        lines.append(f"<tr{mark}>{''.join(cells)}</tr>")
    return f'<div class="scroll"><table><tr>{top}</tr>{"".join(lines)}</table></div>'


def text(value: object) -> str:
    """A value as the page has it, escaped."""
    return escape(printable(value))


def percent(share: float) -> str:
    """A share in percent."""
    return f"{100 * share:.2f} %"
