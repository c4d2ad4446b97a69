"""Traces: every integer of a run in a file, the same integers whatever the batches, and nothing believed unchecked."""

import hashlib
from fractions import Fraction

import h5py
import networks
import numpy as np
import plans
import pytest
from everyday import everyday

from refengine import CONTRACT, __version__
from refengine.engine.run import run
from refengine.errors import FileError, NetworkError, RangeError, RefengineError
from refengine.network.images import open_images, write_images
from refengine.ops import OPS
from refengine.runs.predict import BACKENDS
from refengine.runs.trace import STAGES, choose_layers, open_trace, partial_sums, roundings, write_trace

SEEDS = (9, 340, 908)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "trace.h5"


def observed(network, images):
    """{layer name: Result}, and the logits."""
    results = {}
    logits = run(network, images, "reference", lambda layer, _, result: results.__setitem__(layer.name, result))
    return results, logits


def content(path):
    """Everything in a trace: {"layer/stage": array}, images and logits."""
    with open_trace(path) as trace:
        stages = {
            f"{name}/{stage}": trace.stage(name, stage).whole()
            for name in trace.layers
            for stage in trace.layer(name).stages
        }
        return {**stages, "images": trace.images.whole(), "logits": trace.logits.whole()}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_trace_holds_the_run(seed, backend, path):
    """Accumulators and codes of every layer, in their types; the images; the logits."""
    network = networks.every_op(seed=seed)
    images = networks.random_images(network, 5)
    write_trace(network, images, path, backend=backend)
    results, logits = observed(network, images)
    found = content(path)
    for name, result in results.items():
        if result.accumulator is None:
            assert f"{name}/accumulator" not in found
        else:
            assert found[f"{name}/accumulator"].dtype == np.int32
            np.testing.assert_array_equal(found[f"{name}/accumulator"], result.accumulator)
        if result.accumulator is None or network.layer(name).requantize is not None:
            assert found[f"{name}/code"].dtype == result.result.dtype
            np.testing.assert_array_equal(found[f"{name}/code"], result.result)
    np.testing.assert_array_equal(found["images"], images)
    np.testing.assert_array_equal(found["logits"], logits)
    assert found["logits"].dtype == np.int32


@pytest.mark.parametrize("seed", SEEDS)
def test_the_total_is_what_is_rounded(seed, path):
    """acc * multiplier + residual * 2**residual_shift, in Python integers; half_up of it is the code."""
    network = networks.every_op("half_up", seed)
    write_trace(network, networks.random_images(network, 2), path)
    found = content(path)
    checked = 0
    for layer in network.layers:
        step = layer.requantize
        assert (f"{layer.name}/total" in found) == (step is not None)
        if step is None:
            continue
        totals, acc = found[f"{layer.name}/total"], found[f"{layer.name}/accumulator"]
        assert totals.dtype == np.int64
        for index, total in np.ndenumerate(totals):
            entry = index[-1] % len(step.multiplier)
            expected = int(acc[index]) * int(step.multiplier[entry])
            if layer.residual is not None:
                residual = found[f"{layer.residual}/code"]
                expected += int(residual[index]) * 2 ** int(step.residual_shift[entry])
                checked += 1
            assert int(total) == expected
            rounded = (Fraction(expected, 2 ** int(step.shift[entry])) + Fraction(1, 2)).__floor__()
            assert int(found[f"{layer.name}/code"][index]) == min(max(rounded, step.lo), step.hi)
    assert checked


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_exponent_that_each_image_chose(backend, path):
    """Stored for every layer whose codes it says the worth of, those that only pass codes on among them."""
    network = networks.dynamic()
    images = networks.random_images(network, 5)
    images[0] >>= 6
    write_trace(network, images, path, backend=backend)
    results, _ = observed(network, images)
    found = content(path)
    assert sum(network.dynamic[name] > 0 for name in results) > 3
    for name, result in results.items():
        assert (f"{name}/exponent" in found) == (network.dynamic[name] > 0)
        if network.dynamic[name]:
            exponents = found[f"{name}/exponent"]
            assert (exponents.dtype, exponents.shape) == (np.int32, (5, 1))
            assert exponents[:, 0].tolist() == [network.layer(name).exponent + more for more in result.coarser.tolist()]
    with open_trace(path) as trace:
        assert trace.backend == ("reference" if backend == "reference" else "kernels")
        chosen = [trace.stage(name, "exponent").whole() for name in results if network.dynamic[name]]
    assert any(len(np.unique(exponents)) > 1 for exponents in chosen)


def test_the_root_says_whose_trace_it_is(path):
    network = networks.every_op("stochastic")
    images = networks.random_images(network, 3)
    write_trace(network, images, path, backend="reference", first_image=5)
    with open_trace(path) as trace:
        assert trace.file == str(path)
        assert trace.model_hash == network.hash
        assert trace.contract == CONTRACT
        assert trace.network == network.name
        assert trace.roundings == ("stochastic",) == roundings(network)
        assert trace.backend == "reference"
        assert trace.refengine == __version__
        assert (trace.count, trace.first_image) == (3, 5)
        assert trace.images_sha256 == hashlib.sha256(images.tobytes()).hexdigest()
        assert trace.layers == tuple(layer.name for layer in network.layers)
        for layer in network.layers:
            described = trace.layer(layer.name)
            assert (described.op, described.exponent) == (layer.op, layer.exponent)
            assert described.format == network.formats[layer.name].name
            assert described.stages == tuple(stage for stage in STAGES if stage in described.stages)
    logits = content(path)["logits"]
    np.testing.assert_array_equal(logits, run(network, images, first_image=5))


def test_layers_come_in_execution_order_whatever_they_are_called(path):
    """Neither the order of names nor that of their numbers."""
    renamed = dict(
        zip((layer.name for layer in networks.small().layers), ("999_input", "1000_conv", "fc"), strict=True)
    )
    layers = tuple(
        type(layer)(**{**vars(layer), "name": renamed[layer.name], "inputs": tuple(renamed[n] for n in layer.inputs)})
        for layer in networks.small().layers
    )
    network = networks.small(layers=layers)
    write_trace(network, networks.random_images(network, 1), path)
    with open_trace(path) as trace:
        assert trace.layers == ("999_input", "1000_conv", "fc")


def test_every_dataset_describes_its_stage(path):
    """For those who look with other tools."""
    network = networks.made_dynamic(networks.small(), "001_conv", 1)
    write_trace(network, networks.random_images(network, 1), path, partial_sums_of="conv")
    with h5py.File(path) as file:
        for stage, text in STAGES.items():
            assert file[f"layers/001_conv/{stage}"].attrs["stage"] == text


@pytest.mark.parametrize("rounding", everyday(["stochastic", "half_up"], 2))
@pytest.mark.parametrize("batch", [1, 3, 64, None])
def test_the_batch_changes_nothing(rounding, batch, path):
    network = networks.every_op(rounding)
    images = networks.random_images(network, 7)
    write_trace(network, images, path, batch=batch, partial_sums_of="001_conv")
    found = content(path)
    whole = path.with_name("whole.h5")
    write_trace(network, images, whole, batch=7, partial_sums_of="001_conv", backend="reference")
    expected = content(whole)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_and_the_backend_change_nothing(backend, path):
    """Nothing but the name of the backend."""
    network = networks.every_op("stochastic")
    images = networks.random_images(network, 3)
    write_trace(network, images, path, backend=backend, threads=2, partial_sums_of="001_conv", first_image=4)
    found = content(path)
    alone = path.with_name("alone.h5")
    write_trace(network, images, alone, backend="reference", partial_sums_of="001_conv", first_image=4)
    expected = content(alone)
    assert list(found) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, name)
    with open_trace(path) as trace:
        assert trace.backend == backend


def test_the_fast_plan_is_what_computes(path):
    """Unless another backend is asked for."""
    network = networks.small()
    write_trace(network, networks.random_images(network, 1), path)
    with open_trace(path) as trace:
        assert trace.backend == "fast"


@pytest.mark.parametrize("layers", [["004_*"], ["*conv*"], ["fc"]])
def test_chosen_layers_are_the_same_where_memory_is_used_again(layers, path):
    network = networks.every_op()
    images = networks.random_images(network, 5)
    results, _ = observed(network, images)
    with plans.sharing(True):
        write_trace(network, images, path, layers=layers, batch=2)
    for name, array in content(path).items():
        layer, _, stage = name.partition("/")
        if stage in ("accumulator", "code"):
            wanted = results[layer].result if stage == "code" else results[layer].accumulator
            np.testing.assert_array_equal(array, wanted, name)


def test_images_in_a_file_give_the_same(path, tmp_path):
    network = networks.every_op()
    images = networks.random_images(network, 5)
    write_images(tmp_path / "images.h5", images, None)
    with open_images(tmp_path / "images.h5", labels_required=False) as opened:
        write_trace(network, opened, path, batch=2)
    with open_trace(path) as trace:
        assert trace.images_sha256 == hashlib.sha256(images.tobytes()).hexdigest()
    np.testing.assert_array_equal(content(path)["logits"], run(network, images))


def test_the_same_run_gives_the_same_file(path):
    network = networks.every_op()
    images = networks.random_images(network, 3)
    again = path.with_name("again.h5")
    for target in (path, again):
        write_trace(network, images, target, batch=2)
    assert path.read_bytes() == again.read_bytes()


def test_large_images_are_stored_in_pieces(path):
    """Neither the file nor a reader needs a chunk of many megabytes."""
    network = networks.with_fc_on((600, 500, 1))
    images = networks.random_images(network, 2)
    write_trace(network, images, path)
    with h5py.File(path) as file:
        assert all(np.prod(node.chunks) * node.dtype.itemsize <= 2**18 for node in datasets(file))
    results, _ = observed(network, images)
    np.testing.assert_array_equal(content(path)["000_input/accumulator"], results["000_input"].accumulator)


def datasets(file):
    found = []
    file.visititems(lambda name, node: found.append(node) if isinstance(node, h5py.Dataset) else None)
    return found


# -------------------------------------------------------------------------------------------------------- partial sums


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("seed", SEEDS)
def test_partial_sums_lead_to_the_accumulator(seed, backend, path):
    """bias + sum of scale * partial sum, for every conv and fc with an accumulator wide enough to hold it."""
    network = networks.every_op(seed=seed)
    images = networks.random_images(network, 3)
    for layer in network.layers:
        if "weight" not in layer.constants:
            continue
        write_trace(network, images, path, layers=[layer.name], partial_sums_of=layer.name, backend=backend)
        found = content(path)
        sums, acc = found[f"{layer.name}/partial_sums"], found[f"{layer.name}/accumulator"]
        assert sums.dtype == np.int32
        assert sums.shape == (*acc.shape, layer.constants["scale"].shape[1])
        total = layer.constants["bias"] + (sums.astype(np.int64) * layer.constants["scale"]).sum(axis=-1)
        if layer.accumulator_policy == "error":
            np.testing.assert_array_equal(acc, total)
        elif layer.accumulator_policy == "wrap":
            assert not ((acc - total) % 2**layer.accumulator_bits).any()


def test_partial_sums_agree_on_both_backends(path):
    """The function that the trace uses, on both backends."""
    conv = networks.small().layers[1]
    x = np.arange(8, dtype=np.uint8).reshape(2, 2, 2, 1)
    for backend in BACKENDS:
        sums = partial_sums(conv, x, backend)
        assert sums.tolist() == [[[[[0 - 1 + 3], [0 - 1 + 2]]]], [[[[4 - 5 + 7], [-4 - 5 + 6]]]]]


def test_the_layer_of_the_partial_sums_is_written_in_any_case(path):
    network = networks.every_op()
    write_trace(network, networks.random_images(network, 1), path, layers=["000_input"], partial_sums_of="001_conv")
    with open_trace(path) as trace:
        assert trace.layers == ("000_input", "001_conv")
        assert trace.layer("001_conv").stages == ("partial_sums", "accumulator", "total", "code")


@pytest.mark.parametrize("name", ["003_add", "input"])
def test_partial_sums_need_clusters(name, path):
    network = networks.every_op()
    with pytest.raises(NetworkError, match="has no clusters, partial sums are those of a conv or fc"):
        write_trace(network, networks.random_images(network, 1), path, partial_sums_of=name)
    assert not list(path.parent.iterdir())


# ----------------------------------------------------------------------------------------------------- choice of layers


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (None, range(18)),
        (["001_conv"], [1]),
        (["flatten"], [15]),
        (["*conv*"], [1, 2, 12]),
        (["conv"], [1, 2, 12]),
        (["00?_*", "fc"], [*range(10), 16, 17]),
        (["017_fc", "000_input"], [0, 17]),
        (["01[03]_*"], [10, 13]),
    ],
)
def test_layers_are_chosen_by_names_and_patterns(patterns, chosen):
    network = networks.every_op()
    assert choose_layers(network, patterns) == tuple(network.layers[n] for n in chosen)


def test_a_pattern_that_means_no_layer_is_refused(path):
    network = networks.every_op()
    for pattern in ("*relu*", "pool", ""):
        with pytest.raises(NetworkError, match=r"0 layers are called .*; layers: 0"):
            write_trace(network, networks.random_images(network, 1), path, layers=["001_conv", pattern])
    assert not path.exists()


def test_only_chosen_layers_are_written(path):
    network = networks.every_op()
    images = networks.random_images(network, 2)
    write_trace(network, images, path, layers=["*conv*", "016_fc"])
    found = content(path)
    assert {name.split("/")[0] for name in found} == {"001_conv", "002_conv", "012_conv", "016_fc", "images", "logits"}
    np.testing.assert_array_equal(found["logits"], run(network, images))


# ------------------------------------------------------------------------------------------------------------- refusals


def test_progress_is_told(path):
    told = []
    network = networks.small()
    images = networks.random_images(network, 5)
    write_trace(network, images, path, batch=2, progress=lambda done, total: told.append((done, total)))
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_nothing_is_left_behind_where_it_cannot_be_done(path):
    network = networks.small()
    images = networks.random_images(network, 2)
    for wrong, words in (
        ({"backend": "gpu"}, "backend 'gpu' is unknown"),
        ({"batch": 0}, "a batch has 0 images"),
        ({"images": images[:0]}, "0 images are to be run"),
        ({"images": images.astype(np.int8)}, "the network reads uint8"),
        ({"images": images[:, :1]}, "the network reads uint8"),
    ):
        with pytest.raises(RangeError, match=words):
            write_trace(network, **{"images": images, "path": path, **wrong})
    assert not list(path.parent.iterdir())


def test_a_trace_is_not_written_over_its_source(path):
    path.write_bytes(b"here first")
    network = networks.small()
    with pytest.raises(FileError, match="is also read from"):
        write_trace(network, networks.random_images(network, 1), path, inputs=[path])
    assert path.read_bytes() == b"here first"


def test_a_layer_name_that_hdf5_would_take_apart(path):
    layers = list(networks.small().layers)
    layers[2] = type(layers[2])(**{**vars(layers[2]), "name": "a/b"})
    network = networks.small(layers=tuple(layers))
    with pytest.raises(NetworkError, match="layer 'a/b' cannot be written"):
        write_trace(network, networks.random_images(network, 1), path)


@pytest.fixture
def damaged(path):
    """A small trace, opened to be changed."""
    network = networks.small()
    write_trace(network, networks.random_images(network, 2), path)
    return path


def refused(path, use=lambda trace: None, text=""):
    """One line that names the file, when it is opened or when it is used."""
    with pytest.raises(RefengineError) as caught, open_trace(path) as trace:
        use(trace)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert text in message
    assert message.isprintable()


def everything(trace):
    for name in trace.layers:
        for stage in trace.layer(name).stages:
            trace.stage(name, stage).read(0, trace.count)
    trace.images.read(0, trace.count)
    trace.logits.read(0, trace.count)


@pytest.mark.parametrize("value", [None, 3, -1, 1.5, "text", [1, 2]], ids=str)
def test_any_attribute_may_be_missing_or_something_else(damaged, value):
    """Texts are anything, numbers are not; what is missing is missed."""
    data = damaged.read_bytes()
    texts = ("model_hash", "network", "backend", "refengine", "images_sha256", "op")
    with h5py.File(damaged) as file:
        places = [("/", name) for name in file.attrs] + [("layers/001_conv", n) for n in file["layers/001_conv"].attrs]
    for group, name in places:
        numeric = name in ("first_image", "position", "contract", "exponent")
        if (value == "text" and name in texts) or (numeric and value == 3) or (name == "exponent" and value == -1):
            continue
        with h5py.File(damaged, "r+") as file:
            if value is None:
                del file[group].attrs[name]
            else:
                file[group].attrs[name] = value
        refused(damaged, everything)
        damaged.write_bytes(data)


@pytest.mark.parametrize("name", ["images", "logits", "layers", "layers/001_conv/total", "layers/002_fc/accumulator"])
@pytest.mark.parametrize(
    "array",
    [
        np.zeros((3, 1, 1, 2), np.int8),
        np.zeros((2, 1, 1, 2), np.float32),
        np.zeros(2, np.int8),
        np.zeros((2, 0), np.int8),
        np.full((2, 2), 2**63, np.uint64),
    ],
    ids=["count", "float", "flat", "nothing", "wide"],
)
def test_any_dataset_may_be_something_else(damaged, name, array):
    with h5py.File(damaged, "r+") as file:
        del file[name]
        file[name] = array
    refused(damaged, everything)


def test_a_truncated_trace_is_refused(damaged):
    data = damaged.read_bytes()
    for part in range(20):
        damaged.write_bytes(data[: len(data) * part // 20])
        refused(damaged, everything)


def test_what_a_trace_does_not_hold(damaged):
    refused(damaged, lambda trace: trace.layer("conv"), "/layers: has no layer 'conv'")
    refused(damaged, lambda trace: trace.stage("001_conv", "x\n"), r"/layers/001_conv: has no stage 'x\n', it has acc")
    refused(damaged, lambda trace: trace.logits.read(1, 3), "/logits: has rows 0..1, asked for 1..2")
    with h5py.File(damaged, "r+") as file:
        file["layers/001_conv/extra"] = np.zeros(1)
    refused(damaged, text="/layers/001_conv/extra: is not known here")


def test_links_are_refused(damaged):
    with h5py.File(damaged, "r+") as file:
        file.move("logits", "elsewhere")
        file["logits"] = h5py.SoftLink("/elsewhere")
    refused(damaged, everything, "/logits: is a soft or external link")


def test_a_model_is_no_trace(path):
    write_images(path, networks.random_images(networks.small(), 1), None)
    refused(path, text="attribute 'format' is 'refengine-images', needed 'refengine-trace'")


def test_stages_are_those_of_accumulating_layers():
    """What the docstring promises of layers that pass codes through."""
    for layer in networks.every_op().layers:
        passes = layer.op in networks.PASSING
        assert OPS[layer.op].ACCUMULATES is not passes
