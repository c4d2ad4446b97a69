"""What meets what: every rule of strictness, and every way to say that something else was meant."""

import numpy as np
import pytest
from networks import small

from refengine.errors import RangeError
from refengine.golden.compare.pairs import Plan, Rules, result_stage
from refengine.golden.dumps.dump import Damaged, Dump, Held, in_memory


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
    pairs = plan(*arguments, **named).pairs
    return [why for pair in pairs for why in [*(problem.why for problem in pair.problems.values()), pair.why]]


def changed(layer="conv", **stages):
    return {**GOLDEN, layer: {**GOLDEN[layer], **stages}}


@pytest.mark.parametrize(
    ("dut", "needle"),
    [
        (changed(code=codes((2, 3, 3, 5))), "has shape 3x3x5, the golden 3x3x4"),
        (changed(code=codes((2, 9, 4))), "has shape 2x9x4, the golden 2x3x3x4"),
        (changed(code=codes((2, 3, 3, 4, 1))), "has shape 2x3x3x4x1"),
        (
            changed(code=codes((2, 4, 3, 3))),
            "has shape 4x3x3, the golden 3x3x4: these are the axes N C H W, --order NCHW",
        ),
        (changed(code=codes((4, 3, 3))), "has shape 4x3x3, the golden 2x3x3x4: these are the axes C H W, --order CHW"),
        (changed(code=codes((3, 3, 4))), "has shape 3x3x4 and no axis of images, the golden 2 images"),
        (changed(code=codes((2, 1, 1, 1))), "has shape 1x1x1"),
        (changed(code=codes((1, 3, 3, 4))), "has 1 image, the golden 2"),
        (changed(code=codes((3, 3, 3, 4))), "has 3 images, the golden 2"),
        (changed(code=codes(dtype=np.int8)), "holds int8, the golden uint8"),
        (changed(code=codes(dtype=np.int64)), "holds int64, the golden uint8"),
        ({"fc": GOLDEN["fc"]}, "not in the dump of the DUT"),
        ({**GOLDEN, "extra": {"code": codes()}}, "not in the golden"),
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


TWO = {"one": GOLDEN["conv"], "other": GOLDEN["conv"], "fc": GOLDEN["fc"]}


def without(stages, layer, *names):
    return {**stages, layer: {name: held for name, held in stages[layer].items() if name not in names}}


def test_a_stage_of_no_layer_is_not_judged():
    """The logits, which are accumulators too, are what their layer ends in."""
    dut = without(without(TWO, "one", "accumulator"), "other", "accumulator")
    made = plan(dut, golden=TWO)
    assert made.unjudged == {"DUT": ("accumulator",), "golden": ()}
    assert [tuple(pair.stages) for pair in made.pairs] == [("code",), ("code",), ("accumulator",)]
    assert not any(pair.problems for pair in made.pairs)


def test_a_stage_of_some_layers_is_missing_of_the_others():
    made = plan(without(TWO, "one", "accumulator"), golden=TWO)
    assert made.unjudged == {"DUT": (), "golden": ()}
    assert made.pair("one").problems["accumulator"].why == "not in the dump of the DUT, which has it of other layers"
    assert made.pair("one").problems["accumulator"].verdict == "missing"
    assert not made.pair("other").problems


def test_accumulators_alone_are_judged_alone():
    dut = without(without(TWO, "one", "code"), "other", "code")
    made = plan(dut, golden=TWO)
    assert made.unjudged["DUT"] == ("code",)
    assert [tuple(pair.stages) for pair in made.pairs] == [("accumulator",)] * 3


def test_a_chosen_stage_is_demanded():
    dut = without(without(TWO, "one", "accumulator"), "other", "accumulator")
    made = plan(dut, Rules(stages=("accumulator", "code")), golden=TWO)
    assert made.pair("one").problems["accumulator"].why == "not in the dump of the DUT"


def test_the_logits_are_demanded_though_no_other_accumulators_are_there():
    dut = {"one": {"code": codes()}, "other": {"code": codes()}, "fc": {"code": codes((2, 5))}}
    assert "accumulator" in plan(dut, golden=TWO).pair("fc").problems


def test_a_golden_that_was_chosen_does_not_judge_more():
    """A pack of one layer holds what was asked for; a folder is believed to hold all there is."""
    dut = {**GOLDEN, "000_input": {"code": codes()}}
    held = {name: {stage: Held(array) for stage, array in stages.items()} for name, stages in GOLDEN.items()}
    network = small()
    for ordered, verdict in ((True, "not compared"), (False, "unknown")):
        made = Plan(Dump("golden", "npz", held, 2, ordered=ordered), in_memory(dut), Rules(), network)
        assert made.pair("000_input").verdict == verdict
    made = plan(TWO, golden=without(TWO, "one", "accumulator"))
    assert made.passed_over == {"one.accumulator": "not in the golden"}
    assert not made.pair("one").problems


def test_an_unknown_layer_is_given_the_names_of_its_shape():
    dut = {"u0": GOLDEN["conv"], "fc": GOLDEN["fc"]}
    pair = plan(dut).pair("u0")
    assert (pair.verdict, pair.why) == ("unknown", "not in the golden")
    assert pair.hint == "--map GOLDEN=u0 says which layer it is: of its shape the DUT lacks conv"
    assert plan(dut).pair("conv").verdict == "missing"
    dut = {"u_conv": GOLDEN["conv"], "fc": GOLDEN["fc"]}
    assert plan(dut).pair("u_conv").hint == "--map conv=u_conv compares it with the layer of that name"
    other = {"u0": {"code": codes((2, 7))}}
    assert plan(other).pair("u0").hint == "--map GOLDEN=u0 says which layer it is"


def test_one_image_may_lack_its_axis():
    golden = {name: {stage: array[:1] for stage, array in held.items()} for name, held in GOLDEN.items()}
    dut = {name: {stage: array[0] for stage, array in held.items()} for name, held in golden.items()}
    made = plan(dut, golden=golden)
    assert problems(dut, golden=golden) == [None, None]
    assert "no axis of images" in made.notes[0]
    for name, held in golden.items():
        for stage, array in held.items():
            values = made.pair(name).stages[stage][1]
            assert values.shape == array.shape
            np.testing.assert_array_equal(values.read(0, 1), array)


def test_a_damaged_array_is_a_problem_of_its_stage():
    held = {"conv": {"accumulator": Held(codes(dtype=np.int32)), "code": Damaged("dut/conv.npy: is empty")}}
    made = Plan(in_memory({"conv": GOLDEN["conv"]}), Dump("dut", "folder", held, 2), Rules(), None)
    problem = made.pair("conv").problems["code"]
    assert (problem.verdict, problem.why) == ("damaged", "dut/conv.npy: is empty")
    assert [*made.pair("conv").stages] == ["accumulator"]


@pytest.mark.parametrize(
    ("rules", "needle"),
    [
        (Rules(exclude=("nosuch",)), "--exclude 'nosuch' means no layer"),
        (Rules(exclude=("nosuch",)), "layers: conv, fc"),
        (Rules(stages=("codes",)), "--stage 'codes' is no stage; stages: partial_sums, accumulator, total, "),
        (Rules(stages=("",)), "in these dumps: accumulator, code"),
        (Rules(names={"nosuch": "conv"}), "--map 'nosuch': the golden has 0 such layers"),
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
def test_only_chosen_stages_are_paired(stages, wanted):
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


def test_a_model_of_neither_dump_is_a_problem():
    made = Plan(in_memory(GOLDEN, model_hash="a" * 64), in_memory(GOLDEN), Rules(), small())
    assert made.other_model
    assert made.problems == [
        f"the model given is another network, {small().hash}: the golden memory is of model {'a' * 64}"
    ]
    assert {pair.layer for pair in made.pairs} == {*GOLDEN}  # its layers are none of these dumps


def test_the_model_of_one_of_two_dumps():
    """It is not forgotten where it is that of the DUT: its layers are the DUT's."""
    golden, dut = in_memory(GOLDEN, model_hash="a" * 64), in_memory(GOLDEN, model_hash=small().hash)
    made = Plan(golden, dut, Rules(), small())
    assert made.other_model
    assert len(made.problems) == 2
    assert {pair.layer for pair in made.pairs} == {*GOLDEN, *small().shapes}


def test_blocks_hold_whole_chunks():
    pair = plan(GOLDEN).pairs[0]
    assert pair.rows() > 1000
    assert pair.rows(5) == 5
