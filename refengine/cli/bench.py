"""``refengine bench``: refengine's speed beside production int8 engines, measured in turns."""

from collections.abc import Iterator
from statistics import median

import click
import numpy as np

from ..bench.bench import Comparison, compare, random_images
from ..bench.peers import PEERS
from ..errors import RefengineError
from ..network.float_file import read_float_network
from ..network.float_network import FloatNetwork, with_input_shape
from ..network.geometry import GEOMETRIES, geometry
from ..network.images import open_images
from ..optional import EXTRA, installed
from . import console, options

CALIBRATION_IMAGES = 4  # enough to make live numbers; the time of an engine does not depend on them
HEADS = ("engine", "ms>", "best>", "GMAC/s>", "of peak>", "time of the first / this>", "quartiles>")
MEMORY_HEADS = ("peak MB>", "of it packages>")


@click.command("bench")
@click.argument("network", metavar="[NET.h5]", required=False)
@click.option(
    "--geometry", "shape", metavar="NAME", help=f"Instead of a file: {', '.join(GEOMETRIES)}; weights are random."
)
@click.option("--images", metavar="IMAGES.h5", help="Images to calibrate on and to run.  [default: random pixels]")
@click.option(
    "--weights",
    default="ternary",
    show_default=True,
    metavar="FORMAT,...",
    help="Weight formats of refengine's engines: ternary, int4, int8.",
)
@click.option(
    "--cluster", default="4", show_default=True, metavar="N,...", help="Filters that share a scale: an engine for each."
)
@click.option(
    "--against",
    metavar="NAME,...",
    help=f"The other engines: {', '.join(PEERS)}; or none.  [default: those that are installed]",
)
@click.option("--batch", type=options.POSITIVE, default=1, show_default=True, metavar="B", help="Images at a time.")
@click.option("--threads", type=options.POSITIVE, default=1, show_default=True, metavar="T", help="Threads of each.")
@click.option(
    "--rounds", type=options.POSITIVE, default=40, show_default=True, metavar="R", help="How often each engine runs."
)
@click.option("--memory", is_flag=True, help="Also the peak memory of each, in a process of its own.")
@options.json_file
def command(
    network: str | None,
    shape: str | None,
    images: str | None,
    weights: str,
    cluster: str,
    against: str | None,
    batch: int,
    threads: int,
    rounds: int,
    memory: bool,
    json_path: str | None,
) -> None:
    """Measure the speed of refengine beside production int8 engines.

    All engines run the same network in turn.  Each is made from the float network by its own standard tool.  Times of
    the other engines start with floats that are ready, those of refengine with pixels.  Compare figures of one run
    only: ratios are of times in the same round.
    """
    sizes = _sizes(cluster)
    if (network is None) == (shape is None):
        raise click.UsageError("needed: NET.h5 or --geometry, one of them")
    inputs = [path for path in (network, images) if path is not None]
    console.check_outputs(inputs, json_path)
    peers = _peers(against)
    float_network = geometry(str(shape)) if network is None else read_float_network(network)
    float_network, pixels = _with_images(float_network, images, max(batch, CALIBRATION_IMAGES))
    with console.progress("bench") as show:
        words, random = _words(weights), network is None
        outcome = compare(float_network, pixels, words, sizes, peers, batch, threads, rounds, show, not random, memory)
    missing = [name for name in PEERS if against is None and name not in peers]
    if missing:
        console.complain(f"not installed, so not measured: {', '.join(missing)}; needed: {EXTRA}")
    if not console.write_json(json_path, "bench", outcome.as_json(), inputs):
        print_comparison(outcome)


def _words(text: str) -> tuple[str, ...]:
    """The words between commas, each once."""
    return tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


def _sizes(text: str) -> tuple[int, ...]:
    """Sizes of clusters between commas; UsageError for what is none."""
    words = _words(text)
    if not words or not all(word.isdecimal() and int(word) for word in words):
        raise click.UsageError(f"--cluster: needed are whole numbers from 1 on, found {text[:80]!r}")
    return tuple(map(int, words))


def _peers(against: str | None) -> tuple[str, ...]:
    """The engines that were asked for, else those whose packages are there; RefengineError for an unknown one."""
    if against is None:
        return tuple(name for name in PEERS if installed(name))
    names = () if against == "none" else _words(against)
    unknown = [name for name in names if name not in PEERS]
    if unknown:
        raise RefengineError(f"engine {unknown[0]!r} is unknown; available: {', '.join(PEERS)}")
    return names


def _with_images(network: FloatNetwork, path: str | None, count: int) -> tuple[FloatNetwork, np.ndarray]:
    """At most ``count`` images, and the network made for their size."""
    if path is None:
        return network, random_images(network, count)
    with open_images(path, labels_required=False) as file:
        pixels = file.read(0, min(count, file.count))
    return with_input_shape(network, pixels.shape[1:3]), pixels


def print_comparison(outcome: Comparison) -> None:
    """What was measured on what, and a table of the engines."""
    height, width, channels = outcome.input_shape
    threads = "1 thread" if outcome.threads == 1 else f"{outcome.threads} threads"
    console.say(f"{outcome.network}: images {height}x{width}x{channels}, {_giga(outcome.macs, 3)} GMAC an image")
    console.say(f"batch {outcome.batch}, {threads}, {outcome.rounds} rounds, milliseconds for an image")
    console.say(f"{outcome.processor}, instruction set {outcome.instruction_set}")
    console.say(", ".join(dict.fromkeys(f"{t.name.split()[0]} {t.version}" for t in outcome.timings)))
    console.say()
    heads = (*HEADS, *MEMORY_HEADS) if outcome.memory else HEADS
    console.show_table(console.table(heads, (row[: len(heads)] for row in _rows(outcome))))


def _rows(outcome: Comparison) -> Iterator[tuple[object, ...]]:
    for timing in outcome.timings:
        times = (f"{1000 * seconds:.3f}" for seconds in (timing.median, timing.best))
        found_share = outcome.share(timing)
        rate, share = _giga(outcome.rate(timing)), None if found_share is None else f"{100 * found_share:.1f} %"
        found = outcome.ratio(timing)
        ratios, taken = (f"{found.median:.3f}", f"{found.low:.3f}..{found.high:.3f}"), outcome.memory.get(timing.name)
        sizes = (None, None) if taken is None else (f"{taken.peak / 1e6:.0f}", f"{taken.packages / 1e6:.0f}")
        yield timing.name, *times, rate, share, *ratios, *sizes
    for form, rates in outcome.peak.items():
        yield f"peak of {form}", None, None, _giga(median(rates)), "100.0 %", None, None, None, None


def _giga(number: float, digits: int = 1) -> str:
    return f"{number / 1e9:.{digits}f}"
