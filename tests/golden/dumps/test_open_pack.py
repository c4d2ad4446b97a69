"""Vector packs as dumps: the golden is refused once a file was changed, a DUT's is read as it is and says so."""

import json

import numpy as np
import pytest
from dumps import network_and_images

from refengine.errors import FileError
from refengine.golden.dumps.open_dump import open_dump
from refengine.golden.dumps.open_pack import CONSTANT_CHANGED
from refengine.vectors.writer import write_vectors


@pytest.fixture
def pack(tmp_path):
    network, images = network_and_images()
    layers = [network.layers[1].name]
    write_vectors(network, images, tmp_path / "pack", layers=layers, formats=["npy", "readmemh"])
    return tmp_path / "pack", layers[0]


def first_word_flipped(path):
    """Change the lowest bit of the first word of a memory file."""
    lines = path.read_text().splitlines()
    place = next(k for k, line in enumerate(lines) if line and not line.startswith(("/", "@")))
    lines[place] = lines[place][:-1] + f"{int(lines[place][-1], 16) ^ 1:x}"
    path.write_text("\n".join(lines) + "\n")


def test_a_changed_form_is_judged_and_the_other_must_agree(pack):
    folder, layer = pack
    first_word_flipped(folder / layer / "code.memh")
    with open_dump(folder, as_written=False) as dump:
        values = dump.values(layer, "code")
        assert values.place.endswith("code.memh")
        assert [place.rpartition("/")[2] for place, _ in values.others] == ["code.npy"]
        wanted = values.others[0][1].read(0, 1)
        assert np.count_nonzero(values.read(0, 1) != wanted) == 1
        assert any("changed since it was written, judged as it is" in note for note in dump.notes)


def test_a_golden_is_as_it_was_written(pack):
    folder, layer = pack
    first_word_flipped(folder / layer / "code.memh")
    with pytest.raises(FileError, match=r"code\.memh"), open_dump(folder):
        pass


def test_a_changed_constant_and_a_strange_file_are_named(pack):
    folder, layer = pack
    first_word_flipped(folder / layer / "weight.memh")
    (folder / "notes.txt").write_text("mine")
    with open_dump(folder, as_written=False) as dump:
        assert dump.passed_over == {f"{layer}/weight.memh": CONSTANT_CHANGED, "notes.txt": "not a file of the pack"}
    with open_dump(folder, ignore=["notes.txt", "*weight*"], as_written=False) as dump:
        assert not dump.passed_over
        assert {*dump.ignored} == {f"{layer}/weight.memh", "notes.txt"}


def test_layers_that_are_there_for_others_are_inputs(pack):
    folder, layer = pack
    with open_dump(folder) as dump:
        assert dump.inputs == {*dump.layers} - {layer}
        assert not dump.given


def test_a_manifest_whose_layer_has_no_operator(pack):
    folder, layer = pack
    manifest = json.loads((folder / "manifest.json").read_text())
    next(one for one in manifest["layers"] if one["name"] == layer)["op"] = "magic"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(FileError, match="of a known operator"), open_dump(folder, as_written=False):
        pass
