"""refengine vectors: the pack is that of the engine, and every option reaches it."""

import json
import shutil

import numpy as np
import pytest
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.engine.run import run
from refengine.network.images import open_images
from refengine.network.int_file import read_int_network
from refengine.vectors.text_formats import FORMATS
from refengine.vectors.words import CODE_MAPS

CALL = ("vectors", "model.h5", "images.h5")


def opened():
    from refengine.vectors.writer import open_vectors

    return open_vectors("pack")


def packing(name):
    return opened().entry(name).packing


def test_a_pack_holds_the_run(files):
    outcome = refengine(*CALL, "-o", "pack", "--first", "2", "--count", "3")
    network, vectors = read_int_network("model.h5"), opened()
    with open_images("images.h5") as images:
        pixels = images.read(2, 5)
    assert (outcome.code, outcome.err) == (0, "")
    assert "tensors of images 2..4 as npy, readmemh" in outcome.out.splitlines()[-1]
    assert (vectors.model_hash, vectors.count, vectors.first_image) == (network.hash, 3, 2)
    np.testing.assert_array_equal(vectors.whole("images"), pixels)
    np.testing.assert_array_equal(vectors.whole("logits"), run(network, pixels, "reference"))
    vectors.check()


def test_all_formats_and_json(files):
    figures = refengine(*CALL, "-o", "pack", "--format", ",".join(FORMATS), "--json", "-").json
    stored = [path for path in (files / "pack").rglob("*") if path.is_file()]
    assert (figures["report"], figures["formats"], figures["count"]) == ("vectors", list(FORMATS), 1)
    assert figures["files"] == len(stored)
    assert figures["bytes"] == sum(p.stat().st_size for p in stored) - (files / "pack/manifest.json").stat().st_size
    assert figures["tensors"] == len(json.loads((files / "pack/manifest.json").read_text())["tensors"])


def test_more_images_than_there_are(files):
    """Nothing is left out in silence."""
    assert "images.h5: has 12 images, needed 13 from 0 on: at most 12" in refusal(*CALL, "-o", "pack", "--count", "13")
    assert "needed 4 from 9 on: at most 3" in refusal(*CALL, "-o", "pack", "--first", "9", "--count", "4")
    assert not (files / "pack").exists()


def test_word_widths_are_set_by_tensor(files):
    arguments = ["--word-bits", "64", "--word-bits", "*/weight=128", "--word-bits", "images=24"]
    assert refengine(*CALL, "-o", "pack", *arguments).code == 0
    assert [packing(name).word_bits for name in ("logits", "001_conv/weight", "images")] == [64, 128, 24]
    assert refengine(*CALL, "-o", "pack", "--overwrite", "--elements-per-word", "3").code == 0
    assert (packing("logits").word_bits, packing("logits").elements) == (96, 3)


def test_every_option_of_the_layout(files):
    arguments = ["--word-bits", "16", "--straddle", "--lane-order", "high", "--endian", "big", "--order", "nchw"]
    assert refengine(*CALL, "-o", "pack", *arguments, "--order", "ohwi", "--format", "coe").code == 0
    found = packing("logits")
    assert (found.word_bits, found.straddles, found.first, found.endian) == (16, True, "high", "big")
    assert [opened().entry(name).order for name in ("images", "001_conv/weight")] == ["nchw", "ohwi"]
    opened().check()


@pytest.mark.parametrize("name", CODE_MAPS)
def test_every_ternary_encoding_can_be_chosen(files, name):
    assert refengine(*CALL, "-o", "pack", "--ternary", name).code == 0
    maps = {entry.packing.code_map for entry in opened().manifest.entries if entry.tensor.ternary}
    assert maps == {name}
    opened().check()


def test_only_chosen_layers_are_written(files):
    assert refengine(*CALL, "-o", "pack", "--layer", "fc", "--partial-sums-of", "001_conv").code == 0
    vectors = opened()
    assert "partial_sums" in vectors.stages("001_conv")
    assert "accumulator" in vectors.stages(vectors.layers[-1])


def test_directed_packs(files):
    """Both packs, what they reach in a few lines, and the same in JSON; compare reads one with no option."""
    outcome = refengine(*CALL, "--directed", "-o", "packs", "--layer", "001_conv")
    images, worst, missed, written = outcome.out.splitlines()[1:]
    assert images.startswith("packs/images: ")
    assert " of 12 (" in images
    assert worst.startswith("packs/worst_case: inputs of 1 layer reach ")
    assert missed.startswith(("reached by", "every"))
    assert written.startswith("packs: ")
    assert "as npy, readmemh" in written
    pack = "packs/worst_case/001_conv"
    shutil.copytree(pack, "dut")
    assert refengine("compare", pack, "dut").code == 0
    assert "vector pack of given codes, 0..1" in refengine("inspect", pack).out
    arguments = ["--directed", "--count", "3", "-o", "packs", "--overwrite", "--layer", "001_conv", "--json", "-"]
    figures = refengine(*CALL, *arguments).json
    assert figures["directed"]["of"] == 3
    assert figures["count"] == len(figures["directed"]["images"])
    assert [one["layer"] for one in figures["directed"]["layers"]] == ["001_conv"]
    stored = [path for path in (files / "packs").rglob("*") if path.is_file()]
    assert figures["files"] == len(stored)


def test_directed_packs_do_not_land_on_others(files):
    (files / "full").mkdir()
    (files / "full" / "notes").write_text("mine")
    assert "is not empty" in refusal(*CALL, "--directed", "-o", "full")
    assert "full/images: is not a folder, a vector pack" in refusal(*CALL, "--directed", "-o", "full", "--overwrite")
    assert "needed 13 from 0 on" in refusal(*CALL, "--directed", "--count", "13", "-o", "packs")


@pytest.mark.parametrize(
    ("options", "needle"),
    [
        (["-o", "model.h5"], "is read from, write to another folder"),
        (["-o", "labels"], "is not a folder"),
        (["-o", "."], "is read from, write to another folder"),
        (["-o", "full"], "is not empty, a new or an empty folder was needed"),
        (["-o", "full", "--overwrite"], "manifest.json: does not exist"),
        (["-o", "nowhere/pack"], "there is no folder"),
        (["-o", "pack", "--layer", "nosuch"], "'nosuch'"),
        (["-o", "pack", "--partial-sums-of", "000_input"], "has no clusters"),
        (["-o", "pack", "--first", "99"], "has images 0..11, asked for 99"),
        (["-o", "pack", "--word-bits", "8"], "a word of 8 bits holds no element of 32 bits"),
        (["-o", "pack", "--word-bits", "nosuch=8"], "no tensor is called 'nosuch'"),
        (["-o", "pack", "--order", "chwn"], "does not begin with the images"),
        (["-o", "pack", "--straddle", "--elements-per-word", "2"], "that straddle words cannot be 2 a word"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(files, options, needle):
    (files / "full").mkdir()
    (files / "full" / "notes").write_text("mine")
    (files / "labels").write_text("mine")
    before = {path.name for path in files.iterdir()}
    assert needle in refusal(*CALL, *options)
    assert {path.name for path in files.iterdir()} == before


@pytest.mark.parametrize(
    ("options", "needle"),
    [
        (["--format", "npy,zip"], "'zip' is none of npy, readmemh, readmemb, hex, dat, bin, coe, mif, c, sv"),
        (["--word-bits", "wide"], "'wide' is neither a number of bits nor TENSOR=BITS"),
        (["--word-bits", "8", "--word-bits", "9"], "says twice"),
    ],
)
def test_wrong_options_are_refused(files, options, needle):
    outcome = refengine(*CALL, "-o", "pack", *options)
    assert outcome.code == 2
    assert needle in outcome.err


def test_the_help_names_every_format_and_map():
    """They stand in the options by hand, so that --help loads little."""
    text = refengine("vectors", "--help").out
    assert all(name in text for name in (*FORMATS, *CODE_MAPS))


@pytest.mark.parametrize("name", ["model.h5", "images.h5"])
def test_damaged_input_is_refused_in_one_line(files, name):
    assert_damage_is_refused(files / name, *CALL, "-o", "pack")
