"""The group of verbs: help that costs nothing, unknown verbs, and every way to end."""

import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from verbs import refengine

from refengine import CONTRACT, __version__
from refengine.cli import main
from refengine.errors import NetworkError

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def python(*arguments, **keywords):
    """A new Python process that finds this refengine."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)], env=ENVIRONMENT, capture_output=True, text=True, timeout=120, **keywords
    )


def test_help_names_every_verb():
    outcome = refengine("--help")
    assert outcome.code == 0
    assert all(f"\n  {verb} " in outcome.out for verb in main.VERBS)


def test_help_loads_no_number_crunchers():
    """It answers at once because NumPy, Numba, HDF5 and the tables are left alone."""
    code = (
        "import sys\n"
        "from refengine.cli.main import verbs\n"
        "verbs.main(['--help'], standalone_mode=False)\n"
        "print('loaded', sorted({'numpy', 'numba', 'h5py', 'rich'} & {*sys.modules}))"
    )
    outcome = python("-c", code)
    assert (outcome.returncode, outcome.stderr) == (0, "")
    assert "loaded []" in outcome.stdout


def test_the_number_of_cores_decides_no_float_sum(files):
    """Whatever the threads that linear algebra is offered, it is given one before NumPy is loaded."""
    code = (
        "import os, sys\n"
        "os.environ['OPENBLAS_NUM_THREADS'] = '2'\n"
        "from refengine.cli import main\n"
        "main.verbs.main = lambda **_: print(os.environ['OPENBLAS_NUM_THREADS'], 'numpy' in sys.modules)\n"
        "main.main()\n"
    )
    assert python("-c", code).stdout == "1 False\n"


@pytest.mark.skipif(os.name != "posix", reason="only Unix tells how long a child has computed")
def test_help_is_quick():
    """Under half a second of computing, the start of Python included; by the clock it depends on who else computes."""
    before = os.times()
    assert python("-m", "refengine", "--help").returncode == 0
    after = os.times()
    children = (after.children_user - before.children_user) + (after.children_system - before.children_system)
    assert children < 0.5


def test_numba_is_loaded_only_to_compute(files):
    """A look into a file needs no compiler."""
    code = (
        "import sys\n"
        "from refengine.cli.main import verbs\n"
        "verbs.main(['inspect', 'model.h5'], standalone_mode=False)\n"
        "print('loaded', 'numba' in sys.modules)"
    )
    assert "loaded False" in python("-c", code, cwd=files).stdout


@pytest.mark.parametrize("verb", main.VERBS)
def test_every_verb_is_a_file_that_explains_itself(verb):
    """The one-line summary stands in two places, so that --help need not load the verb."""
    command = import_module(f"refengine.cli.{verb}").command
    assert command.name == verb
    assert command.help.splitlines()[0] == main.VERBS[verb]
    outcome = refengine(verb, "--help")
    assert outcome.code == 0
    assert f"refengine {verb}" in outcome.out
    undocumented = [p.name for p in command.params if p.param_type_name == "option" and not getattr(p, "help", None)]
    assert undocumented == []


def test_every_verb_that_prints_figures_writes_json():
    for verb in main.VERBS:
        assert "--json" in refengine(verb, "--help").out


def test_version_names_the_contract_too():
    assert refengine("--version").out == f"refengine {__version__}, contract {CONTRACT}\n"


@pytest.mark.parametrize(
    "arguments", [["quantise"], ["run"], ["run", "--frobnicate"], ["run", "a", "b", "--count", "0"]]
)
def test_wrong_use_is_2(arguments):
    outcome = refengine(*arguments)
    assert outcome.code == 2
    assert "Error: " in outcome.err
    assert "Traceback" not in outcome.err


def test_an_unknown_verb_lists_the_known_ones():
    assert (
        f"verb 'quantise' is unknown; the nearest is 'quantize'; verbs are {', '.join(main.VERBS)}"
        in refengine("quantise").err
    )


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (NetworkError("layer 'a':\nno"), 2, "refengine: error: layer 'a': no\n"),
        (NetworkError("x\x1b[31m"), 2, "refengine: error: x\\x1b[31m\n"),
        (MemoryError(), 2, "refengine: error: there is not enough memory (no details)\n"),
        (KeyboardInterrupt(), 130, "refengine: error: interrupted\n"),
    ],
)
def test_every_end_is_one_line(monkeypatch, error, code, line):
    def fail(*_):
        raise error

    monkeypatch.setattr("refengine.cli.inspect.open_checked", fail)
    outcome = refengine("inspect", "x.h5")
    assert (outcome.code, outcome.out, outcome.err) == (code, "", line)


def test_python_dash_m_gives_the_same_errors():
    outcome = python("-m", "refengine", "inspect", "no such file.h5")
    assert outcome.returncode == 2
    assert outcome.stderr == "refengine: error: no such file.h5: cannot be opened (No such file or directory)\n"


@pytest.mark.skipif(os.name != "posix", reason="signals as on Unix")
def test_ctrl_c_ends_in_one_line_and_leaves_nothing(files):
    """Real process, real signal, in the middle of its work."""
    before = {path.name for path in files.iterdir()}
    arguments = ["quantize", "net.h5", "--calibration", "images.h5", "-o", "out.h5"]
    slow = (
        "import signal, time\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # a background job ignores it otherwise
        "import refengine.cli.quantize as verb\n"
        "from refengine.cli.main import main\n"
        "def quantize(*_, **__):\n"
        "    print('working', flush=True)\n"
        "    time.sleep(60)\n"
        "verb.quantize = quantize\n"
        "main()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", slow, *arguments],
        env=ENVIRONMENT,
        cwd=files,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "working\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", "refengine: error: interrupted\n")
    assert {path.name for path in files.iterdir()} == before


def test_a_pipe_that_closes_is_no_traceback(files):
    """refengine inspect FILE | head -1"""
    command = f'"{sys.executable}" -m refengine inspect model.h5 | head -1'
    outcome = subprocess.run(
        command, shell=True, env=ENVIRONMENT, cwd=files, capture_output=True, text=True, timeout=120
    )
    assert "model.h5" in outcome.stdout
    assert "Traceback" not in outcome.stderr
    assert "Exception" not in outcome.stderr


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a disk that is full, as Linux has it")
@pytest.mark.parametrize("arguments", ["--help", "inspect model.h5", "inspect model.h5 --json -"])
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_a_stdout_that_is_full_or_closed_is_one_line_and_2(files, arguments, redirection):
    command = f'"{sys.executable}" -m refengine {arguments} {redirection}'
    outcome = subprocess.run(command, shell=True, env=ENVIRONMENT, cwd=files, capture_output=True, text=True)
    assert outcome.returncode == 2
    assert outcome.stderr.startswith("refengine: error: ")
    assert outcome.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", ["--help", "inspect model.h5"])
def test_a_reader_that_has_enough_ends_it_quietly(files, arguments):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "refengine", *arguments.split()]
    outcome = subprocess.run(command, env=ENVIRONMENT, cwd=files, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert (outcome.returncode, outcome.stderr) == (141, "")


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_without_stderr_the_exit_code_still_tells(files, redirection):
    command = f'"{sys.executable}" -m refengine inspect missing.h5 {redirection}'
    outcome = subprocess.run(command, shell=True, env=ENVIRONMENT, cwd=files, capture_output=True, text=True)
    assert (outcome.returncode, outcome.stdout) == (2, "")


def test_a_verb_that_is_like_none_proposes_none():
    assert "verb 'xyzzy' is unknown; verbs are " in refengine("xyzzy").err
