"""Packages of others, which refengine can do without: found when they are needed, and kept from talking."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from .errors import RefengineError

EXTRA = 'pip install "refengine[bench]"'


def package(name: str, needed: str = EXTRA) -> Any:
    """The module ``name`` of an optional package, imported in silence; RefengineError, saying ``needed``, else."""
    try:
        with quiet():
            return import_module(name)
    except ImportError as error:
        reason = " ".join(str(error).split())[:200]
        raise RefengineError(f"{name} cannot be imported ({reason}); needed: {needed}") from error


def installed(name: str) -> bool:
    """Whether a top-level package is there, without importing it."""
    return find_spec(name) is not None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Python code from warning, logging and printing; what it raises comes through."""
    before = logging.root.manager.disable
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(before)
