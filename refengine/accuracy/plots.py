"""Charts of a report, drawn by matplotlib as SVG that stands inside a page: no script, no address, the page's colours.

``matplotlib`` is handed in as a module, because it is optional and only the command line looks for it.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from ..text import printable

COLOURS = ("#3b7dd8", "#d9722b", "#2f9e6e", "#b0559c", "#b8901a", "#c0392b", "#3aa6b9", "#7a7f87")
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
INK, SOFT, LINE = "#1c2127", "#66707b", "#d5dade"

_PIXELS_AN_INCH = 96
_REPLACED = (0, 25, 50, 75, 87.5, 90, 92.5, 95, 97.5, 99, 99.5, 99.75, 99.9)

_OF_THE_PAGE = {INK: "var(--ink)", SOFT: "var(--soft)", LINE: "var(--line)"}
_FONT = "DejaVu Sans"  # which comes with matplotlib; its widths leave room for those of other fonts
_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "refengine",
    "text.parse_math": False,
    "font.family": _FONT,
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Point:
    """A setting in a chart: where it is, the ends of its interval, what the page says when it is pointed at, a note."""

    x: float
    y: float
    low: float
    high: float
    tip: str
    note: str = ""


@dataclass(frozen=True)
class Series:
    """Points that belong together, in the order in which a line joins them."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class LayerLine:
    """One figure of every layer, for one setting; None where a layer has none."""

    name: str
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Level:
    """A line across a chart."""

    name: str
    y: float


def by_cluster(matplotlib: Any, series: Sequence[Series], levels: Sequence[Level]) -> str:
    """Accuracy in percent against the size of clusters, on an axis that doubles; what has no clusters is a level."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _chart(matplotlib, "filters in a cluster, which share a scale", "top-1 accuracy, %")
        sizes = sorted({point.x for one in series for point in one.points})
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
        axes.minorticks_off()
        for number, one in enumerate(series):
            _points(axes, number, one, joined=True)
        _levels(axes, levels, len(series))
        return _with_legend(figure, axes, [point.tip for one in series for point in one.points])


def by_share(matplotlib: Any, series: Sequence[Series], front: Sequence[Point], levels: Sequence[Level]) -> str:
    """Accuracy against the multiplications that are left, both in percent, the axis labelled by those replaced.

    The axis halves from step to step, since what matters is how many are left.  The front, whose first point has the
    fewest left, is stepped through, and each of its points has its note.
    """
    with matplotlib.rc_context(_STYLE):
        figure, axes = _chart(matplotlib, "multiplications replaced by additions, %", "top-1 accuracy, %")
        axes.set_xscale("log")
        xs, ys = [point.x for point in front], [point.y for point in front]
        if front:
            axes.step(xs, ys, where="post", color=SOFT, linewidth=1, label="nothing is better in both", zorder=1)
        for number, one in enumerate(series):
            _points(axes, number, one, joined=False)
        axes.scatter(xs, ys, s=130, facecolors="none", edgecolors=SOFT, linewidths=1, zorder=3)
        for point in front:
            place = {"xytext": (8, 8), "textcoords": "offset points", "fontsize": 8, "color": SOFT}
            axes.annotate(printable(point.note), (point.x, point.y), **place)
        _label_replaced(axes, [point.x for one in series for point in one.points])
        _levels(axes, levels, len(series))
        return _with_legend(figure, axes, [point.tip for one in series for point in one.points])


def by_cost(
    matplotlib: Any, what: str, loss: str, series: Sequence[Series], predicted: Series, levels: Sequence[Level]
) -> str:
    """A loss against a cost, ``what``: what was measured as points, what was ``predicted`` as a line without points."""
    with matplotlib.rc_context(_STYLE):
        figure, axes = _chart(matplotlib, what, loss)
        xs, ys = [point.x for point in predicted.points], [point.y for point in predicted.points]
        if xs:
            axes.plot(xs, ys, color=SOFT, linewidth=1, label=_label(predicted.name), zorder=1)
        for number, one in enumerate(series):
            _points(axes, number, one, joined=False)
            for point in one.points:
                place = {"xytext": (6, 6), "textcoords": "offset points", "fontsize": 8, "color": SOFT}
                axes.annotate(printable(point.note), (point.x, point.y), **place)
        _levels(axes, levels, len(series))
        highest = [point.y for one in series for point in one.points]
        axes.set_ylim(0, 1.3 * max([*highest, *(level.y for level in levels)], default=1.0) or 1.0)
        return _with_legend(figure, axes, [point.tip for one in series for point in one.points])


def by_layer(matplotlib: Any, layers: Sequence[str], panels: Sequence[tuple[str, Sequence[LayerLine]]]) -> str:
    """Panels above each other that share the axis of layers: (what is shown, a line for each setting)."""
    with matplotlib.rc_context(_STYLE):
        width = max(9.0, 0.24 * len(layers) + 1.5)
        figure = matplotlib.figure.Figure(figsize=(width, 1.9 * len(panels) + 1.2), layout="constrained")
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        for axes, (what, lines) in zip(rows, panels, strict=True):
            axes.set_ylabel(printable(what))
            for number, line in enumerate(lines):
                values = [float("nan") if value is None else value for value in line.values]
                axes.plot(values, **_look(number), markersize=3.5, linewidth=1.2, label=_label(line.name))
        rows[-1].set_xticks(range(len(layers)), [printable(name) for name in layers], rotation=90, fontsize=8)
        rows[-1].set_xlim(-0.5, len(layers) - 0.5)
        handles, names = rows[0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, names, loc="outside upper left", ncols=2)
        return _svg(figure, ())


# ------------------------------------------------------------------------------------------------------------- drawing


def _chart(matplotlib: Any, across: str, up: str) -> tuple[Any, Any]:
    figure = matplotlib.figure.Figure(figsize=(9, 4.6), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    return figure, axes


def _label_replaced(axes: Any, left: Sequence[float]) -> None:
    """Ticks at round shares of what is replaced, on an axis of what is left, the fewest to the right."""
    low, high = min(left) / 1.3, max(left) * 1.3
    ticks = [100.0 - share for share in _REPLACED if low <= 100.0 - share <= high]
    axes.set_xticks(ticks, [f"{100 - tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlim(high, low)


def _look(number: int) -> dict[str, Any]:
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def _label(name: str) -> str:
    """A name as a legend takes it: one that begins with an underscore would be left out."""
    text = printable(name)
    return f" {text}" if text.startswith("_") else text


def _points(axes: Any, number: int, series: Series, joined: bool) -> None:
    points = series.points
    xs, ys = [point.x for point in points], [point.y for point in points]
    reach = [[point.y - point.low for point in points], [point.high - point.y for point in points]]
    look = _look(number)
    axes.errorbar(xs, ys, reach, fmt="none", ecolor=look["color"], elinewidth=1, capsize=2.5, alpha=0.6)
    style = "-" if joined else "none"
    (line,) = axes.plot(xs, ys, linestyle=style, linewidth=1.4, markersize=6, label=_label(series.name), **look)
    line.set_gid(f"points-{number}")


def _levels(axes: Any, levels: Sequence[Level], taken: int) -> None:
    for number, level in enumerate(levels):
        colour = INK if number == 0 else COLOURS[(taken + number - 1) % len(COLOURS)]
        style = (0, (5, 3)) if number == 0 else (0, (1, 2))
        axes.axhline(level.y, color=colour, linewidth=1.2, linestyle=style, label=_label(level.name), zorder=1)


def _with_legend(figure: Any, axes: Any, tips: Sequence[str]) -> str:
    if axes.get_legend_handles_labels()[0]:
        figure.legend(loc="outside right upper", fontsize=9)
    return _svg(figure, tips)


# ----------------------------------------------------------------------------------------------------------------- SVG


def _svg(figure: Any, tips: Sequence[str]) -> str:
    """The figure as an ``<svg>`` element for HTML; ``tips`` belong to the markers of the groups points-0, -1, ..."""
    text = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of glyphs that the font lacks, which the browser's has
        figure.savefig(text, format="svg", transparent=True)
    root = _plain(ElementTree.fromstring(text.getvalue()))
    width = figure.get_figwidth() * _PIXELS_AN_INCH
    box = root.attrib["viewBox"]
    root.attrib = {"viewBox": box, "style": f"width: {width:.0f}px", "stroke-linejoin": "round", "role": "img"}
    _say_tips(root, tips)
    _drop_names(root)
    return _coloured(ElementTree.tostring(root, encoding="unicode"))


def _plain(element: ElementTree.Element) -> ElementTree.Element:
    """The element without name spaces, which HTML does not need and which are addresses, metadata and style sheets."""
    element.tag = element.tag.rpartition("}")[2]
    element.attrib = {name.rpartition("}")[2]: value for name, value in element.attrib.items()}
    for child in [*element]:
        _plain(child)
        if child.tag in ("metadata", "style"):
            element.remove(child)
    return element


def _say_tips(root: ElementTree.Element, tips: Sequence[str]) -> None:
    """Give every marker the title that a browser shows where it is pointed at."""
    told = iter(tips)
    for group in root.iter("g"):
        if group.get("id", "").startswith("points-"):
            for marker in [*group.iter("use")]:
                tip = next(told, None)
                if tip is not None:
                    ElementTree.SubElement(marker, "title").text = printable(tip)


def _drop_names(root: ElementTree.Element) -> None:
    """Remove the ids that nothing in the drawing refers to: several drawings on a page would share them."""
    used = {
        found for element in root.iter() for value in element.attrib.values() for found in re.findall("#([^)]+)", value)
    }
    for element in root.iter():
        if element.get("id") not in used:
            element.attrib.pop("id", None)


def _coloured(text: str) -> str:
    """Colours and fonts left to the page."""
    for colour, variable in _OF_THE_PAGE.items():
        text = text.replace(colour, variable)
    return text.replace(f"'{_FONT}'", "system-ui, sans-serif")
