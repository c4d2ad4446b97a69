"""explain: the place of the right image, in whatever form the images come."""

import pytest

import refengine
from refengine.errors import NetworkError, RangeError


def test_the_result_is_the_trace_s(files):
    images = refengine.load("images.h5")
    trace = refengine.trace("model.h5", images, first=4, count=1)
    layer = next(layer for layer in refengine.load("model.h5").layers if layer.op == "conv")
    code = trace.read(layer.name, "code")[0]
    place = tuple(size - 1 for size in code.shape)
    for form in ("images.h5", images, images[:]):
        found = refengine.explain("model.h5", form, layer.name, place, image=4)
        assert (found.result, found.image) == (int(code[place]), 4)
        assert found.accumulation.accumulator == int(trace.read(layer.name, "accumulator")[(0, *place)])


def test_what_does_not_exist_is_refused(files):
    with pytest.raises(NetworkError, match="'nothing'"):
        refengine.explain("model.h5", "images.h5", "nothing", (0, 0, 0))
    with pytest.raises(RangeError, match="asked for 12"):
        refengine.explain("model.h5", "images.h5", "input", (0, 0, 0), image=12)
    with pytest.raises(RangeError):
        refengine.explain("model.h5", "images.h5", "input", (0, 99, 0))
