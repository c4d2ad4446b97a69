"""The verdict: every way in which results can be right, wrong, missing, skipped or damaged."""

import numpy as np
import pytest
from conform_customers import some, suite_of

from refengine.conform.answers import answer
from refengine.conform.file_cases import file_cases
from refengine.conform.verify import DIFFERENT, EQUAL, INCOMPLETE, verify
from refengine.errors import FileError

CHOSEN = {**some(20, "confine"), **some(60, "layer_fc")}
SUITE = suite_of(CHOSEN, [*file_cases()][::120])


@pytest.fixture
def results(tmp_path):
    """All results, right: .bin of one group, .npz of the other."""
    (tmp_path / "confine.bin").write_bytes(SUITE.expected["confine"])
    save(tmp_path, right())
    lines = [f"{model.file} {'accepted' if model.accept else 'refused'}" for model in SUITE.models]
    (tmp_path / "models.txt").write_text("# mine\n\n" + "\n".join(lines))
    return tmp_path


def right():
    cases = {name: case for name, case in CHOSEN.items() if case.group == "layer_fc"}
    return {f"{name}.{result}": array for name, case in cases.items() for result, array in answer(case).items()}


def save(path, arrays):
    np.savez(path / "layer_fc.npz", **arrays)


def test_right_results_are_equal(results):
    found = verify(SUITE, results)
    assert (found.verdict, found.failures, found.missing, found.unread) == (EQUAL, (), (), ())
    assert {group.name: (group.cases, group.passed) for group in found.groups} == {
        name: (count, count) for name, count in (("confine", 4), ("layer_fc", 3), ("models", len(SUITE.models)))
    }


def test_one_wrong_integer_is_named(results):
    content = bytearray(SUITE.expected["confine"])
    case = SUITE.groups["confine"][2]
    place = case.results["accumulator"]
    before = int(place.of(bytes(content))[5])
    content[place.offset + 4 * 5] ^= 1
    (results / "confine.bin").write_bytes(bytes(content))
    found = verify(SUITE, results)
    (failure,) = found.failures
    assert (found.verdict, failure.case, failure.clauses, failure.why) == (DIFFERENT, case.name, case.clauses, case.why)
    assert failure.said == f"accumulator[5]: expected {before}, got {before ^ 1}; 1 of {place.shape[0]} differ"
    judged = [one.clauses for one in (*SUITE.groups["confine"], *SUITE.groups["layer_fc"], *SUITE.models)]
    assert found.clauses == {clause: (1, sum(clause in one for one in judged)) for clause in case.clauses}


def test_wider_types_are_taken_by_value_and_other_shapes_are_not(results):
    save(results, {name: array.astype(np.int64) for name, array in right().items()})
    assert verify(SUITE, results).verdict == EQUAL
    save(results, {name: array[:1] if name.endswith("code") else array for name, array in right().items()})
    assert {one.said.split(":")[0] for one in verify(SUITE, results).failures} == {"code"}


def test_what_is_not_there_is_missing(results):
    save(results, {name: array for name, array in right().items() if not name.endswith("total")})
    found = verify(SUITE, results)
    assert (found.verdict, found.failures) == (INCOMPLETE, ())
    assert {*found.missing} == {name for name, case in CHOSEN.items() if "total" in answer(case)}
    (results / "confine.bin").unlink()
    assert verify(SUITE, results).groups[0].missing == 4
    (results / "models.txt").unlink()
    assert verify(SUITE, results).groups[2].missing == len(SUITE.models)


def test_what_is_skipped_is_not_missing(results):
    save(results, {name: array for name, array in right().items() if not name.endswith("total")})
    (results / "confine.bin").unlink()
    (results / "skipped.txt").write_text("*.total\nconfine-*\n")
    found = verify(SUITE, results)
    assert found.verdict == EQUAL
    assert [(group.passed, group.skipped) for group in found.groups[:2]] == [(0, 4), (3, len(right_of("total")))]


def test_where_all_is_skipped_nothing_was_tested(results):
    (results / "skipped.txt").write_text("*\n")
    found = verify(SUITE, results)
    assert found.verdict == INCOMPLETE
    assert not any(group.passed or group.missing for group in found.groups)


def right_of(result):
    return [name for name in right() if name.endswith(result)]


def test_a_model_that_is_decided_otherwise(results):
    text = (results / "models.txt").read_text()
    (results / "models.txt").write_text(text.replace("refused", "accepted"))
    found = verify(SUITE, results)
    assert found.verdict == DIFFERENT
    assert {one.said for one in found.failures} == {"must be refused, was accepted"}


def test_files_that_mean_nothing_are_named(results):
    (results / "layer_fd.bin").write_bytes(b"")
    assert verify(SUITE, results).unread == ("layer_fd.bin",)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("confine.bin", b"\0" * 7, "has 7 bytes, needed"),
        ("confine.npz", b"PK", "has confine.bin and confine.npz, needed one of them"),
        ("layer_fc.npz", b"PK\3\4 nothing", "cannot be read"),
        ("models.txt", b"models/0.h5 perhaps", "needed 'FILE accepted' or 'FILE refused'"),
        ("models.txt", b"\xff", "is not UTF-8"),
        ("skipped.txt", b"\xff", "is not UTF-8"),
    ],
)
def test_results_that_cannot_be_read(results, name, content, message):
    (results / name).write_bytes(content)
    with pytest.raises(FileError, match=message) as caught:
        verify(SUITE, results)
    assert str(caught.value).isprintable()


def test_an_archive_of_objects_is_not_loaded(results):
    np.savez(results / "layer_fc.npz", **{"layer_fc-0000.code": np.array([{}], object)})
    with pytest.raises(FileError, match="needed integers"):
        verify(SUITE, results)


def test_no_folder(tmp_path):
    with pytest.raises(FileError, match="is not a folder of results"):
        verify(SUITE, tmp_path / "nothing")
