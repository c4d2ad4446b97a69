"""``refengine sweep``: quantize and evaluate by every scheme of a grid, going on where it was stopped."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import click

from ..accuracy.dask_cluster import connected
from ..accuracy.dask_jobs import records
from ..accuracy.grid import label, schemes, varied
from ..accuracy.jobs import Files, Job, Record, jobs_for, run_files
from ..accuracy.processes import answers
from ..accuracy.results import FLOAT, Sweep, columns
from ..accuracy.sweep import CSV, HDF5, Share, run_sweep
from ..network.batches import cores
from ..optional import installed
from . import console, options
from .report import EXTRA, write_report

REPORT = "report.html"


@click.command("sweep")
@click.argument("network", metavar="NET.h5")
@click.argument("more", metavar="", nargs=-1)
@click.option("--calibration", required=True, metavar="IMAGES.h5", help="Images to calibrate on; labels are not used.")
@click.option("--images", required=True, metavar="IMAGES.h5", help="Labelled images to evaluate on.")
@click.option(
    "--grid",
    "grid",
    multiple=True,
    metavar="FIELD=VALUES ...",
    help="Values of any field of a scheme, as 'cluster=1,2,4,...,64 weights=ternary,int8'; all combinations are run.",
)
@click.option("-o", "--output", required=True, metavar="DIR", help="Folder of the results.")
@options.calibration_images
@click.option("--limit", type=options.POSITIVE, metavar="N", help="Only the first N labelled images.")
@options.jobs("How many jobs at a time, each in a process of its own; they share the cores.  Changes no number.")
@options.dask
@options.json_file
def command(
    network: str,
    more: tuple[str, ...],
    calibration: str,
    images: str,
    grid: tuple[str, ...],
    output: str,
    calibration_images: int | None,
    limit: int | None,
    processes: int,
    dask: str | None,
    json_path: str | None,
) -> None:
    """Quantize and evaluate a network with every combination of some options.

    Fields of --grid are the options of 'refengine quantize', with exceptions: --layer is 'layers', a list joined by
    '+'; --reestimate is yes, no or auto, --equalize yes or no; --arith is its rounding and multiplier-bits.
    Combinations that cannot differ are one job.  A job that fails is a row with its error, and the exit code is then
    1.  A sweep that was stopped continues when it is called again: results in DIR of the same files and counts are
    kept.  DIR gets results.csv, results.h5 and, with matplotlib, report.html.
    """
    inputs = [network, calibration, images]
    console.check_outputs(inputs, json_path)
    files = Files(*inputs)
    jobs = jobs_for(schemes([*grid, *more]), files, calibration_images, limit)
    folder = Path(output)
    with _share(files, processes, dask) as share, console.progress("sweep") as show:
        made = run_sweep(folder, files, jobs, share, show, console.complain)
    if not console.write_json(json_path, "sweep", {"jobs": [*columns(made.rows)]}, inputs):
        _print(made)
        console.say(f"{output}: {CSV}, {HDF5}")
    if installed("matplotlib"):
        write_report(made, folder / REPORT)
    else:
        console.complain(f"no report.html, matplotlib is missing; needed: {EXTRA}, then 'refengine report {output}'")
    if made.apart:
        console.complain(
            f"{output} has {made.apart} more results, of other files, counts or versions, or damaged: not shown"
        )
    failed = sum(not row.done for row in made.rows)
    if failed:
        console.complain(f"{failed} of {len(made.rows)} jobs failed")
        click.get_current_context().exit(1)


@contextmanager
def _share(files: Files, processes: int, dask: str | None) -> Iterator[Share]:
    """Who does the jobs: processes on this machine, or a cluster."""
    if dask is None:
        yield partial(answers, work=_work(files, processes), processes=processes)
        return
    with connected(dask) as client:
        options.say_who_works(client, dask)
        yield partial(records, client, files)


def _work(files: Files, processes: int) -> Callable[[Job], Record]:
    return partial(run_files, files=files, threads=max(1, cores() // processes))


def _print(made: Sweep) -> None:
    """A line for each job: what is special of its scheme, and its figures."""
    names = varied([row.job.scheme for row in made.settings if row.job.scheme is not None])
    heads = ("setting", "correct>", "images>", "top-1>", "95 % interval>", "replaced>", "clipped>", "error")
    console.show_table(console.table(heads, _rows(made, names)))


def _rows(made: Sweep, names: Sequence[str]) -> Iterator[tuple[object, ...]]:
    for row, told in zip(made.rows, columns(made.rows), strict=True):
        name = FLOAT if row.job.scheme is None else label(row.job.scheme, names)
        if not row.done:
            yield name, *[None] * 6, row.error
            continue
        interval = f"{_percent(told['top1_low'])} to {_percent(told['top1_high'])}"
        replaced, clipped = told["multiplications_replaced"], told["saturated"]
        yield (
            name,
            told["correct"],
            told["count"],
            _percent(told["top1"]),
            interval,
            None if replaced is None else _percent(replaced),
            None if row.job.scheme is None else clipped,
            None,
        )


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
