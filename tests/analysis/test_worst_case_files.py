"""Stimulus files hold what a simulation needs, in every format, and never land among those of another model."""

import io
import os
import subprocess
import sys

import networks
import numpy as np
import pytest

from refengine.analysis.terms import accumulates
from refengine.analysis.worst_case_files import (
    STAGES,
    check_folder,
    stimuli,
    stimulus_figures,
    stimulus_files,
    write_stimuli,
)
from refengine.errors import FileError
from refengine.golden.compare.compare import compare
from refengine.golden.dumps.open_dump import open_dump
from refengine.network.total_bounds import total_bits
from refengine.network.whole_file import beside
from refengine.ops import OPS
from refengine.vectors.text_formats import FORMATS

NETWORK = networks.every_op()
LAYERS = [layer for layer in NETWORK.layers if accumulates(layer)]


def archive(network, layer):
    content = stimulus_files(network, layer, stimuli(network, layer))[f"{layer.name}.npz"]
    return dict(np.load(io.BytesIO(content)))


def put(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.op)
def test_a_stimulus_file_can_be_simulated(layer):
    """The layer run on its inputs gives its accumulators and codes, and the same stimuli give the same bytes."""
    found = stimuli(NETWORK, layer)
    assert stimulus_files(NETWORK, layer, found) == stimulus_files(NETWORK, layer, found)
    arrays = archive(NETWORK, layer)
    assert (str(arrays["model_hash"]), str(arrays["layer"])) == (NETWORK.hash, layer.name)
    operands = [arrays[f"input_{number}"] for number in range(len(found[0].operands))]
    sums = OPS[layer.op].reference(*operands, **layer.arguments)
    for number, one in enumerate(found):
        assert arrays["place"][number].tolist() == [*one.place]
        assert int(sums[(number, *one.place)]) == one.sum == arrays["sum"][number]
        assert (arrays["bound"][number], arrays["reached"][number]) == (one.bound, one.reached)
    assert ("code" in arrays) == (layer.requantize is not None)
    assert ("residual" in arrays) == (layer.residual is not None)
    assert stimulus_figures(found[0])["place"] == [*found[0].place]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.op)
def test_the_text_formats_hold_the_integers_of_the_archive(layer):
    """Each line is one integer in two's complement, in the order of the axes."""
    files = stimulus_files(NETWORK, layer, stimuli(NETWORK, layer), ("readmemh",))
    arrays = archive(NETWORK, layer)
    parts = [name for name in arrays if name.startswith("input_") or name in ("residual", *STAGES)]
    assert {name for name in files if name != f"{layer.name}.npz"} == {f"{layer.name}/{part}.memh" for part in parts}
    widths = {"accumulator": layer.accumulator_bits, "total": total_bits(NETWORK, layer)}
    for part in parts:
        bits = widths.get(part) or 8 * arrays[part].itemsize
        lines = files[f"{layer.name}/{part}.memh"].decode().split()
        assert [int(line, 16) for line in lines] == [int(value) % 2**bits for value in arrays[part].ravel()]
        assert {len(line) for line in lines} == {-(-bits // 4)}


def test_npy_makes_a_dump_that_compare_reads(tmp_path):
    """What a simulator dumped of both ends is held against the stages, and one wrong bit is found."""
    for layer in LAYERS[:3]:
        put(tmp_path / "golden", stimulus_files(NETWORK, layer, stimuli(NETWORK, layer), ("npy", "readmemh")))
        arrays = archive(NETWORK, layer)
        (tmp_path / "dut").mkdir(exist_ok=True)
        for stage in STAGES:
            if stage in arrays:
                np.save(tmp_path / "dut" / f"{layer.name}.{stage}.npy", arrays[stage])
    with open_dump(tmp_path / "golden") as golden, open_dump(tmp_path / "dut") as dut:
        assert compare(golden, dut).equal
    wrong = np.load(tmp_path / "dut" / f"{LAYERS[1].name}.code.npy")
    wrong.ravel()[0] ^= 1
    np.save(tmp_path / "dut" / f"{LAYERS[1].name}.code.npy", wrong)
    with open_dump(tmp_path / "golden") as golden, open_dump(tmp_path / "dut") as dut:
        assert compare(golden, dut).first[0].layer == LAYERS[1].name


def test_a_folder_of_this_model_is_written_again(tmp_path):
    check_folder(tmp_path / "new", NETWORK)
    check_folder(tmp_path, NETWORK)
    for layer in LAYERS:
        put(tmp_path, stimulus_files(NETWORK, layer, stimuli(NETWORK, layer), FORMATS))
    check_folder(tmp_path, NETWORK)


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_stimuli_of_other_layers_stay_and_all_are_in_place_at_once(tmp_path, monkeypatch):
    """A second run adds its own; where it fails on the way, nothing has changed."""
    folder = tmp_path / "new" / "worst"
    first, second = ([(layer, stimuli(NETWORK, layer))] for layer in LAYERS[:2])
    count = write_stimuli(NETWORK, first, folder, FORMATS)
    before = contents(folder)
    assert len(before) == count
    with monkeypatch.context() as broken:
        broken.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(FileError, match="No space left on device"):
            write_stimuli(NETWORK, second, folder, FORMATS)
    assert contents(folder) == before
    write_stimuli(NETWORK, second, folder, FORMATS)
    assert contents(folder).items() > before.items()
    assert [path.name for path in folder.parent.iterdir()] == ["worst"]


def test_what_a_killed_process_left_is_removed(tmp_path):
    """Under the name that says which process wrote it; a file of somebody else's of a like name is kept."""
    put(tmp_path, stimulus_files(NETWORK, LAYERS[0], stimuli(NETWORK, LAYERS[0])))
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    name = beside(tmp_path / "a.npz").name.replace(f"{os.getpid():08x}", f"{process.pid:08x}")
    (tmp_path / name).write_bytes(b"half")
    check_folder(tmp_path, NETWORK)
    assert not (tmp_path / name).exists()


def spoil_other_model(folder):
    network = networks.every_op(seed=341)
    layer = next(layer for layer in network.layers if layer.name == LAYERS[0].name)
    put(folder, stimulus_files(network, layer, stimuli(network, layer)))
    return "is a stimulus of another model; kept"


def spoil_without_hash(folder):
    np.savez(folder / f"{LAYERS[0].name}.npz", input_0=np.zeros(3))
    return "is a stimulus of another model; kept"


def spoil_with_a_long_hash(folder):
    np.savez(folder / f"{LAYERS[0].name}.npz", model_hash=np.array("a" * 10**6))
    return "is a stimulus of another model; kept"


def spoil_with_no_archive(folder):
    (folder / f"{LAYERS[0].name}.npz").write_bytes(b"PK, but no more")
    return "is a stimulus of another model; kept"


def spoil_with_a_note(folder):
    (folder / "notes.txt").write_text("mine")
    return "holds 'notes.txt', which is no stimulus of this model; kept"


def spoil_with_an_orphan(folder):
    """A text file says nothing of its model; without the .npz beside it, it may be anybody's."""
    (folder / LAYERS[0].name).mkdir()
    (folder / LAYERS[0].name / "code.memh").write_text("00\n")
    return "which is no stimulus of this model; kept"


SPOILT = (
    spoil_other_model,
    spoil_without_hash,
    spoil_with_a_long_hash,
    spoil_with_no_archive,
    spoil_with_a_note,
    spoil_with_an_orphan,
)


@pytest.mark.parametrize("spoil", SPOILT)
def test_a_folder_with_anything_else_is_refused(tmp_path, spoil):
    put(tmp_path, stimulus_files(NETWORK, LAYERS[1], stimuli(NETWORK, LAYERS[1])))
    needle = spoil(tmp_path)
    with pytest.raises(FileError) as refused:
        check_folder(tmp_path, NETWORK)
    assert needle in str(refused.value)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(FileError, match="is a file, a folder was needed"):
        check_folder(tmp_path / "a", NETWORK)


def test_stochastic_stimuli_draw_as_images_0_and_1_of_their_layer():
    """Contract R5, by plain integers: place of the layer in the network, number of the end, place in the image."""
    from refengine.numbers.stochastic import random_bits

    network = networks.every_op("stochastic")
    judged = 0
    for position, layer in enumerate(network.layers):
        if not accumulates(layer) or layer.requantize is None:
            continue
        step = layer.requantize
        files = stimulus_files(network, layer, stimuli(network, layer))
        with np.load(io.BytesIO(files[f"{layer.name}.npz"])) as arrays:
            total, code = arrays["total"], arrays["code"]
        bits = random_bits(step.seed, position, 0, total.shape)
        shifts = np.broadcast_to(step.shift, total.shape)
        for place in np.ndindex(*total.shape):
            t, s = int(total[place]), int(shifts[place])
            rounded = (t + (int(bits[place]) >> (64 - s))) >> s
            assert int(code[place]) == min(max(rounded, step.lo), step.hi), (layer.name, place)
            judged += s > 0
    assert judged > 100
