"""Jobs and images shared out to a Dask cluster, whose machines need nothing of this one but refengine itself.

``client`` is a ``distributed.Client``.  What the tasks read travels as bytes, once to each worker that needs it: no
disk is shared.  It travels as the result of a task of its own, not by ``scatter``: what was scattered is gone with the
worker that held it, while the result of a task is made again.  Figures are integer counters of fixed shares, added in
order, so they depend neither on how many workers there are nor on which of them die.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from .. import CONTRACT, __version__
from ..errors import RefengineError
from ..network.float_file import read_float_network
from ..network.float_network import FloatNetwork
from ..network.int_file import read_int_network
from ..network.int_network import IntNetwork
from ..runs.predict import Predictor, predictor
from .evaluate import Batch, Counting, Counts, count_batch, fitted
from .jobs import Files, Job, Record, content_of, run_content, unpacked
from .processes import Failure

_AHEAD = 2  # tasks for each thread of the cluster that are sent before an answer is back
_GONE = "the Dask scheduler is gone"
_PATIENCE = 1.0  # seconds between looks whether the scheduler is still there

Program = tuple[str, int]
Networks = tuple[bytes, bytes | None]
PROGRAM: Program = (__version__, CONTRACT)


def records(client: Any, files: Files, jobs: Iterable[Job]) -> Iterator[tuple[Job, Record | Failure]]:
    """Yield each job with its record, as the workers finish them; jobs have the same files and counts.

    A job is asked for when there is a worker for it soon.  RefengineError where the scheduler is lost.
    """
    yield from shared(client, jobs, partial(content_of, files), run_content)


def shared(
    client: Any, jobs: Iterable[Any], content_for: Callable[[Any], Any], work: Callable[[Any, Any], Any]
) -> Iterator[tuple[Any, Any]]:
    """Yield each job with what ``work`` made of it on some worker, from the content that ``content_for`` the first is.

    The content is asked for where there is a job.  RefengineError where the scheduler is lost.
    """
    waiting = iter(jobs)
    first = next(waiting, None)
    if first is None:
        return
    content = _sent(client, content_for(first))
    calls = ((job, (job, content)) for job in chain([first], waiting))
    yield from _answers(client, calls, partial(_worked, PROGRAM, work))


def counting(client: Any, model: str, float_network: str | None, backend: str) -> Counting:
    """Counts batches of images on the cluster, for ``evaluate``: the networks are those of the two files.

    RefengineError where the scheduler is lost or a worker refuses.
    """
    networks = Path(model).read_bytes(), None if float_network is None else Path(float_network).read_bytes()

    def count(batches: Iterable[Batch]) -> Iterator[Counts]:
        content = _sent(client, networks)
        calls = ((batch[0], (batch, content)) for batch in batches)
        early: dict[int, Counts] = {}
        following = 0
        for first, counts in _answers(client, calls, partial(_counts, PROGRAM, backend)):
            if isinstance(counts, Failure):
                raise RefengineError(f"images from {first} on were not counted: {counts.reason}")
            early[first] = counts
            while following in early:
                yield (ready := early.pop(following))
                following += ready.count

    return count


# -------------------------------------------------------------------------------------------------------------- client


def _sent(client: Any, content: Any) -> Any:
    """A future of the content, for tasks to read."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is large: it is sent once, on purpose
        return client.submit(_same, content, pure=False)


def _answers(
    client: Any, calls: Iterable[tuple[Any, tuple[Any, ...]]], work: Callable[..., Any]
) -> Iterator[tuple[Any, Any]]:
    """Yield the name of each call and its answer or Failure; no more are on the way than keep the workers busy."""
    finished: SimpleQueue[Any] = SimpleQueue()
    waiting = iter(calls)
    names: dict[Any, Any] = {}
    try:
        while True:
            while len(names) < _AHEAD * (1 + _threads(client)):
                name, arguments = next(waiting, (None, None))
                if arguments is None:
                    break
                future = client.submit(work, *arguments, pure=False)
                names[future] = name
                future.add_done_callback(finished.put)
            if not names:
                return
            future = _next(client, finished)
            yield names.pop(future), _answer(future)
    finally:
        with suppress(OSError, RuntimeError):  # where the scheduler is gone, so are its tasks
            client.cancel([*names])


def _threads(client: Any) -> int:
    """How many threads all workers have together; RefengineError where the scheduler is gone."""
    try:
        return sum(client.nthreads().values())
    except (OSError, RuntimeError):
        raise RefengineError(_GONE) from None


def _next(client: Any, finished: SimpleQueue[Any]) -> Any:
    """The next future that is done; RefengineError where none will be."""
    while True:
        try:
            return finished.get(timeout=_PATIENCE)
        except Empty:
            if client.status not in ("running", "connecting"):
                raise RefengineError(_GONE) from None


def _answer(future: Any) -> Any:
    if future.status == "finished":
        return future.result()
    if future.status == "error":
        error = future.exception()
        return Failure(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
    return Failure(f"the cluster gave it up ({future.status})")


# ----------------------------------------------------------------------------------------------------------- on workers


def _same(content: Any) -> Any:
    return content


def _worked(program: Program, work: Callable[[Any, Any], Any], job: Any, content: Any) -> Any:
    try:
        _check(program)
        return work(job, content)
    except RefengineError as error:
        return Failure(str(error))


def _counts(program: Program, backend: str, batch: Batch, networks: Networks) -> Counts | Failure:
    try:
        _check(program)
        network, real, predict = _ready(networks, backend, len(batch[1]))
        return count_batch(network, real, batch, predict)
    except RefengineError as error:
        return Failure(str(error))


@lru_cache(maxsize=2)
def _ready(networks: Networks, backend: str, size: int) -> tuple[IntNetwork, FloatNetwork | None, Predictor]:
    """The networks of two files' contents, ready for batches of this size; kept for the batches that follow."""
    with unpacked(networks[0]) as path:
        network = read_int_network(path)
    predict = predictor(network, backend, size, counted=True)
    if networks[1] is None:
        return network, None, predict
    with unpacked(networks[1]) as path:
        return network, fitted(read_float_network(path), network), predict


def _check(program: Program) -> None:
    """RefengineError where a worker runs another version than the one that asks."""
    if program != PROGRAM:
        raise RefengineError(
            f"a worker has refengine {PROGRAM[0]}, contract {PROGRAM[1]}; needed {program[0]}, contract {program[1]}"
        )
