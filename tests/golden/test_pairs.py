"""What meets what: every rule of strictness, and every way to say that something else was meant."""

import os
import shutil

import numpy as np
import pytest
from dumps import as_folder
from networks import small

from refengine.errors import RangeError
from refengine.golden.dump import in_memory, open_dump
from refengine.golden.pairs import Plan, Rules, means, result_stage, same_content


def codes(shape=(2, 3, 3, 4), dtype=np.uint8, start=0):
    return (np.arange(int(np.prod(shape))) + start).astype(dtype).reshape(shape)


def dump(**stages):
    return in_memory({name.replace("__", "_"): held for name, held in stages.items()})


GOLDEN = {
    "conv": {"accumulator": codes(dtype=np.int32), "code": codes()},
    "fc": {"accumulator": codes((2, 5), np.int32)},
}


def plan(dut, rules=None, network=None, golden=None):
    return Plan(in_memory(GOLDEN if golden is None else golden), in_memory(dut), rules or Rules(), network)


def problems(*arguments, **named):
    return [problem for pair in plan(*arguments, **named).pairs for problem in [*pair.problems.values(), pair.why]]


def changed(layer="conv", **stages):
    return {**GOLDEN, layer: {**GOLDEN[layer], **stages}}


@pytest.mark.parametrize(
    ("dut", "needle"),
    [
        (changed(code=codes((2, 3, 3, 5))), "has shape 3x3x5, the golden 3x3x4"),
        (changed(code=codes((2, 9, 4))), "has shape 9x4, the golden 3x3x4"),
        (changed(code=codes((2, 3, 3, 4, 1))), "has shape 3x3x4x1"),
        (changed(code=codes((2, 1, 1, 1))), "has shape 1x1x1"),
        (changed(code=codes((1, 3, 3, 4))), "has 1 images, the golden 2"),
        (changed(code=codes((3, 3, 3, 4))), "has 3 images, the golden 2"),
        (changed(code=codes(dtype=np.int8)), "holds int8, the golden uint8"),
        (changed(code=codes(dtype=np.int64)), "holds int64, the golden uint8"),
        ({"fc": GOLDEN["fc"]}, "the DUT has no layer 'conv'"),
        ({**GOLDEN, "conv": {"code": codes()}}, "the DUT has no stage accumulator"),
        ({**GOLDEN, "extra": {"code": codes()}}, "the golden has no such layer, the DUT has"),
        (changed(total=codes(dtype=np.int64)), "the golden has no stage total, the DUT has"),
    ],
)
def test_what_cannot_be_compared_is_a_problem(dut, needle):
    found = [problem for problem in problems(dut) if problem is not None]
    assert len(found) == 1
    assert needle in found[0]


def test_equal_dumps_have_no_problems():
    made = plan(GOLDEN)
    assert [(pair.layer, tuple(pair.stages), pair.why) for pair in made.pairs] == [
        ("conv", ("accumulator", "code"), None),
        ("fc", ("accumulator",), None),
    ]
    assert made.problems == []


def test_a_wider_container_is_accepted_on_demand():
    dut = changed(code=codes(dtype=np.int64))
    assert problems(dut, Rules(any_integer_type=True)) == [None, None]


@pytest.mark.parametrize("exclude", [("conv",), ("c*v",), ("co*", "fc")])
def test_what_is_excluded_by_name_is_no_problem(exclude):
    made = plan({"fc": GOLDEN["fc"]}, Rules(exclude=exclude))
    assert made.pairs[0].verdict == "excluded"
    assert made.excluded("conv")


def test_an_exclusion_may_leave_out_the_number():
    assert means("conv1", "003_conv1")
    assert means("003_conv1", "003_conv1")
    assert not means("conv1", "003_conv10")
    assert not means("1", "003_conv1")


@pytest.mark.parametrize(
    ("rules", "needle"),
    [
        (Rules(exclude=("nosuch",)), "--exclude 'nosuch' means no layer"),
        (Rules(stages=("codes",)), "stage 'codes' is unknown"),
        (Rules(stages=("",)), "stage '' is unknown"),
        (Rules(names={"nosuch": "conv"}), "--map 'nosuch': the golden has 0 such layers"),
        (Rules(names={"conv": "nosuch"}), "the DUT has no layer 'nosuch'"),
        (Rules(names={"conv": "fc"}), "the golden has a layer 'fc' of its own"),
        (Rules(names={"conv": "fc", "fc": "fc"}), "is mapped twice"),
    ],
)
def test_rules_that_mean_nothing_are_refused(rules, needle):
    with pytest.raises(RangeError) as caught:
        plan(GOLDEN, rules)
    assert needle in str(caught.value)


def test_another_name_in_the_dut():
    dut = {"u_conv/acc": GOLDEN["conv"], "fc": GOLDEN["fc"]}
    assert len(problems(dut)) == 3
    made = plan(dut, Rules(names={"conv": "u_conv/acc"}))
    assert [(pair.layer, pair.dut_name, pair.why) for pair in made.pairs] == [
        ("conv", "u_conv/acc", None),
        ("fc", "fc", None),
    ]


def test_two_names_exchanged():
    dut = {"conv": GOLDEN["fc"], "fc": GOLDEN["conv"]}
    assert problems(dut, Rules(names={"conv": "fc", "fc": "conv"})) == [None, None]


@pytest.mark.parametrize(
    ("stages", "wanted"),
    [
        (None, [("accumulator", "code"), ("accumulator",)]),
        (("code",), [("code",), ()]),
        (("accumulator",), [("accumulator",), ("accumulator",)]),
        (("result",), [("code",), ("accumulator",)]),
    ],
)
def test_chosen_stages(stages, wanted):
    made = plan(GOLDEN, Rules(stages=stages))
    assert [tuple(pair.stages) for pair in made.pairs] == wanted
    assert [pair.verdict for pair in made.pairs] == [None if stages else "not compared" for stages in wanted]


def test_a_stage_that_was_not_chosen_may_be_missing():
    assert problems({**GOLDEN, "conv": {"code": codes()}}, Rules(stages=("code",)))[0] is None


def test_the_nameless_result_meets_what_a_layer_ends_in():
    dut = {"conv": {"result": codes()}, "fc": {"result": GOLDEN["fc"]["accumulator"]}}
    made = plan(dut, Rules(stages=("result",)))
    assert [tuple(pair.stages) for pair in made.pairs] == [("code",), ("accumulator",)]
    both = plan(dut, golden=dut)
    assert [tuple(pair.stages) for pair in both.pairs] == [("result",), ("result",)]


def test_the_network_names_the_nameless_result_and_the_order():
    network = small()
    dut = {layer.name: {"result": codes((2, 2), np.int32)} for layer in reversed(network.layers)}
    made = plan(dut, Rules(), network, golden=dut)
    assert [pair.layer for pair in made.pairs] == [layer.name for layer in network.layers]
    assert [tuple(pair.stages) for pair in made.pairs] == [("code",), ("code",), ("accumulator",)]
    assert [result_stage(layer) for layer in network.layers] == ["code", "code", "accumulator"]


def test_layers_of_the_network_that_nobody_dumped():
    network = small()
    made = plan({"001_conv": {"code": codes((2, 1, 1, 2), np.int8)}}, network=network, golden={"002_fc": {}})
    assert {pair.layer: pair.verdict for pair in made.pairs}["000_input"] == "not compared"


@pytest.mark.parametrize(
    ("known", "needle"),
    [
        ({"model_hash": "b" * 64}, f"is of model {'a' * 64}, the DUT memory of model {'b' * 64}"),
        ({"first_image": 7}, "the golden begins with image 0, the DUT with image 7"),
        ({"images_sha256": "cd"}, "were given different images"),
    ],
)
def test_dumps_of_other_runs(known, needle):
    one = {"model_hash": "a" * 64, "first_image": 0, "images_sha256": "ab"}
    made = Plan(in_memory(GOLDEN, **one), in_memory(GOLDEN, **{**one, **known}), Rules(), None)
    assert len(made.problems) == 1
    assert needle in made.problems[0]
    unknown = dict.fromkeys(one)
    assert not Plan(in_memory(GOLDEN, **one), in_memory(GOLDEN, **unknown), Rules(), None).problems


def test_the_wrong_model():
    made = Plan(in_memory(GOLDEN, model_hash="a" * 64), in_memory(GOLDEN), Rules(), small())
    assert made.other_model
    assert "the model of model" in made.problems[0]


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
    np.savez(tmp_path / "a.npz", conv=codes())
    shutil.copy(tmp_path / "a.npz", tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", conv=codes(start=1))
    with open_dump(tmp_path / "a.npz") as a, open_dump(tmp_path / "b.npz") as b, open_dump(tmp_path / "c.npz") as c:
        assert "byte for byte" in Plan(a, b, Rules(), None).notes[0]
        assert Plan(a, c, Rules(), None).notes == ()
    assert not same_content(tmp_path / "a.npz", tmp_path)


def test_blocks_hold_whole_chunks():
    pair = plan(GOLDEN).pairs[0]
    assert pair.rows() > 1000
    assert pair.rows(5) == 5
