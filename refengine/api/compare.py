"""compare: a DUT's integers against the golden's, and which layer goes wrong by itself."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..analysis.coverage import figures as coverage_figures
from ..errors import RangeError
from ..golden.compare.compare import Comparison
from ..golden.compare.compare import compare as compared
from ..golden.compare.exercised import exercised, exercised_sentence
from ..golden.compare.html_report import page
from ..golden.compare.json_report import figures, self_test_figures
from ..golden.compare.junit_report import junit
from ..golden.compare.pairs import Rules
from ..golden.compare.self_test import SelfTest
from ..golden.compare.self_test import self_test as tested
from ..golden.compare.text_report import report_lines
from ..golden.diagnose.cause import diagnose
from ..golden.dumps.dump import Dump, in_memory
from ..golden.dumps.dut import fitted, open_dut
from ..golden.dumps.open_dump import open_dump
from ..golden.dumps.reading import RESULT, Reading, reading
from ..network.int_network import IntNetwork
from ..text import PathLike, shown
from ..vectors.reader import Vectors
from .given import int_network
from .trace_file import TraceFile

Array = np.ndarray[Any, Any]
Arrays = Mapping[str, Array | Mapping[str, Array]]
GivenDump = TraceFile | Vectors | Arrays | PathLike
"""A trace, a vector pack, the path of any dump, or arrays by layer or by layer and stage."""
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Judgement:
    """What a comparison found; printed, it is the sentences of ``refengine compare``.

    ``lines``: those sentences.  ``figures``: everything as plain data.  ``self_test``: None unless it was asked for.
    """

    comparison: Comparison
    lines: tuple[str, ...]
    figures: Mapping[str, Any]
    self_test: SelfTest | None = None

    @property
    def verdict(self) -> str:
        """EQUAL, DIFFERENT, or INCOMPLETE: what was compared agrees, and something is missing or was not judged."""
        return self.comparison.verdict

    @property
    def equal(self) -> bool:
        """Whether nothing is wrong at all, and everything that the DUT holds was judged."""
        return self.comparison.equal

    @property
    def faulty_layers(self) -> tuple[str, ...]:
        """Names of the layers that go wrong by themselves."""
        return tuple(layer.layer for layer in self.comparison.faulty_layers)

    def junit(self) -> bytes:
        """The comparison as a JUnit document, a test case a layer."""
        return junit(self.comparison)

    def html(self) -> bytes:
        """One self-contained page with pictures of what differs, and where; needs ``pictures``."""
        return page(self.comparison).encode()

    def __str__(self) -> str:
        return "\n".join(self.lines)


def compare(
    golden: GivenDump,
    dut: GivenDump,
    model: IntNetwork | PathLike | None = None,
    *,
    names: Mapping[str, str] | None = None,
    layers: Sequence[str] = (),
    exclude: Sequence[str] = (),
    ignore: Sequence[str] = (),
    stages: Sequence[str] | None = None,
    order: str | None = None,
    radix: str | None = None,
    word_bits: int | None = None,
    endian: str | None = None,
    pack: str | None = None,
    base: str | None = None,
    column: str | None = None,
    clock: str | None = None,
    valid: str | None = None,
    ready: str | None = None,
    data: Sequence[str] = (),
    any_integer_type: bool = False,
    self_test: bool = False,
    pictures: bool = False,
    progress: Progress | None = None,
) -> Judgement:
    """Compare what hardware computed with what it should have: first layer, first element, every bit, and the cause.

    ``golden`` and ``dut``: a trace, a vector pack, the path of one, of a folder of .npy, an .npz or an HDF5 file, or
    arrays: ``{layer: array}`` of results or ``{layer: {stage: array}}``, (N, ...) integers.  ``model``: the network,
    which recomputes each layer of the DUT alone and so distinguishes the faulty layer from propagated errors; None:
    that of a vector pack.

    ``names``: golden's name of a layer -> the DUT's.  ``layers``: patterns of the only layers to judge; ``exclude``: of
    layers to leave out; ``ignore``: of what the DUT holds that is taken as if it were not there.  ``stages``: the only
    ones to judge.  ``order``: axes of the DUT's arrays, as ``NCHW``.  ``any_integer_type``: compare values alone.
    ``radix`` (dec, hex, bin), ``word_bits``, ``endian``, ``pack``, ``base``, ``column``: how the DUT's files are read
    where neither they nor the golden's manifest say it; ``clock``, ``valid``, ``ready``, ``data``: signals of waves.
    ``pictures``: keep what ``Judgement.html`` shows.  ``self_test``: also seed faults into the DUT and see which would
    be noticed.
    ``progress(done, total, layer)`` is called before each layer.  FileError and RangeError for what
    cannot be compared at all.

        >>> import refengine as re
        >>> images = re.load("weights/fashion-calibration-1000.h5")
        >>> model = re.quantize("weights/resnet20-fashion.h5", images[:8], method="paper")
        >>> golden = re.trace(model, images, count=1)
        >>> codes = golden.read("025_fc", "accumulator")
        >>> re.compare(golden, {"fc": codes}, layers=["fc"]).verdict
        'EQUAL'
        >>> print(re.compare(golden, {"fc": codes + 1}, model, layers=["fc"]).lines[1])
        DIFFERENT: 10 of 10 values differ, in 1 of 1 layers; 1 image from 0
    """
    rules = Rules(
        dict(names or {}),
        tuple(exclude),
        None if stages is None else tuple(stages),
        any_integer_type,
        tuple(layers),
    )
    how = reading(
        order, radix, word_bits, endian, pack, column, any_integer_type, rules.names,
        rules.layers[0] if len(rules.layers) == 1 else None,
        rules.stages[0] if rules.stages is not None and len(rules.stages) == 1 else None,
        clock, valid, ready, data, base,
    )  # fmt: skip
    with ExitStack() as stack:
        one = stack.enter_context(_golden(golden))
        other = stack.enter_context(_dut(dut, one, how, tuple(ignore)))
        known = model or next((dump.model for dump in (one, other) if dump.model is not None), None)
        network = None if known is None else int_network(known)
        found = compared(one, other, rules, network, diagnose, progress, pictures=pictures)
        plain = figures(found, one.address_of, other.address_of)
        faults = None
        if self_test:
            faults = tested(one, other, rules, network, progress)
            plain["self_test"] = self_test_figures(faults)
        lines = [*report_lines(found, one, other)]
        if found.equal and network is not None and not found.other_model:
            reached = exercised(network, one, [layer.layer for layer in found.compared])
            plain["exercised"] = [coverage_figures(layer) for layer in reached]
            lines += [line for line in (exercised_sentence(reached, one),) if line is not None]
        return Judgement(found, tuple(lines), plain, faults)


@contextmanager
def _golden(given: GivenDump) -> Iterator[Dump]:
    """The golden for the length of a ``with`` block; RangeError for what is none."""
    path = _path(given)
    if path is None:
        yield _arrays(given, "golden")
        return
    with open_dump(path) as dump:
        yield dump


@contextmanager
def _dut(given: GivenDump, golden: Dump, how: Reading, ignore: tuple[str, ...]) -> Iterator[Dump]:
    """The DUT for the length of a ``with`` block; RangeError for what is none."""
    path = _path(given)
    if path is not None:
        with open_dut(path, golden, how, ignore) as dump:
            yield dump
        return
    if ignore:
        raise RangeError(f"ignore is {shown(ignore)}, and the DUT is arrays: leave them out")
    yield fitted(_arrays(given, "DUT"), golden, how)


def _path(given: GivenDump) -> PathLike | None:
    """The path of a dump that is a file or a folder."""
    if isinstance(given, TraceFile | Vectors):
        return given.path
    return given if isinstance(given, str | os.PathLike) else None


def _arrays(given: GivenDump, name: str) -> Dump:
    """A dump of arrays."""
    if not isinstance(given, Mapping):
        raise RangeError(f"{name} is {shown(given)}, needed a trace, a vector pack, a path or arrays by layer")
    return in_memory({layer: _stages(layer, arrays) for layer, arrays in given.items()}, file=name)


def _stages(layer: str, given: Array | Mapping[str, Array]) -> dict[str, Array]:
    """Stages of a layer by their names; RangeError for what is no array of integers."""
    stages = dict(given) if isinstance(given, Mapping) else {RESULT: given}
    for stage, array in stages.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "iu" or array.ndim < 1:
            raise RangeError(f"layer {shown(layer)}, {stage}: is {shown(array)}, needed an array of integers (N, ...)")
    return stages
