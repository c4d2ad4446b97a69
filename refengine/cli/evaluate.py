"""``refengine evaluate``: how many labelled images an integer network gets right."""

from collections.abc import Iterator
from contextlib import contextmanager

import click

from ..accuracy.dask_cluster import connected
from ..accuracy.dask_jobs import counting
from ..accuracy.evaluate import Counting, Evaluation, wilson
from ..api.evaluate import evaluate
from ..network.float_file import read_float_network
from ..network.int_file import read_int_network
from . import console, options


@click.command("evaluate")
@click.argument("model", metavar="MODEL.h5")
@click.argument("images", metavar="IMAGES.h5")
@click.option("--float", "float_path", metavar="NET.h5", help="The float network, to be evaluated beside it.")
@click.option("--limit", type=options.POSITIVE, metavar="N", help="Only the first N images.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Exit with 1 if fewer of the images are right.",
)
@options.batch
@options.backend
@options.threads
@options.dask
@options.json_file
def command(
    model: str,
    images: str,
    float_path: str | None,
    limit: int | None,
    threshold: float | None,
    batch: int | None,
    backend: str,
    threads: int,
    dask: str | None,
    json_path: str | None,
) -> None:
    """Measure the accuracy of an integer network on labelled images.

    The report has top-1 and top-5 counts, and how many values were clipped.  Counts come with Wilson's 95 % interval,
    which says how far the share may be off for other images of the same kind.
    """
    inputs = [model, images, *([] if float_path is None else [float_path])]
    console.check_outputs(inputs, json_path)
    network = read_int_network(model)
    options.say_backend(network, backend)
    float_network = None if float_path is None else read_float_network(float_path)
    elsewhere = _elsewhere(dask, model, float_path, backend)
    with elsewhere as counted, console.progress("evaluate") as show:
        outcome = evaluate(
            network,
            images,
            float_network=float_network,
            backend=backend,
            batch=batch,
            threads=1 if dask else threads,
            limit=limit,
            progress=show,
            elsewhere=counted,
        )
    figures = {**outcome.as_json(), "threshold": threshold}
    if not console.write_json(json_path, "evaluate", figures, inputs):
        print_evaluation(outcome)
    if threshold is not None and outcome.correct * 100 < threshold * outcome.count:
        console.complain(f"top-1 is {_percent(outcome.top1)}, below the threshold of {threshold:g} %")
        click.get_current_context().exit(1)


@contextmanager
def _elsewhere(dask: str | None, model: str, float_path: str | None, backend: str) -> Iterator[Counting | None]:
    """Who counts the images: a cluster, or (None) this process."""
    if dask is None:
        yield None
        return
    with connected(dask) as client:
        options.say_who_works(client, dask)
        yield counting(client, model, float_path, backend)


def print_evaluation(outcome: Evaluation) -> None:
    """The figures of an evaluation, as a table and a line for each thing that was clipped."""
    console.say(f"model {outcome.model_hash}, contract {outcome.contract}, rounding {', '.join(outcome.rounding)}")
    console.show_table(console.table(("", "correct>", "images>", "share>", "95 % interval>"), _rows(outcome)))
    if outcome.agreeing is not None:
        console.say(
            f"same class as the float network: {outcome.agreeing} of {outcome.count}; "
            f"divergence from its probabilities (kl): {outcome.kl:.4f}"
        )
    found = outcome.paired
    if found is not None:
        low, high = found.interval
        console.say(
            f"integers less float, image by image: {100 * found.difference:+.2f} points, 95 % from {100 * low:+.2f} to "
            f"{100 * high:+.2f}; {found.first_only} right by integers alone, {found.second_only} by floats alone"
        )
    console.say(f"multiplications replaced by additions: {_percent(outcome.multiplications_replaced)}")
    if not outcome.layers:
        return
    values = sum(events.values for events in outcome.layers.values())
    console.say(f"of {values} values {outcome.saturated} were clipped to their format, {outcome.overflowed} overflowed")


def _rows(outcome: Evaluation) -> Iterator[tuple[object, ...]]:
    for name, correct in (
        ("integers top-1", outcome.correct),
        ("integers top-5", outcome.correct_top5),
        ("float top-1", outcome.float_correct),
        ("float top-5", outcome.float_correct_top5),
    ):
        if correct is not None:
            low, high = wilson(correct, outcome.count)
            share = _percent(correct / outcome.count)
            yield name, correct, outcome.count, share, f"{_percent(low)} to {_percent(high)}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"
