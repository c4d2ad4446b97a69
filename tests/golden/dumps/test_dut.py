"""A DUT's dump with the golden beside it: names, shapes, and what is no array of the golden's."""

import numpy as np
import pytest

from refengine.errors import FileError, RangeError
from refengine.golden.compare.compare import compare
from refengine.golden.dumps.dump import in_memory
from refengine.golden.dumps.dut import name_of, open_dut
from refengine.golden.dumps.reading import reading

CODE = np.arange(2 * 2 * 3 * 4, dtype=np.uint8).reshape(2, 2, 3, 4)
SUMS = CODE.astype(np.int32) * 1000 - 9000
GOLDEN = in_memory({"001_conv": {"code": CODE, "accumulator": SUMS}, "002_fc": {"accumulator": SUMS.reshape(2, -1)}})


@pytest.mark.parametrize(
    ("path", "given", "name"),
    [
        ("001_conv.code.txt", {}, "001_conv.code"),
        ("conv.code.txt", {}, "001_conv.code"),
        ("conv.txt", {}, "001_conv"),
        ("run/001_conv/code.bin", {}, "001_conv.code"),
        ("code.txt", {"layer": "conv"}, "001_conv.code"),
        ("out.txt", {"layer": "conv", "stage": "code"}, "001_conv.code"),
        ("out.npy", {"layer": "*_fc"}, "002_fc"),
        ("mine.code.txt", {"names": {"001_conv": "mine"}}, "001_conv.code"),
    ],
)
def test_the_name_of_one_file(tmp_path, path, given, name):
    assert name_of(tmp_path / path, GOLDEN, reading(**given)) == name


def test_a_name_that_nothing_says(tmp_path):
    with pytest.raises(FileError, match="of which layer is it"):
        name_of(tmp_path / "out.txt", GOLDEN, reading())
    with pytest.raises(RangeError, match="means 2 layers"):
        name_of(tmp_path / "out.txt", GOLDEN, reading(layer="0*"))
    with pytest.raises(FileError, match="--layer says '002_fc'"):
        name_of(tmp_path / "conv.code.txt", GOLDEN, reading(layer="fc"))


def test_one_file_asks_for_its_layer_alone(tmp_path):
    (tmp_path / "conv.code.txt").write_text("\n".join(map(str, CODE.reshape(-1))))
    with open_dut(tmp_path / "conv.code.txt", GOLDEN) as dut:
        found = compare(GOLDEN, dut)
    assert found.equal, found
    assert [layer.layer for layer in found.compared] == ["001_conv"]


def test_a_folder_of_many_forms(tmp_path):
    (tmp_path / "conv.code.memh").write_text("\n".join(f"{value:02x}" for value in CODE.reshape(-1)))
    (tmp_path / "001_conv.accumulator.bin").write_bytes(SUMS.astype("<i4").tobytes())
    np.save(tmp_path / "fc.npy", SUMS.reshape(-1))
    (tmp_path / "notes.txt").write_text("nothing\n")
    (tmp_path / "001_conv.accumulator.bin").rename(tmp_path / "conv.accumulator.bin")
    with open_dut(tmp_path, GOLDEN) as dut:
        assert {*dut.layers} == {"conv", "fc"}
        assert dut.passed_over == {"notes.txt": "not read: no array is called so"}
        found = compare(GOLDEN, dut)
        assert found.verdict == "INCOMPLETE"
        assert dut.where("conv", "code", 1, 0, 0, 3) == f"{tmp_path}/conv.code.memh, word 27, line 28"
    with open_dut(tmp_path, GOLDEN, ignore=["notes.txt"]) as dut:
        assert compare(GOLDEN, dut).equal


def test_a_folder_of_nothing_that_the_golden_has(tmp_path):
    (tmp_path / "other.code.txt").write_text("1\n")
    with (
        pytest.raises(FileError, match=r"holds nothing that the golden has \(other.code.txt: not read\)"),
        open_dut(tmp_path, GOLDEN),
    ):
        pass
