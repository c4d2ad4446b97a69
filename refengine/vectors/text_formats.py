"""The formats in which words can be written: a line each; all but ``bin`` are text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..text import PathLike
from . import c_header, coe, decimal, mif, raw, readmem, sv_package
from .memory import Array, Memory, Out

NPY, C = "npy", "c"
NPY_EXTENSION = ".npy"


@dataclass(frozen=True)
class TextFormat:
    """How files end, and what writes and reads them."""

    extension: str
    write: Callable[[Out, Memory, Iterable[Array]], None]
    read: Callable[[PathLike, Memory], Iterator[Array]]


TEXT_FORMATS: Mapping[str, TextFormat] = MappingProxyType(
    {
        "readmemh": TextFormat(".memh", readmem.write_hex, readmem.read_hex),
        "readmemb": TextFormat(".memb", readmem.write_binary, readmem.read_binary),
        "hex": TextFormat(".hex", readmem.write_hex, readmem.read_hex),
        "dat": TextFormat(".dat", decimal.write, decimal.read),
        "bin": TextFormat(".bin", raw.write, raw.read),
        "coe": TextFormat(".coe", coe.write, coe.read),
        "mif": TextFormat(".mif", mif.write, mif.read),
        C: TextFormat(".h", c_header.write, c_header.read),
        "sv": TextFormat(".sv", sv_package.write, sv_package.read),
    }
)
FORMATS = (NPY, *TEXT_FORMATS)


def extension(name: str) -> str:
    """How files of a format end."""
    return NPY_EXTENSION if name == NPY else TEXT_FORMATS[name].extension
