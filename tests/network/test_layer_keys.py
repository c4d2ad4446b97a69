"""Layer keys: read by their numbers, written only where the numbers say the order."""

import h5py
import pytest

from refengine.errors import FileError, NetworkError
from refengine.network.layer_keys import check_rising, in_order
from refengine.network.read_hdf5 import open_checked


def read(path, keys):
    with h5py.File(path, "w") as file:
        file.attrs.update({"format": "keys", "version": 1})
        for key in keys:
            file.create_group(key)
    with open_checked(path, {"keys": {1}}) as root:
        return in_order(root)


def test_numbers_order_the_layers_not_letters(tmp_path):
    assert read(tmp_path / "k.h5", ["1000_a", "999_b", "003"]) == ["003", "999_b", "1000_a"]


@pytest.mark.parametrize(
    ("keys", "text"), [(["conv"], "has a member 'conv'"), (["01_a", "1_b"], "has two layers of number 1")]
)
def test_keys_without_an_order_are_refused(tmp_path, keys, text):
    with pytest.raises(FileError, match=text):
        read(tmp_path / "k.h5", keys)


def test_rising_numbers_pass():
    check_rising(["000_input", "002_conv", "010"], "file")


@pytest.mark.parametrize("name", ["conv", "001_again", "000", "2_a/b", "2_a\nb"])
def test_names_that_would_lose_the_order_are_refused(name):
    with pytest.raises(NetworkError, match="needs a number above 1 in front"):
        check_rising(["000_input", "001_conv", name], "file")
