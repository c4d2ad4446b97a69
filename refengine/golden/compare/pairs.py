"""Which stage of which layer of two dumps meets which, and all that is wrong before a single integer is read.

Nothing is broadcast, cut or left out in silence: what cannot be compared is a problem, unless the layer was excluded by
name.  A stage that one side dumped of no layer at all is not judged; one that it dumped of some is missing of others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ...errors import FileError, RangeError
from ...network.int_network import IntLayer, IntNetwork
from ...ops import OPS
from ...runs.trace import STAGES
from ...text import printable, shown
from ...vectors.tensors import LOGITS
from ..dumps.axes import orders_between
from ..dumps.dump import IMAGES, Array, Damaged, Dump, Forms, Values, by_order, contradiction, other_forms
from ..dumps.fitted import Marks, complaints_of, marks_of
from ..dumps.layer_names import bare, dut_names, means, nearest, some
from ..dumps.reading import RESULT
from ..dumps.same_files import copies, same_file, shared

MISSING, UNKNOWN, DAMAGED, BROKEN = "missing", "unknown", "damaged", "not comparable"  # failures without a comparison
EXCLUDED, SKIPPED = "excluded", "not compared"  # no failures
CONTRADICTORY = "two forms disagree"
NOT_IN_GOLDEN, NOT_ASKED = "not in the golden", "not asked for"
BLOCK_BYTES = 1 << 24


@dataclass(frozen=True)
class Rules:
    """What is compared, and how strictly.

    names: golden's name of a layer -> the DUT's.  exclude: names or shell patterns, with or without the layer's number.
    layers: the same, of the only ones to judge; none: all that the golden holds, but for a pack's mere inputs.
    stages: None for all, or some of those of a trace and ``result``, the stage that a layer ends in.
    any_integer_type: a wider container is no failure, its values count.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    stages: tuple[str, ...] | None = None
    any_integer_type: bool = False
    layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """Why a stage cannot be compared; ``verdict`` is one of the failures."""

    verdict: str
    why: str


@dataclass(frozen=True)
class Pair:
    """One layer of both dumps: the stages to compare, with what is wrong with those that cannot be.

    hint: what may be meant where a layer is unknown.
    """

    layer: str
    dut_name: str | None
    verdict: str | None
    why: str | None
    stages: Mapping[str, tuple[Values, Values]] = field(default_factory=dict)
    problems: Mapping[str, Problem] = field(default_factory=dict)
    ends: Mapping[str, tuple[int, int, int]] = field(default_factory=dict)
    hint: str | None = None

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


@dataclass(frozen=True, eq=False)
class OneImage:
    """Values of a single image that were dumped without an image axis."""

    values: Values

    @property
    def shape(self) -> tuple[int, ...]:
        """(1, ...)."""
        return (1, *self.values.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return self.values.dtype

    @property
    def chunk_rows(self) -> int:
        """One image."""
        return 1

    @property
    def others(self) -> tuple[tuple[str, Values], ...]:
        """Further forms of the same integers."""
        return tuple((place, OneImage(form)) for place, form in other_forms(self.values))

    def read(self, start: int, stop: int) -> Array:
        """Images start..stop-1."""
        return self.values.read(0, self.values.shape[0])[None][start:stop]


class Plan:
    """Which stage of which layer meets which; all that is wrong before a single integer was read.

    unjudged: the stages that the DUT, or the golden, has of no layer at all.  passed_over: what the DUT holds and
    nothing judges, by name, and why: files that were not read, layers and stages that the golden does not have.
    """

    def __init__(self, golden: Dump, dut: Dump, rules: Rules, network: IntNetwork | None) -> None:
        rules = replace(rules, layers=dut.asked) if dut.asked and not rules.layers else rules
        self.rules = rules
        self.network = network
        self.problems: list[str] = []
        self.first_image = first_image_of(golden, dut)
        self.images = next((d.images for d in (dut, golden) if d.images is not None), None)
        ignored = (f"{dut.file}: ignored: {some(dut.ignored)}",) if dut.ignored else ()
        self.notes: tuple[str, ...] = (*golden.notes, *dut.notes, *ignored, *copies(golden, dut))
        self.other_model = self._check_dumps(golden, dut)
        if network is not None and network.hash not in (golden.model_hash, dut.model_hash) and self.other_model:
            self.network = network = None  # its layers are not those of the dumps
        of_network = [layer.name for layer in network.layers] if network is not None else []
        self.dut_names = dut_names([*dict.fromkeys([*golden.layers, *of_network])], dut.layers, rules.names)
        back = {there: here for here, there in self.dut_names.items()}
        self.golden_stages = {name: _named(golden.arrays[name], network, name) for name in golden.layers}
        self.dut_stages = {
            back.get(name, name): _named(dut.arrays[name], network, back.get(name, name)) for name in dut.layers
        }
        self._check_rules({*self.golden_stages, *self.dut_stages, *of_network})
        self._inputs = golden.inputs
        self._pair_stages()
        self._golden_is_chosen = golden.ordered
        self.unjudged = {"DUT": self._absent(self.dut_stages), "golden": self._absent(self.golden_stages)}
        order = _order(golden, dut, of_network, self.golden_stages, self.dut_stages)
        self.pairs = [self._pair(name) for name in order]
        self.passed_over = {**dut.passed_over, **dict(self._extra()), **dict(self._check_run(golden, dut))}

    def _pair_stages(self) -> None:
        """Give the stages of both sides the same names, and single images their axis."""
        without_axis = False
        for layer in {*self.golden_stages} & {*self.dut_stages}:
            golden, dut = _paired(self.golden_stages[layer], self.dut_stages[layer])
            single = {stage for stage in {*golden} & {*dut} if golden[stage].shape == (1, *dut[stage].shape)}
            without_axis |= bool(single)
            self.golden_stages[layer] = dict(golden)
            self.dut_stages[layer] = {stage: OneImage(v) if stage in single else v for stage, v in dut.items()}
        if without_axis:
            self.notes += ("the DUT's arrays have no axis of images, they are taken for the golden's one image",)

    def _absent(self, one: Mapping[str, Mapping[str, Values]]) -> tuple[str, ...]:
        """Stages that the other side has and ``one`` of no layer; accumulators that are a layer's result are apart."""
        if self.rules.stages is not None:
            return ()
        both = {layer for layer in {*self.golden_stages} & {*self.dut_stages} if self.asked(layer)}

        def stages(*sides: Mapping[str, Mapping[str, Values]]) -> set[str]:
            held = ((layer, stage) for side in sides for layer in both for stage in side[layer])
            return {stage for layer, stage in held if not self._is_result(layer, stage)}

        return tuple(by_order(dict.fromkeys(stages(self.golden_stages, self.dut_stages) - stages(one))))

    def _extra(self) -> Iterator[tuple[str, str]]:
        """Layers and stages of the DUT that meet nothing, and why; a layer of another name is a failure of its own."""
        for pair in self.pairs:
            if pair.verdict in (EXCLUDED, UNKNOWN) or not self.asked(pair.layer):
                continue
            for stage in self.dut_stages.get(pair.layer, {}):
                met = stage in pair.stages or stage in pair.problems
                if not met and stage in (self.rules.stages or (stage,)):
                    yield f"{pair.layer}.{stage}", NOT_IN_GOLDEN

    def _check_run(self, golden: Dump, dut: Dump) -> Iterator[tuple[str, str]]:
        """Hold the DUT's images and logits against the golden's; what cannot be judged so, and why."""
        ends = self._last(golden, dut) if golden.logits is None else golden.logits
        for name, one, other in ((IMAGES, golden.images, dut.images), (LOGITS, ends, dut.logits)):
            if other is None or (self.rules.layers and (one is None or name == LOGITS)):
                continue
            if one is None:
                if name == LOGITS or self.network is None:  # a network is given the DUT's images
                    yield name, NOT_IN_GOLDEN
                continue
            other = OneImage(other) if one.shape == (1, *other.shape) else other
            why = _unequal(one, other)
            if why is None:
                continue
            if name == LOGITS and golden.logits is None:
                yield name, NOT_IN_GOLDEN
            else:
                self.problems.append(f"the {name} of the DUT are not the golden's: {why}")

    def _last(self, golden: Dump, dut: Dump) -> Values | None:
        """What the golden's last layer ends in."""
        stages = self.golden_stages.get(dut.layers[-1], {}) if dut.layers else {}
        return stages.get(result_of(stages, self.network, dut.layers[-1])) if stages else None

    def _is_result(self, layer: str, stage: str) -> bool:
        """Whether a layer ends in these accumulators."""
        stages = dict(self.golden_stages.get(layer, {}))
        if not any("code" in held for held in self.golden_stages.values()):
            stages |= self.dut_stages.get(layer, {})
        return stage == "accumulator" == result_of(stages, self.network, layer)

    def _check_dumps(self, golden: Dump, dut: Dump) -> bool:
        """Note what is wrong with the dumps as wholes; True if ``network`` is not that of the dumps."""
        network = self.network
        if golden.path is not None and dut.path is not None and same_file(golden.path, dut.path):
            self.problems.append(f"{dut.file} is the golden itself: nothing was tested")
        for one, other in shared(dut, golden):
            self.problems.append(f"{printable(one)} is the same file as {printable(other)}: nothing was tested there")
        hashes = [(f"the golden {golden.file}", golden.model_hash), (f"the DUT {dut.file}", dut.model_hash)]
        known = [(who, value) for who, value in hashes if value is not None]
        for who, value in known[1:]:
            if value != known[0][1]:
                self.problems.append(f"{known[0][0]} is of model {known[0][1]}, {who} of model {value}")
        if network is not None and known and network.hash != known[0][1]:
            self.problems.append(
                f"the model given is another network, {network.hash}: {known[0][0]} is of model {known[0][1]}"
            )
        firsts = [dump.first_image for dump in (golden, dut)]
        if None not in firsts and firsts[0] != firsts[1]:
            self.problems.append(f"the golden begins with image {firsts[0]}, the DUT with image {firsts[1]}")
        pixels = [dump.images_sha256 for dump in (golden, dut)]
        if None not in pixels and pixels[0] != pixels[1]:
            self.problems.append("the golden and the DUT were given different images (their images_sha256 differ)")
        return network is not None and any(value != network.hash for _, value in known)

    def _check_rules(self, known: set[str]) -> None:
        for option, patterns in (("--exclude", self.rules.exclude), ("--layer", self.rules.layers)):
            for pattern in patterns:
                if not any(means(pattern, name) for name in known):
                    like = nearest(pattern, sorted(known))
                    proposed = "" if like is None else f"the nearest is {shown(like)}; "
                    layers = some(sorted(known))
                    raise RangeError(f"{option} {shown(pattern)} means no layer; {proposed}layers: {layers}")
        dumped = {stage for one in (self.golden_stages, self.dut_stages) for held in one.values() for stage in held}
        for stage in self.rules.stages or ():
            if stage not in (*STAGES, RESULT):
                there = ", ".join(by_order(dict.fromkeys(dumped)))
                stages = ", ".join((*STAGES, RESULT))
                raise RangeError(f"--stage {shown(stage)} is no stage; stages: {stages}; in these dumps: {there}")

    def excluded(self, layer: str) -> bool:
        """Whether a layer was excluded by name."""
        return any(means(pattern, layer) for pattern in self.rules.exclude)

    def asked(self, layer: str) -> bool:
        """Whether a layer is one of those to judge."""
        return not self.rules.layers or any(means(pattern, layer) for pattern in self.rules.layers)

    @property
    def takes_inputs_of_golden(self) -> bool:
        """Whether codes that the DUT did not dump are the golden's: where some layers alone are asked for."""
        return bool(self.rules.layers) or bool(self._inputs)

    def chosen(self, layer: str, stages: Mapping[str, Values]) -> set[str]:
        """Those of a layer's stages that are to be compared."""
        if self.rules.stages is None:
            unjudged = {stage for absent in self.unjudged.values() for stage in absent}
            return {stage for stage in stages if stage not in unjudged or self._is_result(layer, stage)}
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
        if not self.asked(layer):
            return Pair(layer, dut_name, SKIPPED, NOT_ASKED)
        if golden is None and self.rules.layers:
            return Pair(layer, dut_name, MISSING, NOT_IN_GOLDEN)
        if golden is None and dut is None:
            return Pair(layer, dut_name, SKIPPED, "in neither dump")
        if golden is None and self._golden_is_chosen and self.network is not None and layer in self.network.shapes:
            return Pair(layer, dut_name, SKIPPED, "not in the golden")
        if golden is None:
            return Pair(layer, dut_name, UNKNOWN, "not in the golden", hint=self._hint(dut_name, dut or {}))
        wanted = self.chosen(layer, golden)
        if not self._golden_is_chosen:
            wanted |= self.chosen(layer, dut or {})
        if not wanted:
            return Pair(layer, dut_name, SKIPPED, f"only {', '.join(golden)} there")
        if dut is None and layer in self._inputs and not self.rules.layers:
            return Pair(layer, None, SKIPPED, "only read by others, as the golden has it")
        if dut is None:
            return Pair(layer, None, MISSING, "not in the dump of the DUT")
        stages, problems = {}, {}
        for stage in by_order(dict.fromkeys(wanted)):
            problem = self._problem(golden.get(stage), dut.get(stage))
            if problem is not None:
                problems[stage] = problem
                continue
            stages[stage] = (golden[stage], dut[stage])
            complaints = complaints_of(_judged(dut[stage]))
            if complaints:
                verdict = BROKEN if any(one.kind == BROKEN for one in complaints) else MISSING
                problems[stage] = Problem(verdict, "; ".join(one.why for one in complaints))
        ends = {stage: self._ends(layer, stage, pair[0].dtype) for stage, pair in stages.items()}
        return Pair(layer, dut_name, None, None, stages, problems, ends)

    def _hint(self, dut_name: str, dut: Mapping[str, Values]) -> str:
        """Which layers of the golden an unknown one may be: those of its shape that the DUT has not."""
        shapes = {values.shape[1:] for values in dut.values()} | {values.shape for values in dut.values()}
        alike = [
            layer
            for layer, stages in self.golden_stages.items()
            if layer not in self.dut_stages and any(values.shape[1:] in shapes for values in stages.values())
        ]
        called_so = [layer for layer in alike if layer in dut_name] or [n for n in alike if bare(n) in dut_name]
        if called_so:
            likely = max(called_so, key=lambda name: len(bare(name)))
            return f"--map {printable(likely)}={printable(dut_name)} compares it with the layer of that name"
        found = f": of its shape the DUT lacks {some(alike, 6)}" if alike else ""
        return f"--map GOLDEN={printable(dut_name)} says which layer it is{found}"

    def _problem(self, golden: Values | None, dut: Values | None) -> Problem | None:
        """Why one stage of both sides cannot be compared."""
        if dut is None:
            of_others = ", which has it of other layers" if self.rules.stages is None else ""
            return Problem(MISSING, f"not in the dump of the DUT{of_others}")
        if golden is None:
            return Problem(MISSING, "not in the golden, the DUT has it")
        for values in (golden, dut):
            if isinstance(values, Damaged):
                return Problem(DAMAGED, values.why)
        why = self._unlike(golden, dut)
        return None if why is None else Problem(BROKEN, why)

    def _unlike(self, golden: Values, dut: Values) -> str | None:
        one, axes = golden.shape[1:], _axes(golden, dut)
        if dut.shape == one:
            return f"has shape {_times(dut.shape)} and no axis of images, the golden {_images(golden.shape[0])}"
        if len(dut.shape) != len(golden.shape):
            return f"has shape {_times(dut.shape)}, the golden {_times(golden.shape)}{axes}"
        if one != dut.shape[1:]:
            return f"has shape {_times(dut.shape[1:])}, the golden {_times(one)}{axes}"
        if golden.shape[0] != dut.shape[0]:
            return f"has {_images(dut.shape[0])}, the golden {golden.shape[0]}"
        typeless = getattr(_judged(dut), "typeless", False)
        if golden.dtype != dut.dtype and not typeless and not self.rules.any_integer_type:
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


def _judged(values: Values) -> Values:
    """The form of an array that is judged."""
    return values.judged if isinstance(values, Forms) else values


def marks_in(values: Values, start: int, stop: int) -> Marks | None:
    """What is unknown or missing in the form that is judged."""
    return marks_of(_judged(values), start, stop)


def _unequal(golden: Values, dut: Values) -> str | None:
    """In what two arrays that are no layer's differ."""
    complaints = complaints_of(_judged(dut))
    if complaints:
        return complaints[0].why
    if golden.shape != dut.shape:
        return f"shape {_times(dut.shape)} for {_times(golden.shape)}"
    rows = max(1, BLOCK_BYTES * golden.shape[0] // max(1, bytes_of(golden)))
    try:
        for start in range(0, golden.shape[0], rows):
            stop = min(start + rows, golden.shape[0])
            one, other = golden.read(start, stop), dut.read(start, stop)
            if marks_in(dut, start, stop) is not None:
                return f"image {start} or a later one has unknown bits"
            if not np.array_equal(one, other):
                return f"image {start + int(np.argmax((one != other).reshape(len(one), -1).any(axis=1)))} differs"
            contradicted = contradiction(dut, start, stop, other)
            if contradicted is not None:
                return contradicted
    except FileError as error:
        return str(error)
    return None


def _axes(golden: Values, dut: Values) -> str:
    """The explanation where only the order of axes differs."""
    for letters, shape in (("N", dut.shape[1:]), ("", dut.shape)):
        for order in orders_between(shape, golden.shape[1:])[:1]:
            name = f"{letters}{order}"
            return f": these are the axes {' '.join(name)}, --order {name} reads them"
    return ""


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


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
    golden: Dump, dut: Dump, known: Iterable[str], golden_stages: Mapping[str, Any], dut_stages: Mapping[str, Any]
) -> list[str]:
    """All layers in order of execution, as far as the network's ``known`` layers, golden or DUT tell it."""
    dumped = [*golden_stages, *dut_stages] if golden.ordered or not dut.ordered else [*dut_stages, *golden_stages]
    return list(dict.fromkeys([*known, *dumped]))


def _times(shape: Sequence[int]) -> str:
    return "x".join(str(length) for length in shape)


def first_image_of(golden: Dump, dut: Dump) -> int:
    """Number of the first image in its file, which stochastic rounding looks at; 0 where neither dump says it."""
    known = [dump.first_image for dump in (golden, dut) if dump.first_image is not None]
    return known[0] if known else 0
