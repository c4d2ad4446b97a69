"""A file's format says which reader it goes to."""

import float_networks
import networks
import pytest

from refengine.errors import FileError
from refengine.network.float_file import write_float_network
from refengine.network.float_network import FloatNetwork
from refengine.network.images import write_images
from refengine.network.int_file import write_int_network
from refengine.network.int_network import IntNetwork
from refengine.network.network_file import read_network


def test_each_kind_of_network_is_read(tmp_path):
    write_float_network(float_networks.every_op(), tmp_path / "float.h5")
    write_int_network(networks.every_op(), tmp_path / "int.h5")
    assert isinstance(read_network(tmp_path / "float.h5"), FloatNetwork)
    made = read_network(tmp_path / "int.h5")
    assert isinstance(made, IntNetwork)
    assert made.hash == networks.every_op().hash


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "images.h5"
    write_images(path, networks.random_images(networks.every_op(), 2), None)
    with pytest.raises(FileError, match=r"refengine-images.*refengine-(int|float)"):
        read_network(path)
    with pytest.raises(FileError, match="nowhere"):
        read_network(tmp_path / "nowhere.h5")
