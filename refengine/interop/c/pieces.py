"""The pieces of C that are the same in every model: one file for each operator and each rule of the contract."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from ...numbers.accumulator import POLICIES
from ...numbers.rounding import ALL, DOUBLE_ROUND, HALF, MODES, NOTHING, STOCHASTIC, UNDER

FOLDER = Path(__file__).with_name("pieces")
_ADDENDS = {NOTHING: "NOTHING", UNDER: "UNDER", HALF: "HALF", ALL: "ALL"}

ALWAYS = ("types", "rounding", "accumulator", "requantize_step")
NEEDED_BY = {
    "conv": ("weights", "conv"),
    "fc": ("weights", "fc"),
    "maxpool": ("passing", "window", "maxpool"),
    "avgpool": ("window", "avgpool"),
    "concat": ("passing", "concat"),
    "pad_channels": ("passing", "pad_channels"),
    "flatten": ("passing", "flatten"),
    "gather_channels": ("passing", "gather_channels"),
}


def pieces(operators: Iterable[str], weights: str) -> list[str]:
    """Texts of the pieces that a model of these operators needs; ``weights``: packed or bytes."""
    names = dict.fromkeys([*ALWAYS, *(name for op in operators for name in NEEDED_BY.get(op, (op,)))])
    return [piece(f"weights_{weights}" if name == "weights" else name) for name in names]


def piece(name: str, suffix: str = ".c") -> str:
    """The text of one piece."""
    return (FOLDER / f"{name}{suffix}").read_text(encoding="ascii")


def named(text: str, name: str) -> str:
    """A piece with the model's name in the place of NAME, in capitals before capitals: macros are.

    >>> named("NAME_run(NAME_CLASSES, NAME_)", "net")
    'net_run(NET_CLASSES, net)'
    """
    text = re.sub(r"\bNAME_(?=[A-Z])", f"{name.upper()}_", text)
    return re.sub(r"\bNAME_(?=[a-z])", f"{name}_", text).replace("NAME_", name)


def words() -> str:
    """The words of the contract that the tables use: rounding modes with what they add (R3), and policies (A3, A4)."""
    rows = "".join(f"    {{{', '.join(_ADDENDS[addend] for addend in row)}}}, /* {mode} */\n" for mode, row in _rows())
    modes = ",\n    ".join(constant(mode) for mode in (*MODES, DOUBLE_ROUND, STOCHASTIC))
    return (
        f"enum {{ {', '.join(_ADDENDS.values())} }};\n"
        f"enum {{\n    {modes}\n}};\n"
        f"enum {{ {', '.join(constant(policy) for policy in POLICIES)} }};\n\n"
        "/* R3: what a mode adds where t >= 0 and q is even, t >= 0 and q is odd, t < 0 and q is even, t < 0 and q is\n"
        " * odd: nothing, unit/2 - 1, unit/2 or unit - 1. */\n"
        f"static const uint8_t ADDENDS[][4] = {{\n{rows}}};\n"
    )


def constant(word: str) -> str:
    """A rounding or a policy as C calls it."""
    return word.upper()


def _rows() -> list[tuple[str, tuple[int, ...]]]:
    """The table of modes, and what ``double_round`` adds before its nudge (R4)."""
    return [*MODES.items(), (DOUBLE_ROUND, MODES["half_up"])]
