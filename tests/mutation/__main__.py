"""``PYTHONPATH=tests python -m mutation MODEL.h5 IMAGES.h5``: put mistakes into a network's layers, one at a time.

It counts which of them ``refengine compare`` finds, and which it names.
"""

import click

from refengine.cli import console, options
from refengine.cli.main import failures_in_one_line
from refengine.errors import RangeError


class Command(click.Command):
    """A command that ends as refengine's verbs do."""

    def invoke(self, ctx: click.Context) -> object:
        with failures_in_one_line():
            return super().invoke(ctx)


@click.command("mutation", cls=Command)
@click.argument("model", metavar="MODEL.h5")
@click.argument("images", metavar="IMAGES.h5")
@options.first
@click.option("--count", type=options.POSITIVE, default=4, show_default=True, metavar="N", help="How many images.")
@click.option(
    "--layer",
    "patterns",
    multiple=True,
    metavar="PATTERN",
    help="Only in layers of this name or shell pattern. [repeat]",
)
@click.option("--fault", "chosen", multiple=True, metavar="NAME", help="Only this fault.  [repeat]")
@click.option(
    "--layers",
    type=options.POSITIVE,
    default=2,
    show_default=True,
    metavar="N",
    help="Layers that each fault is tried in.",
)
@options.json_file
def command(model, images, first, count, patterns, chosen, layers, json_path) -> None:
    """Put faults of hardware into layers of a network, one at a time, and see 'refengine compare' find and name them.

    A fault's result runs on through the rest of the network.  Found: the comparison fails; its first layer and first
    element are the true ones; that layer alone is faulty.  Named: its cause is a true name of the fault, or one of
    several that these images cannot tell apart.  Exit code 1 if a fault is missed or a wrong cause is called certain.
    """
    from mutation.fault_table import fault_table
    from mutation.faults import FAULTS
    from refengine.golden.diagnose.cause import diagnose
    from refengine.network.images import chosen_images, open_images
    from refengine.network.int_file import read_int_network
    from refengine.runs.trace import choose_layers

    inputs = [model, images]
    console.check_outputs(inputs, json_path)
    for name in chosen:
        if name not in FAULTS:
            raise RangeError(f"fault {name!r} is unknown; available: {', '.join(FAULTS)}")
    network = read_int_network(model)
    names = [layer.name for layer in choose_layers(network, patterns or None)]
    with open_images(images, labels_required=False) as file:
        numbers = chosen_images(file.count, first, count, images)
        pixels = file.read(numbers.start, numbers.stop)
    with console.progress("faults") as show:
        table = fault_table(
            network,
            pixels,
            diagnose,
            layers=names,
            faults=[FAULTS[name] for name in dict.fromkeys(chosen)] or None,
            layers_a_fault=layers,
            first_image=first,
            progress=show,
        )
    if not table.trials:
        raise RangeError(f"{', '.join(table.unseen)}: no layer chosen and no image shows any of these faults")
    figures = {"model_hash": network.hash, "first": first, "count": len(pixels), **_figures(table)}
    if not console.write_json(json_path, "faults", figures, inputs):
        _print(figures)
    if figures["detected"] < figures["trials"] or figures["element_right"] < figures["trials"]:
        raise SystemExit(1)
    if figures["certain_but_wrong"]:
        raise SystemExit(1)


def _figures(table) -> dict:
    from mutation.faults import FAULTS

    counted = ("detected", "layer_right", "element_right", "alone", "certain_but_wrong")
    return {
        "kinds": len(table.kinds),
        "trials": len(table.trials),
        **{name: sum(getattr(trial, name) for trial in table.trials) for name in counted},
        "nameable": len(table.nameable),
        "named": sum(trial.named == "right" for trial in table.nameable),
        "certain": sum(trial.certain for trial in table.nameable if trial.named == "right"),
        "unseen": [*table.unseen],
        "faults": [
            {
                "name": name,
                "sentence": FAULTS[name].sentence,
                "names": [*FAULTS[name].names],
                "trials": [_trial(trial) for trial in table.of(name)],
            }
            for name in table.kinds
        ],
    }


def _trial(trial) -> dict:
    figures = {key: value for key, value in vars(trial).items() if key != "fault"}
    return {**figures, "certain_but_wrong": trial.certain_but_wrong}


_HEADS = ("fault", "what is wrong", "layers>", "found>", "exact>", "alone>", "named>", "certain>", "said")


def _print(figures: dict) -> None:
    console.show_table(console.table(_HEADS, map(_row, figures["faults"])))
    for name in figures["unseen"]:
        console.say(f"not tried: {name} changes nothing in these layers and images, or cannot happen to them")
    trials, nameable = figures["trials"], figures["nameable"]
    console.say(f"{_counted(figures['kinds'], 'kind')} of faults, {_counted(trials, 'trial')}")
    for key, what in (
        ("detected", "detected"),
        ("layer_right", "first layer exact"),
        ("element_right", "first element exact"),
        ("alone", "that layer alone faulty"),
    ):
        console.say(f"{what}: {_share(figures[key], trials)}")
    known = f"{_counted(nameable, 'trial')} of kinds that have a name"
    console.say(
        f"cause named right: {_share(figures['named'], nameable)} ({known}), {figures['certain']} with certainty"
    )
    console.say(f"a wrong cause called certain: {figures['certain_but_wrong']}")


def _row(fault: dict) -> list[object]:
    trials = fault["trials"]
    said = list(dict.fromkeys(trial["cause"] or "nothing" for trial in trials))

    def count(key: str) -> int:
        return sum(trial[key] for trial in trials)

    named = sum(trial["named"] == "right" for trial in trials) if fault["names"] else None
    cells = [fault["name"], fault["sentence"], len(trials), count("detected"), count("element_right"), count("alone")]
    return [*cells, named, count("certain"), ", ".join(said)]


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole}" + (f", {part / whole:.1%}" if whole else "")


if __name__ == "__main__":
    command.main(prog_name="python -m mutation")
