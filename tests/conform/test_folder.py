"""The suite as files: written whole, the same bytes again, read as it was written, refused where it was changed."""

import hashlib
import json

import numpy as np
import pytest

from refengine.conform import folder, suite
from refengine.conform.answers import answer
from refengine.conform.file_cases import file_cases
from refengine.conform.folder import clauses_of, read_suite, write_suite
from refengine.errors import FileError


@pytest.fixture(autouse=True, scope="module")
def fewer():
    """Two groups and a few model files, for speed."""
    with pytest.MonkeyPatch.context() as patch:
        chosen = {group: members[::40] for group, members in suite.cases(1).items() if group in ("confine", "layer_fc")}
        patch.setattr(folder, "cases", lambda level: chosen)
        patch.setattr(folder, "file_cases", lambda: [*file_cases()][::100])
        yield chosen


def contents(path):
    return {file.relative_to(path).as_posix(): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_the_same_bytes_again(tmp_path):
    counted = [write_suite(tmp_path / name) for name in ("one", "two")]
    assert counted[0] == counted[1]
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert counted[0]["bytes"] == sum(map(len, contents(tmp_path / "one").values()))


def test_what_is_written_is_what_the_page_says(tmp_path, fewer):
    """Read by hand: json, and integers at their offsets."""
    write_suite(tmp_path / "suite")
    manifest = json.loads((tmp_path / "suite" / "manifest.json").read_text())
    assert (manifest["format"], manifest["version"], manifest["level"]) == ("refengine-conformance", 1, 1)
    for group, members in fewer.items():
        told = manifest["groups"][group]
        for stored in (told["list"], told["inputs"], told["results"]):
            content = (tmp_path / "suite" / stored["file"]).read_bytes()
            assert (len(content), hashlib.sha256(content).hexdigest()) == (stored["size"], stored["sha256"])
        records = json.loads((tmp_path / "suite" / f"{group}.json").read_text())
        assert told["cases"] == len(records) == len(members)
        for record, case in zip(records, members, strict=True):
            for ending, where, arrays in (("in", "inputs", case.inputs), ("out", "results", answer(case))):
                content = (tmp_path / "suite" / f"{group}.{ending}.bin").read_bytes()
                assert record[where].keys() == arrays.keys()
                for name, place in record[where].items():
                    assert place["offset"] % 8 == 0
                    count = int(np.prod(place["shape"]))
                    found = np.frombuffer(content, f"{place['dtype']}", count, place["offset"])
                    assert found.tolist() == arrays[name].ravel().tolist()


def test_it_is_read_as_it_was_written(tmp_path, fewer):
    write_suite(tmp_path / "suite")
    found = read_suite(tmp_path / "suite")
    assert {group: len(members) for group, members in found.groups.items()} == {g: len(m) for g, m in fewer.items()}
    assert next(iter(clauses_of(found))) == fewer["confine"][0].clauses
    assert {model.accept for model in found.models} == {True, False}
    assert all((tmp_path / "suite" / model.file).exists() for model in found.models)


@pytest.mark.parametrize("name", ["confine.json", "confine.out.bin", "models.json"])
def test_a_file_that_was_changed_is_refused(tmp_path, name):
    write_suite(tmp_path / "suite")
    path = tmp_path / "suite" / name
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(FileError, match="was changed after it was written"):
        read_suite(tmp_path / "suite")
    path.unlink()
    with pytest.raises(FileError, match="cannot be read"):
        read_suite(tmp_path / "suite")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("refengine-conformance", "another"), "no conformance suite of version 1"),
        (
            lambda text: text.replace('"contract": 1', '"contract": 2'),
            "judges contract 2, this program keeps contract 1",
        ),
        (lambda text: text.replace('"groups"', '"group"'), "its manifest is damaged"),
        (lambda text: text[:-9], "is not JSON"),
        (lambda text: "[]", "its manifest is damaged"),
        (lambda text: "[" * 100_000, "is not JSON"),
    ],
)
def test_a_manifest_that_is_none(tmp_path, change, message):
    write_suite(tmp_path / "suite")
    path = tmp_path / "suite" / "manifest.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(FileError, match=message) as caught:
        read_suite(tmp_path / "suite")
    assert str(caught.value).isprintable()


def test_no_folder_at_all(tmp_path):
    with pytest.raises(FileError, match="is not a folder"):
        read_suite(tmp_path / "nothing")


def test_a_folder_that_holds_something_is_not_written_to(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(FileError, match="is not empty"):
        write_suite(tmp_path)
