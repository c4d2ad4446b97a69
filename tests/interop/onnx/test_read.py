"""ONNX files as the package onnx writes them, and as nobody should: one line each, and no more memory than the file."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx_models import as_bytes, classifier

from refengine import optional
from refengine.errors import FileError, RefengineError
from refengine.interop.onnx import read
from refengine.interop.onnx.convert import convert
from refengine.interop.onnx.graph import NEWEST, OLDEST
from refengine.interop.onnx.read import TYPES, parse_onnx, read_onnx

if not optional.installed("onnx"):
    pytest.skip("onnx is missing", allow_module_level=True)

onnx = optional.package("onnx")


def model(**changes):
    """A small model as protocol buffers, for tests to spoil."""
    return onnx.load_from_string(as_bytes(classifier(**changes)))


def refusal(made):
    data = made if isinstance(made, bytes) else made.SerializeToString()
    with pytest.raises(FileError, match=r"^net\.onnx: ") as caught:
        parse_onnx(data, "net.onnx")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_is_read_as_it_was_written(tmp_path):
    wanted = classifier((None, 3, 6, 5))
    (tmp_path / "net.onnx").write_bytes(as_bytes(wanted))
    found = read_onnx(tmp_path / "net.onnx")
    assert (found.name, found.image, found.output, found.opset) == ("made", "x", "softmax", 17)
    assert found.image_shape == (None, 3, 6, 5)
    for one, other in zip(found.nodes, wanted.nodes, strict=True):
        assert (one.op, one.name, one.inputs, one.outputs) == (other.op, other.name, other.inputs, other.outputs)
        assert one.attributes == pytest.approx(dict(other.attributes)) if one.op == "BatchNormalization" else True
    for name, array in wanted.constants.items():
        assert found.constants[name].dtype == array.dtype
        np.testing.assert_array_equal(found.constants[name], array)


@pytest.mark.parametrize("name", TYPES.values())
@pytest.mark.parametrize("raw", [True, False])
def test_arrays_of_every_type(name, raw):
    array = np.array([[0, 1, 100]]).astype(name)
    kind = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
    values = array.tobytes() if raw else array.reshape(-1).tolist()
    made = model()
    made.graph.initializer.append(onnx.helper.make_tensor("extra", kind, array.shape, values, raw=raw))
    found = parse_onnx(made.SerializeToString(), "net.onnx").constants["extra"]
    assert (found.dtype, found.flags.writeable or not raw) == (array.dtype, not raw)
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("opset", [OLDEST - 1, NEWEST + 1])
def test_opsets_that_are_not_known(opset):
    assert f"has opset {opset}, needed {OLDEST} to {NEWEST}" in refusal(model(opset=opset))


def _set(path, value):
    def spoil(made):
        *way, last = path.split(".")
        target = made
        for step in way:
            target = target[int(step)] if step.isdigit() else getattr(target, step)
        setattr(target, last, value)

    return spoil


def _twice(field):
    return lambda made: getattr(made.graph, field).append(getattr(made.graph, field)[0])


def _dims(*sizes):
    return lambda made: made.graph.initializer[0].dims.__setitem__(slice(None), sizes)


def _attribute_twice(made):
    attributes = made.graph.node[0].attribute
    attributes.append(attributes[0])


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda made: made.ClearField("graph"), "is not an ONNX file"),
        (lambda made: made.ClearField("opset_import"), "is not an ONNX file"),
        (_set("opset_import.0.domain", "ai.onnx.ml"), "no opset of ONNX's own operators"),
        (_twice("initializer"), "has two arrays called 'stem.weight'"),
        (_twice("input"), "has the inputs 'x', 'x', needed one"),
        (_twice("output"), "has the outputs 'softmax', 'softmax', needed one"),
        (lambda made: made.graph.ClearField("input"), "has the inputs none"),
        (_set("graph.input.0.type.tensor_type.shape.dim.0.dim_value", 0), "needed sizes above 0, or open ones"),
        (_set("graph.input.0.type.tensor_type.elem_type", 2), "input 'x' holds uint8, needed float32"),
        (_attribute_twice, "has the attribute 'pads' twice"),
        (_dims(4, 3, 3, 4), "has 432 bytes, its shape needs 576"),
        (_dims(4, 3, -3, -3), r"has the shape \[4, 3, -3, -3\]"),
        (_dims(2**40, 2**40), "has the shape"),
        (_dims(2**31, 2**31, 3, 3), r"has the shape \[2147483648, .*, needed up to 8 sizes of 0\.\.2147483647"),
        (_dims(2**30, 2**30, 2**30, 2**30), "has 432 bytes, its shape needs"),
        (_dims(*[1] * 9), "needed up to 8"),
        (_set("graph.initializer.0.data_type", 8), "holds type 8, known are: float32"),
        (_set("graph.initializer.0.raw_data", b""), "has 0 bytes"),
        (lambda made: made.graph.initializer[0].ClearField("raw_data"), "has 0 numbers"),
        (_set("graph.initializer.0.name", "n" * 5000), "has a name of 5000 bytes"),
        (lambda made: made.graph.sparse_initializer.add(), "has sparse arrays"),
    ],
)
def test_damage_is_named(spoil, complaint):
    made = model()
    spoil(made)
    assert re.search(complaint, refusal(made))


@pytest.mark.parametrize("data", [b"\x00", b"this is no ONNX file\n" * 9, b"\x89HDF\r\n\x1a\n" + bytes(99)])
def test_files_that_are_no_onnx_are_refused(data):
    refusal(data)


def test_places_that_are_no_files(tmp_path):
    (tmp_path / "empty.onnx").touch()
    for path, complaint in [
        (tmp_path, "is a folder"),
        (tmp_path / "none.onnx", "cannot be opened"),
        (tmp_path / "empty.onnx", "has 0 bytes"),
        ("a\0b", "cannot be opened"),
        ("/dev/null", "is not a regular file"),
    ]:
        with pytest.raises(FileError, match=complaint):
            read_onnx(path)


def test_deep_nests_are_not_followed():
    """Graphs inside attributes belong to operators that are not read."""
    made, inner = model(), onnx.GraphProto()
    for _ in range(60):
        outer = onnx.GraphProto()
        outer.node.add(op_type="If").attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g.CopyFrom(inner)
        inner = outer
    made.graph.node.add(op_type="If", output=["y"]).attribute.add(name="g", type=5).g.CopyFrom(inner)
    assert parse_onnx(made.SerializeToString(), "net.onnx").nodes[-1].attributes == {"g": "kind 5"}


def test_too_many_nodes_are_refused(monkeypatch):
    monkeypatch.setattr(read, "MAX_NODES", 12)
    assert "has 13 nodes, at most 12" in refusal(model())


# ---- arrays in other files


def saved(folder, **changes):
    """A model whose arrays lie in another file."""
    made = onnx.load_from_string(as_bytes(classifier()))
    onnx.save_model(
        made, folder / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0, **changes
    )
    return onnx.load_model(folder / "net.onnx", load_external_data=False)


def test_arrays_in_a_file_beside_it(tmp_path):
    saved(tmp_path)
    found = read_onnx(tmp_path / "net.onnx").constants
    for name, array in classifier().constants.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("location", "../net.data", "needed a name beside this file, no path"),
        ("location", "/etc/passwd", "no path"),
        ("location", "..", "needed a regular file"),
        ("location", "other.data", "cannot be read"),
        ("location", "link.data", "needed a regular file and no link"),
        ("location", "", "no path"),
        ("offset", "99999999", "claims"),
        ("offset", "-8", "claims"),
        ("offset", "eight", "is no number"),
        ("length", "7", "claims 7 bytes"),
    ],
)
def test_other_files_are_not_reached(tmp_path, key, value, complaint):
    made = saved(tmp_path)
    (tmp_path / "link.data").symlink_to(tmp_path / "net.data")
    for entry in made.graph.initializer[0].external_data:
        entry.value = value if entry.key == key else entry.value
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    with pytest.raises(FileError, match=complaint):
        read_onnx(tmp_path / "net.onnx")


# ---- mutations


GOOD = as_bytes(classifier())


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_changed_bytes_are_read_or_refused_in_one_line(changes):
    data = bytearray(GOOD)
    for place, value in changes:
        data[place] = value
    read_or_refused(bytes(data))


@given(st.integers(0, len(GOOD)), st.integers(0, 40), st.binary(max_size=8))
def test_cuts_and_insertions_are_read_or_refused_in_one_line(place, count, inserted):
    read_or_refused(GOOD[:place] + inserted + GOOD[place + count :])
    read_or_refused(GOOD[:place])


def read_or_refused(data):
    complaint = ""
    try:
        convert(parse_onnx(data, "net.onnx"))
    except RefengineError as error:
        complaint = str(error)
    assert "\n" not in complaint


def test_the_graph_of_these_tests_is_valid():
    onnx.checker.check_model(model(), full_check=True)
