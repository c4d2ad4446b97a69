"""Work shared out to processes, each started afresh: one task at a time, and a death costs no more than its task.

The processes inherit nothing but their arguments (``spawn``), so a program that calls this needs the usual guard
``if __name__ == "__main__"``.  They end with their parent however it ends, ignore Ctrl-C, which is the parent's to
act on, and compute with one thread in the linear algebra, so that no float depends on how many of them there are.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from ..errors import RangeError, RefengineError

Task = TypeVar("Task")
Answer = TypeVar("Answer")

_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Failure:
    """Why a task was not done: what it refused, or how its process ended."""

    reason: str


@dataclass(eq=False)
class _Worker(Generic[Task]):
    """A process, the pipe to it, and the task it is at."""

    process: Any
    pipe: Connection
    task: Task


def answers(
    tasks: Iterable[Task], work: Callable[[Task], Answer], processes: int
) -> Iterator[tuple[Task, Answer | Failure]]:
    """Yield each task and what ``work`` made of it, as they are done; both travel by pickle.

    A RefengineError, a lack of memory and the death of a process are a Failure of that task alone.  RangeError unless
    there is at least one process.
    """
    if processes < 1:
        raise RangeError(f"work is spread over {processes} processes, needed at least 1")
    waiting, busy = iter(tasks), list[_Worker[Task]]()
    try:
        for _, task in zip(range(processes), waiting, strict=False):
            busy.append(_started(work, task))
        while busy:
            ready = wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in ready]:
                task, answer, alive = _finished(worker)
                following = next(waiting, None)
                if following is None or not alive:
                    busy.remove(worker)
                    _end(worker)
                if following is not None:
                    if alive:
                        _hand_over(worker, following)
                    else:
                        busy.append(_started(work, following))
                yield task, answer
    finally:
        for worker in busy:
            _end(worker)


def _started(work: Callable[[Task], Any], task: Task) -> _Worker[Task]:
    ours, theirs = _SPAWN.Pipe()
    process = _SPAWN.Process(target=_serve, args=(theirs, work), daemon=True)
    with _one_thread_each():
        process.start()
    theirs.close()
    worker = _Worker(process, ours, task)
    _hand_over(worker, task)
    return worker


def _hand_over(worker: _Worker[Task], task: Task) -> None:
    worker.task = task
    with suppress(OSError):  # it is dead, which is noticed when its answer is read
        worker.pipe.send(task)


def _finished(worker: _Worker[Task]) -> tuple[Task, Any, bool]:
    """The task, its answer, and whether the process lives to do another."""
    try:
        return worker.task, worker.pipe.recv(), True
    except (EOFError, OSError):
        worker.process.join()
        reason = f"the process that did it ended with exit code {worker.process.exitcode}"
        return worker.task, Failure(reason), False


def _end(worker: _Worker[Any]) -> None:
    worker.pipe.close()
    worker.process.terminate()
    worker.process.join()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Environment in which a process is started whose linear algebra has one thread."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


# ----------------------------------------------------------------------------------------------------- in the process


def _serve(pipe: Connection, work: Callable[[Any], Any]) -> None:
    """Answer one task after the other, until there is nobody to answer."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    while True:
        try:
            pipe.send(_answer(work, pipe.recv()))
        except (EOFError, OSError):
            return


def _answer(work: Callable[[Any], Any], task: Any) -> Any:
    try:
        return work(task)
    except RefengineError as error:
        return Failure(str(error))
    except MemoryError:
        return Failure("there is not enough memory")


def _end_with_parent() -> None:
    """Stop at once when the parent is gone, even in the middle of a task."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
