"""Mutations of any bytes, of JSON, and of what an HDF5 file says, each decided by the ``random.Random`` it gets."""

import hashlib
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import h5py
import numpy as np

INTERESTING = (
    0,
    1,
    -1,
    2,
    7,
    8,
    127,
    128,
    255,
    256,
    4096,
    32767,
    65535,
    65536,
    2**20,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**62,
)
INTERESTING += (2**63 - 1, -(2**63), -(2**31), -128)
ODD: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2**31, 2**63, 10**400, 1.5, -0.0, 1e308, float("nan"), "", "x", "\x00", "é\ud800",
    "../x",
    "a" * 5000, [], {}, [[]], [1, 2, 3], {"a": 1}, ["x"], "-1", "1e5", "layers", 255, 65537,
)  # fmt: skip
TOKENS = (
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"[" * 300,
    b"{",
    b"}",
    b"'",
    b'"',
    b"\\",
    b"(",
    b"-",
    b"9" * 30,
    b"@",
    b"/*",
    b"//",
)
MOST = 1 << 20  # bytes that a mutation makes of a file at most


def of_bytes(rng: Random, data: bytes, others: Sequence[bytes] = ()) -> bytes:
    """The bytes with one to six changes."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        rng.choice(_WAYS)(rng, made, others)
    return bytes(made[:MOST])


def _place(rng: Random, made: bytearray) -> int:
    """Anywhere, and more often near the beginning, where headers are."""
    size = len(made)
    return rng.randrange(min(size, 200) if size and rng.random() < 0.4 else size) if size else 0


def _flip(rng: Random, made: bytearray, others: Sequence[bytes]) -> None:
    if made:
        made[_place(rng, made)] ^= 1 << rng.randrange(8)


def _byte(rng: Random, made: bytearray, others: Sequence[bytes]) -> None:
    if made:
        made[_place(rng, made)] = rng.choice((0, 1, 127, 128, 255, 10, 32, 48, rng.randrange(256)))


def _number(rng: Random, made: bytearray, others: Sequence[bytes]) -> None:
    at, layout = _place(rng, made), rng.choice(("<I", ">I", "<Q", ">Q", "<H", ">H"))
    size = struct.calcsize(layout)
    made[at : at + size] = struct.pack(layout, rng.choice(INTERESTING) % 256**size)


def _insert(rng: Random, made: bytearray, others: Sequence[bytes]) -> None:
    at = _place(rng, made)
    made[at:at] = rng.choice((rng.choice(TOKENS), rng.randbytes(rng.choice((1, 4, 20)))))


def _delete(rng: Random, made: bytearray, others: Sequence[bytes]) -> None:
    at = _place(rng, made)
    del made[at : at + rng.choice((1, 1, 4, 16, 100))]


def _repeat(rng: Random, made: bytearray, others: Sequence[bytes]) -> None:
    at = _place(rng, made)
    made[at:at] = made[at : at + rng.choice((1, 8, 64, 512))] * rng.choice((1, 2, 30))


def _truncate(rng: Random, made: bytearray, others: Sequence[bytes]) -> None:
    del made[_place(rng, made) :]


def _splice(rng: Random, made: bytearray, others: Sequence[bytes]) -> None:
    other = rng.choice(others) if others else bytes(made)
    at, start = _place(rng, made), rng.randrange(len(other) + 1)
    size = rng.choice((4, 16, 64, 300))
    made[at : at + size] = other[start : start + size]


def _swap(rng: Random, made: bytearray, others: Sequence[bytes]) -> None:
    one, two, size = _place(rng, made), _place(rng, made), rng.choice((1, 4, 16))
    made[one : one + size], made[two : two + size] = made[two : two + size], made[one : one + size]


_WAYS = (_flip, _flip, _byte, _byte, _number, _number, _insert, _delete, _repeat, _truncate, _splice, _swap)


# ---------------------------------------------------------------------------------------------------------------- JSON


def of_json(rng: Random, data: bytes, others: Sequence[bytes] = (), seal: bool = False) -> bytes:
    """JSON with some values, keys or items changed; ``seal``: with the SHA-256 that a sweep's files have."""
    content = json.loads(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        holder, key = rng.choice(_places(content))
        _change(rng, holder, key)
    if seal and isinstance(content, dict):
        content.pop("sha256", None)
        try:
            told = json.dumps(content, sort_keys=True)
            content["sha256"] = hashlib.sha256(told.encode()).hexdigest()
        except (ValueError, TypeError):
            return data
    return json.dumps(content).encode("utf-8", "surrogatepass")


def _places(content: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    waiting = [content]
    while waiting:
        one = waiting.pop()
        keys = [*one] if isinstance(one, dict) else [*range(len(one))] if isinstance(one, list) else []
        found += [(one, key) for key in keys]
        waiting += [one[key] for key in keys]
    return found or [({"": None}, "")]


def _change(rng: Random, holder: Any, key: Any) -> None:
    value = holder[key]
    way = rng.randrange(6)
    if way == 0 and isinstance(holder, dict):
        del holder[key]
    elif way == 1 and isinstance(holder, dict):
        holder[rng.choice(("x", "", "name", "sha256"))] = rng.choice(ODD)
    elif way == 2 and isinstance(value, int) and not isinstance(value, bool):
        holder[key] = rng.choice((value + 1, value - 1, -value, value * 2, *INTERESTING, float(value)))
    elif way == 3 and isinstance(value, str):
        holder[key] = rng.choice((value + "x", value[1:], value.upper(), value * 2))
    elif way == 4 and isinstance(value, list):
        holder[key] = rng.choice((value * 2, value[1:], value[::-1], [*value, rng.choice(ODD)]))
    else:
        holder[key] = rng.choice(ODD)


# ---------------------------------------------------------------------------------------------------------------- HDF5


def of_hdf5(rng: Random, data: bytes, others: Sequence[bytes], scratch: Path) -> bytes:
    """An HDF5 file in which h5py changed, removed or added something; ``scratch``: where it may write."""
    scratch.write_bytes(data)
    with h5py.File(scratch, "r+") as file:
        nodes: list[Any] = [file]
        file.visititems(lambda _, node: nodes.append(node))
        for _ in range(rng.choice((1, 1, 2, 3))):
            try:
                _edit(rng, rng.choice(nodes))
            except (OSError, ValueError, TypeError, KeyError, RuntimeError, OverflowError, AttributeError):
                continue
    return scratch.read_bytes()


def _edit(rng: Random, node: Any) -> None:
    names = [*node.attrs]
    if names and rng.random() < 0.6:
        name = rng.choice(names)
        old = node.attrs[name]
        del node.attrs[name]
        if rng.random() < 0.9:
            node.attrs[name] = _value(rng, old)
    elif isinstance(node, h5py.Dataset):
        array = node[()]
        parent, name = node.parent, node.name.rpartition("/")[2]
        del parent[name]
        if rng.random() < 0.95:
            parent.create_dataset(name, data=_array(rng, np.asarray(array)), **_storage(rng))
    elif len(node):
        name = rng.choice([*node])
        if rng.random() < 0.5:  # copied, not moved: HDF5 2.0 crashes where a group is moved twice
            node.copy(name, rng.choice(("zzz", "000_x", "7")))
        del node[name]
    else:
        node[rng.choice(("x", "weight", "requantize"))] = rng.choice((np.zeros(3), h5py.SoftLink("/"), np.arange(4)))


def _value(rng: Random, old: Any) -> Any:
    if isinstance(old, str) and rng.random() < 0.5:
        return rng.choice(
            (old + "x", "[]", '["000_input"]', "input", "conv", "RGB", "gray", "wrap", "stochastic", "[" * 999)
        )
    if not isinstance(old, str) and rng.random() < 0.7:
        array = np.array(old)
        if array.dtype.kind in "iu":
            flat = array.reshape(-1)
            flat[rng.randrange(flat.size)] = rng.choice((0, 1, 2, 3, -1, 31, 32, 63, 255, 65536, 2**62, -(2**63)))
            return array
    return rng.choice(
        (0, 1, -1, 2.5, float("nan"), "x", b"\xff", [1, 2], np.zeros((2, 2)), 2**62, "", ["a", "b"], 2**31)
    )


def _array(rng: Random, array: np.ndarray[Any, Any]) -> Any:
    way = rng.randrange(6)
    if way == 0:
        return array.astype(rng.choice(("i8", "f4", "u1", "f8", ">i4", "i1")))
    if way == 1 and array.ndim:
        return array[: rng.randrange(len(array) + 1)]
    if way == 2:
        return np.concatenate([array, array]) if array.ndim else array
    if way == 3:
        return array.reshape(-1)
    if way == 4 and array.dtype.kind in "iuf" and array.size:
        flat = np.array(array).reshape(-1)
        limits = np.iinfo(flat.dtype) if flat.dtype.kind in "iu" else np.finfo(flat.dtype)
        flat[rng.randrange(flat.size)] = rng.choice((limits.min, limits.max, 0, 1))
        return flat.reshape(array.shape)
    return rng.choice((np.zeros(0), np.zeros((1, 2, 3, 4), "i1"), "text", np.array(5), np.full(3, np.nan)))


def _storage(rng: Random) -> dict[str, Any]:
    return rng.choice(({}, {}, {"chunks": True}, {"compression": "gzip"}, {"compression": "gzip", "shuffle": True}))
