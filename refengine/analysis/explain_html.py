"""An explanation as one page of HTML that needs neither a network nor a script.

Every number that the page shows is one of the explanation; lengths of bars are in percent of the whole range.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from string import Template

from .explain import Accumulation, Contribution, Explanation, Passing, Requantization, Term, choice_words, worth

_STYLE = """
:root { --ink: #1c2127; --soft: #66707b; --line: #d5dade; --paper: #fff; --plus: #cfe6d4; --minus: #f3d3cf;
  --zero: #eef0f2; --pad: #fff; --bar: #5b84b1; --bar-low: #c0705f; --cut: #f6e3b4; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7eb; --soft: #97a1ab; --line: #3b434b; --paper: #171b1f;
  --plus: #24513a; --minus: #5f2f2a;
  --zero: #262c32; --pad: #171b1f; --bar: #6d97c6; --bar-low: #cf8472; --cut: #5c4c1c; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 70rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
code, td, .grid, .bits { font-family: ui-monospace, Menlo, Consolas, monospace; font-variant-numeric: tabular-nums; }
p { margin: .3rem 0; } .soft { color: var(--soft); } .hash { overflow-wrap: anywhere; font-size: .8rem; }
table { border-collapse: collapse; } th { text-align: left; font-weight: 600; }
td, th { padding: .15rem .7rem .15rem 0; vertical-align: top; border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; } .scroll { overflow-x: auto; }
.cluster { border: 1px solid var(--line); border-radius: 6px; padding: .6rem .8rem; margin: .6rem 0; }
.channels { display: flex; flex-wrap: wrap; gap: .9rem; margin-top: .4rem; }
.grid { display: inline-grid; gap: 2px; font-size: .8rem; }
.grid span { min-width: 2.6em; padding: .1rem .25rem; text-align: right; border-radius: 3px; }
.p { background: var(--plus); } .m { background: var(--minus); } .z { background: var(--zero); color: var(--soft); }
.x { background: var(--pad); color: var(--soft); outline: 1px dashed var(--line); outline-offset: -1px; }
.w { font-weight: 700; outline: 2px solid var(--bar); }
.track { position: relative; width: 20rem; height: .9rem; background: var(--zero); }
.track i { position: absolute; top: 0; bottom: 0; background: var(--bar); } .track i.low { background: var(--bar-low); }
.track b { position: absolute; top: 0; bottom: 0; width: 1px; background: var(--ink); }
.bits { font-size: 1.1rem; letter-spacing: .08em; overflow-wrap: anywhere; }
.bits .cut { background: var(--cut); padding: 0 .1em; }
"""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>$title</title><style>$style</style></head><body>
<h1>$title</h1>
<p>$head</p>
<p class="soft hash">model $model_hash</p>
$body
</body></html>
""")


def page(found: Explanation) -> str:
    """The explanation as a whole HTML document: window, clusters, running sum, rounding, clip."""
    place = ",".join(map(str, found.at))
    parts = [_operands(found)]
    if found.passing is not None:
        parts.append(_passing(found.passing))
    if found.accumulation is not None:
        parts += [_window(found.accumulation, found), _running(found.accumulation)]
    if found.requantization is not None:
        parts.append(_requantization(found.requantization))
    value = f"<strong>{found.result}</strong>, worth {worth(found.result, found.exponent, found.divisor)}"
    head = (
        f"{escape(found.network)}: layer {found.position}, {escape(found.op)}, image {found.image}. "
        f"The result is {value} ("
        f"{found.result} &middot; {_unit(found.exponent, found.divisor)}), {escape(found.format)}."
    )
    title = escape(f"{found.layer} at {place}")
    return _PAGE.substitute(
        title=title, style=_STYLE, head=head, model_hash=escape(found.model_hash), body="".join(parts)
    )


def _unit(exponent: int, divisor: int) -> str:
    return f"2<sup>{exponent}</sup>" + (f" / {divisor}" if divisor > 1 else "")


def _operands(found: Explanation) -> str:
    lines = (
        f"<p>reads <code>{escape(operand.source)}</code>: {'&times;'.join(map(str, operand.shape))} "
        f"{escape(operand.format)}, a code is worth 2<sup>{operand.exponent}</sup></p>"
        for operand in found.operands
    )
    return "".join(lines)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are HTML; a head that ends in '>' is that of a column of figures."""
    classes = [' class="n"' if head.endswith(">") else "" for head in heads]
    top = "".join(f"<th{kind}>{escape(head.rstrip('>'))}</th>" for head, kind in zip(heads, classes, strict=True))
    lines = (
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row, classes, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{top}</tr>{"".join(lines)}</table></div>'


# -------------------------------------------------------------------------------------------------------------- window


def _window(accumulation: Accumulation, found: Explanation) -> str:
    legend = (
        '<p class="soft">Each square is one input code, times its weight: <span class="p">weight above 0</span> '
        '<span class="m">below 0</span> <span class="z">0</span> <span class="x">padding</span></p>'
    )
    clusters = "".join(_cluster(number, part, found) for number, part in enumerate(accumulation.parts))
    return f"<h2>Window</h2>{legend}{clusters}"


def _cluster(number: int, part: Contribution, found: Explanation) -> str:
    what = "cluster" if found.op in ("conv", "fc") else "part"
    span = str(part.first) if part.first == part.last else f"{part.first}..{part.last}"
    return (
        f'<div class="cluster"><p>{what} {number}, channels {span}: P = {part.partial}, '
        f"factor {part.factor}, product {part.product}</p>"
        f'<div class="channels">{_grids(part.taps, part.grid, found.weight_format)}</div></div>'
    )


def _grids(taps: Sequence[Term], grid: tuple[int, int], weight_format: str | None, chosen: int = -1) -> str:
    """A grid for each channel; single taps of many channels share one, sixteen to a row."""
    size = grid[0] * grid[1]
    marked = [*enumerate(taps)]
    if size == 1:
        return _grid(marked, min(16, len(taps)), weight_format, chosen)
    return "".join(
        f"<div><div class='soft'>channel {taps[start].place[-1]}</div>"
        f"{_grid(marked[start : start + size], grid[1], weight_format, chosen)}</div>"
        for start in range(0, len(taps), size)
    )


def _grid(taps: Sequence[tuple[int, Term]], columns: int, weight_format: str | None, chosen: int) -> str:
    cells = "".join(_cell(tap, weight_format, number == chosen) for number, tap in taps)
    return f'<div class="grid" style="grid-template-columns: repeat({columns}, auto)">{cells}</div>'


def _cell(tap: Term, weight_format: str | None, chosen: bool) -> str:
    kind = "x" if tap.padding else "p" if tap.weight > 0 else "m" if tap.weight < 0 else "z"
    place = ",".join(map(str, tap.place))
    title = f"{escape(tap.source)} at {place}" + (" (padding)" if tap.padding else "")
    text = "pad" if tap.padding else str(tap.code)
    if weight_format not in (None, "ternary") and not tap.padding:
        text += f"&middot;{tap.weight}"
    return f'<span class="{kind}{" w" if chosen else ""}" title="{title}: {tap.code} * {tap.weight}">{text}</span>'


def _passing(passing: Passing) -> str:
    taps = _grids(passing.taps, passing.grid, None, passing.chosen)
    chosen = passing.taps[passing.chosen]
    origin = f"{escape(chosen.source)} at {','.join(map(str, chosen.place))}"
    return (
        f"<h2>Where the code comes from</h2><p>{origin}: {escape(passing.reason)}</p><div class='channels'>{taps}</div>"
    )


# ----------------------------------------------------------------------------------------------------------------- sum


def _running(accumulation: Accumulation) -> str:
    steps = [("bias", "", accumulation.bias, accumulation.bias)]
    steps += [
        (str(number), f"{part.partial} &middot; {part.factor}", part.product, part.running)
        for number, part in enumerate(accumulation.parts)
    ]
    lowest, highest = min(0, *(step[3] for step in steps)), max(0, *(step[3] for step in steps))
    rows = [[what, how, str(add), str(running), _bar(running, lowest, highest)] for what, how, add, running in steps]
    unit = _unit(accumulation.unit_exponent, accumulation.unit_divisor)
    held = (
        "holds the sum" if accumulation.accumulator == accumulation.sum else f"cannot hold the sum {accumulation.sum}"
    )
    amount = worth(accumulation.accumulator, accumulation.unit_exponent, accumulation.unit_divisor)
    return (
        "<h2>Running sum</h2>"
        + _table(("", "how", "adds>", "sum>", ""), rows)
        + f"<p>The accumulator of {accumulation.bits} bits ({escape(accumulation.policy)}) {held}: "
        f"<strong>{accumulation.accumulator}</strong>, worth {amount} ({unit} a step).</p>"
    )


def _bar(value: int, lowest: int, highest: int) -> str:
    """A bar from 0 to the value, in percent of the whole range."""
    span = max(highest - lowest, 1)
    zero, end = 100 * -lowest / span, 100 * (value - lowest) / span
    left, width = min(zero, end), abs(end - zero)
    low = ' class="low"' if value < 0 else ""
    return (
        f'<div class="track"><i{low} style="left: {left:.2f}%; width: {width:.2f}%"></i>'
        f'<b style="left: {zero:.2f}%"></b></div>'
    )


# ------------------------------------------------------------------------------------------------------------ rounding


def _requantization(step: Requantization) -> str:
    rounding, clip = step.rounding, step.clip
    rows = [("product", str(step.product), f"accumulator &middot; multiplier {step.multiplier}")]
    if step.residual is not None:
        place = ",".join(map(str, step.residual.place))
        origin = f"code {step.residual.code} of {escape(step.residual.source)} at {place}"
        rows.append(("residual", str(step.residual.aligned), f"{origin}, &lt;&lt; {step.residual.shift}"))
    if step.choice is not None:
        rows.append(("exponent", f"+{step.choice.coarser}", escape(choice_words(step.choice))))
    share = worth(rounding.discarded, -rounding.shift)
    rows += [
        ("total", str(rounding.total), "product + residual" if step.residual else "the product"),
        ("quotient", str(rounding.quotient), f"total &gt;&gt; {rounding.shift}"),
        ("discarded", str(rounding.discarded), f"of {1 << rounding.shift}: {share} of a unit"),
        ("addend", str(rounding.addend), escape(rounding.decision)),
        ("rounded", str(rounding.rounded), f"(total + addend) &gt;&gt; {rounding.shift}"),
        ("clip", str(min(max(rounding.rounded, clip.lo), clip.hi)), escape(clip.reason)),
    ]
    bits = f'{rounding.kept_bits}<span class="cut">{rounding.discarded_bits}</span>'
    note = f"The total in two's complement; the {rounding.shift} marked bits are shifted out."
    table = _table(("stage", "integer>", "how"), rows)
    return f'<h2>Requantize</h2>{table}<p class="bits">{bits}</p><p class="soft">{note}</p>'
