"""The comparison against plain Python, in every form of a dump, and faulty layers told from propagated errors."""

from dataclasses import replace

import h5py
import numpy as np
import pytest
from dumps import as_archive, as_folder, in_every_form, integers_of, network_and_images
from everyday import everyday
from hypothesis import given
from hypothesis import strategies as st
from mutation.fault_table import golden_run, with_fault
from mutation.faults import FAULTS
from networks import every_op, random_images

from refengine.errors import FileError
from refengine.golden.compare import compare as module
from refengine.golden.compare import pairs
from refengine.golden.compare.compare import compare
from refengine.golden.compare.pairs import Rules
from refengine.golden.diagnose.cause import diagnose
from refengine.golden.diagnose.machine import machine_of
from refengine.golden.diagnose.recompute import recompute
from refengine.golden.dumps.dump import in_memory
from refengine.golden.dumps.open_dump import open_dump
from refengine.runs.trace import STAGES, write_trace

DTYPES = {"accumulator": np.int32, "total": np.int64, "code": np.uint8}


@st.composite
def dumps_that_differ(draw):
    """A golden dump, and a copy with differences here and there."""
    count = draw(st.integers(1, 4))
    golden, dut = {}, {}
    for number in range(draw(st.integers(1, 3))):
        shape = (count, *draw(st.sampled_from([(3,), (2, 2, 2), (1, 3, 2)])))
        golden[f"{number}_layer"], dut[f"{number}_layer"] = {}, {}
        for stage in draw(st.lists(st.sampled_from([*DTYPES]), min_size=1, max_size=3, unique=True)):
            rng = np.random.default_rng(draw(st.integers(0, 99)))
            array = rng.integers(0, 256, shape).astype(DTYPES[stage])
            other = array.copy()
            for place in draw(st.lists(st.integers(0, array.size - 1), max_size=4)):
                other.reshape(-1)[place] = draw(st.integers(0, 255))
            golden[f"{number}_layer"][stage], dut[f"{number}_layer"][stage] = array, other
    return golden, dut


@given(dumps_that_differ(), st.sampled_from([1, 40, 1 << 24]))
def test_the_report_is_that_of_plain_python(dumped, block):
    golden, dut = dumped
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pairs, "BLOCK_BYTES", block)
        found = compare(in_memory(golden), in_memory(dut))
    wrong = [
        (layer, stage, index, int(golden[layer][stage][index]), int(dut[layer][stage][index]))
        for layer in golden
        for stage in STAGES
        if stage in golden[layer]
        for index in np.ndindex(golden[layer][stage].shape)
        if golden[layer][stage][index] != dut[layer][stage][index]
    ]
    assert found.equal == (not wrong)
    if wrong:
        layer, stage = found.first
        element = stage.entire.first
        assert (layer.layer, stage.stage, element.index, element.wanted, element.got) == wrong[0]
    for report in found.layers:
        for stage in report.stages:
            here = [item for item in wrong if item[:2] == (report.layer, stage.stage)]
            assert stage.entire.different == len(here)
            assert stage.entire.values == golden[report.layer][stage.stage].size
            assert stage.entire.largest == max((abs(g - w) for *_, w, g in here), default=0)
            assert stage.single is None
        assert report.verdict == ("different" if any(item[0] == report.layer for item in wrong) else "equal")


# -------------------------------------------------------------------------------------------------------- metamorphic


@pytest.fixture(scope="module")
def forms(tmp_path_factory):
    network, images = network_and_images()
    return network, in_every_form(tmp_path_factory.mktemp("forms"), network, images)


@pytest.fixture(scope="module")
def wrong(forms, tmp_path_factory):
    """The run with a few codes of one layer changed, as a trace, a folder and an archive."""
    folder = tmp_path_factory.mktemp("wrong")
    network, paths = forms
    stages, pixels = integers_of(paths["trace"])
    layer = network.layers[1].name
    (folder / "trace.h5").write_bytes(paths["trace"].read_bytes())
    with h5py.File(folder / "trace.h5", "r+") as file:
        changed = stages[layer]["code"].copy()
        changed[1, 0, 0] ^= 3
        file[f"layers/{layer}/code"][:] = changed
    stages[layer]["code"] = changed
    return [
        folder / "trace.h5",
        as_folder(folder / "folder", dict(reversed(stages.items())), pixels, separator="/"),
        as_archive(folder / "dump.npz", stages, pixels, compressed=True),
    ]


def essence(found):
    """What must not depend on the form: all but the names of files."""
    return [(r.layer, r.verdict, r.stages, r.through, r.cause) for r in found.layers], found.equal, found.first


@pytest.mark.parametrize("with_network", everyday([False, True], 2))
def test_every_form_gives_the_same_report(forms, wrong, with_network):
    network, paths = forms
    reports = []
    for number, golden in enumerate(paths.values()):
        for dut in wrong if number == 0 or not with_network else [wrong[number % len(wrong)]]:
            with open_dump(golden) as one, open_dump(dut) as other:
                names = Rules()
                found = compare(
                    one, other, names, network if with_network else None, diagnose if with_network else None
                )
                assert not found.problems
                order = {report.layer: report for report in found.layers}
                assert {*order} == {layer.name for layer in network.layers}
                reports.append(essence(found))
    assert all(report == reports[0] for report in reports)
    assert not reports[0][1]


@pytest.mark.parametrize("block", [1, 1000, 10**6])
def test_blocks_change_nothing(forms, wrong, monkeypatch, block):
    network, paths = forms
    with open_dump(paths["trace"]) as one, open_dump(wrong[0]) as other:
        whole = essence(compare(one, other, network=network))
        monkeypatch.setattr(pairs, "BLOCK_BYTES", block)
        assert essence(compare(one, other, network=network)) == whole


def test_every_form_is_equal_to_every_other(forms):
    network, paths = forms
    for golden in paths:
        for dut in paths:
            with open_dump(paths[golden]) as one, open_dump(paths[dut]) as other:
                found = compare(one, other, network=network)
            same = golden == dut
            assert found.equal != same, (golden, dut)
            assert same == any("nothing was tested" in problem for problem in found.problems)
            assert len(found.compared) == len(network.layers)


def test_exchanging_golden_and_dut_exchanges_the_values(forms, wrong):
    _, paths = forms
    with open_dump(paths["trace"]) as one, open_dump(wrong[0]) as other:
        there, back = compare(one, other).first[1].entire, compare(other, one).first[1].entire
    assert (there.first.wanted, there.first.got) == (back.first.got, back.first.wanted)
    assert there.histogram == tuple(sorted((-size, count) for size, count in back.histogram))


# ------------------------------------------------------------------------------- faulty layers and propagated errors


@pytest.fixture(scope="module")
def run_in_memory():
    network = every_op(seed=1202)
    return golden_run(network, random_images(network, 4, 3))


def with_faults(run, *faults):
    """The dump of a DUT with these faults, (layer, fault), one after the other."""
    made = dict(run.stages)
    for layer, fault in faults:
        stages = FAULTS[fault].stages(run.cases[layer])
        made = with_fault(run, layer, stages)
    known = {"first_image": run.first_image, "model_hash": run.network.hash}
    return in_memory(made, images=run.dump.images, **known)


def names(run, op):
    return [layer.name for layer in run.network.layers if layer.op == op]


def verdicts(found):
    return {report.layer: report.verdict for report in found.layers if report.verdict != "equal"}


def test_one_faulty_layer_and_propagated_errors(run_in_memory):
    run = run_in_memory
    layer = names(run, "conv")[0]
    found = compare(run.dump, with_faults(run, (layer, "bias_twice")), network=run.network, diagnose=diagnose)
    assert [layer.layer for layer in found.faulty_layers] == [layer]
    assert found.first[0].layer == layer
    assert {*verdicts(found).values()} == {"faulty", "propagated"}
    cause = found.faulty_layers[0].cause
    assert (cause.cause, cause.stage) == ("bias_doubled", "accumulator")
    assert "twice" in cause.sentence


def test_two_independent_bugs_are_both_listed(run_in_memory):
    """The second one is found although everything around it is wrong already."""
    run = run_in_memory
    first, second = names(run, "conv")[0], names(run, "conv")[-1]
    broken = with_faults(run, (first, "bias_twice"))
    arrays = {name: {stage: values.array for stage, values in held.items()} for name, held in broken.arrays.items()}
    arrays[second]["code"] = arrays[second]["code"][..., ::-1].copy()
    dut = in_memory(arrays, images=run.dump.images, model_hash=run.network.hash)
    found = compare(run.dump, dut, network=run.network)
    assert {first, second} <= {layer.layer for layer in found.faulty_layers}
    assert found.faulty_layers[0].layer == first


def test_without_images_the_input_layer_is_not_recomputed(run_in_memory):
    run = run_in_memory
    dut = in_memory(run.stages)
    golden = in_memory(run.stages)
    found = compare(golden, dut, network=run.network)
    assert all(stage.single is None for stage in found.layers[0].stages)
    assert all(stage.single is not None for report in found.layers[1:] for stage in report.stages)
    assert found.equal


def test_inputs_that_were_not_dumped_are_recomputed(run_in_memory):
    """Only the first and the last layer are dumped: what lies between them is one unit."""
    run = run_in_memory
    ends = [run.network.layers[0].name, run.network.layers[-1].name]
    few = {name: run.stages[name] for name in ends}
    wrong = {**few, ends[1]: {"accumulator": run.stages[ends[1]]["accumulator"] + 1}}
    rules = Rules()
    known = {"images": run.dump.images}
    found = compare(in_memory(few), in_memory(wrong, **known), rules, run.network)
    last = next(report for report in found.layers if report.layer == ends[1])
    assert last.verdict == "faulty"
    assert {*last.through} <= {layer.name for layer in run.network.layers[1:-1]}
    assert last.through
    assert compare(in_memory(few), in_memory(few, **known), rules, run.network).equal


def test_a_dump_that_contradicts_itself(run_in_memory):
    """The codes of a layer were spoiled while they were dumped; the next layer read the right ones."""
    run = run_in_memory
    layer = names(run, "conv")[0]
    arrays = {**run.stages, layer: {**run.stages[layer], "code": run.stages[layer]["code"] ^ 1}}
    found = compare(run.dump, in_memory(arrays, images=run.dump.images), network=run.network)
    assert verdicts(found)[layer] == "faulty"
    readers = {reader.name for reader in run.network.layers if layer in (*reader.inputs, reader.residual)}
    contradictions = {name for name, verdict in verdicts(found).items() if verdict == "contradiction"}
    assert contradictions
    assert contradictions <= readers
    blamed = {report.layer: report.blamed for report in found.layers if report.blamed}
    assert blamed == dict.fromkeys(contradictions, (layer,))
    assert not found.equal


def test_a_golden_of_another_network_contradicts(run_in_memory):
    """Equal dumps, but not what this network computes: the golden is stale."""
    run = run_in_memory
    last = run.network.layers[-1].name
    stale = {**run.stages, last: {"accumulator": run.stages[last]["accumulator"] + 1}}
    known = {"images": run.dump.images}
    found = compare(in_memory(stale, **known), in_memory(stale, **known), network=run.network)
    assert verdicts(found) == {last: "contradiction"}
    assert found.layers[-1].blamed == ()


def test_the_input_to_blame_lies_behind_one_that_was_not_dumped(run_in_memory):
    """An input that was recomputed too is asked for its own inputs."""
    run = run_in_memory
    layers = {layer.name: layer for layer in run.network.layers}
    reader, between = next(
        (layer, layers[name])
        for layer in run.network.layers
        for name in layer.inputs
        if len(layers[name].inputs) == 1 and layers[name].residual is None and layer.residual is None
        and len(layer.inputs) == 1 and layers[name].op == "conv"
    )  # fmt: skip
    source = between.inputs[0]
    arrays = {name: held for name, held in run.stages.items() if name != between.name}
    spoiled = arrays[source]["code"].copy()
    spoiled ^= 1
    arrays[source] = {**arrays[source], "code": spoiled}
    found = compare(run.dump, in_memory(arrays, images=run.dump.images), network=run.network)
    report = next(report for report in found.layers if report.layer == reader.name)
    assert (report.verdict, report.blamed) == ("contradiction", (source,))


def test_codes_in_a_wider_type_are_recomputed_from(run_in_memory):
    run = run_in_memory
    wide = {name: {stage: a.astype(np.int64) for stage, a in held.items()} for name, held in run.stages.items()}
    dut = in_memory(wide, images=run.dump.images)
    assert not compare(run.dump, dut, network=run.network).equal
    found = compare(run.dump, dut, Rules(any_integer_type=True), run.network)
    assert found.equal
    assert all(stage.single is not None for report in found.layers for stage in report.stages)
    layer = names(run, "conv")[0]
    wide[layer]["code"] = wide[layer]["code"] + 1000
    found = compare(run.dump, in_memory(wide), Rules(any_integer_type=True), run.network)
    first = found.first[1].entire.first
    assert first.got - first.wanted == 1000


def test_a_shape_that_the_network_does_not_have_is_not_said_to_agree(run_in_memory):
    """Both dumps are flattened: they can be compared with each other, but not with what the network gives."""
    run = run_in_memory
    layer = names(run, "conv")[0]
    flat = {stage: array.reshape(len(array), -1) for stage, array in run.stages[layer].items()}
    dump = in_memory({**run.stages, layer: flat}, images=run.dump.images)
    report = next(r for r in compare(dump, dump, network=run.network).layers if r.layer == layer)
    assert report.verdict == "equal"
    assert all(stage.entire is not None and stage.single is None for stage in report.stages)


def test_numbers_that_no_stage_can_hold():
    golden = {"a": {"total": np.zeros((1, 2), np.int64)}}
    dut = {"a": {"total": np.full((1, 2), 2**64 - 1, np.uint64)}}
    report = compare(in_memory(golden), in_memory(dut), Rules(any_integer_type=True)).layers[0]
    assert (report.verdict, report.stages[0].entire) == ("not comparable", None)
    assert "holds 18446744073709551615" in report.why


def test_nothing_compared_is_a_failure():
    golden = {"a": {"code": np.zeros((1, 2), np.uint8)}}
    for rules in (Rules(exclude=("a",)), Rules(stages=("total",))):
        found = compare(in_memory(golden), in_memory(golden), rules)
        assert not found.equal
        assert "0 layers compared" in found.problems[0]


def test_a_wrong_model_is_a_failure_and_recomputes_nothing(run_in_memory):
    run = run_in_memory
    other = every_op(seed=341)
    assert other.hash != run.network.hash
    found = compare(run.dump, run.dump, network=other)
    assert not found.equal
    assert run.network.hash in found.problems[0]
    assert all(stage.single is None for report in found.layers for stage in report.stages)


def test_progress_counts_to_the_end(run_in_memory):
    seen = []
    run = run_in_memory
    compare(run.dump, run.dump, progress=lambda done, total, layer: seen.append((done, total, layer)))
    assert [layer for *_, layer in seen] == [layer.name for layer in run.network.layers]
    assert all(done < total for done, total, _ in seen)


def test_stochastic_rounding_knows_its_images(tmp_path):
    network = every_op("stochastic")
    write_trace(network, random_images(network, 3), tmp_path / "a.h5", first_image=5)
    write_trace(network, random_images(network, 3), tmp_path / "b.h5", first_image=5, backend="kernels")
    with open_dump(tmp_path / "a.h5") as one, open_dump(tmp_path / "b.h5") as other:
        found = compare(one, other, network=network)
    assert found.equal
    assert found.first_image == 5


def test_partial_sums_are_a_stage(tmp_path):
    network, images = network_and_images()
    layer = network.layers[1].name
    write_trace(network, images, tmp_path / "a.h5", partial_sums_of=layer)
    stages, pixels = integers_of(tmp_path / "a.h5")
    stages[layer]["partial_sums"][-1] += 1
    with open_dump(tmp_path / "a.h5") as one:
        found = compare(one, in_memory(stages, images=one.images), network=network)
    assert found.first[1].stage == "partial_sums"
    assert found.faulty_layers[0].layer == layer
    assert len(pixels) == 3


def test_a_file_that_ends_early_is_a_refusal_or_rows(tmp_path):
    """Wherever the zeros begin, nothing but a FileError comes out, and never equality."""
    network, images = network_and_images()
    write_trace(network, images, tmp_path / "a.h5")
    content = (tmp_path / "a.h5").read_bytes()
    for part in range(1, 8):
        kept = len(content) * part // 8
        (tmp_path / "b.h5").write_bytes(content[:kept] + bytes(len(content) - kept))
        try:
            with open_dump(tmp_path / "a.h5") as one, open_dump(tmp_path / "b.h5") as other:
                assert not compare(one, other).equal
        except FileError:
            continue


def test_a_damaged_file_is_a_row_and_the_others_are_compared(tmp_path, run_in_memory):
    """Whether the header says it or the block that is read: the layer fails, what reads it is not judged alone."""
    run = run_in_memory
    layer = names(run, "conv")[0]
    known = {"images": run.dump.images}
    for late in (False, True):
        path = as_folder(tmp_path / f"late {late}", run.stages)
        file = path / f"{layer}.code.npy"
        content = file.read_bytes()
        if not late:
            file.write_bytes(content[:-1])
        with open_dump(path) as dut:
            file.write_bytes(content[:-1])
            found = compare(run.dump, replace(dut, **known), network=run.network, diagnose=diagnose)
        report = next(report for report in found.layers if report.layer == layer)
        assert verdicts(found) == {layer: "damaged"}
        assert f"{layer}.code.npy: is truncated" in report.why
        assert [stage.stage for stage in report.stages if stage.problem is not None] == ["code"]
        assert len(found.compared) == len(run.network.layers)


def test_codes_alone_are_enough(run_in_memory):
    """A DUT that dumped what each layer ends in, and nothing else, is right if that is right."""
    run = run_in_memory
    codes = {name: {"result": held.get("code", held.get("accumulator"))} for name, held in run.stages.items()}
    dut = in_memory(codes, images=run.dump.images, ordered=False)
    found = compare(run.dump, dut, network=run.network)
    assert found.equal
    assert found.unjudged == {"DUT": ("accumulator", "total"), "golden": ()}
    assert len(found.compared) == len(run.network.layers)
    back = compare(dut, run.dump, network=run.network)
    assert not back.equal  # what more the DUT dumped was not judged
    assert {*back.passed_over.values()} == {"not in the golden"}
    assert compare(dut, run.dump, Rules(stages=("result",)), run.network).equal
    layer = names(run, "conv")[0]
    broken = with_faults(run, (layer, "bias_twice"))
    wrong = {name: {"result": [*held.values()][-1].array} for name, held in broken.arrays.items()}
    found = compare(run.dump, in_memory(wrong, images=run.dump.images), network=run.network, diagnose=diagnose)
    assert [layer.layer for layer in found.faulty_layers] == [layer]
    assert found.faulty_layers[0].cause.cause == "bias_doubled"


def test_a_dump_that_lies_otherwise_is_explained_and_not_diagnosed(run_in_memory):
    run = run_in_memory
    dut = {
        name: {stage: a.transpose(0, 3, 1, 2) if a.ndim == 4 else a for stage, a in held.items()}
        for name, held in run.stages.items()
    }

    def never(*arguments):
        raise AssertionError("a layer was diagnosed")

    found = compare(run.dump, in_memory(dut, images=run.dump.images), network=run.network, diagnose=never)
    assert not found.equal
    assert "--order NCHW reads them" in found.explanation.sentence
    assert found.explanation.equal == found.explanation.changed > 2


def test_the_residual_of_another_layer_is_found(run_in_memory):
    """Of several layers of one shape the one that was taken is tried, nearest or not."""
    run = run_in_memory
    layer = next(layer for layer in run.network.layers if layer.op == "global_avgpool" and layer.residual is not None)
    shape, mine = run.network.shapes[layer.residual], (layer.residual, layer.name, *layer.inputs)
    others = [name for name in run.cases if run.network.shapes[name] == shape and name not in mine]
    assert len(others) > 1
    seen = 0
    for name in others:
        case = replace(run.cases[layer.name], residual=run.stages[name]["code"])
        made = recompute(machine_of(case), ("accumulator", "total", "code"))
        stages = {stage: made[stage].astype(array.dtype) for stage, array in run.stages[layer.name].items()}
        dut = in_memory({**run.stages, layer.name: stages}, images=run.dump.images)
        found = compare(run.dump, dut, network=run.network, diagnose=diagnose)
        if not found.equal:
            seen += 1
            assert any("residual_of_other_layer" in one for one in found.faulty_layers[0].cause.names), name
    assert seen > 1


def test_many_faulty_layers_are_not_all_diagnosed(run_in_memory, monkeypatch):
    run = run_in_memory
    monkeypatch.setattr(module, "DIAGNOSED", 2)
    dut = {name: {stage: a ^ 1 for stage, a in held.items()} for name, held in run.stages.items()}
    found = compare(run.dump, in_memory(dut, images=run.dump.images), network=run.network, diagnose=diagnose)
    assert len(found.faulty_layers) > 2
    assert sum(faulty.cause is not None for faulty in found.faulty_layers) <= 2
