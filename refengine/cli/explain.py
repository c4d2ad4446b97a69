"""``refengine explain``: one output integer, from the codes at its window to the code that comes out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ..runs.predict import BACKENDS
from . import console, options
from .layers import times

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..analysis.explain import Contribution, Explanation, Requantization, Term

    Numbered = tuple[int | None, Term]  # the number of a part, and one of its taps
    Row = Sequence[Numbered]

SHOWN = 16  # rows of clusters and of taps that are printed where there are many, unless --all
_FEW = 64  # rows that are printed in full
_CELLS_IN_ONE = 25  # codes of a window whose rows stand beside each other


class AtType(click.ParamType):
    """A place: one index or three, with commas between them."""

    name = "place"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """'14,9,5' -> (14, 9, 5)."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(index) for index in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is no place, needed y,x,c or k", param, ctx)


@click.command("explain")
@click.argument("model", metavar="MODEL.h5")
@click.argument("images", metavar="IMAGES.h5")
@click.option("--layer", required=True, metavar="LAYER", help="The layer, with or without its number.")
@click.option("--at", required=True, type=AtType(), metavar="Y,X,C", help="The place in its result; K in a flat one.")
@click.option("--image", type=options.NATURAL, default=0, show_default=True, metavar="N", help="Number of the image.")
@click.option("--all", "everything", is_flag=True, help="Print every cluster and every tap, in order.")
@click.option("--html", "html_path", metavar="FILE", help="Draw it on a page that needs no network.")
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    default="fast",
    show_default=True,
    help="What computes the codes up to there, and the result that the explanation must agree with.",
)
@options.json_file
def command(
    model: str,
    images: str,
    layer: str,
    at: tuple[int, ...],
    image: int,
    everything: bool,
    html_path: str | None,
    backend: str,
    json_path: str | None,
) -> None:
    """Show step by step how one output integer is computed.

    The steps are window, clusters, sum, residual, rounding and clip.  They are computed again in plain integers from
    the codes that the layer reads, and the result is compared with that of the run.
    """
    from ..analysis.explain import figures
    from ..analysis.explain_html import page
    from ..api.explain import explain

    inputs = [model, images]
    console.check_outputs(inputs, json_path, html_path)
    explanation = explain(model, images, layer, at, image=image, backend=backend)
    if html_path is not None:
        console.write_file(html_path, page(explanation).encode(), inputs)
    if console.write_json(json_path, "explain", figures(explanation), inputs):
        return
    _print(explanation, everything)
    if html_path is not None:
        console.say(f"{html_path}: the same, drawn")


def _print(found: Explanation, everything: bool) -> None:
    from ..analysis.explain import worth

    place = _place(found.at)
    what = "logit" if found.accumulation is not None and found.requantization is None else "code"
    console.say(f"{found.layer} ({found.op}), place {place} of {times([*found.shape])}, image {found.image}")
    console.say(f"model {found.model_hash}")
    for operand in found.operands:
        console.say(
            f"reads {operand.source}: {times([*operand.shape])} {operand.format}, a code is worth 2^{operand.exponent}"
        )
    if found.passing is not None:
        _print_taps([(None, tap) for tap in found.passing.taps], found, everything)
        chosen = found.passing.taps[found.passing.chosen]
        origin = "padding" if chosen.padding else f"{chosen.source} at {_place(chosen.place)}"
        console.say(f"from {origin}: {found.passing.reason}")
    if found.accumulation is not None:
        taps = [(number, tap) for number, part in enumerate(found.accumulation.parts) for tap in part.taps]
        _print_taps([*taps], found, everything)
        _print_parts(found, everything)
        _print_steps(found)
    amount, unit = worth(found.result, found.exponent, found.divisor), _unit(found.exponent, found.divisor)
    console.say(f"{what} {found.result}, worth {amount} = {found.result} * {unit}")


def _unit(exponent: int, divisor: int) -> str:
    """What a step is worth.

    >>> _unit(-3, 1), _unit(0, 225)
    ('2^-3', '2^0 / 225')
    """
    return f"2^{exponent}" + (f" / {divisor}" if divisor > 1 else "")


def _place(place: tuple[int, ...]) -> str:
    return ",".join(str(index) for index in place)


# ---------------------------------------------------------------------------------------------------------------- taps


def _print_taps(taps: Sequence[Numbered], found: Explanation, everything: bool) -> None:
    """The window: a line for each channel of each part, or the largest products where there are many."""
    if len(taps) == 1 and found.passing is not None:
        return
    padded = sum(tap.padding for _, tap in taps)
    weighted = sum(tap.weight != 0 for _, tap in taps)
    lines = [f"{len(taps)} input code{'s' if len(taps) > 1 else ''}"]
    if found.weight_format is not None:
        how = (
            "code+ is added, code- subtracted, code. has weight 0"
            if found.weight_format == "ternary"
            else "code*weight"
        )
        lines.append(f"{weighted} with a weight other than 0 ({how})")
    lines.append(f"{padded} of padding" if padded else "no padding")
    console.say()
    console.say("window: " + ", ".join(lines))
    grid = found.passing.grid if found.passing else found.accumulation.parts[0].grid if found.accumulation else (1, 1)
    channels = _by_channel(taps, grid)
    factors = [part.factor for part in found.accumulation.parts] if found.accumulation else [1]
    cut = len(channels) > _FEW and not everything
    if cut:
        channels = sorted(channels, key=lambda row: -sum(factors[part or 0] * abs(tap.product) for part, tap in row))
        channels = channels[:SHOWN]
    heads, rows = _tap_rows(channels, grid, found)
    console.show_table(console.table(heads, rows))
    if cut:
        total = len(taps) // (grid[0] * grid[1])
        console.say(f"the {SHOWN} that weigh most of {total}; --all prints them all")


def _by_channel(taps: Sequence[Numbered], grid: tuple[int, int]) -> list[Row]:
    size = grid[0] * grid[1]
    return [taps[start : start + size] for start in range(0, len(taps), size)]


def _tap_rows(channels: list[Row], grid: tuple[int, int], found: Explanation) -> tuple[list[str], list[list[object]]]:
    """Heads and rows of the table of taps: as many codes a row as the window lets stand side by side."""
    several = len({part for row in channels for part, _ in row}) > 1 or found.op in ("conv", "fc")
    ahead = [*(["source"] if len(found.operands) > 1 else []), *(["cluster>"] if several else [])]
    if grid == (1, 1):
        return _single_taps(channels, ahead, found)
    if grid[0] * grid[1] > _CELLS_IN_ONE:
        return _line_by_line(channels, ahead, grid[1], found)
    return _side_by_side(channels, ahead, grid[1], found)


def _single_taps(channels: list[Row], ahead: list[str], found: Explanation) -> tuple[list[str], list[list[object]]]:
    """A code a row."""
    products = found.weight_format is not None
    heads = [*ahead, "place", "code", *(["product>"] if products else [])]
    return heads, [
        [*_ahead(row, ahead), _place(row[0][1].place), _cells(row, found), *([_sum(row)] if products else [])]
        for row in channels
    ]


def _line_by_line(
    channels: list[Row], ahead: list[str], width: int, found: Explanation
) -> tuple[list[str], list[list[object]]]:
    """A row of a large window a row."""
    end, whole = _whole(found)
    lines = (row[start : start + width] for row in channels for start in range(0, len(row), width))
    return [*ahead, "channel>", "row>", "codes", end], [
        [*_ahead(line, ahead), _channel(line[0][1]), line[0][1].place[0], _cells(line, found), whole(line)]
        for line in lines
    ]


def _side_by_side(
    channels: list[Row], ahead: list[str], width: int, found: Explanation
) -> tuple[list[str], list[list[object]]]:
    """A channel's window a row, its rows beside each other."""
    end, whole = _whole(found)
    starts = range(0, len(channels[0]), width)
    y, x = channels[0][0][1].place[:2]
    names = [f"row {channels[0][start][1].place[0]}" for start in starts]
    names[0] = f"row {y}, columns {x}..{x + width - 1}"
    return [*ahead, "channel>", *names, end], [
        [
            *_ahead(row, ahead),
            _channel(row[0][1]),
            *(_cells(row[start : start + width], found) for start in starts),
            whole(row),
        ]
        for row in channels
    ]


def _whole(found: Explanation) -> tuple[str, Callable[[Row], int | None]]:
    """What all codes of a row come to: the head of its column, and how it is computed."""
    return ("largest>", _largest) if found.passing is not None else ("sum>", _sum)


def _ahead(row: Row, ahead: list[str]) -> list[object]:
    part, tap = row[0]
    return [*([tap.source] if "source" in ahead else []), *([part] if "cluster>" in ahead else [])]


def _channel(tap: Term) -> int:
    return tap.place[-1]


def _sum(row: Row) -> int:
    return sum(tap.product for _, tap in row)


def _largest(row: Row) -> int | None:
    """Of the codes of the image: padding never wins (contract W3)."""
    return max((tap.code for _, tap in row if not tap.padding), default=None)


def _cells(row: Row, found: Explanation) -> str:
    return " ".join(_cell(tap, found.weight_format) for _, tap in row)


def _cell(tap: Term, weight_format: str | None) -> str:
    """A code and what its weight does with it.

    >>> from refengine.analysis.explain import Term
    >>> [_cell(Term("x", (0,), 7, weight, 7 * weight, False), kind) for weight, kind in ((-1, "ternary"), (5, "int8"))]
    ['  7-', '   7*5   ']
    """
    if weight_format == "ternary":
        return " pad" if tap.padding else f"{tap.code:3}{'-.+'[tap.weight + 1]}"
    if weight_format is None:
        return " pad" if tap.padding else f"{tap.code:4}"
    return "     pad " if tap.padding else f"{tap.code:4}*{tap.weight:<4}"


# --------------------------------------------------------------------------------------------------------------- parts


def _print_parts(found: Explanation, everything: bool) -> None:
    """The running sum, part by part; of very many parts those that weigh most."""
    accumulation = found.accumulation
    if accumulation is None:
        return
    numbered = list(enumerate(accumulation.parts))
    cut = len(numbered) > _FEW and not everything
    if cut:
        numbered = sorted(numbered, key=lambda item: -abs(item[1].product))[:SHOWN]
    part, factor, partial = _PART_WORDS.get(found.op, ("cluster", "scale", "the sum of code * weight over a cluster"))
    heads = (f"{part}>", "channels>", "P>", f"{factor}>", "product>", "running sum>")
    rows: list[list[object]] = [] if cut else [["bias", None, None, None, accumulation.bias, accumulation.bias]]
    rows += [_part_row(number, each, cut) for number, each in numbered]
    console.say()
    console.say(f"sum: P is {partial}, product = P * {factor}")
    console.show_table(console.table(heads, rows))
    if cut:
        rest = accumulation.sum - accumulation.bias - sum(each.product for _, each in numbered)
        console.say(
            f"the {SHOWN} largest products of {len(accumulation.parts)}; the others come to {rest}, "
            f"the bias is {accumulation.bias}; --all prints them all, in order, with the running sum"
        )


def _part_row(number: int, part: Contribution, cut: bool) -> list[object]:
    channels = str(part.first) if part.first == part.last else f"{part.first}..{part.last}"
    return [number, channels, part.partial, part.factor, part.product, None if cut else part.running]


_PART_WORDS = {  # by operator: what a part is called, what it is multiplied by, and what its P is
    "add": ("operand", "left shift as a factor", "the code of an operand"),
    "avgpool": ("window", "L / count", "the sum of the codes of the window"),
    "global_avgpool": ("window", "factor", "the sum of the codes of the window"),
    "input": ("pixel", "factor", "the pixel"),
    "batchnorm": ("code", "factor", "the code, times the channel's sign"),
    "requantize": ("code", "factor", "the code"),
    "lookup": ("code", "factor", "the entry of the table at the code's address"),
    "mul": ("code", "factor", "the code of the first operand, times that of the second"),
}


# --------------------------------------------------------------------------------------------------------------- steps


def _print_steps(found: Explanation) -> None:
    """From the sum to the code, a stage a line."""
    from ..analysis.explain import worth

    accumulation = found.accumulation
    if accumulation is None:
        return
    value = accumulation.accumulator
    unit = _unit(accumulation.unit_exponent, accumulation.unit_divisor)
    width = f"{accumulation.bits} bits" + (f", {accumulation.policy}" if accumulation.bits < 32 else "")
    fits = "holds the sum" if value == accumulation.sum else f"cannot hold the sum {accumulation.sum}"
    amount = worth(value, accumulation.unit_exponent, accumulation.unit_divisor)
    rows: list[list[object]] = [["accumulator", value, f"{width}: {fits}; worth {amount} ({unit} a step)"]]
    if found.requantization is not None:
        rows += _requantize_rows(found.requantization)
    console.say()
    console.show_table(console.table(("stage", "integer>", "how"), rows))


def _requantize_rows(step: Requantization) -> list[list[object]]:
    from ..analysis.explain import choice_words, worth

    rounding, unit = step.rounding, 1 << step.rounding.shift
    rows: list[list[object]] = [["product", step.product, f"accumulator * multiplier {step.multiplier}"]]
    if step.residual is not None:
        residual = step.residual
        origin = f"code {residual.code} of {residual.source} at {_place(residual.place)}"
        rows.append(["residual", residual.aligned, f"{origin}, << {residual.shift}"])
    bits = rounding.kept_bits + (f" | {rounding.discarded_bits}" if rounding.discarded_bits else "")
    if step.choice is not None:
        rows.append(["exponent", f"+{step.choice.coarser}", choice_words(step.choice)])
    share = worth(rounding.discarded, -rounding.shift)
    return [
        *rows,
        ["total", rounding.total, f"binary {bits}" + (" (right of | is discarded)" if rounding.discarded_bits else "")],
        ["quotient", rounding.quotient, f"total >> {rounding.shift}"],
        ["discarded", rounding.discarded, f"of {unit}: {share} of a unit"],
        ["addend", rounding.addend, rounding.decision],
        ["rounded", rounding.rounded, f"(total + addend) >> {rounding.shift}"],
        ["clip", min(max(rounding.rounded, step.clip.lo), step.clip.hi), step.clip.reason],
    ]
