"""A Dask cluster of processes on this machine: a scheduler, and workers that are started and killed at will."""

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


class Cluster:
    """A scheduler, known by its file."""

    def __init__(self, folder):
        self.folder, self.file = folder, folder / "scheduler.json"
        self.processes = []
        self.start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(self.file))
        self.address = json.loads(self.waited_for(self.file))["address"]

    def start(self, what, *options):
        """``dask scheduler`` or ``dask worker``, without a dashboard."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "-m", "dask", what, "--no-dashboard", *options]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.processes.append(subprocess.Popen(command, env=environment, cwd=self.folder, **quiet))
        return self.processes[-1]

    def worker(self):
        """A worker of one thread that nobody starts again when it dies."""
        return self.start("worker", self.address, "--nthreads", "1", "--no-nanny")

    @staticmethod
    def waited_for(path):
        for _ in range(1200):
            if path.exists() and path.read_text():
                return path.read_text()
            time.sleep(0.05)
        pytest.fail("the scheduler did not start")

    def wait_for_workers(self, client, count):
        for _ in range(1200):
            if len(client.nthreads()) == count:
                return
            time.sleep(0.05)
        pytest.fail(f"there are {len(client.nthreads())} workers, expected {count}")


@contextmanager
def cluster(folder):
    """A scheduler without workers, for the length of a ``with`` block."""
    made = Cluster(folder)
    try:
        yield made
    finally:
        for process in made.processes:
            process.kill()
            process.wait()
