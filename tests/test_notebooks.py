"""The notebooks run, draw, and are committed without outputs and without paths of anybody's machine."""

import json
from pathlib import Path

import pytest

from refengine.optional import installed

pytestmark = pytest.mark.slow

NOTEBOOKS = sorted((Path(__file__).resolve().parent.parent / "docs" / "notebooks").glob("*.ipynb"))


def by_stem(path):
    return path.stem


def outputs_of(notebook):
    return [output for cell in notebook["cells"] for output in cell.get("outputs", [])]


def test_there_are_three():
    assert [path.stem for path in NOTEBOOKS] == ["first_quantization", "mismatch_to_cause", "one_integer"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_a_notebook_is_committed_without_outputs(path):
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert not outputs_of(notebook)
    assert {cell.get("execution_count") for cell in notebook["cells"]} == {None}
    assert notebook["metadata"] == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


@pytest.fixture(scope="module")
def executed():
    """A function that executes a notebook in its folder, once."""
    if not all(map(installed, ("nbclient", "nbformat", "ipykernel", "matplotlib"))):
        pytest.skip('the notebooks need pip install ".[docs]"')
    import nbformat
    from nbclient import NotebookClient

    done = {}

    def execute(path):
        if path not in done:
            notebook = nbformat.read(path, as_version=4)
            resources = {"metadata": {"path": str(path.parent)}}
            done[path] = NotebookClient(notebook, timeout=600, resources=resources).execute()
        return done[path]

    return execute


@pytest.mark.filterwarnings("ignore")  # of the packages that execute
@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_stem)
def test_a_notebook_runs_and_draws(path, executed):
    outputs = outputs_of(executed(path))
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) >= 2
    printed = "".join(output["text"] for output in outputs if output.output_type == "stream")
    assert str(Path.home()) not in printed
    assert "/tmp" not in printed
    assert str(path.parent.parent) not in printed


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("first_quantization", ["True"]),
        ("one_integer", [" True"]),
        ("mismatch_to_cause", ["DIFFERENT ('008_layer2.0.conv1',)", "cause: 008_layer2.0.conv1: "]),
    ],
)
def test_a_notebook_comes_to_what_it_promises(name, lines, executed):
    (path,) = (path for path in NOTEBOOKS if path.stem == name)
    printed = "".join(output["text"] for output in outputs_of(executed(path)) if output.output_type == "stream")
    assert all(line in printed for line in lines), printed
