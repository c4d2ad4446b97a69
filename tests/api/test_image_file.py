"""ImageFile: what is read is what the file holds, whichever way it is indexed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.api.image_file import image_file
from refengine.errors import FileError
from refengine.network.images import write_images

PIXELS = np.random.default_rng(3).integers(0, 256, (9, 4, 5, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("images") / "images.h5"
    write_images(path, PIXELS, range(9), [str(number) for number in range(9)])
    return path


def test_what_the_file_says_of_itself(path):
    found = image_file(path)
    assert (len(found), found.count, found.shape) == (9, 9, (4, 5, 3))
    assert found.labels.tolist() == [*range(9)]
    assert found.class_names[8] == "8"


ENDS = st.none() | st.integers(-12, 12)


@given(which=st.builds(slice, ENDS, ENDS, st.none() | st.sampled_from([-3, -1, 1, 2, 5])))
def test_a_slice_is_the_slice_of_the_array(path, which):
    np.testing.assert_array_equal(image_file(path)[which], PIXELS[which])


@pytest.mark.parametrize("number", range(-9, 9))
def test_an_image_by_its_number(path, number):
    np.testing.assert_array_equal(image_file(path)[number], PIXELS[number])


@pytest.mark.parametrize("number", [9, -10])
def test_an_image_that_does_not_exist(path, number):
    with pytest.raises(IndexError, match=f"has images 0..8, asked for {number}"):
        image_file(path)[number]


def test_iteration_ends_after_the_last_image(path):
    assert len([*image_file(path)]) == 9


def test_a_file_that_is_gone_is_a_file_error(path, tmp_path):
    write_images(tmp_path / "images.h5", PIXELS, None)
    found = image_file(tmp_path / "images.h5")
    assert found.labels is None
    (tmp_path / "images.h5").unlink()
    with pytest.raises(FileError, match="No such file"):
        found[0]
