"""What hostile HDF5 files do to the one door that reads them, and what interrupted writers leave behind."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from hdf5_files import ONE, answer, make, refusal

from refengine.errors import FileError
from refengine.network import read_hdf5
from refengine.network.read_hdf5 import open_checked


@pytest.fixture
def path(tmp_path):
    return tmp_path / "some file.h5"


# ---- opening


def test_missing_file_and_folder(path, tmp_path):
    assert "No such file" in refusal(path)
    assert "is a folder" in refusal(tmp_path)


def test_empty_file_and_other_file(path):
    path.write_bytes(b"")
    assert "is empty" in refusal(path)
    path.write_bytes(b"PK\x03\x04" * 100)
    assert "is not an HDF5 file" in refusal(path)


def test_pipe_is_refused_without_waiting(path):
    os.mkfifo(path)
    assert "not a regular file" in refusal(path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_without_permission_is_refused(path):
    make(path).chmod(0)
    assert "permission denied" in refusal(path)


def test_name_with_line_break_stays_on_one_line(tmp_path):
    with (
        pytest.raises(FileError, match=r"a\\nb\.h5: cannot be opened") as caught,
        open_checked(tmp_path / "a\nb.h5", {}),
    ):
        pass
    assert "\n" not in str(caught.value)
    with pytest.raises(FileError, match="null"), open_checked("a\0b", {}):
        pass


@pytest.mark.parametrize("keep", range(1, 100, 4))
def test_a_truncated_file_is_refused(path, keep):
    whole = make(path, lambda f: f.create_dataset("x", data=np.arange(3000.0))).read_bytes()
    path.write_bytes(whole[: len(whole) * keep // 100])
    assert refusal(path, lambda root: root.array("x", np.float64))


def test_another_format_or_version_is_refused(path):
    assert "'format' is 'test', needed 'other'" in refusal(make(path), formats={"other": {1}})
    assert "'version' is 3, this program reads 'test' of version 1, 2" in refusal(make(path, version=3))
    assert "'version' is 1.5" in refusal(make(path, version=1.5))
    assert "needed a text" in refusal(make(path, format=7))
    with h5py.File(path, "w"):
        pass
    assert "has no attribute 'format'" in refusal(path)


# ---- links and objects


def test_links_are_not_followed(path, tmp_path):
    other = make(tmp_path / "other.h5", lambda f: f.create_dataset("x", data=ONE))

    def build(file):
        file["real"] = ONE
        file["hard"] = file["real"]
        file["soft"] = h5py.SoftLink("/real")
        file["dangling"] = h5py.SoftLink("/nowhere")
        file["external"] = h5py.ExternalLink(str(other), "/x")
        file["home"] = h5py.SoftLink("/")
        file.create_group("inner")["up"] = file["/"]

    make(path, build)
    for name in ("soft", "dangling", "external"):
        assert "link" in refusal(path, lambda root, name=name: root.array(name, np.float32))
        assert f"/{name}: " in refusal(path, lambda root, name=name: root.group(name))
    assert "has no 'home/real'" in refusal(path, lambda root: root.array("home/real", np.float32))
    assert "has no 'inner/up'" in refusal(path, lambda root: root.group("inner/up"))
    assert answer(path, lambda root: root.array("hard", np.float32)).tolist() == [1, 1, 1]
    assert answer(path, lambda root: root.group("inner").group("up").path) == "/inner/up"


def test_wrong_kind_of_object(path):
    def build(file):
        file.create_group("group")
        file["data"] = ONE
        file["kind"] = np.dtype("f4")

    make(path, build)
    assert "/group: is a group, a dataset was needed" in refusal(path, lambda root: root.array("group", np.float32))
    assert "/data: is a dataset, a group was needed" in refusal(path, lambda root: root.group("data"))
    assert "/kind: is a data type" in refusal(path, lambda root: root.array("kind", np.float32))
    assert "has no 'nothing'" in refusal(path, lambda root: root.group("nothing"))


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a\0b", "\udc80", "a/b"])
def test_odd_names_are_refused(path, name):
    refusal(make(path), lambda root: root.group(name))


def test_names_are_sorted_printable_and_not_too_many(path, monkeypatch):
    make(path, lambda f: [f.create_group(name) for name in ("b", "a", "C")])
    assert answer(path, lambda root: root.names()) == ("C", "a", "b")
    monkeypatch.setattr(read_hdf5, "MAX_CHILDREN", 2)
    assert "has 3 members, at most 2" in refusal(path, lambda root: root.names())
    for odd in (b"a\nb", b"\xff\xfe"):
        make(path, lambda f, odd=odd: h5py.h5g.create(f.id, odd))
        assert "names must be printable" in refusal(path, lambda root: root.names())


# ---- attributes


@pytest.mark.parametrize(
    ("value", "expected"),
    [(5, 5), (np.uint8(5), 5), (np.array([5], ">i2"), 5), (True, 1), (np.int64(-3), -3), (np.array(7), 7)],
)
def test_integers_of_any_type_are_read(path, value, expected):
    found = answer(make(path, x=value), lambda root: root.integer("x", -3, 7))
    assert found == expected
    assert type(found) is int


@pytest.mark.parametrize(
    "value", [8, -4, 1.0, "5", [1, 2], [[1]], 1 + 2j, h5py.Empty("i4"), np.uint64(2**64 - 1), b"5"]
)
def test_attributes_that_are_no_integer_in_range_are_refused(path, value):
    assert "attribute 'x'" in refusal(make(path, x=value), lambda root: root.integer("x", -3, 7))


def test_lists_of_integers_and_reals_are_read_and_checked(path):
    make(path, x=[1, 2, 3], y=[0.5, np.nan], z=np.array([1, 2], np.float16), one=4)
    assert answer(path, lambda root: root.integers("x", 3, 0, 9)) == (1, 2, 3)
    assert answer(path, lambda root: root.integers("x", None, 0, 9)) == (1, 2, 3)
    assert answer(path, lambda root: root.integers("one", 1, 0, 9)) == (4,)
    assert answer(path, lambda root: root.reals("x", 3)) == (1.0, 2.0, 3.0)
    assert answer(path, lambda root: root.reals("z", None)) == (1.0, 2.0)
    assert answer(path, lambda root: root.real("one")) == 4.0
    assert "needed 2 integers in 0..9" in refusal(path, lambda root: root.integers("x", 2, 0, 9))
    assert "needed 3 integers in 0..2" in refusal(path, lambda root: root.integers("x", 3, 0, 2))
    assert "needed 2 finite numbers" in refusal(path, lambda root: root.reals("y", 2))
    assert "needed one finite number" in refusal(path, lambda root: root.real("x"))


@pytest.mark.parametrize("value", ["größe", "größe".encode(), np.array(["größe"], object), np.bytes_("größe".encode())])
def test_texts_of_any_type_are_read(path, value):
    assert answer(make(path, x=value), lambda root: root.text("x")) == "größe"


@pytest.mark.parametrize("value", [np.bytes_(b"\xff\xfe"), 3, ["a", "b"], [[1.0]], h5py.Empty("f4"), 1 + 2j])
def test_attributes_that_are_no_text_are_refused(path, value):
    assert "attribute 'x'" in refusal(make(path, x=value), lambda root: root.text("x"))


def test_variable_length_text_that_is_not_utf8(path):
    make(path, lambda f: f.attrs.create("x", b"ab\xff", dtype=h5py.string_dtype()))
    assert "is not UTF-8 text" in refusal(path, lambda root: root.text("x"))


def test_attribute_of_a_class_that_h5py_may_crash_on(path):
    def build(file):
        sequence = h5py.h5s.create(h5py.h5s.SCALAR)
        kind = h5py.h5t.vlen_create(h5py.h5t.STD_I32LE)
        h5py.h5a.create(file.id, b"x", kind, sequence)
        file.attrs["y"] = np.zeros(1, [("a", "i4")])

    make(path, build)
    for name in "xy":
        assert f"attribute '{name}' is neither text nor numbers" in refusal(
            path, lambda root, n=name: root.integer(n, 0, 9)
        )


def test_defaults_are_for_missing_attributes_only(path):
    make(path, x="text", y=[1, 2])
    assert answer(path, lambda root: (root.text("no", ""), root.integer("no", 0, 1, None), root.real("no", 0.5))) == (
        "",
        None,
        0.5,
    )
    assert "needed one integer" in refusal(path, lambda root: root.integer("x", 0, 1, 0))
    assert "needed a text" in refusal(path, lambda root: root.text("y", ""))
    assert "has no attribute 'no'" in refusal(path, lambda root: root.text("no"))


def test_attributes_of_absurd_sizes_are_refused(path, monkeypatch):
    def build(file):
        many = h5py.h5s.create_simple((1 << 40,))
        with pytest.raises((ValueError, RuntimeError, OSError)):  # the library itself does not write such a one
            h5py.h5a.create(file.id, b"x", h5py.h5t.NATIVE_INT8, many)
        file.attrs["long"] = "x" * 5000
        file.attrs["many"] = np.zeros(100)

    make(path, build)
    monkeypatch.setattr(read_hdf5, "MAX_TEXT", 1000)
    monkeypatch.setattr(read_hdf5, "MAX_NUMBERS", 99)
    assert "has 5000 bytes, at most 1000" in refusal(path, lambda root: root.text("long"))
    assert "larger than any" in refusal(path, lambda root: root.reals("many", None))


@pytest.mark.parametrize("text", ["[" * 200_000, "{", "", "[1, 2", "NaN1", "[" + "9" * 10_000 + "]"])
def test_json_that_is_none(path, text):
    assert "JSON" in refusal(make(path, x=text), lambda root: root.json_texts("x"))


def test_json_is_read_and_checked(path):
    make(path, good='["a", "b"]', numbers="[1, 2]", other='{"a": [1, null]}')
    assert answer(path, lambda root: root.json_texts("good")) == ("a", "b")
    assert answer(path, lambda root: root.json("other")) == {"a": [1, None]}
    assert "needed a JSON list of texts" in refusal(path, lambda root: root.json_texts("numbers"))
    assert "needed a JSON list of texts" in refusal(path, lambda root: root.json_texts("other"))


# ---- texts


def test_lists_of_texts_are_read_and_checked(path, monkeypatch):
    def build(file):
        file["fixed"] = np.array(["ä".encode(), b"b"], "S")
        file["free"] = ["ä", "b"]
        file.create_dataset("bad", data=[b"\xff"], dtype=h5py.string_dtype())
        file["numbers"] = ONE
        file["square"] = np.array([[b"a"]])

    make(path, build)
    for name in ("fixed", "free"):
        assert answer(path, lambda root, name=name: root.texts(name, 2)) == ("ä", "b")
    assert "'bad'[0] is not UTF-8 text" in refusal(path, lambda root: root.texts("bad"))
    for name in ("numbers", "square"):
        assert "strings" in refusal(path, lambda root, name=name: root.texts(name))
    assert "needed 3 strings" in refusal(path, lambda root: root.texts("free", 3))
    monkeypatch.setattr(read_hdf5, "MAX_TEXT", 20)
    monkeypatch.setattr(read_hdf5, "MAX_FILE_TEXT", 320)
    make(path, lambda f: f.create_dataset("x", data=["a" * 20] * 17, dtype=h5py.string_dtype()))
    assert "larger than 320 bytes" in refusal(path, lambda root: root.texts("x"))


def test_no_flipped_byte_gets_through_as_another_error(path):
    """3 x 150 files with one wrong bit each: read, or refused with a FileError (run apart, as HDF5 might crash)."""
    program = f"""
import random, h5py, numpy as np
from refengine.errors import FileError
from refengine.network.read_hdf5 import open_checked
path = {str(path)!r}
def read(root):
    root.names(), root.text("t"), root.reals("r", 2), root.json("j"), root.group("g").array("y", np.int32, (7,))
    root.array("x", np.float32), root.texts("s")
for libver in ("earliest", "v110", "latest"):
    with h5py.File(path, "w", libver=libver) as f:
        f.attrs.update(dict(format="test", version=1, t="text", r=[1.0, 2.0], j="[1]"))
        f.create_dataset("x", data=np.arange(200, dtype="f4"), chunks=(50,), compression="gzip", shuffle=True)
        f["s"] = ["a", "bc"]
        f.create_group("g")["y"] = np.arange(7, dtype="i4")
    whole = open(path, "rb").read()
    for seed in range(150):
        choose = random.Random(seed)
        damaged = bytearray(whole)
        damaged[choose.randrange(len(whole))] ^= 1 << choose.randrange(8)
        open(path, "wb").write(damaged)
        try:
            with open_checked(path, {{"test": {{1}}}}) as root:
                read(root)
        except FileError as error:
            assert str(error).isprintable() and str(error).startswith(path), str(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
