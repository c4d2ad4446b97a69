"""Faults that no recomputation shows: memories, bits, lanes, and where in a tensor the differences lie.

All functions compare what a layer should have written with what was written, both int64 (N, ...).  A ``Finding`` says
what another machine than the layer's would have written; ``findings`` gives those that explain every value.
Sentences that prove nothing alone but tell an engineer where to look are in ``golden/diagnose/observe.py``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_WORD = 64
_LAGS = (1, 2, 3, 4, 8, 16, 32)
_MOST_LATE = 1 << 16
_LISTED = 16
_STUCK = 8  # more bits than these say no more than that all values are alike
_VARIED = 4  # different values that a block must hold before its repetition means anything

STRUCTURES = {
    "all_zero": "everything written is 0",
    "constant": "everything written is one number",
    "not_written": "what differs is one number, as in memory that was not written",
    "images_reversed": "the images are in reverse order",
    "images_rotated": "each image is another one's, counted in a circle",
    "stale_image": "what differs is what the image before had in the same place",
    "stale_tile": "what differs is a block that repeats another one of the same image",
    "words_late": "from one word on, each holds the one before it, as after a stall",
    "row_pitch": "rows of the result lie a wrong number of pixels apart",
    "words_early": "from one word on, each holds the one after it: a word is lost",
    "word_repeated": "what differs is the word before it, read once more",
    "stuck_bits": "some bits are always 0 or always 1",
    "inverted_bits": "some bits are inverted",
    "constant_offset": "everything is off by one constant",
    "channel_offsets": "constant per channel: the bias, where these are accumulators",
}


@dataclass(frozen=True)
class Finding:
    """A fault of ``STRUCTURES`` that explains every value, and its particulars in words."""

    name: str
    sentence: str


def findings(
    golden: np.ndarray, got: np.ndarray, skipped: int = 0, known: np.ndarray | None = None
) -> tuple[Finding, ...]:
    """Every structural fault that turns ``golden`` into ``got``, the simplest first; none where they are equal.

    ``skipped``: words of the dump before the first one, which a word's number counts.  ``known``: the values of ``got``
    that have no unknown bits; the others may be anything.
    """
    known = np.ones(got.shape, bool) if known is None else known
    if _equal(golden, got, known):
        return ()
    values = (golden, got) if known.all() else (golden[known], got[known])
    places = [look(golden, got, known, skipped) for look in _OF_PLACES]
    looks = [*(look(*values) for look in _OF_VALUES), _channel_offsets(golden, got, known)]
    found = tuple(finding for finding in (*looks[:1], *places[:1], looks[1], *places[1:], *looks[2:]) if finding)
    each = {finding.name: finding for finding in reversed(found)}
    late = "words_late" in each
    return tuple(
        finding for finding in found if finding is each[finding.name] and not (late and finding.name == "word_repeated")
    )


def _equal(found: np.ndarray, should: np.ndarray, known: np.ndarray) -> bool:
    return bool(((found == should) | ~known).all())


def _constant(golden: np.ndarray, got: np.ndarray) -> Finding | None:
    value = int(got.flat[0])
    if got.size < 2 or not (got == value).all():
        return None
    if value == 0:
        return Finding("all_zero", STRUCTURES["all_zero"])
    return Finding("constant", f"everything written is {value}")


def _not_written(golden: np.ndarray, got: np.ndarray) -> Finding | None:
    wrong = got != golden
    values = got[wrong]
    if wrong.all() or len(values) < 2 or not (values == values[0]).all() or len(np.unique(golden[wrong])) < 2:
        return None
    return Finding("not_written", f"what differs is always {int(values[0])}, as in memory that was not written")


def _image_order(golden: np.ndarray, got: np.ndarray, known: np.ndarray, skipped: int) -> Finding | None:
    if len(golden) < 2:
        return None
    if _equal(got, golden[::-1], known) and len(golden) > 2:
        return Finding("images_reversed", STRUCTURES["images_reversed"])
    for by in range(1, len(golden)):
        if _equal(got[0], golden[-by], known[0]) and _equal(got, np.roll(golden, by, axis=0), known):
            if len(golden) == 2:
                return Finding("images_rotated", "the two images are exchanged, or each holds the one before")
            where = f"{by} before" if by <= len(golden) // 2 else f"{len(golden) - by} after"
            return Finding("images_rotated", f"each image holds the result of the one {where}, counted in a circle")
    return None


def _stale_image(golden: np.ndarray, got: np.ndarray, known: np.ndarray, skipped: int) -> Finding | None:
    wrong = (got != golden) & known
    if len(golden) < 2 or wrong[0].any() or len(np.unique(got[wrong])) < _VARIED:
        return None
    for before, which in ((golden[:-1], ""), (got[:-1], ", itself wrong")):
        if np.array_equal(got[1:][wrong[1:]], before[wrong[1:]]):
            return Finding("stale_image", f"what differs is what the image before had in the same place{which}")
    return None


def _stale_tile(golden: np.ndarray, got: np.ndarray, known: np.ndarray, skipped: int) -> Finding | None:
    """A box of differences that repeats the box before it, along rows, columns or channels."""
    box = bounding_box((got != golden) & known)
    here = got[box]
    if len(np.unique(here)) < _VARIED:
        return None
    for axis in range(1, got.ndim):
        length = box[axis].stop - box[axis].start
        for start in (box[axis].start - length, box[axis].stop):
            if start < 0 or start + length > got.shape[axis]:
                continue
            source = (*box[:axis], slice(start, start + length), *box[axis + 1 :])
            if _equal(here, golden[source], known[box]):
                return Finding("stale_tile", f"{described(box)} repeats {described(source)}")
    return None


def _from_a_word_on(golden: np.ndarray, got: np.ndarray, known: np.ndarray, skipped: int) -> Finding | None:
    """Words that are late or early from one on to the end, counted through the dump or through each image."""
    images = len(golden)
    for rows, of, before in ((1, "", skipped), (images, " of each image", 0)):
        should, found, sure = (values.reshape(rows, -1) for values in (golden, got, known))
        wrong = ((should != found) & sure).any(axis=0)
        first, count = int(wrong.argmax()), should.shape[1]
        if first == 0 or len(np.unique(found[:, first:])) < _VARIED:
            continue
        for lag in _LAGS:
            if first >= lag and _equal(found[:, first:], should[:, first - lag : count - lag], sure[:, first:]):
                return Finding("words_late", f"from word {first + before}{of} on each holds {_neighbour(lag)} before")
            early = slice(first, count - lag)
            if first + lag < count and _equal(found[:, early], should[:, first + lag :], sure[:, early]):
                return Finding("words_early", f"from word {first + before}{of} on each holds {_neighbour(lag)} after")
    return None


def _delayed(golden: np.ndarray, got: np.ndarray, known: np.ndarray, skipped: int) -> Finding | None:
    """Everything comes some words late, behind words that are all alike, in the dump or in each image."""
    images = len(golden)
    for rows, of in ((1, ""), (images, " in each image")):
        should, found, sure = (values.reshape(rows, -1) for values in (golden, got, known))
        anchor = _varied(should[0])
        if anchor is None:
            return None
        part = should[0, anchor : anchor + _WORD]
        near = slice(anchor, anchor + _MOST_LATE)
        windows = np.lib.stride_tricks.sliding_window_view(found[0, near], _WORD)
        there = np.lib.stride_tricks.sliding_window_view(sure[0, near], _WORD)
        alike = ((windows == part) | ~there).all(axis=1) & (2 * np.count_nonzero(there, axis=1) >= _WORD)
        for lag in np.flatnonzero(alike)[: _LAGS[-1]]:
            first = found[:, :lag][sure[:, :lag]]
            if (
                lag
                and (not len(first) or (first == first[0]).all())
                and _equal(found[:, lag:], should[:, : should.shape[1] - lag], sure[:, lag:])
            ):
                behind = f"behind {int(first[0])}" if len(first) else "behind unknown ones"
                return Finding("words_late", f"everything comes {_count(int(lag))} late{of}, {behind}")
    return None


def _varied(values: np.ndarray) -> int | None:
    """The first place from which on ``_WORD`` values differ enough to know them again."""
    for place in range(0, len(values) // 2 - _WORD, _WORD):
        if len(np.unique(values[place : place + _WORD])) >= 2 * _VARIED:
            return place
    return None


def _count(words: int) -> str:
    return "1 word" if words == 1 else f"{words} words"


def _pitched(golden: np.ndarray, got: np.ndarray, known: np.ndarray, skipped: int) -> Finding | None:
    """Rows written a wrong number of pixels apart; where no row comes, all is alike."""
    if golden.ndim != 4 or golden.shape[1] < 2:
        return None
    images, height, width, channels = golden.shape
    size, row = height * width * channels, width * channels
    found, sure = got.reshape(images, size), known.reshape(images, size)
    for pitch in (*range(1, width), *range(width + 1, min(4, height) * width)):
        second = slice(pitch * channels, (pitch + min(pitch, width)) * channels)  # where row 1 begins, in image 0
        start = golden[0, 1].reshape(-1)[: second.stop - second.start][: size - second.start]
        if not _equal(found[0, second], start, sure[0, second]):
            continue
        source = np.full(size, -1)
        for y in range(height):
            place = y * pitch * channels
            part = source[place : place + row]
            part[:] = np.arange(y * row, y * row + len(part))
        rest = found[:, source < 0][sure[:, source < 0]]
        if len(rest) and not (rest == rest[0]).all():
            continue
        should = golden.reshape(images, size)[:, source]
        if _equal(found[:, source >= 0], should[:, source >= 0], sure[:, source >= 0]):
            return Finding("row_pitch", f"rows of the result are written {pitch} pixels apart, not {width}")
    return None


def _neighbour(lag: int) -> str:
    return "the one" if lag == 1 else f"the word {lag} places"


def _repeated(golden: np.ndarray, got: np.ndarray, known: np.ndarray, skipped: int) -> Finding | None:
    should, found = golden.reshape(-1), got.reshape(-1)
    wrong = np.flatnonzero((should != found) & known.reshape(-1))
    if wrong[0] == 0 or len(np.unique(found[wrong])) < _VARIED or 2 * len(wrong) > len(found):
        return None
    if not np.array_equal(found[wrong], should[wrong - 1]):
        return None
    period, phase = comb(wrong + skipped, len(found))
    where = f": words {phase}, {phase + period}, ..., every {period}" if period else ""
    return Finding("word_repeated", f"what differs is the word before it, read once more{where}")


def comb(places: np.ndarray, count: int) -> tuple[int, int]:
    """(period, first) of places that all lie on one comb of period 3 or more; (0, 0) where there is none.

    >>> comb(np.array([6, 13, 20, 27]), 28), comb(np.array([64, 192]), 256), comb(np.array([1, 2]), 9)
    ((7, 6), (128, 64), (0, 0))
    """
    if len(places) < 2:
        return 0, 0
    period = int(np.gcd.reduce(np.diff(places)))
    return (period, int(places[0] % period)) if period > 2 else (0, 0)


def _stuck(golden: np.ndarray, got: np.ndarray) -> Finding | None:
    ever, always = int(np.bitwise_or.reduce(got, None)), int(np.bitwise_and.reduce(got, None))
    zeros = int(np.bitwise_or.reduce(golden & ~got, None)) & ~ever
    ones = int(np.bitwise_or.reduce(~golden & got, None)) & always
    if not (zeros or ones) or not np.array_equal(got, (golden & ~zeros) | ones):
        return None
    if _wires(zeros) + _wires(ones) > _STUCK:
        return None
    parts = [f"{_bits(mask)} always {value}" for mask, value in ((zeros, 0), (ones, 1)) if mask]
    return Finding("stuck_bits", " and ".join(parts))


def _wires(mask: int) -> int:
    """How many bits a mask has, those that all repeat the sign counted once.

    >>> _wires(0b101), _wires(-128)
    (2, 1)
    """
    return mask.bit_count() if mask >= 0 else (~mask).bit_length() - (~mask).bit_count() + 1


def _inverted(golden: np.ndarray, got: np.ndarray) -> Finding | None:
    mask = int(golden.flat[0] ^ got.flat[0])
    if not np.array_equal(got, golden ^ mask):
        return None
    return Finding("inverted_bits", f"{_bits(mask)} inverted")


def _bits(mask: int) -> str:
    """The names of the bits of a mask; from the sign on they are all alike.

    >>> _bits(0b101), _bits(1 << 7), _bits(-128)
    ('bits 0 and 2 are', 'bit 7 is', 'bits from 7 on are')
    """
    names = [bit for bit in range(_WORD) if mask >> bit & 1]
    if mask < 0 and names == [*range(names[0], _WORD)]:
        return f"bits from {names[0]} on are"
    if len(names) == 1:
        return f"bit {names[0]} is"
    return f"bits {', '.join(map(str, names[:-1]))} and {names[-1]} are"


def _offset(golden: np.ndarray, got: np.ndarray) -> Finding | None:
    by = int((got - golden).flat[0])
    if got.size < 2 or not np.array_equal(got, golden + by):
        return None
    return Finding("constant_offset", f"everything is off by {by:+d}")


def _channel_offsets(golden: np.ndarray, got: np.ndarray, known: np.ndarray) -> Finding | None:
    by, sure = (got - golden).reshape(-1, got.shape[-1]), known.reshape(-1, got.shape[-1])
    one = np.where(sure.any(axis=0), by[sure.argmax(axis=0), np.arange(got.shape[-1])], 0)
    if len(by) < 2 or not _equal(by, one, sure) or (one == one[0]).all():
        return None
    return Finding("channel_offsets", f"constant per channel: the bias, if these are sums: {_offsets(one)}")


def _offsets(by: np.ndarray) -> str:
    """The channels that are off and by how much.

    >>> _offsets(np.array([0, -3, 0, 12]))
    'channel 1 by -3, 3 by +12'
    """
    channels = np.flatnonzero(by)
    said = ", ".join(f"{channel} by {int(by[channel]):+d}" for channel in channels[:_LISTED])
    return f"channel {said}" + (f" and {len(channels) - _LISTED} more" if len(channels) > _LISTED else "")


_OF_VALUES: tuple[Callable[[np.ndarray, np.ndarray], Finding | None], ...] = (
    _constant, _not_written, _stuck, _inverted, _offset,
)  # fmt: skip
_OF_PLACES: tuple[Callable[[np.ndarray, np.ndarray, np.ndarray, int], Finding | None], ...] = (
    _image_order, _from_a_word_on, _delayed, _pitched, _stale_image, _stale_tile, _repeated,
)  # fmt: skip


# ------------------------------------------------------------------------------------------------------------- regions


def bounding_box(wrong: np.ndarray) -> tuple[slice, ...]:
    """The smallest box that holds every True; there is at least one."""
    return tuple(slice(int(places.min()), int(places.max()) + 1) for places in np.nonzero(wrong))


def axis_names(dimensions: int) -> tuple[str, ...]:
    """What the axes of a result are called."""
    return ("image", "row", "column", "channel") if dimensions == 4 else ("image", "channel")


def described(box: tuple[slice, ...]) -> str:
    """A box in words.

    >>> described((slice(0, 1), slice(4, 8), slice(0, 2), slice(3, 4)))
    'image 0, rows 4..7, columns 0..1, channel 3'
    """
    return ", ".join(
        f"{name} {part.start}" if part.stop == part.start + 1 else f"{name}s {part.start}..{part.stop - 1}"
        for name, part in zip(axis_names(len(box)), box, strict=True)
    )


def affected(wrong: np.ndarray, axis: int) -> np.ndarray:
    """Which images, rows, columns or channels have a difference: sorted numbers."""
    return np.flatnonzero(wrong.any(axis=tuple(other for other in range(wrong.ndim) if other != axis)))


def lane(places: np.ndarray, count: int) -> str | None:
    """Places of ``count`` that are every P-th from k on, in words; None where they are no such comb.

    >>> lane(np.array([3, 7, 11, 15]), 16), lane(np.array([3, 7]), 16), lane(np.array([0, 1]), 2)
    ('k mod 4 = 3', None, None)
    """
    first = int(places[0]) if len(places) else 0
    modulus = int(places[1]) - first if len(places) > 1 else 0
    if modulus > 1 and 2 * modulus <= count and np.array_equal(places, np.arange(first, count, modulus)):
        return f"k mod {modulus} = {first}" if first < modulus else None
    return None


def places_in_words(places: np.ndarray, count: int, name: str) -> str | None:
    """Some of ``count`` places in words; None where it is all of them.

    >>> places_in_words(np.array([14, 15]), 16, "row"), places_in_words(np.array([1]), 16, "channel")
    ('the last 2 rows', 'channel 1')
    """
    if len(places) == count:
        return None
    comb = lane(places, count)
    if comb is not None and len(places) > 1:
        return f"{name}s {comb}"
    if len(places) == 1:
        return f"{name} {int(places[0])}"
    if np.array_equal(places, np.arange(count - len(places), count)):
        return f"the last {len(places)} {name}s"
    if np.array_equal(places, np.arange(len(places))):
        return f"the first {len(places)} {name}s"
    return f"{name}s {_first(places)}"


def _first(values: np.ndarray, most: int = 8) -> str:
    listed = ", ".join(str(int(value)) for value in values[:most])
    return f"{listed}, ..." if len(values) > most else listed
