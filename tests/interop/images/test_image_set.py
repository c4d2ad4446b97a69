"""Choices of images, and blocks cut down to them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import FileError, RangeError
from refengine.interop.images.image_set import Block, check_labels, chosen_numbers, picked


@given(st.integers(1, 60), st.integers(0, 59), st.one_of(st.none(), st.integers(1, 70)), st.integers(1, 70))
def test_first_count_and_evenly_choose_the_numbers(count, first, wanted, evenly):
    if first >= count:
        with pytest.raises(RangeError, match=rf"has images 0\.\.{count - 1}, asked for {first}"):
            chosen_numbers(count, first, wanted)
        return
    plain = list(range(count))[first:][:wanted]
    assert chosen_numbers(count, first, wanted).tolist() == plain
    spread = chosen_numbers(count, first, wanted, evenly).tolist()
    assert spread == [plain[n * len(plain) // min(evenly, len(plain))] for n in range(min(evenly, len(plain)))]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=8), st.data())
def test_blocks_cut_down_are_the_chosen_images(sizes, data):
    count = sum(sizes)
    chosen = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1)))
    pixels, labels, seen = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1), np.arange(count) + 100, []

    def blocks():
        for stop in np.cumsum(sizes):
            start = stop - sizes[len(seen)]
            seen.append(stop)
            yield Block(pixels[start:stop], labels[start:stop])

    found = list(picked(blocks(), np.array(chosen)))
    assert np.concatenate([block.pixels for block in found]).ravel().tolist() == chosen
    assert np.concatenate([block.labels for block in found]).tolist() == [number + 100 for number in chosen]
    assert sum(seen[-2:-1]) <= chosen[-1]  # nothing is read behind the last one


def test_a_label_that_is_no_class_names_its_image():
    check_labels(np.array([0, 9]), 10, "here")
    for wrong in (10, -1):
        with pytest.raises(FileError, match=rf"here: image 7 has label {wrong}, needed 0\.\.9"):
            check_labels(np.array([1, 2, wrong, wrong]), 10, "here", first=5)
