"""``refengine cost``: multiplications, additions, bytes and energy of a network, by cluster size and format."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import click

from ..accuracy.cost import LayerCost, NetworkCost, cost_of
from ..accuracy.energy import DEFAULT, HOROWITZ, Energy, energy, read_table
from ..accuracy.workload import FLOAT32, Layers, as_the_paper_counts, in_clusters, in_format, workloads
from ..errors import RangeError
from ..network.float_network import FloatNetwork
from ..network.geometry import GEOMETRIES, geometry
from ..network.int_network import IntNetwork
from ..network.network_file import read_network
from ..numbers.formats import INT4, INT8_WEIGHT
from . import console, options

CLUSTERS = "1,2,4,8,16,32,64"
LARGEST_CLUSTER = 65536
OWN = "own"
PUBLISHED = "Horowitz, ISSCC 2014, 45 nm"
FORMATS = (INT4.name, INT8_WEIGHT.name, FLOAT32)
LAYER_HEADS = ("layer", "op", "weights", "MAC, M>", "replaced>", "multiply, M>", "add, M>", "nonzero, M>")
BYTE_HEADS = ("constants, kB>", "read, kB>", "written, kB>", "energy, uJ>")

Table = Mapping[str, float]


@dataclass(frozen=True)
class Column:
    """The network with one choice of weights: its cost, and the share that the paper's accounting gives it."""

    name: str
    cost: NetworkCost
    energy: Energy
    paper: float | None = None

    def as_json(self, table: Table) -> dict[str, Any]:
        """Everything, energies in picojoules, in types that JSON knows."""
        figures = self.cost.as_json()
        for layer, described in zip(self.cost.layers, figures["layers"], strict=True):
            described["picojoules"] = energy([layer], table).as_json()
        head = {"name": self.name, "replaced_as_the_paper_counts": self.paper, "picojoules": self.energy.as_json()}
        return {**head, **figures}


@click.command("cost")
@click.argument("network", metavar="[NETWORK.h5]", required=False)
@click.option(
    "--geometry", "shape", metavar="NAME", help=f"Instead of a file: {', '.join(GEOMETRIES)}; weights are random."
)
@click.option(
    "--cluster", "clusters", default=CLUSTERS, show_default=True, metavar="N,...", help="Cluster sizes to count for."
)
@click.option("--layers", "chosen", metavar="COLUMN", help="A line for each layer too, of one column of the table.")
@click.option(
    "--energy", "energy_path", metavar="FILE.csv", help="Picojoule by operation.  [default: 45 nm, published]"
)
@click.option("--energy-table", "show_energy", is_flag=True, help="Print the default for --energy, to be edited.")
@options.json_file
def command(
    network: str | None,
    shape: str | None,
    clusters: str,
    chosen: str | None,
    energy_path: str | None,
    show_energy: bool,
    json_path: str | None,
) -> None:
    """Count the multiplications, additions, bytes and energy of one image.

    NETWORK.h5 is an integer network, whose own formats and codes are counted in the column 'own', or a float network,
    counted as 'quantize' would make it by default.  A column with a number is the same network in clusters of so many
    filters; int4 has 4-bit codes where those were ternary; int8 and float32 are so throughout.  4-bit codes replace
    no multiplication, and their scales take some on top: less than 0 % are replaced.
    """
    if show_energy:
        console.check_outputs([], json_path)
        if not console.write_json(json_path, "cost", {"picojoules_from": PUBLISHED, "picojoules": dict(HOROWITZ)}, []):
            click.echo(DEFAULT, nl=False)
        return
    if (network is None) == (shape is None):
        raise click.UsageError("needed: NETWORK.h5 or --geometry, one of them")
    inputs = [path for path in (network, energy_path) if path is not None]
    console.check_outputs(inputs, json_path)
    sizes = _sizes(clusters)
    table = HOROWITZ if energy_path is None else read_table(energy_path)
    found = geometry(str(shape)) if network is None else read_network(network)
    columns = _columns(found, sizes, table)
    if chosen is not None and chosen not in columns:
        raise RangeError(f"--layers names column {chosen[:80]!r}, columns are {', '.join(columns)}")
    figures = {
        "network": found.name,
        "model_hash": found.hash if isinstance(found, IntNetwork) else None,
        "input_shape": list(found.input_shape),
        "picojoules_from": PUBLISHED if energy_path is None else energy_path,
        "picojoules": dict(table),
        "columns": [column.as_json(table) for column in columns.values()],
    }
    if not console.write_json(json_path, "cost", figures, inputs):
        height, width, channels = found.input_shape
        words = f", {GEOMETRIES[shape].described}" if shape else ""
        console.say(f"{found.name}: one image of {height}x{width}x{channels}{words}")
        print_columns(tuple(columns.values()))
        console.say(f"energy if every byte moves once, picojoule by operation from {figures['picojoules_from']}")
        if chosen is not None:
            console.say()
            print_layers(columns[chosen], table)


def _sizes(text: str) -> tuple[int, ...]:
    """Cluster sizes between commas, each once; RangeError for anything else."""
    words = [word.strip() for word in text.split(",")]
    good = all(word.isascii() and word.isdigit() and len(word) < 9 for word in words)
    sizes = tuple(dict.fromkeys(map(int, words))) if good else ()
    if not sizes or not all(1 <= size <= LARGEST_CLUSTER for size in sizes):
        raise RangeError(f"--cluster is {text[:80]!r}, needed sizes from 1 to {LARGEST_CLUSTER}, as {CLUSTERS}")
    return sizes


def _columns(network: IntNetwork | FloatNetwork, sizes: Iterable[int], table: Table) -> dict[str, Column]:
    """The network as it is, if it has integers, then by cluster size, then in the other formats."""
    layers = workloads(network)

    def column(name: str, weights: Layers, paper: float | None = None) -> Column:
        cost = cost_of(weights)
        return Column(name, cost, energy(cost.layers, table), paper)

    columns = [column(OWN, layers)] if isinstance(network, IntNetwork) else []
    for size in sizes:
        paper = cost_of(as_the_paper_counts(layers, size)).multiplications_replaced
        columns.append(column(str(size), in_clusters(layers, size), paper))
    columns += [column(fmt, in_format(layers, fmt)) for fmt in FORMATS]
    return {column.name: column for column in columns}


def print_columns(columns: tuple[Column, ...]) -> None:
    """A table with a column for each choice of weights; rows without a figure are left out."""
    rows = [(label, [figure(column) for column in columns]) for label, figure in _rows(columns[-1])]
    heads = ("clusters of", *(f"{column.name}>" for column in columns))
    console.show_table(console.table(heads, ([label, *cells] for label, cells in rows if any(cells))))


def _rows(floats: Column) -> Iterator[tuple[str, Callable[[Column], str | None]]]:
    """Labels and figures; shares are of the last column's."""
    yield "multiplications replaced", lambda c: _percent(c.cost.multiplications_replaced)
    yield "as the paper counts", lambda c: _percent(c.paper)
    yield "multiplications, M", lambda c: _mega(c.cost.multiplications)
    yield "additions, M", lambda c: _mega(c.cost.additions)
    yield "  of codes other than 0", lambda c: _mega(c.cost.additions_without_zeros)
    yield "constants, kB", lambda c: _kilo(c.cost.storage.total)
    for name in asdict(floats.cost.storage):
        yield f"  {name}", lambda c, name=name: _kilo(getattr(c.cost.storage, name))  # type: ignore[misc]
    yield "  share of float32's", lambda c: _share(c.cost.storage.total, floats.cost.storage.total)
    yield "activations moved, kB", lambda c: _kilo(c.cost.bytes_moved)
    yield "energy, uJ", lambda c: _mega(c.energy.total)
    yield "  arithmetic", lambda c: _mega(c.energy.arithmetic)
    yield "  constants", lambda c: _mega(c.energy.constants)
    yield "  activations", lambda c: _mega(c.energy.activations)
    yield "  share of float32's", lambda c: _share(c.energy.total, floats.energy.total)
    yield "arithmetic without zeros", lambda c: _mega(c.energy.arithmetic_without_zeros)


def print_layers(column: Column, table: Table) -> None:
    """A table with a line for each layer of one column."""
    console.say(f"column {column.name}, layer by layer")
    console.show_table(
        console.table((*LAYER_HEADS, *BYTE_HEADS), (_layer_row(layer, table) for layer in column.cost.layers))
    )


def _layer_row(layer: LayerCost, table: Table) -> list[object]:
    weights = layer.format if layer.cluster is None else f"{layer.format} of {layer.cluster}"
    counted = layer.macs > 0
    known = layer.without_zeros if counted else None
    return [
        layer.name,
        layer.op,
        weights,
        _mega(layer.macs) if counted else None,
        _percent(layer.replaced) if counted else None,
        _mega(layer.multiplications) if counted else None,
        _mega(layer.additions) if counted else None,
        _mega(known.additions) if known else None,
        _kilo(layer.storage.total) if layer.storage.total else None,
        _kilo(layer.bytes_read),
        _kilo(layer.bytes_written),
        _mega(energy([layer], table).total),
    ]


def _percent(share: float | None) -> str | None:
    return None if share is None else f"{100 * share:.1f} %"


def _share(part: float, whole: float) -> str | None:
    return _percent(part / whole) if whole else None


def _kilo(number: float) -> str:
    return _digits(number / 1e3)


def _mega(number: float | None) -> str | None:
    return None if number is None else _digits(number / 1e6)


def _digits(number: float) -> str:
    """A number without digits that nobody reads.

    >>> _digits(7570.194), _digits(0.5), _digits(0)
    ('7570.2', '0.500', '0')
    """
    return f"{number:.{1 if number >= 100 else 3}f}" if number else "0"
