"""Small HDF5 files for tests, and how they are refused or answer."""

import h5py
import numpy as np
import pytest

from refengine.errors import FileError
from refengine.network.read_hdf5 import open_checked

FORMATS = {"test": {1, 2}}
ONE = np.ones(3, np.float32)


def make(path, build=None, **attributes):
    """A file of the format that the tests open, with whatever ``build`` puts into it by plain h5py."""
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "test", "version": 1, **attributes})
        if build:
            build(file)
    return path


def refusal(path, ask=lambda root: None, formats=FORMATS):
    """The message with which reading is refused: FileError, one line, the file's name in front."""
    with pytest.raises(FileError) as caught, open_checked(path, formats) as root:
        ask(root)
    message = str(caught.value)
    assert message.isprintable()
    assert message.startswith(f"{path}: ")
    return message


def answer(path, ask):
    with open_checked(path, FORMATS) as root:
        return ask(root)
