"""One explanation for a whole dump: each layout is found again, and nothing is explained that is only wrong."""

import numpy as np
import pytest

from refengine.golden.compare.pairs import Plan, Rules
from refengine.golden.compare.whole_dump import LAYOUTS, explained
from refengine.golden.dumps.axes import ORDERS
from refengine.golden.dumps.dump import Damaged, Dump, Held, in_memory

RNG = np.random.default_rng(5)
SHAPES = {"a": (3, 6, 4, 8), "b": (3, 4, 6, 8), "c": (3, 2, 8, 4), "d": (3, 16)}
GOLDEN = {name: {"code": RNG.integers(0, 256, shape).astype(np.uint8)} for name, shape in SHAPES.items()}
CUBES = {name: {"code": RNG.integers(0, 256, (2, 4, 4, 4)).astype(np.uint8)} for name in "abc"}


def found(dut, golden=GOLDEN, rules=None):
    return explained(Plan(in_memory(golden), in_memory(dut), rules or Rules(), None))


def everywhere(change, golden=GOLDEN):
    return {name: {stage: change(array) for stage, array in held.items()} for name, held in golden.items()}


def turned(order):
    axes = [0, *(1 + "HWC".index(axis) for axis in order)]
    return lambda array: array.transpose(axes) if array.ndim == 4 else array


@pytest.mark.parametrize("order", ORDERS)
def test_another_order_of_axes_is_the_explanation(order):
    explanation = found(everywhere(turned(order)))
    assert f"--order N{order} reads them" in explanation.sentence
    assert (explanation.equal, explanation.changed) == (3, 3)


@pytest.mark.parametrize("order", ORDERS)
def test_shapes_that_say_nothing(order):
    assert f"--order N{order} reads them" in found(everywhere(turned(order), CUBES), CUBES).sentence


@pytest.mark.parametrize("order", ORDERS)
def test_other_axes_behind_the_golden_shapes(order):
    """No --order reads that: the arrays are called what they are not."""
    dut = everywhere(lambda array: np.ascontiguousarray(turned(order)(array)).reshape(array.shape))
    sentence = found(dut).sentence
    assert "--order" not in sentence
    assert f"in the order N {' '.join(order)}" in sentence


@pytest.mark.parametrize(
    ("change", "needle"),
    [
        (lambda array: array[..., ::-1], "channels are in reverse order"),
        (lambda array: np.roll(array, 1, axis=-1), "each channel holds the one before it"),
        (lambda array: np.roll(array, -1, axis=-1), "each channel holds the one after it"),
        (lambda array: np.flip(array, 1), "rows are in reverse order"),
        (lambda array: np.flip(array, 2), "columns are in reverse order"),
        (lambda array: array.reshape(3, -1)[:, ::-1].reshape(array.shape), "from its end"),
        (lambda array: array.reshape(-1, 2)[:, ::-1].reshape(array.shape), "each 2 consecutive values"),
        (lambda array: array.reshape(-1, 4)[:, ::-1].reshape(array.shape), "each 4 consecutive values"),
        (lambda array: array[[2, 0, 1]], "image 0 of the DUT is image 2 of the golden"),
        (lambda array: array[::-1], "image 0 of the DUT is image 2 of the golden"),
    ],
)
def test_another_memory_layout_is_the_explanation(change, needle):
    """Whether vectors lie so too, or not."""
    images = {name: held for name, held in GOLDEN.items() if held["code"].ndim == 4}
    explanation = found({**GOLDEN, **everywhere(change, images)})
    if "image 0" in needle:
        explanation = found(everywhere(change))
    assert needle in explanation.sentence


def test_bytes_in_reverse_order():
    golden = everywhere(lambda array: array.astype(np.int32) * 70001)
    assert "the bytes of each integer" in found(everywhere(lambda array: array.byteswap(), golden), golden).sentence


def test_what_is_equal_needs_no_explanation():
    assert found(GOLDEN) is None


def test_one_wrong_layer_is_not_explained():
    """That is a matter of the hypotheses."""
    assert found({**GOLDEN, "b": {"code": GOLDEN["b"]["code"][..., ::-1]}}) is None


def test_a_layout_that_spoils_a_right_layer_is_none():
    turned_but_one = {**everywhere(turned("CHW"), CUBES), "c": CUBES["c"]}
    assert found(turned_but_one, CUBES) is None
    assert "NCHW" in found(turned_but_one, CUBES, Rules(exclude=("c",))).sentence


def test_noise_is_not_explained():
    assert found(everywhere(lambda array: array ^ 1)) is None


def test_most_layers_are_enough():
    dut = everywhere(turned("CHW"))
    dut["b"]["code"] = dut["b"]["code"] ^ 1
    explanation = found(dut)
    assert (explanation.equal, explanation.changed) == (2, 3)


def test_damaged_arrays_are_passed_over():
    held = {name: {"code": Held(turned("CHW")(array["code"]))} for name, array in GOLDEN.items()}
    held["a"] = {"code": Damaged("a.npy: is empty")}
    explanation = explained(Plan(in_memory(GOLDEN), Dump("dut", "folder", held, 3), Rules(), None))
    assert (explanation.equal, explanation.changed) == (2, 2)


def test_every_layout_undoes_something():
    """Each turns some golden arrays into others, so that none is there for nothing."""
    block = np.arange(2 * 6 * 4 * 8, dtype=np.int32).reshape(2, 6, 4, 8)
    for layout in LAYOUTS:
        assert not np.array_equal(layout.change(block, block.shape[1:]), block), layout.sentence


def test_images_exchanged_from_one_layer_on_are_that_layers_mistake():
    """As many layers are equal as dumped: what explains the others would spoil these."""
    golden = {name: {"code": RNG.integers(0, 256, (2, 4, 4, 4)).astype(np.uint8)} for name in "abcdef"}
    swapped = everywhere(lambda array: array[::-1], golden)
    for equal in range(1, 6):
        assert found({**swapped, **{name: golden[name] for name in "abcdef"[:equal]}}, golden) is None
    assert "exchanged, or each holds the one before" in found(swapped, golden).sentence
    same = {**golden, "f": {"code": np.repeat(golden["f"]["code"][:1], 2, axis=0)}}
    assert found({**swapped, "f": same["f"]}, same).equal == 6
