"""Options that more than one verb has."""

from collections.abc import Callable
from typing import Any

import click

from ..network.batches import cores
from ..network.int_network import IntNetwork
from ..runs.predict import BACKENDS, backend_for
from . import console

POSITIVE = click.IntRange(min=1)
NATURAL = click.IntRange(min=0)


backend = click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    default="fast",
    show_default=True,
    help="What computes: the fast plan, the Numba kernels, or the NumPy definitions.  All give the same bits.",
)
threads = click.option(
    "--threads",
    type=POSITIVE,
    default=cores,
    show_default="all cores",
    help="How many threads; changes no number.",
)
batch = click.option("--batch", type=POSITIVE, metavar="N", help="Images at a time; changes no number.")
json_file = click.option(
    "--json", "json_path", metavar="FILE", help="Write the figures as JSON too; '-' prints them instead of the tables."
)
first = click.option(
    "--first", type=NATURAL, default=0, show_default=True, metavar="K", help="Number of the first image."
)
calibration_images = click.option(
    "--calibration-images",
    type=POSITIVE,
    metavar="N",
    help="How many of the images to calibrate on, evenly spaced, are used, all of them in memory.  "
    "[default: 1024, fewer where these have more than 2^25 pixels]",
)


def jobs(text: str) -> Callable[[Any], Any]:
    """``--jobs N``, with what runs so many at a time in its help."""
    return click.option("--jobs", "processes", type=POSITIVE, default=1, show_default=True, metavar="N", help=text)


dask = click.option(
    "--dask",
    metavar="ADDRESS",
    help="Distribute the work over a Dask cluster, as tcp://host:8786; changes no number.",
)


def say_who_works(client: Any, address: str) -> None:
    """One line on stderr: how many workers a cluster has."""
    workers = client.nthreads()
    waiting = "" if workers else ", waiting for one"
    console.complain(f"{address}: {len(workers)} workers, {sum(workers.values())} threads{waiting}")


def say_backend(network: IntNetwork, asked: str) -> None:
    """One line on stderr where another backend computes than was asked for."""
    used = backend_for(network, asked)
    if used != asked:
        console.complain(f"dynamic exponents: the backend is {used}, {asked} knows static ones alone")
