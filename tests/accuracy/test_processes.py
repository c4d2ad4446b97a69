"""Processes: every task answered once, whatever dies, and nobody left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from refengine.accuracy.processes import Failure, answers
from refengine.errors import RangeError, SchemeError

ROOT = Path(__file__).parents[2]


def work(task):
    """What a task says is done; in another process, so it has to stand in a module."""
    kind, number = task
    if kind == "square":
        return number**2
    if kind == "refuse":
        raise SchemeError(f"{number} is refused")
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "full":
        raise MemoryError
    if kind == "threads":
        return os.environ["OPENBLAS_NUM_THREADS"], os.environ["OMP_NUM_THREADS"]
    time.sleep(number)
    return None


@pytest.mark.parametrize("processes", [1, 3])
def test_every_task_is_answered_once(processes):
    tasks = [("square", number) for number in range(7)]
    found = list(answers(tasks, work, processes))
    assert sorted(found) == [(task, task[1] ** 2) for task in tasks]


def test_what_goes_wrong_costs_one_task():
    tasks = [("refuse", 1), ("die", 2), ("square", 3), ("full", 4), ("die", 5), ("threads", 6)]
    before = dict(os.environ)
    found = dict(answers(tasks, work, 1))
    assert found["square", 3] == 9
    assert found["threads", 6] == ("1", "1")
    assert found["refuse", 1] == Failure("1 is refused")
    assert found["full", 4] == Failure("there is not enough memory")
    assert found["die", 2] == found["die", 5] == Failure("the process that did it ended with exit code -9")
    assert dict(os.environ) == before


def test_nothing_to_do_starts_nothing():
    assert list(answers([], work, 5)) == []
    with pytest.raises(RangeError, match="0 processes"):
        list(answers([("square", 1)], work, 0))


def test_whoever_stops_asking_leaves_no_process():
    asked = answers([("square", 1), ("sleep", 100), ("sleep", 100)], work, 2)
    assert next(asked) == (("square", 1), 1)
    started = time.monotonic()
    asked.close()
    assert time.monotonic() - started < 60


PARENT = """
import sys
sys.path[:0] = {paths!r}
from test_processes import work
from refengine.accuracy.processes import answers
if __name__ == "__main__":
    for task, answer in answers([("square", 1), ("sleep", 600)], work, 1):
        print("answered", flush=True)
"""


def test_a_parent_that_is_killed_leaves_no_process(tmp_path):
    script = tmp_path / "parent.py"
    script.write_text(PARENT.format(paths=[str(ROOT), str(Path(__file__).parent)]))
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout.readline() == "answered\n"
    (child,) = [pid for pid in map(int, filter(str.isdecimal, os.listdir("/proc"))) if is_child(pid, parent.pid)]
    parent.kill()
    parent.communicate()
    for _ in range(600):
        if not is_running(child):
            return
        time.sleep(0.1)
    pytest.fail(f"process {child} outlives its parent")


def fields_of(pid):
    """State and parent of a process, as Linux tells."""
    try:
        state, parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[:2]
    except OSError:
        return "", 0
    return state, int(parent)


def is_child(pid, parent):
    """Whether it is the process that serves; the other one only counts shared resources."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return fields_of(pid)[1] == parent and b"spawn_main" in words


def is_running(pid):
    return fields_of(pid)[0] not in ("", "Z")
