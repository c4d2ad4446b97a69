"""``PYTHONPATH=.:tests python -m soak FOLDER``: long use, many processes, and processes that are killed.

    --runs N         runs of a small network in one process by each backend, with the memory after each tenth (10000)
    --processes N    processes that start at once with one empty kernel cache (100)
    --kills N        processes that are killed at random moments, over all verbs that write (500)
    --seed S         of the random moments (0)

A part with 0 is left out.  Exit code 1 where memory grows, a process gives other integers, or an output is neither
whole nor absent.
"""

import argparse
import gc
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from hashlib import sha256
from pathlib import Path
from random import Random
from shutil import rmtree

import numpy as np
from float_networks import every_op

from refengine.network.float_file import write_float_network
from refengine.network.images import write_images
from refengine.network.int_file import read_int_network, write_int_network
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme
from refengine.runs.predict import predictor

TENTHS = 10
GROWTH = 1 << 20  # bytes that the last nine tenths of the runs may add: allocators round up, a leak of 1 KB adds 9 MB
COUNT = 12
VERB = (sys.executable, "-m", "refengine")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=10000)
    parser.add_argument("--processes", type=int, default=100)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    given.folder.mkdir()
    write_inputs(given.folder)
    good = True
    for part, count in ((many_runs, given.runs), (cold_start, given.processes), (kills, given.kills)):
        if count:
            good &= part(given.folder, count, given.seed)
    return int(not good)


def write_inputs(folder: Path) -> None:
    """A float network with every operator, its integer network, and labelled images."""
    network, rng = every_op(), np.random.default_rng(5)
    pixels = rng.integers(0, 256, (COUNT, *network.input_shape)).astype(np.uint8)
    write_float_network(network, folder / "net.h5")
    write_images(folder / "images.h5", pixels, rng.integers(0, network.classes, COUNT), None)
    write_int_network(quantize(network, pixels, Scheme(method="paper")), folder / "model.h5")
    header = b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in (COUNT, 8, 8))
    (folder / "images-idx3-ubyte").write_bytes(header + bytes(COUNT * 64))


# ----------------------------------------------------------------------------------------------------------- many runs


def resident() -> int:
    """Bytes of memory that the process holds."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def many_runs(folder: Path, count: int, seed: int) -> bool:
    """Whether so many runs in one process leave its memory flat and give one result."""
    network = read_int_network(folder / "model.h5")
    pixels = np.random.default_rng(seed).integers(0, 256, (1, *network.input_shape)).astype(np.uint8)
    good = True
    for backend in ("fast", "kernels", "reference"):
        wanted, sizes, others = predictor(network, backend, 1)(pixels, 0, None).logits.tobytes(), [], 0
        for _ in range(TENTHS):
            for _ in range(count // TENTHS):
                others += predictor(network, backend, 1)(pixels, 0, None).logits.tobytes() != wanted
            gc.collect()
            sizes.append(resident())
        grown = sizes[-1] - sizes[0]
        good &= not others and grown <= GROWTH
        megabytes = f"{sizes[0] / 2**20:.1f} MB after a tenth, {sizes[-1] / 2**20:.1f} MB at the end"
        print(f"{backend}: {count} runs, {others} with other logits; {megabytes}", flush=True)
    return good


# ---------------------------------------------------------------------------------------------------------- cold starts


def cold_start(folder: Path, count: int, _: int) -> bool:
    """Whether processes that fill one empty cache at the same time all give the logits of this process."""
    environment = {**os.environ, "REFENGINE_CACHE": str(folder / "cache")}
    command = [*VERB, "run", "model.h5", "images.h5", "--json", "-"]
    start = time.monotonic()
    started = [
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    answers = Counter((process.communicate()[0], process.returncode) for process in started)
    wanted = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True, check=True).stdout
    right = answers[wanted, 0]
    print(f"one empty cache: {right} of {count} processes give the same, {time.monotonic() - start:.0f} s", flush=True)
    return right == count


# ---------------------------------------------------------------------------------------------------------------- kills

MODEL = ("model.h5", "images.h5")
NET = ("net.h5", "--calibration", "images.h5")
WRITERS = {
    "convert": ("convert", "images-idx3-ubyte", "{}.h5"),
    "quantize": ("quantize", *NET, "--method", "paper", "-o", "{}.h5"),
    "run": ("run", *MODEL, "-o", "{}.npy"),
    "trace": ("trace", *MODEL, "-o", "{}.h5"),
    "vectors": ("vectors", *MODEL, "--format", "npy,readmemh,c", "-o", "{}"),
    "vectors --directed": ("vectors", *MODEL, "--directed", "-o", "{}"),
    "export to C": ("export", "model.h5", "{}.c"),
    "ranges": ("ranges", *MODEL, "--worst-case", "{}"),
    "coverage": ("coverage", *MODEL, "--json", "{}.json"),
    "sweep": ("sweep", *NET, "--images", "images.h5", "--grid", "cluster=1,2,4", "method=paper", "-o", "{}"),
}


def contents(folder: Path, name: str) -> dict[str, str]:
    """SHA-256 of each file in the folder of an output, by its path there."""
    files = sorted(path for path in (folder / name).rglob("*") if path.is_file())
    return {file.relative_to(folder / name).as_posix(): sha256(file.read_bytes()).hexdigest() for file in files}


def kills(folder: Path, count: int, seed: int) -> bool:
    """Whether a killed process leaves its output whole or absent, and the next one makes it whole and clears up."""
    rng, whole, seconds = Random(seed), {}, {}
    for verb in WRITERS:
        start = time.monotonic()
        ended = started(folder, verb, "right").wait()
        seconds[verb], whole[verb] = time.monotonic() - start, contents(folder, "right")
        if ended or not whole[verb]:
            print(f"{verb}: ended with {ended}, wrote {[*whole[verb]]}")
            return False
        rmtree(folder / "right")
    outcomes: dict[str, Counter[str]] = {verb: Counter() for verb in WRITERS}
    for turn in range(count):
        verb = [*WRITERS][turn % len(WRITERS)]
        process = started(folder, verb, "out")
        time.sleep(rng.uniform(0.0, 1.1) * seconds[verb])
        process.send_signal(signal.SIGKILL)
        process.wait()
        outcomes[verb][after_a_kill(folder, verb, whole[verb])] += 1
        rmtree(folder / "out")
    bad = 0
    for verb, outcome in outcomes.items():
        bad += sum(number for what, number in outcome.items() if what not in ("whole", "absent", "resumed"))
        print(f"{verb}: {', '.join(f'{what} {number}' for what, number in sorted(outcome.items()))}", flush=True)
    print(f"{count} kills, {bad} bad", flush=True)
    return not bad


def started(folder: Path, verb: str, name: str) -> "subprocess.Popen[bytes]":
    """A verb that writes into the folder of a name."""
    (folder / name).mkdir(exist_ok=True)
    arguments = [argument.format(f"{name}/made") for argument in WRITERS[verb]]
    return subprocess.Popen([*VERB, *arguments], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def after_a_kill(folder: Path, verb: str, whole: dict[str, str]) -> str:
    """What a killed process left: whole, absent, resumed (a sweep's finished jobs, which are kept), or what is bad."""
    left = {file: digest for file, digest in contents(folder, "out").items() if not _is_leftover(file)}
    jobs = {file: digest for file, digest in left.items() if "/jobs/" in file}
    if verb != "sweep" and left not in ({}, whole):
        return "torn"
    if (left != whole or verb == "sweep") and started(folder, verb, "out").wait():
        return "not repeated"
    now = contents(folder, "out")
    if verb == "sweep":
        if {*now} != {*whole} or any(now[file] != digest for file, digest in jobs.items()):
            return "jobs lost"
        return "resumed" if jobs else "absent"
    if now != whole:
        return "repeated otherwise"
    return "whole" if left else "absent"


def _is_leftover(file: str) -> bool:
    """Whether a file lies in or is what a killed process was writing, which the next run removes."""
    return any(part.startswith(".") and part.endswith(".part") for part in Path(file).parts)


if __name__ == "__main__":
    sys.exit(main())
