"""A file that holds a network, of integers or of floats: whichever its ``format`` says."""

from __future__ import annotations

from ..text import PathLike
from .float_file import FORMAT as FLOAT_NETWORK
from .float_file import read_float_network
from .float_network import FloatNetwork
from .int_file import FORMAT as INT_NETWORK
from .int_file import read_int_network
from .int_network import IntNetwork
from .read_hdf5 import open_checked


def read_network(path: PathLike) -> IntNetwork | FloatNetwork:
    """The network in a file; FileError if it holds neither kind, or what the reader of its kind refuses."""
    with open_checked(path, {INT_NETWORK: {1}, FLOAT_NETWORK: {1}}) as root:
        kind = root.text("format")
    return read_int_network(path) if kind == INT_NETWORK else read_float_network(path)
