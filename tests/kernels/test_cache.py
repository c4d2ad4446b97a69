"""The cache of compiled kernels: keyed by what they are made from, and done without where it cannot be written."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from refengine import kernels

ROOT = Path(__file__).parents[2]
RUN = """
import numpy as np
from refengine.kernels.turns import COUNTERS, take
counters = np.full(COUNTERS, 5)
print(take(counters.ctypes.data))
"""


def run_with(folder):
    environment = {**os.environ, kernels.FOLDER_OPTION: str(folder)}
    return subprocess.run([sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, cwd=ROOT)


def test_kernels_are_kept_under_the_key(tmp_path, monkeypatch):
    monkeypatch.setenv(kernels.FOLDER_OPTION, str(tmp_path))
    assert run_with(tmp_path).stdout == "5\n"
    assert list(kernels.cache_folder().rglob("*.nbi"))


def test_another_source_is_another_key(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text("x = 1\n")
    monkeypatch.setattr(kernels, "__file__", str(tmp_path / "__init__.py"))
    before = kernels.cache_folder()
    (tmp_path / "b.py").write_text("x = 2\n")
    assert kernels.cache_folder() != before


@pytest.mark.parametrize("place", ["file", "missing"])
def test_a_folder_that_cannot_be_written_costs_time_alone(tmp_path, place):
    blocked = tmp_path / "file"
    blocked.write_text("")
    done = run_with(blocked if place == "file" else blocked / "below")
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr[-1500:]


def test_a_full_disk_costs_time_alone(tmp_path):
    resource = pytest.importorskip("resource")
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    environment = {**os.environ, kernels.FOLDER_OPTION: str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2048, hard)),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr[-1500:]


@pytest.mark.parametrize("ending", ["nbi", "nbc"])
def test_a_damaged_kernel_is_compiled_again(tmp_path, ending):
    assert run_with(tmp_path).stdout == "5\n"
    kept = list(tmp_path.rglob(f"*take*.{ending}"))
    assert kept
    for file in kept:
        file.write_bytes(file.read_bytes()[:100])
    done = run_with(tmp_path)
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr[-1500:]
