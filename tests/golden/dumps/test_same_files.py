"""A DUT's dump that is the golden: the same file, a link to it, or a copy."""

import os
import shutil

import numpy as np
from dumps import as_folder

from refengine.golden.compare.pairs import Plan, Rules
from refengine.golden.dumps.open_dump import open_dump
from refengine.golden.dumps.same_files import same_content

GOLDEN = {
    "conv": {"code": np.arange(72, dtype=np.uint8).reshape(2, 3, 3, 4)},
    "fc": {"accumulator": np.ones((2, 5), int)},
}


def test_a_dut_that_is_the_golden(tmp_path):
    path = as_folder(tmp_path / "golden", GOLDEN)
    os.symlink(path, tmp_path / "link")
    copy = shutil.copytree(path, tmp_path / "copy")
    linked = shutil.copytree(path, tmp_path / "linked")
    (linked / "fc.accumulator.npy").unlink()
    os.link(path / "fc.accumulator.npy", linked / "fc.accumulator.npy")
    with open_dump(path) as golden:
        for name, needles in (("golden", 1), ("link", 1), ("copy", 0), ("linked", 1)):
            with open_dump(tmp_path / name) as dut:
                made = Plan(golden, dut, Rules(), None)
            assert sum("nothing was tested" in problem for problem in made.problems) >= needles, name
            assert bool(made.problems) == bool(needles), name
    assert copy != linked


def test_the_same_bytes_are_pointed_out(tmp_path):
    np.savez(tmp_path / "a.npz", conv=GOLDEN["conv"]["code"])
    shutil.copy(tmp_path / "a.npz", tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", conv=GOLDEN["conv"]["code"] + 1)
    with open_dump(tmp_path / "a.npz") as a, open_dump(tmp_path / "b.npz") as b, open_dump(tmp_path / "c.npz") as c:
        assert "byte for byte" in Plan(a, b, Rules(), None).notes[0]
        assert Plan(a, c, Rules(), None).notes == ()
    assert not same_content(tmp_path / "a.npz", tmp_path)
