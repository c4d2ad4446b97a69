"""A signal is not lost, and a verb that gets one leaves one line and no file."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from everyday import everyday

from refengine.cli import signals

ROOT = Path(__file__).parents[2]


@pytest.fixture
def listening():
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signals.listen()
    yield
    signals._received.clear()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_dropped_exception_is_raised_at_the_next_check(listening, number):
    signals.check()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    with pytest.raises(KeyboardInterrupt):
        signals.check()
    assert signals.exit_code() == 128 + number


@pytest.mark.parametrize("number", everyday([signal.SIGINT, signal.SIGTERM], 2))
def test_a_trace_that_is_stopped(tmp_path, number):
    weights = ROOT / "weights"
    quantize = ["quantize", weights / "resnet20-fashion.h5", "--calibration", weights / "fashion-calibration-1000.h5"]
    command = [sys.executable, "-m", "refengine"]
    model = tmp_path / "model.h5"
    less = ["--calibration-images", "16", "--method", "paper"]
    subprocess.run([*command, *quantize, *less, "-o", model], cwd=ROOT, check=True)
    images = weights / "fashion-test-10000.h5"
    trace = [*command, "trace", model, images, "--count", "5000", "-o", tmp_path / "trace.h5"]
    done = subprocess.Popen(trace, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    wait_for_part(tmp_path)
    os.kill(done.pid, number)
    errors = done.communicate(timeout=120)[1]
    assert done.returncode == 128 + number
    assert [line for line in errors.splitlines() if "error" in line] == ["refengine: error: interrupted"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.h5"]


def wait_for_part(folder):
    for _ in range(600):
        if len(list(folder.iterdir())) > 1:
            return
        time.sleep(0.1)
    pytest.fail("the trace was never begun")


@pytest.mark.parametrize(
    "moment", ["import click", "import refengine.cli.main", "verb", "exec", "another error", "end"]
)
def test_a_signal_at_any_moment_after_the_first_line_gives_143(tmp_path, moment):
    """While modules are imported, in a verb, where a KeyboardInterrupt crosses an exec, where something makes another
    error of it, and when all is done."""
    hit = "os.kill(os.getpid(), signal.SIGTERM)"
    code = {
        "import click": "import builtins\nreal = builtins.__import__\n"
        f"def imported(name, *a, **k):\n    if name == 'click': {hit}\n    return real(name, *a, **k)\n"
        "builtins.__import__ = imported\n",
        "import refengine.cli.main": "import builtins\nreal = builtins.__import__\n"
        f"def imported(name, *a, **k):\n    if name == 'cli.main': {hit}\n    return real(name, *a, **k)\n"
        "builtins.__import__ = imported\n",
        "verb": f"import refengine.cli.inspect as verb\nverb.open_checked = lambda *_: {hit}\n",
        "exec": f"import refengine.cli.inspect as verb\nverb.open_checked = lambda *_: exec({hit!r})\n",
        "another error": "import refengine.cli.inspect as verb\nfrom refengine.errors import FileError\n"
        f"def opened(*_):\n    try:\n        {hit}\n    except KeyboardInterrupt:\n        raise FileError('lost')\n"
        "verb.open_checked = opened\n",
        "end": f"import refengine.cli.main as cli\nreal = cli._written\ncli._written = lambda c: ({hit}, real(c))[1]\n",
    }[moment]
    program = f"import os, signal, sys\n{code}from refengine.__main__ import main\nmain()\n"
    command = [sys.executable, "-c", program, "inspect", "missing.h5"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    expected = (2, "missing.h5") if moment == "end" else (143, "interrupted")
    assert done.returncode == expected[0], done.stderr
    assert expected[1] in done.stderr
    assert done.stderr.count("\n") == 1
