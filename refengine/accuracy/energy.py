"""An estimate of the energy that one image takes: counts of operations times a table of picojoules, to be edited.

Every constant is read once, and each layer reads its operands and writes its result once.  How often hardware really
moves them, and what its control takes, is not in here; nor is the arithmetic that no format of weights changes:
pooling, residuals, requantization.  The table is CSV with the columns ``operation,picojoule,source`` and one row for
each of ``OPERATIONS``.

Source: M. Horowitz, Computing's Energy Problem (and what we can do about it), ISSCC 2014, 45 nm and 0.9 V.
"""

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import FileError
from ..numbers.formats import INT4, TERNARY
from ..text import printable, shown
from .cost import Counts, LayerCost
from .workload import FLOAT32

HEAD = ("operation", "picojoule", "source")
OPERATIONS: Mapping[str, str] = {
    "cluster_add": "an activation or a product joins the sum of its cluster, about 16 bits",
    "accumulator_add": "a scaled sum, or a product of 8-bit weights, joins the 32-bit accumulator",
    "scale_multiply": "an 8-bit scale times the sum of a cluster",
    "int4_multiply": "a 4-bit weight times an 8-bit activation",
    "int8_multiply": "an 8-bit weight times an 8-bit activation",
    "float32_add": "a product joins its sum, all in floats",
    "float32_multiply": "a weight times an activation, both floats",
    "constant_byte": "a byte of weights, scales or other constants is read",
    "activation_byte": "a byte of activations is read or written",
}
DEFAULT = """\
operation,picojoule,source
cluster_add,0.053,"between the published 8-bit (0.03) and 32-bit (0.1) additions, linear in the bits: 16 bits"
accumulator_add,0.1,"published: 32-bit integer addition"
scale_multiply,0.4,"published 8x8-bit multiplication (0.2), linear in the product of the widths: 8x16 bits"
int4_multiply,0.1,"published 8x8-bit multiplication (0.2), linear in the product of the widths: 4x8 bits"
int8_multiply,0.2,"published: 8-bit integer multiplication"
float32_add,0.9,"published: 32-bit floating-point addition"
float32_multiply,3.7,"published: 32-bit floating-point multiplication"
constant_byte,162.5,"published: DRAM, 64 bits take 1300 to 2600, the lower end, divided by 8"
activation_byte,12.5,"published: SRAM of 1 MB, 64 bits take 100, divided by 8 (8 kB: 1.25; 32 kB: 2.5)"
"""
MAX_BYTES = 1 << 16


@dataclass(frozen=True)
class Energy:
    """Picojoules for one image; ``arithmetic_without_zeros`` is None where the codes are not known."""

    arithmetic: float
    constants: float
    activations: float
    arithmetic_without_zeros: float | None = None

    @property
    def total(self) -> float:
        """All of it, zero codes included."""
        return self.arithmetic + self.constants + self.activations

    def as_json(self) -> dict[str, float | None]:
        """Every part and the total."""
        return {**vars(self), "total": self.total}


def energy(layers: Iterable[LayerCost], picojoules: Mapping[str, float]) -> Energy:
    """Picojoules of layers, by a table that has a number for each of ``OPERATIONS``."""
    layers = tuple(layers)
    known = [(layer.format, layer.without_zeros) for layer in layers if layer.without_zeros is not None]
    return Energy(
        _arithmetic(((layer.format, layer.counts) for layer in layers), picojoules),
        picojoules["constant_byte"] * sum(layer.storage.total for layer in layers),
        picojoules["activation_byte"] * sum(layer.bytes_read + layer.bytes_written for layer in layers),
        _arithmetic(known, picojoules) if len(known) == len(layers) else None,
    )


def _arithmetic(counted: Iterable[tuple[str | None, Counts]], picojoules: Mapping[str, float]) -> float:
    return sum(picojoules[name] * count for fmt, counts in counted for name, count in operations(fmt, counts).items())


def operations(fmt: str | None, counts: Counts) -> dict[str, int]:
    """Which adders and multipliers the operations of a weight format take, and how often.

    >>> operations("ternary", Counts(products=0, scalings=2, additions=72))
    {'int4_multiply': 0, 'scale_multiply': 2, 'cluster_add': 70, 'accumulator_add': 2}
    """
    if fmt == FLOAT32:
        return {"float32_multiply": counts.products, "float32_add": counts.additions}
    if fmt in (TERNARY.name, INT4.name):
        return {
            "int4_multiply": counts.products,
            "scale_multiply": counts.scalings,
            "cluster_add": counts.additions - counts.scalings,
            "accumulator_add": counts.scalings,
        }
    return {"int8_multiply": counts.products, "accumulator_add": counts.additions}


# ------------------------------------------------------------------------------------------------------------ the table


def read_table(path: str) -> dict[str, float]:
    """Picojoules by operation from a CSV file; FileError, naming the line, for anything but one number for each."""
    name = printable(path)
    try:
        if not Path(path).is_file():
            wrong = "it is no file" if Path(path).exists() else "there is no such file"
            raise FileError(f"{name}: cannot be read, {wrong}")
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise FileError(f"{name}: is no text in UTF-8, needed a table as --energy-table prints it") from None
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{name}: cannot be read ({error.strerror})") from error
    except ValueError as error:  # a name with a NUL in it
        raise FileError(f"{name}: cannot be read ({error})") from error
    if len(content) > MAX_BYTES:
        raise FileError(f"{name}: has more than {MAX_BYTES} bytes, needed a table of {len(OPERATIONS)} operations")
    return parse_table(text, name)


def parse_table(text: str, name: str = "table") -> dict[str, float]:
    """As ``read_table``, of the text itself."""
    rows = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
    found: dict[str, float] = {}
    try:
        head = next(rows, [])
        if tuple(word.strip() for word in head) != HEAD:
            raise FileError(f"{name}: starts with {shown(','.join(head))}, needed {','.join(HEAD)}")
        for row in rows:
            if any(cell.strip() for cell in row):
                operation, picojoule = _checked_row(row, found, f"{name}, line {rows.line_num}")
                found[operation] = picojoule
    except csv.Error as error:
        raise FileError(f"{name}, line {rows.line_num}: is no CSV ({error})") from None
    missing = [operation for operation in OPERATIONS if operation not in found]
    if missing:
        raise FileError(f"{name}: has no row for {', '.join(missing)}")
    return found


def _checked_row(row: list[str], found: Mapping[str, float], place: str) -> tuple[str, float]:
    """Operation and picojoules of a row; FileError if it is none."""
    if len(row) != len(HEAD):
        raise FileError(f"{place}: has {len(row)} columns, needed {', '.join(HEAD)}")
    operation, text = row[0].strip(), row[1].strip()
    if operation not in OPERATIONS:
        raise FileError(f"{place}: operation {shown(operation)} is unknown, known are: {', '.join(OPERATIONS)}")
    if operation in found:
        raise FileError(f"{place}: operation {operation} stands in the table twice")
    try:
        picojoule = float(text if text.isascii() and "_" not in text else "")  # float would read 1_0 as 10
    except ValueError:
        picojoule = math.nan
    if not (math.isfinite(picojoule) and picojoule >= 0):
        raise FileError(f"{place}: {operation} takes {shown(text)} picojoule, needed a number not below 0")
    return operation, picojoule


HOROWITZ = parse_table(DEFAULT)
