"""Logits by any backend, ready to be called for one batch after the other from several threads."""

from collections.abc import Callable
from queue import Empty, SimpleQueue

import numpy as np

from ..errors import RangeError
from ..network.int_network import IntNetwork
from .run import BACKENDS, run

PREDICTORS = (*BACKENDS, "fast")

Predictor = Callable[[np.ndarray, int], np.ndarray]


def predictor(network: IntNetwork, backend: str, batch: int) -> Predictor:
    """A function of uint8 images (N, H, W, C), N <= ``batch``, and the first one's number in the run: logits int32.

    ``fast`` compiles the network into plans, one for each thread that calls at the same time; the others are
    ``engine.run``.  All give the same bits.  RangeError for an unknown backend.
    """
    if backend not in PREDICTORS:
        raise RangeError(f"backend {backend!r} is unknown; available: {', '.join(PREDICTORS)}")
    if backend != "fast":
        return lambda images, first_image: run(network, images, backend, first_image=first_image)
    from .plan import Plan  # here, because it loads the compiler

    idle: SimpleQueue[Plan] = SimpleQueue()

    def predict(images: np.ndarray, first_image: int) -> np.ndarray:
        try:
            plan = idle.get_nowait()
        except Empty:
            plan = Plan(network, batch)
        logits = plan.run(images, first_image)
        idle.put(plan)
        return logits

    return predict
