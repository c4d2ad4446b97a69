"""The kernels' tests and the passport on 64-bit ARM, by emulation, for all its instruction sets.

    python tests/emulated_arm.py --sysroot FOLDER [--emulator qemu-aarch64] [--only neondot,...] [tests/kernels ...]

FOLDER holds an ARM Python with its libraries, as usr/bin/python3.*, and the packages for it under site/
(docs/passport.md says how it is made).  Where the emulator or the folder is missing it says so and ends with 0; exit
code 1 where a test fails or a digest differs.  Without paths the passport alone is computed.

An emulator does not say what its processor has in the way that LLVM asks for it, so Numba is told.  The system cannot
start ARM programs by itself, so the Python takes a script that starts the emulator for its own name: it is what it
starts for processes of its own.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROCESSORS = {
    "neon": ("cortex-a72", "+neon"),
    "neondot": ("neoverse-n1", "+neon,+dotprod"),
    "neonusdot": ("max", "+neon,+dotprod,+i8mm"),
}


def missing(sysroot: Path | None, emulator: str) -> str | None:
    """Why nothing can be run."""
    if shutil.which(emulator) is None:
        return f"{emulator} is not installed"
    if sysroot is None:
        return "no --sysroot and no REFENGINE_ARM_SYSROOT"
    if not python_of(sysroot) or not (sysroot / "site" / "numba").is_dir():
        return f"{sysroot} has no usr/bin/python3.* or no site/numba"
    return None


def python_of(sysroot: Path) -> Path | None:
    """The folder's Python."""
    return next(iter(sorted(sysroot.glob("usr/bin/python3.*"))), None)


def run(name: str, sysroot: Path, emulator: str, command: list[str]) -> int:
    """One command of the folder's Python, with an instruction set."""
    processor, features = PROCESSORS[name]
    environment = os.environ | {
        "PYTHONHOME": str(sysroot / "usr"),
        "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests", sysroot / "site"))),
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": features,
        "REFENGINE_CACHE": str(sysroot / "cache"),
        "PYTHONPYCACHEPREFIX": str(sysroot / "bytecode"),
    }
    (sysroot / "cache").mkdir(exist_ok=True)
    program = sysroot / f"python-{processor}"
    program.write_text(
        f'#!/bin/sh\nexec {emulator} -cpu {processor} -0 {program} -L {sysroot} {python_of(sysroot)} "$@"\n'
    )
    program.chmod(0o755)
    print(f"=== {name}: {' '.join(command)}", flush=True)
    return subprocess.run([str(program), *command], env=environment, cwd=ROOT, check=False).returncode


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sysroot", type=Path, default=os.environ.get("REFENGINE_ARM_SYSROOT"))
    parser.add_argument("--emulator", default="qemu-aarch64")
    parser.add_argument("--only", default="neonusdot", help="its processor runs the code of all")
    parser.add_argument("tests", nargs="*")
    arguments = parser.parse_args()
    sysroot = None if arguments.sysroot is None else Path(arguments.sysroot).resolve()
    reason = missing(sysroot, arguments.emulator)
    if reason is not None or sysroot is None:
        print(f"64-bit ARM is not emulated: {reason}")
        return 0
    tests = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments.tests]
    command = tests if arguments.tests else ["-m", "refengine", "passport"]
    return max(run(name, sysroot, arguments.emulator, command) for name in arguments.only.split(","))


if __name__ == "__main__":
    sys.exit(main())
