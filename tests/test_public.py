"""The package's public face: its names exist, are typed and documented, and cost nothing until they are used."""

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import refengine

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = ("load", "quantize", "run", "trace", "evaluate", "compare", "explain")


def python(code):
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_the_package_loads_nothing_heavy():
    heavy = "{'numpy', 'numba', 'h5py', 'click', 'rich', 'refengine.api'}"
    assert python(f"import sys, refengine; print({heavy} & set(sys.modules))") == "set()\n"


def test_importing_the_package_takes_less_than_a_tenth_of_a_second():
    """The best of three, in which other work of the machine hardly counts."""
    code = "import time; t = time.perf_counter(); import refengine; print(time.perf_counter() - t)"
    assert min(float(python(code)) for _ in range(3)) < 0.1


@pytest.mark.parametrize("name", refengine.__all__)
def test_every_public_name_exists(name):
    assert getattr(refengine, name) is getattr(refengine, name)
    assert name in dir(refengine)


def test_another_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'refengine' has no attribute 'nothing'"):
        refengine.nothing  # noqa: B018


def test_no_public_name_is_that_of_a_room():
    rooms = {path.stem for path in (ROOT / "refengine").iterdir()}
    assert not rooms & set(refengine.__all__)


def test_the_rooms_do_not_shadow_the_functions():
    """Whichever room is imported first, and whenever."""
    code = "import refengine, refengine.engine.run, refengine.runs.trace, refengine.cli.compare, refengine.api.load\n"
    code += f"print([inspect.isfunction(getattr(refengine, name)) for name in {FUNCTIONS}])"
    assert python("import inspect\n" + code) == f"{[True] * len(FUNCTIONS)}\n"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_typed_and_has_an_example(name):
    function = getattr(refengine, name)
    signature = inspect.signature(function)
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in signature.parameters.values())
    assert signature.return_annotation is not inspect.Signature.empty
    assert ">>> import refengine as re" in function.__doc__


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_argument_is_in_the_docstring(name):
    """But for ``network`` and its kin, which the first sentence says."""
    function = getattr(refengine, name)
    missing = {argument for argument in inspect.signature(function).parameters if argument not in function.__doc__}
    assert not missing


def test_type_checkers_are_told_that_the_package_is_typed():
    assert (ROOT / "refengine" / "py.typed").exists()


@pytest.mark.slow
def test_type_checkers_see_the_signatures(tmp_path):
    api = pytest.importorskip("mypy.api")
    (tmp_path / "use.py").write_text(
        "import refengine as re\n"
        "model = re.load('model.h5', re.IntNetwork)\n"
        "reveal_type(model)\n"
        "reveal_type(re.run(model, 'images.h5'))\n"
        "re.quantize('net.h5', 'images.h5', cluster='four')\n"
    )
    out, _, code = api.run([str(tmp_path / "use.py"), "--no-incremental", "--follow-imports=silent"])
    assert code == 1
    assert "IntNetwork" in out.splitlines()[0]
    assert "ndarray" in out.splitlines()[1]
    assert 'Argument "cluster" to "quantize" has incompatible type "str"; expected "int"' in out.splitlines()[2]
