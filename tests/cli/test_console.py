"""Tables, progress, and files that appear whole or not at all."""

import io
import json
import os
import re

import pytest

from refengine.cli import console
from refengine.errors import FileError


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def test_a_table_leans_as_its_heads_say(capsys):
    console.show_table(console.table(("name", "figure>"), [("a", 1), ("long name", None), (None, 1000)]))
    assert capsys.readouterr().out == "name       figure\na               1\nlong name\n             1000\n"


def test_cells_are_no_markup(capsys):
    console.show_table(console.table(("x",), [("[red]a[/] :smile: \x1b[31m",)]))
    assert "[red]a[/] :smile: \\x1b[31m" in capsys.readouterr().out


def on_a_terminal(made, columns, monkeypatch):
    """The lines of a table, without colours."""
    terminal = Terminal()
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout", terminal)
    console.show_table(made)
    return re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()


def test_a_row_is_one_line_where_there_is_no_terminal(capsys):
    console.show_table(console.table(("x", "y"), [("a" * 300, "b c " * 100), ("a", "b")]))
    _, first, second = capsys.readouterr().out.splitlines()
    assert (first.count("a"), first.count("b c")) == (300, 100)
    assert second.split() == ["a", "b"]


@pytest.mark.parametrize("columns", [20, 60, 100])
def test_a_terminal_folds_sentences_and_breaks_neither_names_nor_numbers(monkeypatch, columns):
    name, figure, sentence = "001_layer.with.a.long.name", "-1234567..7654321", "some words that may be folded"
    made = console.table(("layer", "from where to where it goes>", "what"), [(name, figure, sentence)])
    lines = on_a_terminal(made, columns, monkeypatch)
    row = next(line for line in lines if name in line)
    assert figure in row
    assert {*" ".join(lines).split()} == {
        "layer",
        *["from", "where", "to", "where", "it", "goes"],
        "what",
        name,
        figure,
        *sentence.split(),
    }
    assert max(map(len, lines)) <= max(columns, len(name) + len(figure) + len("folded") + 4)


def test_a_table_without_rows_is_its_heads(capsys):
    console.show_table(console.table(("x", "y>"), []))
    assert capsys.readouterr().out == "x  y\n"


def test_say_is_one_line(capsys):
    console.say("a\nb\x1b")
    assert capsys.readouterr().out == "a\\nb\\x1b\n"


def test_progress_without_a_terminal_is_a_line_now_and_then(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with console.progress("work") as show:
        for done in range(1, 13):
            now[0] += 1
            show(done, 12, "layer")
    assert capsys.readouterr().err == "work: 5 of 12 layer\nwork: 10 of 12 layer\n"


def test_progress_of_long_work_is_not_a_thousand_lines(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    with console.progress("work") as show:
        for done in range(1, 1001):
            now[0] += 1
            show(done, 1000)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 20
    assert lines[-1] == "work: 1000 of 1000"


def test_progress_on_a_terminal_leaves_nothing_behind(capsys, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    with console.progress("work") as show:
        show(1, 3, "[red]layer")
        show(3, 3)
    assert "work" in terminal.getvalue()
    assert capsys.readouterr().out == ""


def test_outputs_are_checked_before_work(tmp_path):
    path = tmp_path / "a"
    console.check_outputs([str(tmp_path / "c")], "-", None, str(path), str(tmp_path / "b"))
    console.check_outputs([], None, None)
    with pytest.raises(FileError, match="would be written twice"):
        console.check_outputs([], str(path), f"{tmp_path}/./a")
    with pytest.raises(FileError, match="is also read from"):
        console.check_outputs([str(path)], None, str(path))
    with pytest.raises(FileError, match="there is no folder"):
        console.check_outputs([], str(path / "b"))


def test_a_file_is_written_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "a"
    console.write_file(str(path), b"first", [])
    console.write_file(str(path), b"second", [])
    assert path.read_bytes() == b"second"

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(FileError, match=r"cannot be written \(No space left on device\)"):
        console.write_file(str(path), b"third", [])
    assert path.read_bytes() == b"second"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


def test_json_goes_to_a_file_or_to_stdout(tmp_path, capsys):
    path = tmp_path / "figures.json"
    assert console.write_json(None, "x", {"a": 1}, []) is False
    assert console.write_json(str(path), "x", {"a": 1}, []) is False
    assert capsys.readouterr().out == ""
    assert console.write_json("-", "x", {"a": 1}, []) is True
    assert capsys.readouterr().out == path.read_text()
    assert list(json.loads(path.read_text())) == ["report", "refengine", "contract", "a"]
