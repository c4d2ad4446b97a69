"""``refengine report``: the results of a sweep as one page that needs neither a network nor a script."""

from pathlib import Path

import click

from ..accuracy.report import page
from ..accuracy.results import PLAN, Sweep, columns, read_sweep
from ..optional import package
from . import console, options

EXTRA = 'pip install "refengine[report]"'


@click.command("report")
@click.argument("folder", metavar="DIR")
@click.option("-o", "--output", metavar="FILE.html", help="Where to write the page.  [default: DIR/report.html]")
@options.json_file
def command(folder: str, output: str | None, json_path: str | None) -> None:
    """Write the results of a sweep as one HTML page.

    The page shows accuracy by cluster size and by cost, the noise of every layer, and a table of all jobs.  It can be
    written while the sweep runs, and then shows the jobs that are done.
    """
    made = read_sweep(Path(folder))
    path = Path(folder) / "report.html" if output is None else Path(output)
    inputs = [str(Path(folder) / PLAN)]
    console.check_outputs(inputs, json_path, str(path))
    write_report(made, path)
    if not console.write_json(json_path, "report", {"jobs": [*columns(made.rows)]}, inputs):
        console.say(f"{path}: {sum(row.done for row in made.rows)} of {len(made.rows)} jobs")
    if damaged := sum(row.failure is not None for row in made.rows):
        console.complain(
            f"{damaged} of {len(made.rows)} results are damaged; the next 'refengine sweep' does them again"
        )
    if made.apart:
        console.complain(
            f"{folder} has {made.apart} more results, of other files, counts or versions, or damaged: not shown"
        )


def write_report(made: Sweep, path: Path) -> None:
    """Draw and write the page; RefengineError where matplotlib is missing, FileError where it cannot be written."""
    package("matplotlib.figure", EXTRA)
    html = page(made, package("matplotlib", EXTRA))
    console.write_file(str(path), html.encode(), [str(path.parent / PLAN)])
