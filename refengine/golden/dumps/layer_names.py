"""Which layer of one dump is which of the other: by name, without the layer's number, or as ``--map`` says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase

from ...errors import FileError, RangeError
from ...text import printable, shown

MOST = 20


def means(pattern: str, name: str) -> bool:
    """Whether a name or shell pattern means a layer, with or without the layer's number."""
    return pattern in (name, bare(name)) or fnmatchcase(name, pattern) or fnmatchcase(bare(name), pattern)


def covered(patterns: Sequence[str], *names: str) -> bool:
    """Whether any of some shell patterns means a thing by any of its names.

    >>> covered(["*.log", "003_*"], "run/make.log"), covered(["*.log"], "003_conv/code.npy")
    (True, False)
    """
    return any(means(pattern, name) for pattern in patterns for name in names)


def bare(name: str) -> str:
    """A layer's name without its number.

    >>> bare("003_layer1.0.conv2"), bare("conv2")
    ('layer1.0.conv2', 'conv2')
    """
    number, _, rest = name.partition("_")
    return rest if number.isdigit() else name


def nearest(name: str, known: Collection[str]) -> str | None:
    """The name most like one that is unknown, None where none is like it.

    >>> nearest("layer1.0.conv9", ["003_layer1.0.conv2", "024_fc"]), nearest("nosuch", ["024_fc"])
    ('003_layer1.0.conv2', None)
    """
    full = {bare(one): one for one in known} | {one: one for one in known}
    found = get_close_matches(name, [*full], 1)
    return full[found[0]] if found else None


def some(names: Sequence[str], most: int = MOST) -> str:
    """Names with commas between, the first of many.

    >>> some(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    return printable(", ".join(names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


def dut_names(golden: Sequence[str], dut: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    """Golden's name of a layer -> the DUT's, where they differ.

    RangeError where ``given`` means no layer, or two; FileError where the DUT has two layers for one of the golden.
    """
    there = _given(golden, dut, given)
    found = there | dict(_unnumbered(golden, dut, there))
    _refuse_twins([here for here in golden if here not in there], dut, found)
    return found


def _given(golden: Sequence[str], dut: Sequence[str], given: Mapping[str, str]) -> dict[str, str]:
    there: dict[str, str] = {}
    for here, name in given.items():
        found = [layer for layer in golden if here in (layer, bare(layer))]
        if len(found) != 1:
            raise RangeError(f"--map {shown(here)}: the golden has {len(found)} such layers, it has {some(golden)}")
        if name not in dut:
            raise RangeError(f"--map {shown(here)}: the DUT has no layer {shown(name)}, it has {some(dut)}")
        if found[0] in there or name in there.values():
            raise RangeError(f"--map {shown(here)}={shown(name)}: one of the two is mapped twice")
        there[found[0]] = name
    taken = {*there.values()} & {layer for layer in golden if layer not in there} & {*dut}
    if taken:
        raise RangeError(f"--map: the golden has a layer {shown(min(taken))} of its own, map that one too")
    return there


def _unnumbered(golden: Sequence[str], dut: Sequence[str], there: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Layers whose names differ by a number that one side leaves out, where only one of each side can be meant."""
    free = [name for name in dut if name not in golden and name not in there.values()]
    for here in golden:
        if here in dut or here in there or sum(bare(here) == bare(other) for other in golden) > 1:
            continue
        found = [name for name in free if bare(name) == bare(here)]
        if len(found) == 1 and bare(here) in (here, found[0]):
            yield here, found[0]


def _refuse_twins(golden: Sequence[str], dut: Sequence[str], there: Mapping[str, str]) -> None:
    """FileError where a layer of the DUT is judged and another has its name, one of them without the number."""
    matched = {here: there.get(here, here) for here in golden if there.get(here, here) in dut}
    own = {bare(here): here for here in golden if sum(bare(here) == bare(other) for other in golden) == 1}
    for name in dut:
        here = own.get(bare(name))
        if here not in matched or matched[here] == name or name in matched.values():
            continue
        if bare(name) in (name, matched[here]):
            twins = f"{shown(matched[here])} and {shown(name)}"
            raise FileError(f"the DUT has the layers {twins}, both called after {shown(here)}: --ignore leaves one out")
