"""The ladder: what is chosen, what is not obeyed."""

import pytest

from refengine.kernels import RUNG_OPTION, cache_folder
from refengine.kernels.rungs import RUNGS, chosen_rung, runnable


def test_the_best_runnable_rung_is_chosen(monkeypatch):
    monkeypatch.delenv(RUNG_OPTION, raising=False)
    assert chosen_rung() is runnable()[0]
    assert runnable()[-1].name == "generic"
    assert [rung for rung in RUNGS if rung in runnable()] == list(runnable())


@pytest.mark.parametrize("rung", runnable(), ids=lambda rung: rung.name)
def test_a_rung_can_be_named(monkeypatch, rung):
    monkeypatch.setenv(RUNG_OPTION, rung.name)
    assert chosen_rung() is rung


def test_what_is_no_rung_is_not_obeyed(monkeypatch):
    monkeypatch.setenv(RUNG_OPTION, "abacus")
    assert chosen_rung() is runnable()[0]


def test_each_rung_has_a_cache_of_its_own(monkeypatch):
    folders = set()
    for name in ("", *(rung.name for rung in RUNGS)):
        monkeypatch.setenv(RUNG_OPTION, name)
        folders.add(cache_folder())
    assert len(folders) == len(RUNGS) + 1
