"""trace: the file is the one that the engine's own writer makes, and it protects what it was made from."""

import tempfile

import numpy as np
import pytest
from dumps import integers_of

import refengine
from refengine.errors import FileError, NetworkError
from refengine.runs.trace import write_trace


def test_the_trace_is_the_engine_s(files):
    images = refengine.load("images.h5")
    write_trace(refengine.load("model.h5"), images[3:5], "expected.h5", first_image=3)
    found = refengine.trace("model.h5", images, "found.h5", first=3, count=2)
    assert (found.path, found.count, found.first_image) == ("found.h5", 2, 3)
    expected = integers_of("expected.h5")[0]
    assert expected
    for layer, stages in integers_of("found.h5")[0].items():
        for stage, array in stages.items():
            np.testing.assert_array_equal(array, expected[layer][stage])


def test_layers_and_partial_sums(files):
    conv = next(layer.name for layer in refengine.load("model.h5").layers if layer.op == "conv")
    found = refengine.trace("model.h5", "images.h5", layers=["fc"], partial_sums_of=conv, count=1)
    assert conv in found.layers
    assert found.stages(conv)[0] == "partial_sums"


def test_a_failure_leaves_no_temporary_folder(files, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(files))
    before = {path.name for path in files.iterdir()}
    with pytest.raises(NetworkError, match="'nothing'"):
        refengine.trace("model.h5", "images.h5", layers=["nothing"])
    assert {path.name for path in files.iterdir()} == before


def test_every_form_of_images(files):
    images = refengine.load("images.h5")
    for form in ("images.h5", images, images[:]):
        np.testing.assert_array_equal(refengine.trace("model.h5", form).images, images[:])


@pytest.mark.parametrize("path", ["model.h5", "images.h5"])
def test_what_is_read_is_never_written_to(files, path):
    before = (files / path).read_bytes()
    for images in ("images.h5", refengine.load("images.h5")):
        with pytest.raises(FileError, match="is also read from"):
            refengine.trace("model.h5", images, path)
    assert (files / path).read_bytes() == before
