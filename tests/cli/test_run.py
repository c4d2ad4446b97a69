"""refengine run: the logits are those of the engine, whoever computes them and wherever they start."""

import h5py
import numpy as np
import pytest
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.engine.run import run
from refengine.network.images import open_images, write_images
from refengine.network.int_file import read_int_network

CALL = ("run", "model.h5", "images.h5")


@pytest.fixture
def logits(files):
    with open_images("images.h5") as images:
        return run(read_int_network("model.h5"), images.read(0, images.count), "reference")


def test_logits_are_the_engine_s(files, logits):
    figures = refengine(*CALL, "--json", "-").json
    assert (figures["report"], figures["first"]) == ("run", 0)
    assert figures["logits"] == logits[:10].tolist()
    assert figures["classes"] == logits[:10].argmax(axis=1).tolist()
    assert figures["model_hash"] == read_int_network("model.h5").hash


def test_the_table_has_names_and_labels(files, logits):
    out = refengine(*CALL, "--first", "3", "--count", "1").out
    row = out.splitlines()[-1].split()
    with open_images("images.h5") as images:
        names, label = images.class_names, images.labels[3]
    best = int(logits[3].argmax())
    assert row == ["3", str(best), names[best], str(label), names[label], *map(str, logits[3])]


@pytest.mark.parametrize(
    "options",
    [
        ["--backend", "reference"],
        ["--backend", "kernels"],
        ["--backend", "fast"],
        ["--threads", "3"],
        ["--first", "5"],
        ["--first", "11"],
        ["--first", "2", "--count", "99"],
    ],
)
def test_no_option_changes_a_logit(files, logits, options):
    figures = refengine(*CALL, "--count", "12", *options, "--json", "-").json
    assert figures["logits"] == logits[figures["first"] :].tolist()


@pytest.mark.parametrize("threads", ["1", "3"])
def test_a_single_image_is_shared_by_all_threads(files, logits, threads):
    figures = refengine(*CALL, "--first", "6", "--count", "1", "--threads", threads, "--json", "-").json
    assert figures["logits"] == logits[6:7].tolist()


def test_stochastic_rounding_knows_an_image_by_its_number(files):
    """Image 7 has the same logits alone and in the middle of a run."""
    refengine("quantize", "net.h5", "--calibration", "images.h5", "-o", "model.h5", "--rounding", "stochastic")
    all_of_them = refengine(*CALL, "--count", "12", "--json", "-").json["logits"]
    assert refengine(*CALL, "--first", "7", "--count", "1", "--json", "-").json["logits"] == all_of_them[7:8]


def test_images_without_labels_are_run(files, logits):
    outcome = refengine("run", "model.h5", "unlabelled.h5", "--count", "2")
    assert outcome.out.splitlines()[1].split() == ["image", "class", "logits"]
    assert refengine("run", "model.h5", "unlabelled.h5", "--json", "-").json["labels"] is None


def test_logits_are_written_as_npy(files, logits):
    assert refengine(*CALL, "--count", "12", "-o", "logits.npy").code == 0
    stored = np.load("logits.npy")
    assert stored.dtype == np.int32
    np.testing.assert_array_equal(stored, logits)


def test_logits_are_written_as_hdf5(files, logits):
    assert refengine(*CALL, "--first", "4", "-o", "logits.h5").code == 0
    with h5py.File("logits.h5") as file:
        np.testing.assert_array_equal(file["logits"][:], logits[4:])
        assert file["logits"].dtype == np.int32
        assert (file.attrs["format"], file.attrs["first"]) == ("refengine-logits", 4)
        assert file.attrs["model_hash"] == read_int_network("model.h5").hash


def test_many_classes_are_cut_in_the_table_alone():
    from refengine.cli.run import _excerpt

    assert _excerpt(list(range(12))) == [*range(10), "..."]
    assert _excerpt(list(range(10))) == [*range(10)]


@pytest.mark.parametrize(
    ("options", "needle"),
    [
        (["--first", "12"], "has images 0..11, asked for 12"),
        (["-o", "logits.txt"], "logits are written as .npy or .h5"),
        (["-o", "model.h5"], "is also read from"),
        (["-o", "logits.npy", "--json", "./logits.npy"], "would be written twice"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(files, options, needle):
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    assert needle in refusal(*CALL, *options)
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before


def test_images_of_another_size(files):
    write_images("images.h5", np.zeros((2, 5, 5, 3), np.uint8), None)
    assert "images are uint8 of shape (5, 5, 3)" in refusal(*CALL)


def test_a_float_network_is_not_run(files):
    assert "'refengine-float', needed 'refengine-int'" in refusal("run", "net.h5", "images.h5")


@pytest.mark.parametrize("name", ["model.h5", "images.h5"])
def test_damaged_input_is_refused_in_one_line(files, name):
    assert_damage_is_refused(files / name, *CALL, "-o", "logits.npy")
