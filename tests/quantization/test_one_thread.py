"""Linear algebra with one thread: within blocks that overlap, and the same model whatever it was offered before."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from refengine.quantization import one_thread as module
from refengine.quantization.one_thread import one_thread

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture
def library(monkeypatch):
    """A library of linear algebra with 7 threads: the numbers that it was set to, the last one in use."""
    numbers = [7]
    monkeypatch.setattr(module, "_functions", lambda: (lambda: numbers[-1], numbers.append))
    return numbers


def test_one_thread_within_and_as_many_as_before_after(library):
    with one_thread():
        assert library[-1] == 1
        with one_thread():
            assert library[-1] == 1
        assert library[-1] == 1
    assert library == [7, 1, 7]


def test_an_error_gives_the_threads_back(library):
    with pytest.raises(ZeroDivisionError), one_thread():
        raise ZeroDivisionError
    assert library == [7, 1, 7]


def test_blocks_of_several_threads_may_overlap(library):
    """The first one ends while the second one still computes."""
    inside, leave = threading.Event(), threading.Event()

    def second():
        with one_thread():
            inside.set()
            leave.wait(10)

    other = threading.Thread(target=second)
    with one_thread():
        other.start()
        assert inside.wait(10)
    assert library[-1] == 1
    leave.set()
    other.join()
    assert library == [7, 1, 7]


def test_a_library_without_such_functions_is_left_alone(monkeypatch):
    monkeypatch.setattr(module, "_functions", lambda: None)
    with one_thread():
        pass


@pytest.mark.skipif(os.name != "posix", reason="not found by Windows' loader")
def test_numpy_s_own_library_is_asked():
    """In a process of its own, whose library starts with two threads."""
    code = (
        "from refengine.quantization import one_thread as module\n"
        "threads, _ = module._functions()\n"
        "before = threads()\n"
        "with module.one_thread():\n"
        "    print(before, threads())\n"
        "print(threads())\n"
    )
    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, "2"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    before, within, after = map(int, done.stdout.split())
    assert (within, after) == (1, before)
    if before == 1:
        pytest.skip("one core")
