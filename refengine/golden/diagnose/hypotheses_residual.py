"""Hypotheses about the residual: which codes are added in its place, and where.

``family=numbers`` as in ``golden/diagnose/hypotheses_numbers.py``: only numbers that give a few wrong values of the dump
become members, which must then reproduce everything.
"""

from collections.abc import Iterator
from dataclasses import replace

from .clues import Clues, Family, Fault, Numbers
from .hypotheses_widths import fitting
from .machine import Machine


def families() -> Iterator[Family]:
    """All of them."""
    yield Family(
        "residual_of_other_layer", "codes of another layer, which is found, are added for the residual", "residual",
        fitting(of_layer, _layers_before, "total"), "codes of layer number {} are added for the residual", of_layer,
    )  # fmt: skip


# -------------------------------------------------------------------------------------------------------- other codes


def of_layer(number: int) -> Fault:
    """The codes of the layer at that place of the network, where the case knows them, in the residual's shape."""

    def fault(machine: Machine) -> Machine | None:
        layers = machine.case.network.layers
        codes = machine.case.others.get(layers[number].name) if number < len(layers) else None
        if machine.residual is None or codes is None or codes.shape != machine.residual.shape:
            return None
        return replace(machine, residual=codes)

    return fault


def _layers_before(clues: Clues) -> list[Numbers]:
    """Layers that come before, because no other one has written anything; those that the layer reads have a name."""
    case = clues.machine.case
    read = {*case.layer.inputs, case.layer.residual}
    before = [layer.name for layer in case.network.layers[: case.position]]
    return [(number,) for number, name in enumerate(before) if name in case.others and name not in read]
