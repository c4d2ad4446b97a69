"""The soak finds what it looks for: other logits, memory that grows, torn outputs, jobs that are lost."""

from random import Random

import numpy as np
import pytest

from soak import __main__ as soak


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("soak")
    soak.write_inputs(made)
    return made


@pytest.mark.slow
def test_runs_leave_the_memory_flat(folder, capsys):
    assert soak.many_runs(folder, 50, 0)
    assert "kernels: 50 runs, 0 with other logits" in capsys.readouterr().out


@pytest.mark.slow
def test_other_logits_and_memory_that_grows_are_seen(folder, monkeypatch, capsys):
    right, kept = soak.predictor, []

    def changing(*arguments):
        kept.append(np.ones(1 << 20))
        return lambda *images: right(*arguments)(np.full_like(images[0], len(kept)), *images[1:])

    monkeypatch.setattr(soak, "predictor", changing)
    assert not soak.many_runs(folder, 10, 0)
    assert "fast: 10 runs, 0 with" not in capsys.readouterr().out


@pytest.mark.slow
def test_processes_that_are_killed_leave_their_output_whole_or_absent(folder, capsys):
    assert soak.kills(folder, len(soak.WRITERS), 1)
    assert f"{len(soak.WRITERS)} kills, 0 bad" in capsys.readouterr().out


@pytest.mark.slow
def test_processes_that_share_an_empty_cache_agree(folder, capsys):
    assert soak.cold_start(folder, 2, 0)
    assert "2 of 2 processes give the same" in capsys.readouterr().out


def test_a_torn_output_is_seen(folder):
    (folder / "out").mkdir()
    (folder / "out" / "made.h5").write_bytes(Random(0).randbytes(100))
    assert soak.after_a_kill(folder, "trace", {"made.h5": "0" * 64}) == "torn"
