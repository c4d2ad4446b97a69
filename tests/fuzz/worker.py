"""One process of the fuzzer: cases of one reader in turn, each told by its number before it begins.

A case follows from the reader's name and its number alone, so one that killed the process can be made again.
"""

import contextlib
import io
import json
import mmap
import os
import resource
import struct
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from random import Random

from refengine.errors import RefengineError

from .mutate import of_bytes, of_hdf5, of_json
from .readers import BYTES, HDF5, JSON, PLANTED, READERS, SEALED, Reader

FIELDS = ("current", "refused", "accepted", "tracebacks", "over", "finished")
MOST_BYTES = 2 << 30
ADDRESS_SPACE = 12 << 30
LAYOUT = f"<{len(FIELDS)}q"


def work(name: str, first: int, count: int, seconds: float, told: Path, findings: Path) -> None:
    """Cases first..first+count-1, for at most so many seconds; ``told``: the counts, for who looks from outside."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    reader = {**READERS, **PLANTED}[name]
    counts = dict.fromkeys(FIELDS, 0)
    shelf = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="refengine-fuzz-", dir=shelf) as place, open(told, "r+b") as file:
        folder = Path(place)
        (folder / "files").mkdir()
        targets = reader.build(folder / "files")
        sound = {target: (folder / "files" / target).read_bytes() for target in targets}
        for target in targets[:8] if name in READERS else ():
            assert not _outcome(reader, folder, target, sound[target]), f"{name}: {target} is refused as it was made"
        shared = mmap.mmap(file.fileno(), struct.calcsize(LAYOUT))
        end = time.monotonic() + seconds
        for number in range(first, first + count):
            if time.monotonic() > end:
                break
            counts["current"] = number
            shared[:] = struct.pack(LAYOUT, *counts.values())
            target, content = case(name, reader, number, sound, folder / "scratch")
            outcome = _outcome(reader, folder, target, content)
            counts["refused" if outcome == "refused" else "accepted"] += outcome in ("", "refused")
            if outcome not in ("", "refused"):
                counts["tracebacks"] += 1
                _tell(findings, name, number, outcome)
            counts["finished"] += 1
            if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > MOST_BYTES:
                counts["over"] += 1
                _tell(findings, name, number, f"took more than {MOST_BYTES} bytes")
                break
        shared[:] = struct.pack(LAYOUT, *counts.values())


def case(name: str, reader: Reader, number: int, sound: dict[str, bytes], scratch: Path) -> tuple[str, bytes]:
    """Which file a case mutates, and what it becomes."""
    rng = Random(f"{name}/{number}")
    target = rng.choice([*sound])
    data, others = sound[target], [*sound.values()]
    structural = reader.way != BYTES and rng.random() < 0.6
    if structural and reader.way == HDF5:
        return target, of_hdf5(rng, data, others, scratch)
    if structural and (reader.way in (JSON, SEALED)):
        return target, of_json(rng, data, others, reader.way == SEALED)
    return target, of_bytes(rng, data, others)


def _outcome(reader: Reader, folder: Path, target: str, content: bytes) -> str:
    """``refused``, nothing where it was read, or the traceback."""
    path = folder / "files" / target
    before = path.read_bytes()
    path.write_bytes(content)
    quiet = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(quiet):
            warnings.simplefilter("ignore")
            reader.read(folder / "files", target)
    except RefengineError as error:
        return "refused" if str(error).isprintable() else f"a message of several lines: {str(error)!r}"
    except MemoryError:
        return "refused"
    except Exception:
        return traceback.format_exc()
    finally:
        path.write_bytes(before)
    return ""


def _tell(findings: Path, name: str, number: int, what: str) -> None:
    with open(findings, "a", encoding="utf-8") as file:
        file.write(json.dumps({"reader": name, "case": number, "what": what[-3000:]}) + "\n")


if __name__ == "__main__":
    work(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5]), Path(sys.argv[6]))
