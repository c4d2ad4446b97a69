"""refengine passport: lines by backend, and an exit code."""

from verbs import refengine

from refengine.cli import passport as verb
from refengine.conform import passport


def test_the_definitions_agree():
    outcome = refengine("passport", "--backend", "reference")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[0].startswith("machine ")
    assert [line.split()[0] for line in lines[2:5]] == ["reference"] * 3
    assert lines[-1] == f"digest {passport.DIGEST}: 3 of 3 agree"


def test_a_digest_that_differs_ends_with_1(monkeypatch):
    line = passport.Line("fast", "avx2", 1, 2, 7, "0" * 64)
    monkeypatch.setattr(passport, "passport", lambda backends, show: [line])
    outcome = refengine("passport")
    assert outcome.code == 1
    assert outcome.out.splitlines()[2].split() == ["fast", "avx2", "1", "x", "2", "7", "0" * 16, "NO"]
    report = refengine("passport", "--json", "-").json
    assert (report["agree"], report["lines"][0]["agrees"], report["digest"]) == (False, False, passport.DIGEST)


def test_the_verb_is_called_so():
    assert verb.command.name == "passport"
