"""Side files of a stream beside a DUT's data: right ones are no matter, a wrong bit is never EQUAL."""

import shutil

import pytest
from networks import random_images, small
from verbs import refengine

from refengine.vectors.layout import Layout
from refengine.vectors.writer import write_vectors


@pytest.fixture(params=["hex", "dat", "bin", "readmemh"])
def pack(request, tmp_path):
    """A pack of blocks of 8 channels with side files, and a folder of the codes alone as a DUT would write them."""
    network = small()
    layout = Layout(word_bits=64, orders=["nchw8c"])
    made = write_vectors(
        network, random_images(network, 2), tmp_path / "pack", formats=[request.param], layout=layout, stream=True
    )
    (tmp_path / "dut").mkdir()
    for entry in made.entries:
        if entry.tensor.part in ("code", "accumulator"):
            for stored in entry.every_file:
                shutil.copy(tmp_path / "pack" / stored.file, tmp_path / "dut" / stored.file.replace("/", "."))
    return tmp_path


def compared(pack):
    return refengine("compare", pack / "pack", pack / "dut")


def test_what_a_pack_holds_is_read_back(pack):
    outcome = compared(pack)
    assert outcome.code == 0, outcome
    assert "EQUAL" in outcome.out


def side_file(pack):
    return next(path for path in sorted((pack / "dut").iterdir()) if path.name.endswith(".code.stream.memh"))


@pytest.mark.parametrize("bit", [0, 7, 8])
def test_a_wrong_bit_of_a_side_file_is_different(pack, bit):
    side = side_file(pack)
    lines = side.read_text().splitlines()
    wanted = int(lines[1], 16)
    lines[1] = f"{wanted ^ 1 << bit:03x}"
    side.write_text("\n".join(lines) + "\n")
    outcome = compared(pack)
    assert outcome.code == 1, outcome
    got = wanted ^ 1 << bit
    said = f"the first is word 1: tkeep {got % 256:#x} and tlast {got // 256}, needed tkeep {wanted % 256:#x} and tlast"
    assert said in outcome.out


@pytest.mark.parametrize("content", ["", "zz\n", "1ff\n"])
def test_a_damaged_side_file_is_different(pack, content):
    side_file(pack).write_text(content)
    assert compared(pack).code == 1


def test_a_side_file_of_nothing_is_named(pack):
    side_file(pack).rename(pack / "dut" / "other.code.stream.memh")
    outcome = compared(pack)
    assert outcome.code == 1
    assert "other.code.stream.memh" in outcome.out


def test_a_changed_side_file_of_a_pack_is_not_equal(pack):
    shutil.copytree(pack / "pack", pack / "changed")
    side = next((pack / "changed").glob("*/code.stream.memh"))
    side.write_text(side.read_text().replace("ff", "7f", 1))
    outcome = refengine("compare", pack / "pack", pack / "changed")
    assert outcome.code == 1
    assert side.name in outcome.out
