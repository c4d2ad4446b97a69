"""Directed packs: the fewest images, and inputs of each layer that drive its sum to both ends, which compare reads."""

import shutil
from dataclasses import replace

import networks
import numpy as np
import pytest

from refengine.analysis.coverage import accumulating, coverage
from refengine.analysis.directed_files import check_directed, figures, sentences, write_directed
from refengine.errors import FileError, NetworkError, RangeError
from refengine.golden.compare.compare import compare
from refengine.golden.diagnose.cause import diagnose
from refengine.golden.dumps.open_dump import open_dump
from refengine.numbers.formats import INT8
from refengine.vectors.layout import Layout
from refengine.vectors.reader import open_vectors

NETWORK = networks.every_op()
IMAGES = networks.random_images(NETWORK, 8)
LAYERS = accumulating(NETWORK)


def points(layers):
    return {(one.layer, name) for one in layers for name in one.reached}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("directed") / "packs"
    return folder, write_directed(NETWORK, IMAGES, folder, formats=("npy", "readmemh"))


def test_the_images_reach_what_all_of_them_do(written):
    folder, found = written
    with open_vectors(folder / "images") as pack:
        np.testing.assert_array_equal(pack.whole("images"), IMAGES[[*found.chosen]])
    assert points(found.by_images) == points(coverage(NETWORK, IMAGES))
    assert len(found.chosen) < len(IMAGES) == found.looked_at


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.op)
def test_a_worst_case_is_a_pack_of_its_layer(written, layer):
    """Its files are as they were written, its sums come to the ends, and they follow from the codes in it."""
    folder, found = written
    with open_vectors(folder / "worst_case" / layer.name) as pack:
        pack.check()
        sums = pack.whole(f"{layer.name}/accumulator")
        assert pack.count == len(sums) == 2
        assert pack.holds("images") == pack.holds("logits") == (not layer.inputs)
    lo, hi = NETWORK.bounds[layer.name]
    bias = layer.constants.get("bias", np.zeros(1))
    if layer.name in found.attained and not np.any(bias):
        assert (sums[0].min(), sums[1].max()) == (lo.min(), hi.max())


def dut_of(pack, folder, layer, change=0):
    """What a testbench dumps of one layer, by itself."""
    folder.mkdir()
    with open_vectors(pack) as vectors:
        for stage in vectors.stages(layer):
            array = vectors.whole(f"{layer}/{stage}")
            array[1].reshape(-1)[0] ^= change
            np.save(folder / f"{layer}.{stage}.npy", array)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.op)
def test_compare_reads_a_worst_case_as_any_pack(written, tmp_path, layer):
    pack = written[0] / "worst_case" / layer.name
    dut_of(pack, tmp_path / "right", layer.name)
    dut_of(pack, tmp_path / "wrong", layer.name, change=1)
    with open_dump(pack) as golden, open_dump(tmp_path / "right", as_written=False) as dut:
        assert compare(golden, dut, network=NETWORK, diagnose=diagnose).verdict == "EQUAL"
    with open_dump(pack) as golden, open_dump(tmp_path / "wrong", as_written=False) as dut:
        found = compare(golden, dut, network=NETWORK)
    (wrong,) = (report for report in found.layers if report.fails)
    assert (found.verdict, wrong.layer) == ("DIFFERENT", layer.name)
    assert wrong.stages[0].entire.first.index[0] == 1


def test_given_codes_do_not_follow_from_each_other(written, tmp_path):
    """A copy of the pack is equal: the layers that are read are compared, and not recomputed."""
    for layer in LAYERS:
        shutil.copytree(written[0] / "worst_case" / layer.name, tmp_path / layer.name)
        pack = written[0] / "worst_case" / layer.name
        with open_dump(pack) as golden, open_dump(tmp_path / layer.name, as_written=False) as dut:
            assert compare(golden, dut, network=NETWORK).verdict == "EQUAL", layer.name


def test_a_residual_that_is_the_input_has_its_codes(tmp_path):
    pixels, conv, fc = networks.small().layers
    weights = {"weight": -np.ones((1, 1, 1, 1), np.int8), "scale": np.ones((1, 1), np.int8)}
    step = networks.plain_requantize(INT8, shift=np.array([1]), residual_shift=np.array([4]))
    changed = {"residual": pixels.name, "exponent": -3, "weight_exponent": np.array([-4]), "covers": ()}
    conv = replace(conv, constants={**weights, "bias": np.zeros(1, np.int32)}, requantize=step, **changed)
    fc = replace(fc, constants={**fc.constants, "weight": np.ones((2, 4), np.int8), "scale": np.ones((2, 2), np.int8)})
    network = networks.small(layers=(pixels, conv, fc))
    write_directed(network, networks.random_images(network, 2), tmp_path / "packs", layers=["001_conv"])
    with open_vectors(tmp_path / "packs" / "worst_case" / "001_conv") as pack:
        codes, totals = pack.whole("000_input/code"), pack.whole("001_conv/total")
    assert codes[:, 0, 0, 0].tolist() == [255, 0]  # a weight of -1: the lowest sum is that of the highest code
    np.testing.assert_array_equal(totals, -codes.astype(int) + (codes.astype(int) << 4))


def test_the_layout_reaches_every_pack(tmp_path):
    """A pattern that means a tensor of one pack alone is no error in the others, one that means none is."""
    layout = Layout(word_bits_of=[("images", 24), (f"{LAYERS[1].name}/code", 32)])
    write_directed(NETWORK, IMAGES[:2], tmp_path / "packs", layout=layout, formats=["readmemh"])
    with open_vectors(tmp_path / "packs" / "worst_case" / LAYERS[1].name) as pack:
        assert pack.entry(f"{LAYERS[1].name}/code").packing.word_bits == 32
    with pytest.raises(RangeError, match="no tensor is called 'nosuch'"):
        write_directed(NETWORK, IMAGES[:1], tmp_path / "none", layout=Layout(word_bits_of=[("nosuch", 8)]))
    assert not (tmp_path / "none").exists()


def test_what_is_reached_by_nothing_is_said(written):
    folder, found = written
    said, report = sentences(found, folder), figures(found)
    neither = {(layer, name) for layer, names in found.missed.items() for name in names}
    known = {(one.layer, name) for one in found.by_images for name in (*one.reached, *one.missed)}
    assert neither == known - points(found.by_images) - points(found.by_worst_case)
    assert "packs/images: 2 images of 8 (2, 7), the fewest found, reach what all of them do" in said[0]
    assert all(name in said[2] for _, name in neither)
    assert [one["missed"] for one in report["layers"]] == [[*found.missed.get(layer.name, ())] for layer in LAYERS]


def test_chosen_layers(tmp_path):
    name = LAYERS[1].name
    found = write_directed(NETWORK, IMAGES, tmp_path / "packs", layers=[name])
    assert [one.layer for one in found.by_images] == [name]
    assert [path.name for path in (tmp_path / "packs" / "worst_case").iterdir()] == [name]
    passing = next(layer.name for layer in NETWORK.layers if layer not in LAYERS)
    with pytest.raises(NetworkError, match="no chosen layer accumulates"):
        write_directed(NETWORK, IMAGES, tmp_path / "other", layers=[passing])


def test_only_packs_are_replaced(written, tmp_path):
    folder = tmp_path / "packs"
    shutil.copytree(written[0], folder)
    with pytest.raises(FileError, match="is not empty"):
        write_directed(NETWORK, IMAGES[:1], folder)
    check_directed(folder)
    for place in ("notes", "worst_case/notes", "images/notes"):
        (folder / place).write_text("mine")
        with pytest.raises(FileError, match="notes"):
            write_directed(NETWORK, IMAGES[:1], folder, overwrite=True)
        (folder / place).unlink()
    assert write_directed(NETWORK, IMAGES[:1], folder, overwrite=True).chosen == (0,)


def test_a_folder_of_packs_is_no_golden(written):
    folder = r"is a folder of vector packs, each is compared by itself: .*images"
    with pytest.raises(FileError, match=folder), open_dump(written[0]):
        pass
