"""Claims: a job is one process's, until it gives it back or ends, however it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from refengine import claims
from refengine.claims import LOCK, Claims
from refengine.errors import FileError

ROOT = Path(__file__).parents[1]
ONE, OTHER = "0" * 63 + "1", "f" * 64

needs_locks = pytest.mark.skipif(claims.fcntl is None, reason="the system has no locks of bytes")


@pytest.fixture
def holder(tmp_path):
    """Another process that claims the jobs written to it, and says whether it got them."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from refengine.claims import Claims\n"
        "held = Claims(Path(sys.argv[1]))\n"
        "for line in sys.stdin:\n"
        "    print(held.take(line.strip()), flush=True)\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def asked(process, key):
    process.stdin.write(f"{key}\n")
    process.stdin.flush()
    return process.stdout.readline().strip() == "True"


@needs_locks
def test_a_job_has_one_owner(holder, tmp_path):
    with Claims(tmp_path) as here:
        assert here.take(ONE)
        assert not asked(holder, ONE)
        assert asked(holder, OTHER)
        assert not here.take(OTHER)
        here.give_back(ONE)
        assert asked(holder, ONE)
        assert not here.take(ONE)
    assert (tmp_path / LOCK).read_bytes() == b""


@needs_locks
def test_the_dead_own_nothing(holder, tmp_path):
    assert asked(holder, ONE)
    with Claims(tmp_path) as here:
        assert not here.take(ONE)
        holder.kill()
        holder.wait()
        assert here.take(ONE)


@needs_locks
def test_a_job_is_awaited_no_longer_than_said(holder, tmp_path):
    with Claims(tmp_path) as here:
        assert here.wait(ONE, 0)
        assert asked(holder, OTHER)
        assert not here.wait(OTHER, 0.1)
        holder.kill()
        assert here.wait(OTHER, 30)


@needs_locks
def test_what_is_left_is_given_back(holder, tmp_path):
    with Claims(tmp_path) as here:
        assert here.take(ONE)
    assert asked(holder, ONE)


def test_without_locks_every_job_is_free(tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "fcntl", None)
    with Claims(tmp_path) as one, Claims(tmp_path) as other:
        assert one.take(ONE)
        assert other.take(ONE)
        one.give_back(ONE)


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(FileError, match="lock: cannot be written"):
        Claims(tmp_path / "nowhere")
