"""refengine conform: generate, verify, coverage."""

import shutil

import pytest
from verbs import refengine, refusal

from refengine.conform import folder, suite
from refengine.conform.file_cases import file_cases


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """A suite of two groups and a few files, and the outcome of generating it."""
    path = tmp_path_factory.mktemp("conform") / "suite"
    with pytest.MonkeyPatch.context() as patch:
        chosen = {group: members[::40] for group, members in suite.cases(1).items() if group in ("confine", "layer_fc")}
        patch.setattr(folder, "cases", lambda level: chosen)
        patch.setattr(folder, "file_cases", lambda: [*file_cases()][::100])
        return path, refengine("conform", "generate", "-o", path), refengine("conform", "generate", "-o", path)


@pytest.fixture
def results(generated, tmp_path):
    """Right results of all cases."""
    path = generated[0]
    for group in ("confine", "layer_fc"):
        shutil.copy(path / f"{group}.out.bin", tmp_path / f"{group}.bin")
    models = folder.read_suite(path).models
    lines = [f"{model.file} {'accepted' if model.accept else 'refused'}" for model in models]
    (tmp_path / "models.txt").write_text("\n".join(lines))
    return tmp_path


def test_generate(generated):
    path, outcome, again = generated
    assert (outcome.code, outcome.err) == (0, "")
    cases, files = outcome.out.splitlines()
    assert cases.startswith(f"{path}: level 1, 7 cases, ")
    assert files == "model files: 1 must be accepted, 5 refused"
    assert (again.code, "is not empty" in again.err) == (2, True)


def test_right_results(generated, results):
    outcome = refengine("conform", "verify", generated[0], results)
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1] == "EQUAL"
    report = refengine("conform", "verify", generated[0], results, "--json", "-").json
    assert (report["report"], report["verdict"], report["failures"]) == ("conform verify", "EQUAL", [])


def test_a_wrong_integer(generated, results):
    content = bytearray((results / "layer_fc.bin").read_bytes())
    content[0] ^= 1
    (results / "layer_fc.bin").write_bytes(bytes(content))
    outcome = refengine("conform", "verify", generated[0], results)
    assert outcome.code == 1
    lines = outcome.out.splitlines()
    assert lines[-1] == "DIFFERENT"
    at = next(n for n, line in enumerate(lines) if line.startswith("layer_fc-0000 (Fc1, C3: "))
    assert lines[at + 1].startswith("  partial_sums[0, 0, 0]: expected ")
    assert any(line.startswith("failed by clause: ") and "Fc1 1 of " in line for line in lines)


def test_missing_results(generated, results):
    (results / "confine.bin").rename(results / "confined.bin")
    outcome = refengine("conform", "verify", generated[0], results, "--show", 0)
    assert outcome.code == 1
    assert outcome.out.splitlines()[-3:] == [
        "no results of 2 cases: confine-0000, confine-0001",
        "not read, as they are no results of a group: confined.bin",
        "INCOMPLETE",
    ]


def test_bad_folders(generated, tmp_path):
    assert "is not a folder" in refusal("conform", "verify", tmp_path / "x", tmp_path)
    assert "is not a folder of results" in refusal("conform", "verify", generated[0], tmp_path / "x")
    assert "manifest.json: cannot be read" in refusal("conform", "verify", tmp_path, tmp_path)


def test_coverage_of_a_folder_and_of_the_program(generated):
    found = refengine("conform", "coverage", generated[0], "--json", "-").json["clauses"]
    assert (found["Fc1"], found["Arith1"]) == (2, 0)
    lines = refengine("conform", "coverage").out.splitlines()
    rows = {line.split()[0]: line.split()[1] for line in lines[1:]}
    assert int(rows["R2"]) > 500
    assert next(line for line in lines if line.startswith("T6 ")).endswith("not what one computes")
