"""A common interface to the backends, ready to be called for one batch after the other from several threads."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue

import numpy as np

from ..engine.events import Events
from ..engine.run import BACKENDS as SLOW_BACKENDS
from ..engine.run import Observer, Result, run
from ..errors import RangeError
from ..network.int_network import IntLayer, IntNetwork

BACKENDS = ("fast", *SLOW_BACKENDS)


@dataclass(frozen=True, eq=False)
class Prediction:
    """Logits int32 (N, classes), and the events of every layer that accumulates, where they were asked for."""

    logits: np.ndarray
    events: Mapping[str, Events]


Predictor = Callable[[np.ndarray, int, Observer | None], Prediction]


def predictor(
    network: IntNetwork,
    backend: str,
    batch: int,
    *,
    threads: int = 1,
    observed: Sequence[str] = (),
    counted: bool = False,
) -> Predictor:
    """A function of uint8 images (N, H, W, C), N <= ``batch``, the first one's number in the run, and an observer.

    The observer, or None, sees the layers named by ``observed``, in order.  ``fast`` compiles the network into plans,
    one for each thread that calls at the same time, in each of which ``threads`` share the work; the others, and what
    computes dynamic exponents (``backend_for``), are ``engine.run``.  All give the same bits and the same counts.
    RangeError for an unknown backend.
    """
    backend = backend_for(network, backend)
    if backend == "fast":
        return _planned(network, batch, threads, observed, counted)
    return _by_run(network, backend, frozenset(observed), counted)


def backend_for(network: IntNetwork, backend: str) -> str:
    """The backend that computes, for reports: ``kernels`` in place of ``fast`` where an exponent is dynamic.

    RangeError for an unknown backend.
    """
    if backend not in BACKENDS:
        raise RangeError(f"backend {backend!r} is unknown; available: {', '.join(BACKENDS)}")
    return "kernels" if backend == "fast" and any(network.dynamic.values()) else backend


def images_a_batch(images: int, threads: int, most: int) -> int:
    """Images a batch such that no thread stands idle while another has several.

    >>> images_a_batch(10, 4, 64), images_a_batch(1000, 2, 64), images_a_batch(1, 2, 64)
    (3, 64, 1)
    """
    return min(most, max(1, -(-images // max(1, threads))))


def _planned(network: IntNetwork, batch: int, threads: int, observed: Sequence[str], counted: bool) -> Predictor:
    from ..engine.fast.plan import Plan  # here, because it loads the compiler

    idle: SimpleQueue[Plan] = SimpleQueue()

    def predict(images: np.ndarray, first_image: int, observe: Observer | None = None) -> Prediction:
        try:
            plan = idle.get_nowait()
        except Empty:
            plan = Plan(network, batch, threads=threads, observed=observed, counted=counted)
        logits = plan.run(images, first_image, observe)
        prediction = Prediction(logits, plan.events() if counted else {})
        idle.put(plan)
        return prediction

    return predict


def _by_run(network: IntNetwork, backend: str, observed: frozenset[str], counted: bool) -> Predictor:
    def predict(images: np.ndarray, first_image: int, observe: Observer | None = None) -> Prediction:
        events: dict[str, Events] = {}

        def see(layer: IntLayer, operands: Sequence[np.ndarray], result: Result) -> None:
            if counted and result.accumulator is not None:
                events[layer.name] = Events(result.result.size, *result.saturated, result.overflowed)
            if observe is not None and layer.name in observed:
                observe(layer, operands, result)

        return Prediction(run(network, images, backend, see, first_image), events)

    return predict
