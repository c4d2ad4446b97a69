"""The fuzzer itself: a short run finds nothing, and what it must count it counts, goes on, and can be made again."""

import json
from random import Random

import pytest
from everyday import everyday

from fuzz.__main__ import COUNTS, main, run, shown
from fuzz.mutate import of_bytes, of_json
from fuzz.readers import READERS
from fuzz.worker import _outcome, case
from refengine.errors import RefengineError


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("cases", everyday([8, 20], 2))
def test_a_short_run_of_every_reader(tmp_path, name, cases):
    """In this process: no exception but a refusal of one line."""
    reader = READERS[name]
    (tmp_path / "files").mkdir()
    try:
        targets = reader.build(tmp_path / "files")
    except RefengineError as error:
        pytest.skip(str(error))
    sound = {target: (tmp_path / "files" / target).read_bytes() for target in targets}
    outcomes = {_outcome(reader, tmp_path, targets[0], sound[targets[0]])}
    assert outcomes == {""}
    for number in range(cases):
        target, content = case(name, reader, number, sound, tmp_path / "scratch")
        outcomes.add(_outcome(reader, tmp_path, target, content))
    assert outcomes <= {"", "refused"}


@pytest.mark.parametrize(
    ("planted", "counted"),
    [
        ("traceback", "tracebacks"),
        ("crash", "crashes"),
        pytest.param("hang", "hangs", marks=pytest.mark.slow),
        pytest.param("memory", "over", marks=pytest.mark.slow),
    ],
)
def test_what_is_planted_is_counted(tmp_path, monkeypatch, planted, counted):
    """The planted reader fails on its sound file too, so only the process that begins sees it."""
    monkeypatch.setenv("FUZZ_PLANTED", planted)
    monkeypatch.setenv("PYTHONPATH", ":".join(["tests", "."]))
    state = tmp_path / "state.json"
    table = run(
        state, ["planted"], 3 if planted == "traceback" else 1, 300, turn=60, hang=3 if planted == "hang" else 120
    )
    row = table["planted"]
    assert row[counted] == row["cases"] >= 1
    assert sum(row[what] for what in COUNTS[3:]) == row[counted]
    findings = [json.loads(line) for line in state.with_suffix(".findings").read_text().splitlines()]
    assert [finding["case"] for finding in findings] == [*range(len(findings))]
    assert json.loads(state.read_text()) == table


def test_a_run_goes_on_where_the_last_one_ended(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PYTHONPATH", ":".join(["tests", "."]))
    for cases in (40, 60):
        assert main(["--cases", str(cases), "--state", str(tmp_path / "state.json"), "--reader", "energy table"]) == 0
        assert f"| energy table | {cases} |" in capsys.readouterr().out


def test_mutations_follow_from_their_number_alone():
    data = bytes(range(200))
    assert [of_bytes(Random(7), data) for _ in range(2)] == [of_bytes(Random(7), data)] * 2
    assert len({of_bytes(Random(n), data) for n in range(50)}) > 40
    told = json.dumps({"a": [1, 2, {"b": "text"}], "c": None}).encode()
    assert len({of_json(Random(n), told) for n in range(50)}) > 20
    assert "| all | 0 |" in shown({"x": dict.fromkeys(COUNTS, 0)})
