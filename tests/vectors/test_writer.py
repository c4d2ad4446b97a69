"""Vector packs: the integers of the same run's trace, in every format and packing, whole or not at all."""

import hashlib

import networks
import numpy as np
import pytest
from everyday import everyday
from hypothesis import given
from hypothesis import strategies as st

from refengine.engine.run import run
from refengine.errors import FileError, NetworkError, RangeError
from refengine.network.images import open_images, write_images
from refengine.runs.trace import open_trace, write_trace
from refengine.vectors.parameters import FILE, as_c, parameters
from refengine.vectors.tensors import CONSTANTS
from refengine.vectors.text_formats import FORMATS
from refengine.vectors.writer import Layout, check_pack, check_target, open_vectors, write_vectors

LAYOUTS = {
    "plain": Layout(),
    "words of 13 bits, straddling": Layout(word_bits=13, straddle=True, orders=["nchw", "ohwi", "gcn"[::-1]]),
    "words of 77 bits": Layout(word_bits=77, first="high", code_map="plus-minus", orders=["nwhc"]),
    "bytes turned around": Layout(word_bits=128, endian="big", code_map="offset"),
    "three a word": Layout(elements=3, orders=["nchwg"]),
    "blocks of 8 channels": Layout(word_bits=64, orders=["NCHW8c"]),
    "channels filled up to 3": Layout(word_bits=20, straddle=True, orders=["nhwc3c"], first="high"),
    "one bit a word": Layout(word_bits=1, straddle=True, first="high"),
}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A network with every operator, images, and the trace of their run."""
    network = networks.every_op(seed=9)
    images = networks.random_images(network, 3)
    path = tmp_path_factory.mktemp("trace") / "trace.h5"
    write_trace(network, images, path, partial_sums_of=partial_of(network), backend="reference", first_image=5)
    return network, images, path


def partial_of(network):
    return next(layer.name for layer in network.layers if layer.op == "conv")


def assert_same_integers(vectors, trace, network, fmt):
    """Every layer, every stage, every constant, images and logits: values, types and shapes."""
    assert vectors.layers == trace.layers
    for name in trace.layers:
        assert vectors.stages(name) == trace.layer(name).stages
        for stage in vectors.stages(name):
            wanted, found = trace.stage(name, stage).whole(), vectors.values(name, stage, fmt).read(0, trace.count)
            assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
            np.testing.assert_array_equal(found, wanted)
            assert (vectors.shape(name, stage), vectors.dtype(name, stage)) == (wanted.shape, wanted.dtype)
        layer = network.layer(name)
        constants = {**layer.constants}
        for part in ("multiplier", "shift", "residual_shift"):
            array = getattr(layer.requantize, part, None)
            constants |= {} if array is None else {part: array}
        for part, array in constants.items():
            found = vectors.constant(name, part, fmt)
            assert found.dtype == array.dtype
            np.testing.assert_array_equal(found, array)
    np.testing.assert_array_equal(vectors.whole("images", fmt), trace.images.whole())
    np.testing.assert_array_equal(vectors.whole("logits", fmt), trace.logits.whole())


@pytest.mark.parametrize("share", everyday([8, 2], 2))
@pytest.mark.parametrize("name", everyday(LAYOUTS, 3))
def test_a_pack_holds_the_trace_in_every_layout_and_format(case, name, share, tmp_path):
    """The plain layout in all formats, the others in every eighth or every second one."""
    network, images, path = case
    formats = [*FORMATS] if name == "plain" else [*FORMATS][[*LAYOUTS].index(name) % share :: share]
    write_vectors(
        network, images, tmp_path / "pack", formats=formats, layout=LAYOUTS[name], first_image=5,
        partial_sums_of=partial_of(network), backend="reference",
    )  # fmt: skip
    with open_trace(path) as trace, open_vectors(tmp_path / "pack") as vectors:
        for fmt in formats:
            assert_same_integers(vectors, trace, network, fmt)
        for what in ("count", "first_image", "model_hash", "images_sha256"):
            assert getattr(vectors, what) == getattr(trace, what)
        assert vectors.manifest.roundings == trace.roundings
        assert vectors.network().hash == network.hash
        vectors.check()


@given(networks.int_networks(), st.sampled_from([*LAYOUTS]), st.sampled_from(FORMATS), st.integers(1, 3))
def test_any_network_is_written_and_read_back(tmp_path_factory, network, layout, fmt, count):
    folder, images = tmp_path_factory.mktemp("any"), networks.random_images(network, count)
    write_trace(network, images, folder / "trace.h5", backend="reference")
    write_vectors(network, images, folder / "pack", formats=[fmt], layout=LAYOUTS[layout], backend="reference")
    with open_trace(folder / "trace.h5") as trace:
        assert_same_integers(open_vectors(folder / "pack"), trace, network, fmt)


def test_the_integers_are_those_of_the_run(case, tmp_path):
    """Against the engine itself, with no trace between."""
    network, images, _ = case
    write_vectors(network, images, tmp_path / "pack", formats=["coe"], backend="kernels", batch=2)
    vectors = open_vectors(tmp_path / "pack")

    def observe(layer, operands, result):
        if result.accumulator is not None:
            np.testing.assert_array_equal(vectors.read(layer.name, "accumulator", 0, 3), result.accumulator)
        if result.accumulator is None or layer.requantize is not None:
            np.testing.assert_array_equal(vectors.read(layer.name, "code", 0, 3), result.result)

    logits = run(network, images, "reference", observe)
    np.testing.assert_array_equal(vectors.logits.read(0, 3), logits)


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_bytes_whatever_computes_them(case, tmp_path):
    """Backends, batches, threads, an array or a file of images."""
    network, images, _ = case
    write_images(tmp_path / "images.h5", images, None)
    ways = [{"backend": "reference"}, {"backend": "fast", "batch": 1}, {"backend": "kernels", "threads": 2}]
    for number, way in enumerate(ways):
        write_vectors(network, images, tmp_path / str(number), **way)
    with open_images(tmp_path / "images.h5", labels_required=False) as file:
        write_vectors(network, file, tmp_path / "3")
    packs = [content(tmp_path / str(number)) for number in range(4)]
    assert packs[0] == packs[1] == packs[2] == packs[3]
    assert "run.h5" not in packs[0]


def test_files_are_those_of_the_manifest(case, tmp_path):
    """Each listed once, with its size and its SHA-256, and no other."""
    network, images, _ = case
    manifest = write_vectors(network, images, tmp_path / "pack", formats=FORMATS, backend="reference")
    found = content(tmp_path / "pack")
    stored = manifest.every_file
    assert {file.file for file in stored} | {"manifest.json"} == set(found)
    for file in stored:
        assert file.size == len(found[file.file])
        assert file.sha256 == hashlib.sha256(found[file.file]).hexdigest()
    check_pack(tmp_path / "pack")


def test_chosen_layers_bring_the_codes_that_they_read(tmp_path):
    network = networks.every_op(seed=340)
    layer = next(layer for layer in network.layers if layer.residual is not None)
    images = networks.random_images(network, 1)
    write_vectors(network, images, tmp_path / "pack", layers=[layer.name], backend="reference")
    vectors = open_vectors(tmp_path / "pack")
    read = {*layer.inputs, layer.residual}
    assert {*vectors.layers} == {layer.name} | read
    for name in read - {layer.name}:
        assert vectors.stages(name) == ("code",)
        assert not {f"{name}/{part}" for part in CONSTANTS} & {e.tensor.name for e in vectors.manifest.entries}
    assert "accumulator" in vectors.stages(layer.name)


def test_images_begin_with_a_word(case, tmp_path):
    """Image n of the second pack is image 0 of one that begins with it, word for word."""
    network, images, _ = case
    layout = Layout(word_bits=13, straddle=True)
    for name, start in (("all", 0), ("last", 2)):
        write_vectors(
            network, images[start:], tmp_path / name, formats=["readmemb"], layout=layout, first_image=start,
            backend="reference",
        )  # fmt: skip
    last = open_vectors(tmp_path / "last")
    for entry in last.manifest.entries:
        file = entry.files["readmemb"].file
        lines = (tmp_path / "all" / file).read_text().splitlines()
        assert lines[-entry.block_words :] == (tmp_path / "last" / file).read_text().splitlines()


@pytest.mark.parametrize(
    ("changed", "error", "needle"),
    [
        ({"formats": ["zip"]}, RangeError, "format 'zip' is unknown; available: npy, readmemh"),
        ({"formats": []}, RangeError, "no format is chosen"),
        ({"layers": ["nosuch"]}, NetworkError, "'nosuch'"),
        ({"partial_sums_of": "000_input"}, NetworkError, "has no clusters"),
        ({"layout": Layout(word_bits=31)}, RangeError, "a word of 31 bits holds no element of 32 bits"),
        ({"layout": Layout(word_bits_of=[("nosuch", 8)])}, RangeError, "no tensor is called 'nosuch'"),
        ({"layout": Layout(word_bits=50, elements=2)}, RangeError, "a word of 50 bits cannot hold 2 elements of 32"),
        ({"backend": "abacus"}, RangeError, "backend 'abacus' is unknown"),
    ],
)
def test_a_refused_call_writes_nothing(case, tmp_path, changed, error, needle):
    network, images, _ = case
    with pytest.raises(error, match=needle):
        write_vectors(network, images, tmp_path / "pack", **changed)
    assert [*tmp_path.iterdir()] == []


def test_images_of_another_size(tmp_path):
    with pytest.raises(RangeError, match="the network reads uint8"):
        write_vectors(networks.small(), np.zeros((1, 3, 3, 1), np.uint8), tmp_path / "pack")
    assert [*tmp_path.iterdir()] == []


def test_an_interrupted_pack_leaves_nothing(tmp_path):
    def interrupt(done, total):
        if done == 3:
            raise KeyboardInterrupt

    network = networks.small()
    with pytest.raises(KeyboardInterrupt):
        write_vectors(network, networks.random_images(network, 1), tmp_path / "pack", progress=interrupt)
    assert [*tmp_path.iterdir()] == []


def test_only_packs_are_replaced(tmp_path):
    """And only if nothing else is in the folder, and nobody asks for it by mistake."""
    network, pack = networks.small(), tmp_path / "pack"
    images = networks.random_images(network, 2)
    write_vectors(network, images, pack, formats=FORMATS, backend="reference")
    with pytest.raises(FileError, match="pack: is not empty, a new or an empty folder was needed"):
        write_vectors(network, images, pack)
    with pytest.raises(FileError, match="is read from, write to another folder"):
        check_target(pack, [pack / "model.h5"], overwrite=True)
    write_vectors(network, images[:1], pack, overwrite=True, backend="reference")
    assert (open_vectors(pack).count, open_vectors(pack).manifest.formats) == (1, ("npy", "readmemh"))
    (pack / "000_input" / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match=r"holds '000_input/notes\.txt', which is not of the pack; kept"):
        write_vectors(network, images, pack, overwrite=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match=r"manifest\.json: does not exist"):
        write_vectors(network, images, tmp_path / "other", overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "pack"]


def test_a_pack_in_c_has_a_header_for_each_layer_that_was_chosen(tmp_path):
    network = networks.every_op(seed=9)
    layer = next(layer.name for layer in network.layers if layer.residual is not None)
    made = write_vectors(network, networks.random_images(network, 1), tmp_path / "pack", formats=["c"], layers=[layer])
    assert [stored.file for stored in made.parameters] == [f"{layer}/{FILE}"]
    text = (tmp_path / "pack" / layer / FILE).read_text()
    assert text == as_c(layer, parameters(network, network.layer(layer)))
    with open_vectors(tmp_path / "pack") as pack:
        assert pack.manifest.parameters == made.parameters
        pack.verify()
        (tmp_path / "pack" / layer / FILE).write_text(text.replace("0", "1"))
    with open_vectors(tmp_path / "pack") as pack, pytest.raises(ValueError, match=rf"{FILE}: was changed"):
        pack.verify()


@pytest.mark.parametrize("formats", [["npy"], ["readmemh", "sv"]])
def test_other_packs_have_no_headers(formats, tmp_path):
    network = networks.small()
    made = write_vectors(network, networks.random_images(network, 1), tmp_path / "pack", formats=formats)
    assert made.parameters == ()
    assert not [*(tmp_path / "pack").rglob(FILE)]
