"""The matrix of .github/workflows/check.yml on this machine: ``nox -f docs/noxfile.py``.

An interpreter that is not installed is skipped.  ``.ci/run`` makes its own virtual environment.
"""

import os
import shutil
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent.parent
OLDEST = ROOT / ".github" / "oldest.txt"
NEWEST_ON = ("3.10", "3.11", "3.12", "3.13", "3.14")
OLDEST_ON = ("3.10", "3.12")
MATRIX = [*((python, "newest") for python in NEWEST_ON), *((python, "oldest") for python in OLDEST_ON)]


@nox.session(venv_backend="none")
@nox.parametrize(("python_version", "packages"), MATRIX, ids=[f"{python}-{packages}" for python, packages in MATRIX])
def check(session: nox.Session, python_version: str, packages: str) -> None:
    """Everything that must hold before a change is taken, by one Python and its packages' oldest or newest versions."""
    python = shutil.which(f"python{python_version}")
    if python is None:
        session.skip(f"python{python_version} is not installed")
    constraint = {"PIP_CONSTRAINT": os.fspath(OLDEST)} if packages == "oldest" else {}
    session.chdir(ROOT)
    session.run(".ci/run", env={"PYTHON": python, **constraint}, external=True)
