"""``refengine search``: each layer's format and cluster size, by measured sensitivities and an exact solver."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..accuracy.choices import COSTS, EXTRA
from ..accuracy.dask_cluster import connected
from ..accuracy.dask_jobs import shared
from ..accuracy.processes import answers
from ..accuracy.search import (
    USUAL_TRIALS,
    Search,
    Share,
    Tried,
    budget_of,
    pareto,
    prepare,
    uniform,
    within_cost,
    within_points,
)
from ..accuracy.search_jobs import SearchJob, Sources, material, run_material, run_sources, weights_of
from ..accuracy.search_report import page
from ..api.quantize import quantize
from ..network.batches import cores
from ..network.int_file import write_int_network
from ..optional import installed, package
from ..quantization.plan import plan_text
from . import console, options

PLAN, MODEL, REPORT = "plan.json", "model.h5", "report.html"
UNIFORM = ("ternary:4", "ternary:16", "ternary:64", "int4:4")


@click.command("search")
@click.argument("network", metavar="NET.h5")
@click.option(
    "--calibration", required=True, metavar="IMAGES.h5", help="Images to calibrate on and to judge by; without labels."
)
@click.option("-o", "--output", required=True, metavar="DIR", help="Folder of the results.")
@click.option(
    "--budget",
    default="points=1.0",
    show_default=True,
    metavar="KIND=NUMBER",
    help="points (of accuracy, lost at most), replaced (share of multiplications, at least), energy (share of int8's, "
    "at most) or bytes (of constants, at most).",
)
@click.option(
    "--cost",
    type=click.Choice(COSTS),
    default=COSTS[0],
    show_default=True,
    help="What is least for a budget of points.",
)
@click.option(
    "--trials",
    type=options.POSITIVE,
    default=USUAL_TRIALS,
    show_default=True,
    metavar="N",
    help="How many plans are quantized at most to meet a budget of points.",
)
@click.option("--uniform", "beside", is_flag=True, help="Measure settings that are the same for all layers too.")
@options.calibration_images
@options.jobs("How many layers or plans at a time, each in a process of its own.  Changes no number.")
@options.dask
@options.json_file
def command(
    network: str,
    calibration: str,
    output: str,
    budget: str,
    cost: str,
    trials: int,
    beside: bool,
    calibration_images: int | None,
    processes: int,
    dask: str | None,
    json_path: str | None,
) -> None:
    """Choose the weight format and cluster size of each layer within a budget.

    A third of the images, 512 at most, is held out of calibration and judges how far plans are from the float network;
    labels are not used.  DIR gets plan.json, model.h5, which 'quantize --plan' makes again, and, with matplotlib,
    report.html.  A search that was stopped continues when it is called again, also with another budget.
    """
    inputs = [network, calibration]
    console.check_outputs(inputs, json_path)
    wanted = budget_of(budget)
    package("scipy.optimize", EXTRA)
    folder = Path(output)
    sources = Sources(network, calibration)
    with _share(sources, processes, dask) as share, console.progress("search") as show:
        search = prepare(folder, sources, share, calibration_images, show, console.complain)
        if beside:
            plans = [(f"all {text}", uniform(search.problem, weights_of(text))) for text in UNIFORM]
            search.try_plans(plans)
        if wanted.kind == "points":
            chosen = within_points(search, wanted.value, cost, trials)
        else:
            chosen = within_cost(search, wanted)
        console.write_file(str(folder / PLAN), plan_text(chosen.plan).encode(), inputs)
        show(0, 1, "the chosen plan")
        model = quantize(
            network, calibration, plan=chosen.plan, calibration_images=calibration_images, warn=console.complain
        )
    write_int_network(model, folder / MODEL, inputs)
    figures = _figures(search, chosen, budget, model.hash)
    if not console.write_json(json_path, "search", figures, inputs):
        _print(search, chosen)
        console.say(f"{output}: {PLAN}, {MODEL} (model {model.hash})")
    if installed("matplotlib"):
        package("matplotlib.figure")
        html = page(search, chosen, wanted, package("matplotlib"))
        console.write_file(str(folder / REPORT), html.encode(), inputs)
    else:
        console.complain('no report.html, matplotlib is missing; needed: pip install "refengine[report]"')


@contextmanager
def _share(sources: Sources, processes: int, dask: str | None) -> Iterator[Share]:
    """Who does the jobs: processes on this machine, or a cluster."""
    if dask is None:
        work = partial(run_sources, sources=sources, threads=max(1, cores() // processes))
        yield partial(answers, work=work, processes=processes)
        return
    with connected(dask) as client:
        options.say_who_works(client, dask)

        def content(job: SearchJob) -> Any:
            return material(sources, job.given)

        yield partial(shared, client, content_for=content, work=run_material)


def _figures(search: Search, chosen: Tried, budget: str, model_hash: str) -> dict[str, Any]:
    """Everything, in types that JSON knows."""
    return {
        "budget": budget,
        "model_hash": model_hash,
        "given": vars(search.problem.given),
        "chosen": chosen.name,
        "points_by_kl": search.rate,
        "trials": [
            {
                "name": one.name,
                "estimated_points": search.points(one),
                "predicted": one.predicted,
                **vars(one.trial),
                "front": {cost: one in pareto(search, cost) for cost in COSTS},
                "layers": {name: str(weights) for name, weights in one.plan.layers},
            }
            for one in search.trials
        ],
        "layers": [
            {"name": name, **vars(found), "weights": str(weights)}
            for name, found, (_, weights) in zip(
                search.problem.names, search.problem.sensitivities, chosen.plan.layers, strict=True
            )
        ],
    }


def _print(search: Search, chosen: Tried) -> None:
    """A line for each plan that was tried."""
    heads = (
        "plan",
        "replaced>",
        "energy, uJ>",
        "constants, kB>",
        "points>",
        "points>",
        "other class>",
        "kl>",
    )
    rows = (
        (
            one.name + (" (chosen)" if one is chosen else ""),
            f"{100 * one.trial.replaced:.2f} %",
            f"{one.trial.picojoules / 1e6:.1f}",
            f"{one.trial.constant_bytes / 1e3:.1f}",
            f"{search.points(one):.2f}",
            f"{one.trial.points:.2f}",
            f"{one.trial.differing} of {one.trial.count}",
            f"{one.trial.kl:.5f}",
        )
        for one in sorted(search.trials, key=lambda one: one.trial.replaced)
    )
    console.show_table(console.table(heads, rows))
