"""compare: traces, packs, paths and arrays are judged alike, and the judgement prints as the command line does."""

import shutil

import numpy as np
import pytest
from dumps import as_archive, integers_of
from everyday import everyday
from verbs import refengine as command

import refengine
from refengine.errors import FileError, RangeError
from refengine.vectors.writer import write_vectors


@pytest.fixture
def spoiled(files):
    """The trace's integers with one code of a convolution wrong, and the convolution."""
    layer = next(layer.name for layer in refengine.load("model.h5").layers if layer.op == "conv")
    integers = integers_of("trace.h5")[0]
    integers[layer]["code"] = integers[layer]["code"].copy()
    integers[layer]["code"][-1, ..., -1] ^= 1
    return integers, layer


@pytest.mark.parametrize("share", everyday([2, 1], 2))
def test_every_form_of_a_golden_and_of_a_dut(files, spoiled, share):
    integers, layer = spoiled
    write_vectors(refengine.load("model.h5"), refengine.load("images.h5")[:2], "pack")
    as_archive(files / "dut.npz", integers)
    shutil.copy("trace.h5", "same.h5")
    goldens = ("trace.h5", refengine.load("trace.h5"), "pack", refengine.load("pack"))
    duts = ("dut.npz", files / "dut.npz", integers, "dut.npz")
    for golden, dut in [*zip(goldens, duts, strict=True)][::share]:
        assert refengine.compare(golden, refengine.load("same.h5"), "model.h5").equal
        found = refengine.compare(golden, dut, refengine.load("model.h5"))
        assert (found.verdict, found.equal, found.faulty_layers) == ("DIFFERENT", False, (layer,))


def test_results_alone_by_layer(files):
    codes = {name: stages["code"] for name, stages in integers_of("trace.h5")[0].items() if "code" in stages}
    found = refengine.compare("trace.h5", codes, stages=["code"], layers=[*codes])
    assert (found.verdict, len(found.comparison.compared)) == ("EQUAL", len(codes))


def test_it_prints_what_the_command_line_prints(files, spoiled):
    integers, _ = spoiled
    as_archive(files / "dut.npz", integers)
    printed = command("compare", "trace.h5", "dut.npz", "--model", "model.h5")
    found = refengine.compare("trace.h5", "dut.npz", "model.h5")
    assert printed.out.endswith(str(found) + "\n")
    assert (
        command("compare", "trace.h5", "dut.npz", "--model", "model.h5", "--json", "-").json.items()
        >= {
            "verdict": found.verdict,
            "faulty_layers": [*found.faulty_layers],
        }.items()
    )
    assert b"<testsuite" in found.junit()


def test_the_self_test_is_made_when_it_is_asked_for(files):
    shutil.copy("trace.h5", "same.h5")
    assert refengine.compare("trace.h5", "same.h5").self_test is None
    found = refengine.compare("trace.h5", "same.h5", "model.h5", self_test=True)
    assert found.self_test is not None
    assert found.figures["self_test"]["passed"] == found.self_test.passed


@pytest.mark.parametrize(
    ("dut", "needle"),
    [
        (3, "DUT is 3, needed a trace, a vector pack, a path or arrays by layer"),
        ({"conv": [1, 2]}, r"layer 'conv', result: is \[1, 2\], needed an array of integers"),
        ({"conv": {"code": np.zeros(3)}}, "layer 'conv', code: is .*needed an array of integers"),
    ],
)
def test_what_is_no_dump_is_refused(files, dut, needle):
    with pytest.raises(RangeError, match=needle):
        refengine.compare("trace.h5", dut)


def test_what_only_files_have_is_refused_for_arrays(files):
    with pytest.raises(RangeError, match="the DUT is arrays"):
        refengine.compare("trace.h5", integers_of("trace.h5")[0], ignore=["*.txt"])
    with pytest.raises(FileError, match="No such file"):
        refengine.compare("nothing.h5", "trace.h5")
