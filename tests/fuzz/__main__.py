"""``PYTHONPATH=.:tests python -m fuzz``: fuzz every reader, and print counts by reader.

    --cases N       stop at N cases in all (default 20000)
    --seconds S     or after S seconds
    --state FILE    counts so far: a run goes on where the last one ended, and adds to it
    --reader NAME   this one alone; may be given again

Findings go to FILE.findings, one JSON object a line, with the reader and the number that makes the case again.  Exit
code 1 if there are any.
"""

import argparse
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .readers import PLANTED, READERS
from .worker import FIELDS, LAYOUT

COUNTS = ("cases", "refused", "accepted", "tracebacks", "crashes", "hangs", "over")
HANG = 60.0
TURN = 60.0
START = 300.0  # seconds that the imports and the sound files may take on a busy machine


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--cases", type=int, default=20000)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--state", type=Path)
    parser.add_argument("--reader", action="append", choices=[*READERS, *PLANTED])
    parser.add_argument("--turn", type=float, default=TURN, help="seconds of one reader before the next")
    parser.add_argument("--hang", type=float, default=HANG, help="seconds after which a case hangs")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="refengine-fuzz-") as folder:
        state = given.state or Path(folder) / "state.json"
        table = run(state, given.reader or [*READERS], given.cases, given.seconds, given.turn, given.hang)
        print(shown(table))
        findings = state.with_suffix(".findings")
        if findings.exists():
            print(findings.read_text(), file=sys.stderr)
    return int(any(row[what] for row in table.values() for what in COUNTS[3:]))


def run(
    state: Path, names: list[str], cases: int, seconds: float, turn: float = TURN, hang: float = HANG
) -> dict[str, dict[str, int]]:
    """Fuzz the readers in turn until there are so many cases in all; the counts, stored after each turn."""
    table: dict[str, dict[str, int]] = json.loads(state.read_text()) if state.exists() else {}
    for name in names:
        table.setdefault(name, dict.fromkeys(COUNTS, 0))
    end = time.monotonic() + seconds
    while sum(row["cases"] for row in table.values()) < cases and time.monotonic() < end:
        for name in names:
            left = cases - sum(row["cases"] for row in table.values())
            if left <= 0 or time.monotonic() >= end:
                break
            share = max(1, min(left, -(-cases // len(names))))
            _turn(name, table[name], share, min(turn, max(1.0, end - time.monotonic())), hang, state)
            temporary = state.with_suffix(".new")
            temporary.write_text(json.dumps(table, indent=1))
            os.replace(temporary, state)
    return table


def _turn(name: str, row: dict[str, int], count: int, seconds: float, hang: float, state: Path) -> None:
    """One process of cases; adds what it did, or what became of it, to the reader's counts."""
    first, told, findings = row["cases"], state.with_suffix(".told"), state.with_suffix(".findings")
    told.write_bytes(struct.pack(LAYOUT, first, *[0] * (len(FIELDS) - 2), -1))  # -1: it has not begun
    command = [
        sys.executable,
        "-m",
        "fuzz.worker",
        name,
        str(first),
        str(count),
        str(seconds),
        str(told),
        str(findings),
    ]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    seen, since, hanging = -2, time.monotonic(), False
    while True:
        try:
            process.wait(0.2)
            break
        except subprocess.TimeoutExpired:
            current = _told(told)["finished"]
            if current != seen:
                seen, since = current, time.monotonic()
            elif time.monotonic() - since > (hang if current >= 0 else max(hang, START)):
                hanging = True
                process.kill()
                process.wait()
                break
    counts = _told(told)
    errors = (process.stderr.read() if process.stderr else b"").decode(errors="replace")
    if process.stderr:
        process.stderr.close()
    for what in ("refused", "accepted", "tracebacks", "over"):
        row[what] += counts[what]
    row["cases"] += max(0, counts["finished"])
    if hanging or process.returncode:
        row["hangs" if hanging else "crashes"] += 1
        row["cases"] += 1
        what = "hangs" if hanging else f"ends the process with {process.returncode}: {errors[-1500:]}"
        with open(findings, "a", encoding="utf-8") as file:
            file.write(json.dumps({"reader": name, "case": counts["current"], "what": what}) + "\n")


def _told(path: Path) -> dict[str, Any]:
    return dict(zip(FIELDS, struct.unpack(LAYOUT, path.read_bytes()), strict=True))


def shown(table: dict[str, dict[str, int]]) -> str:
    """The counts as a table of Markdown."""
    heads = ("reader", "cases", "refused", "read", "tracebacks", "crashes", "hangs over 60 s", "over 2 GB")
    total = {what: sum(row[what] for row in table.values()) for what in COUNTS}
    rows = [(name, *(f"{row[what]:,}" for what in COUNTS)) for name, row in [*table.items(), ("all", total)]]
    lines = [heads, ("---", *["---:"] * (len(heads) - 1)), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    sys.exit(main())
