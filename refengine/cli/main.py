"""``refengine VERB``: finds the verb's file, and turns what goes wrong into one line and an exit code.

0 done or the same, 1 different or below a threshold, 2 bad input or output that cannot be written, 130 interrupted, 143
terminated; 141, without a line, where the reader of a pipe has seen enough, as of programs that SIGPIPE ends.  A verb's
file is imported when the verb is called, so ``refengine --help`` loads neither NumPy nor Numba nor HDF5.
"""

import atexit
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from importlib import import_module
from typing import IO, Any, NoReturn

import click

from .. import CONTRACT, __version__
from ..errors import RefengineError
from . import signals

VERBS = {
    "demo": "Quantize the shipped network and run both: a first result in a minute.",
    "convert": "Convert an ONNX network, or a set of images, to an HDF5 file of refengine.",
    "quantize": "Quantize a float network to an integer one.",
    "inspect": "Print what a file contains: a network, images, a trace or a vector pack.",
    "run": "Run images through an integer network and print its logits.",
    "trace": "Save every integer of a run, or print a digest of each layer.",
    "vectors": "Write test vectors for an RTL testbench, in the formats of its memories.",
    "testbench": "Write a testbench for one layer, which make builds, runs and compares.",
    "export": "Export a network to ONNX, or an integer network to QONNX, TOSA or C.",
    "compare": "Compare the integers of a device under test with the golden ones.",
    "crosscheck": "Run a network in ONNX Runtime or other engines and compare every integer.",
    "explain": "Show step by step how one output integer is computed.",
    "ranges": "Report accumulator ranges and write worst-case stimuli.",
    "coverage": "Report which parts of each layer's arithmetic the images exercise.",
    "lint": "Check an integer network for defects such as dead channels.",
    "evaluate": "Measure the accuracy of an integer network on labelled images.",
    "cost": "Count the multiplications, additions, bytes and energy of one image.",
    "sweep": "Quantize and evaluate a network with every combination of some options.",
    "search": "Choose the weight format and cluster size of each layer within a budget.",
    "report": "Write the results of a sweep as one HTML page.",
    "arith": "Count how often the arithmetic of TOSA, TFLite, NVDLA and others differs.",
    "conform": "Check whether another implementation of the contract computes its integers.",
    "passport": "Compute small networks in every way that this machine has, and check their digest.",
    "bench": "Measure the speed of refengine beside production int8 engines.",
}
FORMER_NAMES = {"ledger": "ranges"}  # of verbs, which still answer to them


# Libraries of linear algebra add up in an order that follows the number of their threads.  One thread each, so that
# quantize makes the same integers on two cores and on sixty; the threads that are faster are refengine's own.
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS"), "1")


ENOUGH = 141  # 128 and SIGPIPE


class Failure(click.ClickException):
    """Bad input: one line on stderr."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        line = " ".join(self.format_message().splitlines())
        line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)
        with suppress(OSError):  # a stderr that is full: the exit code says it too
            click.echo(f"refengine: error: {line}", file=file, err=True)


class Interrupted(Failure):
    """Ctrl-C or SIGTERM."""

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """As shells have it."""
        return signals.exit_code()


@contextmanager
def failures_in_one_line() -> Iterator[None]:
    """Turn what a command raises into one line and its exit code."""
    try:
        yield
        signals.check()
    except RefengineError as error:
        if signals.received():  # an interrupt that a C library made another error of
            raise Interrupted("interrupted") from None
        raise Failure(str(error)) from error
    except MemoryError as error:
        raise Failure(f"there is not enough memory ({str(error) or 'no details'})") from error
    except KeyboardInterrupt:
        raise Interrupted("interrupted") from None
    except BrokenPipeError:
        raise click.exceptions.Exit(ENOUGH) from None
    except OSError as error:  # of files every reader and writer says so itself: this is stdout, or a disk that failed
        what = f"{error.filename}: " if error.filename else "output "
        raise Failure(f"{what}cannot be written ({error.strerror or error})") from error


class Verbs(click.Group):
    """The group of all verbs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = FORMER_NAMES.get(cmd_name, cmd_name)
        if cmd_name not in VERBS:
            like = get_close_matches(cmd_name, VERBS, 1)
            proposed = f"the nearest is {like[0]!r}; " if like else ""
            raise click.UsageError(f"verb {cmd_name!r} is unknown; {proposed}verbs are {', '.join(VERBS)}", ctx)
        return import_module(f".{cmd_name}", __package__).command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Verbs"):
            formatter.write_dl(list(VERBS.items()))

    def invoke(self, ctx: click.Context) -> object:
        with failures_in_one_line():
            return super().invoke(ctx)


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="VERB ...",
    epilog="Try 'refengine demo' first.  'refengine VERB --help' explains a verb.",
)
@click.version_option(__version__, message=f"refengine {__version__}, contract {CONTRACT}")
def verbs() -> None:
    """Run convolutional networks in integers only, with the same bits on every machine."""


def main() -> NoReturn:
    """Run the command line of this process and end it."""
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115  (for the rest of the process)
    try:
        code = _run()
    except KeyboardInterrupt:  # between two lines that would have caught it
        code = signals.exit_code()
        Interrupted("interrupted").show()
    signals.settle()
    code = _written(code)
    if signals.received():  # Python would end itself by SIGINT where a KeyboardInterrupt crossed an exec
        atexit._run_exitfuncs()
        os._exit(code)
    sys.exit(code)


def _run() -> int:
    """The exit code of the verb that the arguments name."""
    if sys.stdout is None:
        Failure("stdout is closed").show()
        return Failure.exit_code
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    os.environ.update(ONE_THREAD)
    signals.listen()
    stdout = sys.stdout
    try:
        verbs.main(prog_name="refengine")
    except SystemExit as end:
        if sys.stdout is not stdout:  # click met the closed pipe outside a verb, and put another stream there
            sys.stdout = stdout
            return ENOUGH
        return end.code if isinstance(end.code, int) else 0
    except OSError as error:  # outside a verb: --help
        Failure(f"stdout cannot be written ({error.strerror or error})").show()
        return Failure.exit_code


def _written(code: int) -> int:
    """The exit code once everything is written; 2, with a line, where stdout does not take it."""
    if code == ENOUGH:
        _forget_stdout()
        return code
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except BrokenPipeError:
        code = ENOUGH
        _forget_stdout()
    except (OSError, ValueError) as error:
        _forget_stdout()
        if code == 0:
            code = Failure.exit_code
            Failure(f"stdout cannot be written ({getattr(error, 'strerror', None) or error})").show()
    return code


def _forget_stdout() -> None:
    """What is still to be written goes nowhere, so that the interpreter does not complain about it."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
