"""A grid of schemes, written as ``field=value,value,...`` for any field of a Scheme: their cross product.

    cluster=1,2,4,...,64        values of one field; '...' goes on as the numbers before it do
    weights=ternary,int8        every value is combined with every value of the other fields
    layers=none,first=int4+layer2.*=int8      each a list of overrides, joined by '+', or none
    reestimate=yes,no,auto      auto: if any layer is ternary, unless the method is calibrated
    equalize=yes,no

A field may be written with hyphens, as the options of ``quantize`` are: ``multiplier-bits``.  Combinations that cannot
differ in any integer are one: no cluster is chosen where no weight has one.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import product
from typing import Any

from ..errors import SchemeError
from ..numbers.rounding import STOCHASTIC
from ..quantization.scheme import CALIBRATED, Scheme

MAX_VALUES = 1000
MAX_SCHEMES = 10_000

_DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in fields(Scheme)}
_ANY: Mapping[str, Any] = {**_DEFAULTS, "method": "paper"}  # one of those that differ in ternary codes alone
_WORDS: Mapping[str, Mapping[str, bool | None]] = {
    "reestimate": {"auto": None, "yes": True, "no": False},
    "equalize": {"yes": True, "no": False},
}
_WITHOUT_LAYERS = "none"
_GAP = "..."


def schemes(words: Sequence[str]) -> tuple[Scheme, ...]:
    """The schemes of a grid, each once, the last field varying fastest; SchemeError where a word means nothing."""
    grid: dict[str, list[Any]] = {}
    for word in words:
        name, equals, values = word.partition("=")
        field = name.replace("-", "_")
        if field == "arith":
            raise SchemeError(
                f"grid has {word!r}, which is no field; needed the rounding and multiplier-bits that it stands for "
                "('refengine arith --list')"
            )
        if not equals or field not in _DEFAULTS:
            raise SchemeError(f"grid has {word!r}, needed FIELD=VALUE,VALUE,... with one of {', '.join(_DEFAULTS)}")
        if field in grid:
            raise SchemeError(f"grid has two lists of {field}, needed one")
        grid[field] = [_value(field, text) for text in expanded(values)]
    count = 1
    for choices in grid.values():
        count *= len(choices)
    if count > MAX_SCHEMES:
        raise SchemeError(f"grid has {count} combinations, at most {MAX_SCHEMES} are run")
    made = (Scheme(**dict(zip(grid, values, strict=True))) for values in product(*grid.values()))
    return tuple(dict.fromkeys(map(collapsed, made)))


def collapsed(scheme: Scheme) -> Scheme:
    """The scheme with one value, the same for all, in every field that no integer can depend on.

    >>> collapsed(Scheme(weights="int8", cluster=16, method="optimal")) == Scheme(weights="int8", method="paper")
    True
    """
    return replace(scheme, **{name: _ANY[name] for name in _MATTERS if not matters(scheme, name)})


def matters(scheme: Scheme, field: str) -> bool:
    """Whether some integer can depend on a field, the others being as they are."""
    return field not in _MATTERS or _MATTERS[field](scheme)


def _formats(scheme: Scheme) -> set[str]:
    """Formats that some layer's weights may have."""
    return {scheme.weights, scheme.first, scheme.last, *(fmt for _, fmt in scheme.layers)}


_MATTERS: Mapping[str, Callable[[Scheme], bool]] = {
    "cluster": lambda scheme: bool(_formats(scheme) & {"ternary", "int4"}),
    "method": lambda scheme: "ternary" in _formats(scheme) or scheme.method == CALIBRATED,
    "views": lambda scheme: scheme.method == CALIBRATED,
    "seed": lambda scheme: scheme.rounding == STOCHASTIC,
    "accumulator_policy": lambda scheme: scheme.accumulator_bits < 32,
}


# -------------------------------------------------------------------------------------------------------------- values


def expanded(text: str) -> list[str]:
    """The values of a list, '...' filled in: a number doubles or grows by the same step each time.

    SchemeError where the numbers before '...' do not say which, or never reach the one after it.

    >>> expanded("1,2,4,...,64")
    ['1', '2', '4', '8', '16', '32', '64']
    >>> expanded("2,4,6,...,12,100")
    ['2', '4', '6', '8', '10', '12', '100']
    """
    values = [value.strip() for value in text.split(",")]
    if "" in values:
        raise SchemeError(f"{text!r} has an empty value, needed VALUE,VALUE,...")
    if _GAP in values:
        place = values.index(_GAP)
        values = [*values[:place], *_filled(text, values[:place], values[place + 1 :]), *values[place + 1 :]]
    if len(values) > MAX_VALUES:
        raise SchemeError(f"{text!r} means {len(values)} values, at most {MAX_VALUES} are run")
    return list(dict.fromkeys(values))


def _filled(text: str, before: list[str], after: list[str]) -> list[str]:
    """The numbers that '...' stands for."""
    if len(before) < 2 or not after or not all(value.lstrip("-").isdecimal() for value in (*before, after[0])):
        raise SchemeError(f"{text!r}: '...' needs two or more whole numbers before it and one after it")
    start, end = [int(value) for value in before], int(after[0])
    rules = (lambda number: 2 * number, lambda number: number + start[1] - start[0])
    found = [numbers for rule in rules if (numbers := _progression(text, start, end, rule)) is not None]
    if len(found) != 1:
        how = "doubling and with equal steps" if found else "neither doubling nor with equal steps"
        raise SchemeError(f"{text!r}: '...' can be filled {how}, write more of the numbers")
    return [str(number) for number in found[0]]


def _progression(text: str, start: list[int], end: int, rule: Callable[[int], int]) -> list[int] | None:
    """What lies between ``start`` and ``end`` by a rule; None where the rule does not give them."""
    numbers = start[:1]
    while numbers[-1] != end:
        following = rule(numbers[-1])
        nearer = abs(end - following) < abs(end - numbers[-1])
        if not nearer or (len(numbers) < len(start) and start[len(numbers)] != following):
            return None
        if len(numbers) > MAX_VALUES:
            raise SchemeError(f"{text!r} means more than {MAX_VALUES} values, no more are run")
        numbers.append(following)
    return numbers[len(start) : -1] if len(numbers) > len(start) else None


def _value(field: str, text: str) -> Any:
    """A value in the type of the scheme's field."""
    if field == "layers":
        return () if text == _WITHOUT_LAYERS else tuple(_overrides(text))
    if field in _WORDS:
        if text not in _WORDS[field]:
            raise SchemeError(f"{field} is {text!r}; available: {', '.join(_WORDS[field])}")
        return _WORDS[field][text]
    kind = type(_DEFAULTS[field])
    try:
        return kind(text)
    except ValueError:
        raise SchemeError(f"{field} is {text!r}, needed a number") from None


def _overrides(text: str) -> Iterator[tuple[str, str]]:
    for pair in text.split("+"):
        pattern, equals, fmt = pair.rpartition("=")
        if not equals or not pattern:
            raise SchemeError(f"layers has {pair!r}, needed PATTERN=FORMAT, as 'layer2.*=int4', or none")
        yield pattern, fmt


# -------------------------------------------------------------------------------------------------------------- naming


def written(field: str, value: Any) -> str:
    """A field's value as a grid has it."""
    if field == "layers":
        return "+".join(f"{pattern}={fmt}" for pattern, fmt in value) or _WITHOUT_LAYERS
    if field in _WORDS:
        return next(word for word, meaning in _WORDS[field].items() if meaning is value)
    return str(value)


def varied(given: Sequence[Scheme]) -> tuple[str, ...]:
    """The fields in which schemes differ, in the order of a Scheme's fields."""
    return tuple(name for name in _DEFAULTS if len({getattr(scheme, name) for scheme in given}) > 1)


def label(scheme: Scheme, names: Sequence[str]) -> str:
    """A scheme in the words of a grid: the fields ``names``, those left out in which it has no choice.

    Where there is nothing to tell it from, its weights.

    >>> label(Scheme(cluster=8), ["weights", "cluster"]), label(Scheme(weights="int8"), ["weights", "cluster"])
    ('weights=ternary cluster=8', 'weights=int8')
    """
    told = [name for name in names if matters(scheme, name)] or ["weights"]
    return " ".join(f"{name}={written(name, getattr(scheme, name))}" for name in told)
