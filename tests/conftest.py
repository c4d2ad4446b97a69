"""Hypothesis profiles, chosen by HYPOTHESIS_PROFILE=...:

    quick      the default: the same 10 examples every time
    ci         the same 25 examples every time
    thorough   1000 new examples

No deadlines and no complaints about slowness: the first example of a kernel compiles it, and the machine may be busy.

SIGINT ends the run after the test that it met: a test may call code that turns KeyboardInterrupt into an exit code.
"""

import gc
import os
import signal
import threading

from hypothesis import HealthCheck, settings

# tests run side by side: threads of linear algebra that wait for each other would keep the others' cores busy
for library in ("OPENBLAS", "MKL", "BLIS"):
    os.environ.setdefault(f"{library}_NUM_THREADS", "1")

collect_ignore = ["extended_package.py"]  # a program for a package that test_extending.py extends

ALWAYS = {"deadline": None, "print_blob": True, "suppress_health_check": [HealthCheck.too_slow]}

settings.register_profile("quick", derandomize=True, max_examples=10, **ALWAYS)
settings.register_profile("ci", derandomize=True, max_examples=25, **ALWAYS)
settings.register_profile("thorough", max_examples=1000, **ALWAYS)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_collection_finish():
    """Thousands of tests stay to the end: Python's collector of garbage need not look at them each time."""
    gc.freeze()


def pytest_sessionstart(session):
    """Let the first Ctrl-C end the run, whoever catches its KeyboardInterrupt."""
    if threading.current_thread() is not threading.main_thread():
        return

    def stop(number, frame):
        session.shouldstop = "interrupted"
        signal.default_int_handler(number, frame)

    # a job in the background was started with SIGINT ignored, and so would be the processes that tests start
    signal.signal(signal.SIGINT, stop)
