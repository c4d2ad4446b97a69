"""A sweep as one page of HTML that needs neither a network nor a script.

It begins with what was found, in words; then the two charts that compare settings, the paper's figures beside, what
happens in each layer, and a table of all jobs.  Every text from a file is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import zip_longest
from typing import Any

from .. import CONTRACT, __version__
from ..quantization.scheme import Scheme, stem
from . import plots
from .evaluate import wilson
from .grid import label, matters, varied, written
from .html_page import document, percent, table, text
from .jobs import LayerRecord, Record
from .paired import paired
from .plots import LayerLine, Level, Point, Series
from .results import Row, Sweep

SHOWN_LAYERS = 6  # settings whose layers are drawn
_OF_WEIGHTS = ("weights", "cluster", "first", "last", "layers")


@dataclass(frozen=True)
class Published:
    """A figure of the paper: ResNets on ImageNet, in percent; None where the paper gives none."""

    network: str
    weights: str
    cluster: int
    note: str
    top1: float | None
    below: str
    replaced: float | None


TRAINED = "trained for 4 more epochs"
PAPER = (
    Published("ResNet-101", "ternary", 4, "without training", 71.8, "less than 6", 85.0),
    Published("ResNet-101", "ternary", 64, "without training", None, "significantly", 98.0),
    Published("ResNet-50", "ternary", 64, TRAINED, 68.9, "", None),
    Published("ResNet-101", "int4", 4, "without training", 76.3, "less than 2", None),
)


def page(sweep: Sweep, matplotlib: Any) -> str:
    """The whole document, charts drawn by the module ``matplotlib``."""
    view = View(sweep)
    title = f"Sweep of {view.network}"
    parts = [_summary(view)]
    if view.done:
        parts += [_clusters(view, matplotlib), _shares(view, matplotlib), _beside(view), _layers(view, matplotlib)]
    parts += [_table_of_jobs(view), _footer(view)]
    return document(title, parts)


class View:
    """What the parts of the page share: the settings that are done, how they are called, and which are on the front."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.done = [row for row in sweep.settings if row.done]
        self.names = varied([_scheme(row) for row in sweep.settings])
        float_row = sweep.float_row
        self.real = float_row.record if float_row is not None and float_row.done else None
        self.best = max(self.done, key=_correct, default=None)
        self.front = pareto(self.done)
        known = [row.record.network for row in sweep.rows if row.record is not None]
        self.network = known[0] if known else sweep.files.network

    def name(self, row: Row) -> str:
        """What a setting is called: the fields in which the settings of this sweep differ."""
        return label(_scheme(row), self.names)

    def family(self, row: Row) -> str:
        """The name without the cluster: settings that one line joins."""
        return label(_scheme(row), [name for name in self.names if name != "cluster"] or ["weights"])

    def tip(self, row: Row) -> str:
        """What the page says of a point."""
        record = _record(row)
        share = 100 * (record.multiplications_replaced or 0)
        return f"{self.name(row)}: {percent(record.correct / record.count)}, {share:.2f} % replaced"

    def point(self, row: Row, x: float) -> Point:
        """A setting's accuracy in percent, with its interval."""
        record = _record(row)
        low, high = wilson(record.correct, record.count)
        note = str(_scheme(row).cluster) if _has_clusters(row) else ""
        return Point(x, 100 * record.correct / record.count, 100 * low, 100 * high, self.tip(row), note)

    def levels(self, rows: Iterable[Row] = ()) -> list[Level]:
        """Lines across: the float network, and settings that have no place on the axis."""
        real = self.real
        made = [] if real is None else [Level("float network", 100 * real.correct / real.count)]
        return made + [Level(self.name(row), 100 * _record(row).correct / _record(row).count) for row in rows]


def pareto(rows: Sequence[Row]) -> list[Row]:
    """Settings than which none replaces as much and gets more right, or gets as many right and replaces more.

    The one that replaces most comes first.
    """
    front: list[Row] = []
    for row in sorted(rows, key=lambda row: (-_replaced(row), -_correct(row))):
        if not front or _correct(row) > _correct(front[-1]):
            front.append(row)
    return front


def _record(row: Row) -> Record:
    return row.record if row.record is not None else Record("")


def _scheme(row: Row) -> Scheme:
    return row.job.scheme if row.job.scheme is not None else Scheme()


def _correct(row: Row) -> int:
    return _record(row).correct


def _replaced(row: Row) -> float:
    return _record(row).multiplications_replaced or 0.0


def _left(row: Row) -> float:
    """Percentage of the multiplications that is left; never quite 0, for an axis that halves."""
    return max(1e-3, 100 * (1 - _replaced(row)))


def _has_clusters(row: Row) -> bool:
    """Whether the size of clusters matters to a setting."""
    return matters(_scheme(row), "cluster")


# ------------------------------------------------------------------------------------------------------------- summary


def _summary(view: View) -> str:
    sweep, done = view.sweep, view.done
    job = sweep.rows[0].job
    first = (
        f"<p>{len(sweep.settings)} settings of <b>{text(view.network)}</b>, each calibrated on "
        f"{job.calibration_images} images of <code>{text(sweep.files.calibration)}</code> and run in "
        f"integers on the same {job.count} images of <code>{text(sweep.files.images)}</code>.</p>"
    )
    missing = sum(not row.settled for row in sweep.rows)
    failed = sum(row.error is not None for row in sweep.rows)
    notes = [f"{missing} of {len(sweep.rows)} jobs are still to be done."] if missing else []
    notes += [f"{failed} of {len(sweep.rows)} jobs failed: see the table."] if failed else []
    notes += [f"{sweep.apart} more results in the folder do not fit beside these and are not shown."] * (
        sweep.apart > 0
    )
    notes_html = "".join(f'<p class="bad">{note}</p>' for note in notes)
    if not done or view.best is None:
        return first + notes_html
    cards = [] if view.real is None else [_card("float network", _share(view.real), _interval(view.real))]
    cards.append(_card("best setting, on these images", _share(_record(view.best)), text(view.name(view.best))))
    cheapest = view.front[0]
    cards.append(_card("most multiplications replaced", percent(_replaced(cheapest)), _cheapest(view, cheapest)))
    return f'{first}{notes_html}<div class="cards">{"".join(cards)}</div>'


def _cheapest(view: View, row: Row) -> str:
    return f"{text(view.name(row))}: {_share(_record(row))}"


def _card(what: str, figure: str, note: str) -> str:
    return f'<div class="card">{what}<b>{figure}</b><span class="soft">{note}</span></div>'


def _share(record: Record) -> str:
    return percent(record.correct / record.count)


def _interval(record: Record) -> str:
    low, high = wilson(record.correct, record.count)
    return f"{percent(low)} to {percent(high)}"


# -------------------------------------------------------------------------------------------------------------- charts


def _clusters(view: View, matplotlib: Any) -> str:
    with_clusters = [row for row in view.done if _has_clusters(row)]
    if len({_scheme(row).cluster for row in with_clusters}) < 2:
        return ""
    levels = [row for row in view.done if not _has_clusters(row)]
    drawn = plots.by_cluster(
        matplotlib, _series(view, with_clusters, lambda row: float(_scheme(row).cluster)), view.levels(levels)
    )
    text = "Larger clusters share a scale among more weights: fewer multiplications, a coarser network. "
    return _chart("Accuracy and the size of clusters", text + "Bars are 95 % intervals (Wilson).", drawn)


def _shares(view: View, matplotlib: Any) -> str:
    series = _series(view, view.done, _left)
    front = [view.point(row, _left(row)) for row in view.front]
    drawn = plots.by_share(matplotlib, series, front, view.levels())
    text = (
        "Up and to the right is better: each step of the same width to the right leaves the same fraction of the "
        "multiplications. Circled settings are those that no other beats in both, with their clusters. Point at a "
        "marker to see its setting."
    )
    return _chart("Accuracy and the multiplications that become additions", text, drawn)


def _series(view: View, rows: Sequence[Row], place: Any) -> list[Series]:
    families: dict[str, list[Row]] = {}
    for row in rows:
        families.setdefault(view.family(row), []).append(row)
    return [
        Series(name, tuple(view.point(row, place(row)) for row in sorted(members, key=place)))
        for name, members in families.items()
    ]


def _chart(title: str, text: str, drawn: str) -> str:
    return f'<h2>{title}</h2><p class="soft">{text}</p><div class="scroll">{drawn}</div>'


def _layers(view: View, matplotlib: Any) -> str:
    chosen = _spread(view.front[::-1])
    layers = [*dict.fromkeys(layer.name for row in chosen for layer in _record(row).layers)]
    panels = [
        ("SQNR, dB", _lines(view, chosen, layers, lambda layer: layer.sqnr)),
        ("clipped, %", _lines(view, chosen, layers, lambda layer: 100 * layer.saturated if layer.values else None)),
        ("exponent", _lines(view, chosen, layers, lambda layer: layer.exponent)),
        ("bits of the sum", _lines(view, chosen, layers, lambda layer: layer.accumulator_bits)),
    ]
    text = (
        "The circled settings, layer by layer. SQNR is the signal over the noise that quantization has brought in so "
        "far, against the float network: 6 dB are one bit. A code is worth 2 to the exponent. The bits are what the "
        "layer's sums can need at most."
    )
    return _chart("Layer by layer", text, plots.by_layer(matplotlib, [stem(name) for name in layers], panels))


def _spread(rows: Sequence[Row]) -> list[Row]:
    """At most SHOWN_LAYERS of the rows, evenly spaced, the first and the last among them."""
    if len(rows) <= SHOWN_LAYERS:
        return [*rows]
    return [rows[number * (len(rows) - 1) // (SHOWN_LAYERS - 1)] for number in range(SHOWN_LAYERS)]


def _lines(view: View, rows: Sequence[Row], layers: Sequence[str], figure: Any) -> list[LayerLine]:
    made = []
    for row in rows:
        of: dict[str, LayerRecord] = {layer.name: layer for layer in _record(row).layers}
        made.append(LayerLine(view.name(row), tuple(figure(of[name]) if name in of else None for name in layers)))
    return made


# -------------------------------------------------------------------------------------------------------------- tables


def _beside(view: View) -> str:
    """The paper's figures, and every setting of this sweep that quantizes in the same way."""
    rows = []
    for one in PAPER:
        setting = f"{one.weights}, clusters of {one.cluster}"
        paper = [setting, f"{one.network}, {one.note}", _figure(one.top1), one.below, _figure(one.replaced)]
        here = [_here(view, one, row) for row in view.done if _as_in(one, _scheme(row))]
        rows += [[*cells, *ours] for cells, ours in zip_longest([paper], here or [[""] * 4], fillvalue=[""] * 5)]
    heads = ("setting", "paper, on ImageNet", "top-1>", "below float>", "replaced>", "here", "top-1>", "below float>")
    text = (
        "Mellempudi et al. 2017, 'Mixed Low-precision Deep Learning Inference using Dynamic Fixed Point'. Another "
        "network on other images: what can be compared is how far below float it falls (in points), and the share "
        "of multiplications replaced. Beside stand the settings with these weights and clusters everywhere but in the "
        "first and the last layer, which have 8 bits."
    )
    return f'<h2>The paper beside</h2><p class="soft">{text}</p>{table((*heads, "replaced>"), rows)}'


def _as_in(one: Published, scheme: Scheme) -> bool:
    """Whether a scheme has the paper's weights and clusters in all layers but the first and the last."""
    usual = Scheme(weights=one.weights, cluster=one.cluster)
    return all(getattr(scheme, name) == getattr(usual, name) for name in _OF_WEIGHTS)


def _here(view: View, one: Published, row: Row) -> list[str]:
    """A setting's cells beside the paper's: its name, and its figures."""
    record, real = _record(row), view.real
    below = "" if real is None else f"{100 * (real.correct / real.count - record.correct / record.count):.1f}"
    name = text(view.name(row)) + (", not trained" if one.note == TRAINED else "")
    return [name, _share(record), below, percent(_replaced(row))]


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:g} %"


def _table_of_jobs(view: View) -> str:
    ranked = any(_record(row).correct_top5 is not None for row in view.done)
    heads = [
        *(view.names or ["setting"]), "right>", "top-1 (95 % interval)>", *(["top-5>"] if ranked else []),
        "beside the best (95 %)>", "p>", "replaced>", "clipped>", "overflowed>", "lowest SQNR>", "wall-clock s>",
        "model",
    ]  # fmt: skip
    rows, marks = [], []
    for row in view.sweep.rows:
        rows.append(_job_cells(view, row, ranked, len(heads)))
        marks.append("front" if any(row is one for one in view.front) else "")
    text = (
        "Marked settings are those that no other beats in both accuracy and multiplications. Every setting ran the "
        "same images, so it is compared with the best one image by image: the difference in points, its 95 % interval "
        "(Bonett and Price), and the probability of so uneven a split by chance (McNemar, exact). The best one was "
        "picked on these same images, which flatters it, and no p or interval is corrected for the number of settings: "
        "choose on some images, and report on others. Seconds are those of the clock, of jobs that may have shared the "
        "processor."
    )
    return f'<h2>All jobs</h2><p class="soft">{text}</p>{table(heads, rows, marks)}'


def _job_cells(view: View, row: Row, ranked: bool, width: int) -> list[str]:
    cells, record = _setting_cells(view, row), row.record
    if record is None or record.right is None:
        why = "not done yet" if row.error is None else f'<span class="bad">{text(row.error)}</span>'
        return [*cells, f'<td colspan="{width - len(cells)}">{why}</td>']
    cells += [f"{record.correct} of {record.count}", f"{_share(record)} {_soft(_interval(record))}"]
    if ranked:
        cells.append("" if record.correct_top5 is None else percent(record.correct_top5 / record.count))
    best = None if view.best is None else _record(view.best)
    if best is None or best.right is None or best is record:
        cells += ["", ""]
    else:
        found = paired(record.right, best.right)
        low, high = found.interval
        interval = _soft(f"{100 * low:+.2f} to {100 * high:+.2f}")
        cells += [f"{100 * found.difference:+.2f} {interval}", f"{found.p:.2g}"]
    if row.job.scheme is None:
        return [*cells, "", "", "", "", f"{record.seconds:.1f}", ""]
    lowest = min((layer.sqnr for layer in record.layers if layer.sqnr is not None), default=None)
    return [
        *cells,
        percent(_replaced(row)),
        str(record.saturated),
        str(record.overflowed),
        "" if lowest is None else f"{lowest:.1f} dB",
        f"{record.seconds:.1f}",
        f'<code title="{text(record.model_hash)}">{text(record.model_hash)[:12]}</code>',
    ]


def _setting_cells(view: View, row: Row) -> list[str]:
    """A cell for each field in which the settings differ; an empty one where a scheme has no choice."""
    width = max(1, len(view.names))
    if row.job.scheme is None:
        return ["float network", *[""] * (width - 1)]
    if not view.names:
        return [text(view.name(row))]
    scheme = row.job.scheme
    return [text(written(name, getattr(scheme, name))) if matters(scheme, name) else "" for name in view.names]


def _soft(text: str) -> str:
    return f'<span class="soft">{text}</span>'


def _footer(view: View) -> str:
    """What the figures were made with: the files' contents, and what all settings have in common."""
    job = view.sweep.rows[0].job
    files = ", ".join(
        f"{name} <code>{text(path)}</code> (SHA-256 <code>{getattr(job, name)[:16]}</code>)"
        for name, path in vars(view.sweep.files).items()
    )
    schemes = [_scheme(row) for row in view.sweep.settings]
    fixed = [field.name for field in fields(Scheme) if field.name not in view.names]
    same = f"<p>All settings have {text(label(schemes[0], fixed))}.</p>" if schemes else ""
    return f'<footer class="soft"><p>refengine {__version__}, contract {CONTRACT}; {files}.</p>{same}</footer>'
