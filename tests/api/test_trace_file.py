"""TraceFile: what is read is what the trace holds; a temporary one is gone with its object."""

import gc
from pathlib import Path

import numpy as np
import pytest

import refengine
from refengine.errors import FileError
from refengine.runs.trace import open_trace


def test_it_says_what_the_trace_says(files):
    found = refengine.load("trace.h5")
    with open_trace("trace.h5") as trace:
        assert (found.model_hash, found.contract, found.count) == (trace.model_hash, trace.contract, trace.count)
        assert found.layers == trace.layers
        for layer in found.layers:
            assert found.layer(layer) == trace.layer(layer)
            for stage in found.stages(layer):
                expected = trace.stage(layer, stage).read(0, 2)
                np.testing.assert_array_equal(found.read(layer, stage), expected)
                np.testing.assert_array_equal(found.read(layer, stage, 1), expected[1:])
                np.testing.assert_array_equal(found.read(layer, stage, 0, 1), expected[:1])
        np.testing.assert_array_equal(found.images, trace.images.read(0, 2))
        np.testing.assert_array_equal(found.logits, trace.logits.read(0, 2))


def test_what_the_trace_does_not_hold(files):
    found = refengine.load("trace.h5")
    with pytest.raises(FileError, match="has no layer 'conv9'"):
        found.stages("conv9")
    with pytest.raises(FileError, match="has no stage 'sums'"):
        found.read(found.layers[0], "sums")
    with pytest.raises(FileError):
        found.read(found.layers[0], "code", 0, 3)


def test_a_temporary_trace_is_deleted_with_its_object(files):
    found = refengine.trace("model.h5", "images.h5", count=1)
    folder = Path(found.path).parent
    assert folder.is_dir()
    del found
    gc.collect()
    assert not folder.exists()


def test_a_named_trace_stays(files):
    refengine.trace("model.h5", "images.h5", "kept.h5", count=1)
    gc.collect()
    assert refengine.load("kept.h5").count == 1
