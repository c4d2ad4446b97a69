"""Which stage of which layer of two dumps meets which, and all that is wrong before a single integer is read.

Nothing is reshaped, broadcast, cut or left out in silence: what cannot be compared is a problem, unless the layer was
excluded by name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.trace import STAGES
from ..errors import RangeError
from ..network.hdf5 import printable, shown
from ..network.int_network import IntLayer, IntNetwork
from ..ops import OPS
from .dump import RESULT, Dump, Values, by_order

BROKEN, EXCLUDED, SKIPPED = "not comparable", "excluded", "not compared"  # verdicts without a comparison
BLOCK_BYTES = 1 << 24
_SAME_BYTES = 1 << 22


@dataclass(frozen=True)
class Rules:
    """What is compared, and how strictly.

    names: golden's name of a layer -> the DUT's.  exclude: names or shell patterns, with or without the layer's number.
    stages: None for all, or some of those of a trace and ``result``, the stage that a layer ends in.
    any_integer_type: a wider container is no failure, its values count.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    stages: tuple[str, ...] | None = None
    any_integer_type: bool = False


@dataclass(frozen=True)
class Pair:
    """One layer of both dumps: the stages to compare, with what is wrong with those that cannot be."""

    layer: str
    dut_name: str | None
    verdict: str | None
    why: str | None
    stages: Mapping[str, tuple[Values, Values]] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    ends: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)

    @property
    def megabytes(self) -> int:
        """Of golden's integers, for the progress."""
        return 1 + sum(bytes_of(golden) for golden, _ in self.stages.values()) // 10**6

    def rows(self, most: int | None = None) -> int:
        """Images a block: about ``BLOCK_BYTES`` of each dump, whole chunks of both where they fit."""
        row = sum(bytes_of(golden) // golden.shape[0] for golden, _ in self.stages.values())
        rows = max(1, BLOCK_BYTES // max(1, row))
        rows = rows if most is None else min(rows, max(1, most))
        chunk = max((side.chunk_rows for pair in self.stages.values() for side in pair), default=1)
        return rows - rows % chunk if rows >= chunk else rows


def bytes_of(values: Values) -> int:
    """Of all images, unpacked."""
    size = values.dtype.itemsize
    for length in values.shape:
        size *= length
    return size


class Plan:
    """Which stage of which layer meets which; all that is wrong before a single integer was read."""

    def __init__(self, golden: Dump, dut: Dump, rules: Rules, network: IntNetwork | None) -> None:
        self.rules = rules
        self.network = network
        self.problems: list[str] = []
        self.first_image = first_image_of(golden, dut)
        self.images = next((d.images for d in (dut, golden) if d.images is not None), None)
        self.notes: tuple[str, ...] = tuple(_notes(golden, dut))
        self.other_model = self._check_dumps(golden, dut)
        self.dut_names = _dut_names(golden, dut, rules)
        self.golden_stages = {name: _named(golden.arrays[name], network, name) for name in golden.layers}
        back = {there: here for here, there in self.dut_names.items()}
        self.dut_stages = {
            back.get(name, name): _named(dut.arrays[name], network, back.get(name, name)) for name in dut.layers
        }
        known = {*self.golden_stages, *self.dut_stages, *(layer.name for layer in (network.layers if network else ()))}
        self._check_rules(known)
        order = _order(golden, dut, network, self.golden_stages, self.dut_stages)
        self.pairs = [self._pair(name) for name in order]

    def _check_dumps(self, golden: Dump, dut: Dump) -> bool:
        """Note what is wrong with the dumps as wholes; True if ``network`` is not that of the dumps."""
        network = self.network
        if golden.path is not None and dut.path is not None and same_file(golden.path, dut.path):
            self.problems.append(f"{dut.file} is the golden itself: nothing was tested")
        for one, other in _shared(dut, golden):
            self.problems.append(f"{printable(one)} is the same file as {printable(other)}: nothing was tested there")
        hashes = [(f"the golden {golden.file}", golden.model_hash), (f"the DUT {dut.file}", dut.model_hash)]
        hashes += [("the model", network.hash)] if network is not None else []
        known = [(who, value) for who, value in hashes if value is not None]
        for who, value in known[1:]:
            if value != known[0][1]:
                self.problems.append(f"{known[0][0]} is of model {known[0][1]}, {who} of model {value}")
        firsts = [dump.first_image for dump in (golden, dut)]
        if None not in firsts and firsts[0] != firsts[1]:
            self.problems.append(f"the golden begins with image {firsts[0]}, the DUT with image {firsts[1]}")
        pixels = [dump.images_sha256 for dump in (golden, dut)]
        if None not in pixels and pixels[0] != pixels[1]:
            self.problems.append("the golden and the DUT were given different images (their images_sha256 differ)")
        return network is not None and any(value != network.hash for _, value in known)

    def _check_rules(self, known: set[str]) -> None:
        for pattern in self.rules.exclude:
            if not any(means(pattern, name) for name in known):
                raise RangeError(f"--exclude {shown(pattern)} means no layer; layers: {_list(sorted(known))}")
        for stage in self.rules.stages or ():
            if stage not in (*STAGES, RESULT):
                raise RangeError(f"stage {shown(stage)} is unknown; stages: {', '.join(STAGES)}, {RESULT}")

    def excluded(self, layer: str) -> bool:
        """Whether a layer was excluded by name."""
        return any(means(pattern, layer) for pattern in self.rules.exclude)

    def chosen(self, layer: str, stages: Mapping[str, Values]) -> set[str]:
        """Those of a layer's stages that are to be compared."""
        if self.rules.stages is None:
            return {*stages}
        wanted = {*self.rules.stages}
        if RESULT in wanted:
            wanted.add(result_of(stages, self.network, layer))
        return wanted & {*stages}

    def pair(self, layer: str) -> Pair:
        """What is compared of a layer."""
        return next(pair for pair in self.pairs if pair.layer == layer)

    def _pair(self, layer: str) -> Pair:
        return self.meet(layer, self.golden_stages.get(layer), self.dut_stages.get(layer))

    def meet(self, layer: str, golden: Mapping[str, Values] | None, dut: Mapping[str, Values] | None) -> Pair:
        """What is compared of a layer that the dumps hold as these stages; None where one holds none."""
        dut_name = self.dut_names.get(layer, layer)
        if self.excluded(layer):
            return Pair(layer, dut_name, EXCLUDED, "excluded by name")
        if golden is None and dut is None:
            return Pair(layer, dut_name, SKIPPED, "dumped by neither")
        if dut is None:
            return Pair(layer, None, BROKEN, f"the DUT has no layer {shown(dut_name)}")
        if golden is None:
            return Pair(layer, dut_name, BROKEN, "the golden has no such layer, the DUT has")
        golden, dut = _paired(golden, dut)
        wanted = self.chosen(layer, golden) | self.chosen(layer, dut)
        if not wanted:
            return Pair(layer, dut_name, SKIPPED, f"has none of the chosen stages, it has {', '.join(golden)}")
        stages, problems = {}, {}
        for stage in by_order(dict.fromkeys(wanted)):
            if stage not in dut:
                problems[stage] = f"the DUT has no stage {stage}"
            elif stage not in golden:
                problems[stage] = f"the golden has no stage {stage}, the DUT has"
            else:
                problem = self._unlike(golden[stage], dut[stage])
                if problem is None:
                    stages[stage] = (golden[stage], dut[stage])
                else:
                    problems[stage] = problem
        ends = {stage: self._ends(layer, stage, pair[0].dtype) for stage, pair in stages.items()}
        return Pair(layer, dut_name, None, None, stages, problems, ends)

    def _unlike(self, golden: Values, dut: Values) -> str | None:
        if golden.shape[1:] != dut.shape[1:]:
            return f"has shape {_times(dut.shape[1:])}, the golden {_times(golden.shape[1:])}"
        if golden.shape[0] != dut.shape[0]:
            return f"has {dut.shape[0]} images, the golden {golden.shape[0]}"
        if golden.dtype != dut.dtype and not self.rules.any_integer_type:
            return f"holds {dut.dtype}, the golden {golden.dtype} (--any-integer-type compares the values)"
        return None

    def _ends(self, layer: str, stage: str, dtype: np.dtype[Any]) -> tuple[int, int, int]:
        """Lowest and highest integer of a stage, and the width in which its bits are shown."""
        limits, bits = np.iinfo(dtype), dtype.itemsize * 8
        lo, hi = int(limits.min), int(limits.max)
        if self.network is not None and any(known.name == layer for known in self.network.layers):
            known = self.network.layer(layer)
            if stage == "accumulator" and known.accumulator_bits < 32:
                bits = known.accumulator_bits
                lo, hi = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
            elif stage == "code":
                lo, hi = self.network.ranges[layer]
        return lo, hi, bits


def means(pattern: str, name: str) -> bool:
    """Whether a name or shell pattern means a layer, with or without the layer's number."""
    return pattern in (name, _bare(name)) or fnmatchcase(name, pattern) or fnmatchcase(_bare(name), pattern)


def _bare(name: str) -> str:
    number, _, rest = name.partition("_")
    return rest if number.isdigit() else name


def _dut_names(golden: Dump, dut: Dump, rules: Rules) -> dict[str, str]:
    """``rules.names``, once each is known to mean a layer of either side."""
    there: dict[str, str] = {}
    for here, name in rules.names.items():
        found = [layer for layer in golden.layers if here in (layer, _bare(layer))]
        if len(found) != 1:
            raise RangeError(f"--map {shown(here)}: the golden has {len(found)} such layers: {_list(golden.layers)}")
        if name not in dut.layers:
            raise RangeError(f"--map {shown(here)}: the DUT has no layer {shown(name)}: {_list(dut.layers)}")
        if found[0] in there or name in there.values():
            raise RangeError(f"--map {shown(here)}={shown(name)}: one of the two is mapped twice")
        there[found[0]] = name
    taken = {*there.values()} & {layer for layer in golden.layers if layer not in there} & {*dut.layers}
    if taken:
        raise RangeError(f"--map: the golden has a layer {shown(min(taken))} of its own, map that one too")
    return there


def _list(names: Sequence[str]) -> str:
    return printable(", ".join(names[:20])) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _named(stages: Mapping[str, Values], network: IntNetwork | None, layer: str) -> dict[str, Values]:
    """Stages with the nameless result called what it is, where the network says it."""
    if RESULT not in stages or network is None or layer not in network.shapes:
        return dict(stages)
    name = result_of(stages, network, layer)
    return dict(stages) if name in stages else by_order({name: stages[RESULT], **_without_result(stages)})


def result_of(stages: Mapping[str, Values], network: IntNetwork | None, layer: str) -> str:
    """The stage that a layer ends in."""
    if network is not None and layer in network.shapes:
        return result_stage(network.layer(layer))
    return next((stage for stage in ("code", RESULT, "accumulator") if stage in stages), RESULT)


def result_stage(layer: IntLayer) -> str:
    """``accumulator`` where they are the logits, ``code`` everywhere else."""
    return "accumulator" if OPS[layer.op].ACCUMULATES and layer.requantize is None else "code"


def _without_result(stages: Mapping[str, Values]) -> dict[str, Values]:
    return {stage: values for stage, values in stages.items() if stage != RESULT}


def _paired(
    golden: Mapping[str, Values], dut: Mapping[str, Values]
) -> tuple[Mapping[str, Values], Mapping[str, Values]]:
    """The nameless result of one side takes the name that the other side's result has."""

    def named(one: Mapping[str, Values], other: Mapping[str, Values]) -> Mapping[str, Values]:
        if RESULT not in one or RESULT in other:
            return one
        name = result_of(other, None, "")
        return one if name in one else by_order({name: one[RESULT], **_without_result(one)})

    return named(golden, dut), named(dut, golden)


def _order(
    golden: Dump,
    dut: Dump,
    network: IntNetwork | None,
    golden_stages: Mapping[str, Any],
    dut_stages: Mapping[str, Any],
) -> list[str]:
    """All layers in order of execution, as far as network, golden or DUT know it."""
    known = [layer.name for layer in network.layers] if network is not None else []
    dumped = [*golden_stages, *dut_stages] if golden.ordered or not dut.ordered else [*dut_stages, *golden_stages]
    return list(dict.fromkeys([*known, *dumped]))


def _notes(golden: Dump, dut: Dump) -> Iterator[str]:
    if golden.path is None or dut.path is None or same_file(golden.path, dut.path):
        return
    if same_content(golden.path, dut.path):
        yield f"{dut.file} and {golden.file} are byte for byte the same file: make sure that the DUT is no copy"


def _shared(dut: Dump, golden: Dump) -> Iterator[tuple[Path, Path]]:
    """Files of two folders that are one file, under whatever names."""
    known = {_identity(path): path for path in (golden.files or {}).values()}
    for path in (dut.files or {}).values():
        if _identity(path) in known and dut.path != golden.path:
            yield path, known[_identity(path)]


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def same_file(one: Path, other: Path) -> bool:
    """Whether both exist and are one file."""
    return os.path.exists(one) and os.path.exists(other) and os.path.samefile(one, other)


def same_content(one: Path, other: Path) -> bool:
    """Whether two regular files hold the same bytes; read only as far as they do."""
    if not (one.is_file() and other.is_file()) or one.stat().st_size != other.stat().st_size:
        return False
    with open(one, "rb") as a, open(other, "rb") as b:
        while block := a.read(_SAME_BYTES):
            if block != b.read(_SAME_BYTES):
                return False
    return True


def _times(shape: Sequence[int]) -> str:
    return "x".join(str(length) for length in shape)


def first_image_of(golden: Dump, dut: Dump) -> int:
    """Number of the first image in its file, which stochastic rounding looks at; 0 where neither dump says it."""
    known = [dump.first_image for dump in (golden, dut) if dump.first_image is not None]
    return known[0] if known else 0
