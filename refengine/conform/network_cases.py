"""Cases of whole networks: model files that must be accepted, images, and the logits that come out (contract L, P)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..engine.run import run
from ..runs.digest import stages_of
from .answers import Answer
from .case import Case
from .small_networks import Small, small_networks

GROUP = "network"


def network_cases(more: int) -> Iterator[Case]:
    """Each small network on all of its images, then on its last three alone, by their numbers (R5, P1)."""
    for number, small in enumerate(small_networks()):
        name = file_of(number)
        for first in (0, len(small.images) - 3):
            clauses = (
                "L1",
                "L2",
                "L3",
                "P1",
                "P2",
                "V4",
                "N3",
                *(("D5", "D6") if any(small.network.dynamic.values()) else ()),
            )
            why = f"{small.network.name}, images from {first}"
            yield Case(GROUP, clauses, why, {"model": name, "first_image": first}, {"images": small.images[first:]})


def file_of(number: int) -> str:
    """What the model file of a small network is called in the suite: they are the first."""
    return f"models/{number:04d}.h5"


def network_of(case: Case) -> Small:
    """The network of a case, and its images."""
    (small,) = (one for number, one in enumerate(small_networks()) if file_of(number) == case.parameters["model"])
    return Small(small.network, case.inputs["images"])


def network_answer(case: Case, backend: str = "reference") -> Answer:
    """The model's hash, the logits, the classes in falling order, and what each layer ends in."""
    small, found = network_of(case), {}

    def observe(layer: object, operands: object, result: object) -> None:
        for stage, array in stages_of(layer, result):  # type: ignore[arg-type]
            found[f"{layer.name}.{stage}"] = array.copy()  # type: ignore[attr-defined]

    logits = run(small.network, small.images, backend, observe, case.parameters["first_image"])
    classes = np.argsort(-logits.astype(np.int64), axis=1, kind="stable").astype(np.int64)
    digest = np.frombuffer(bytes.fromhex(small.network.hash), np.uint8)
    return {"hash": digest, "logits": logits, "classes": classes, **found}
