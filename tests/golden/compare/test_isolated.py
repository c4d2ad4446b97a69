"""Each layer alone: what the engine computes from the dumped inputs, and nothing where these are unknown."""

import numpy as np
import pytest
from mutation.fault_table import golden_run
from networks import every_op, random_images

from refengine.errors import FileError
from refengine.golden.compare.isolated import Alone
from refengine.golden.dumps.dump import Held


@pytest.fixture(scope="module")
def made():
    network = every_op()
    return golden_run(network, random_images(network, 3, 1))


def alone(run, without=(), images=True, **changed):
    stages = {name: {stage: Held(array) for stage, array in held.items()} for name, held in run.stages.items()}
    for name in without:
        del stages[name]
    stages |= {name: {"code": Held(codes)} for name, codes in changed.items()}
    return Alone(run.network, stages, Held(run.images) if images else None, 0)


@pytest.mark.parametrize("gap", [0, 1, 2, 5])
def test_every_layer_is_recomputed_across_gaps(made, gap):
    """With whole stretches of layers missing, the rest follows from what is there."""
    layers = [layer.name for layer in made.network.layers]
    without = [name for number, name in enumerate(layers) if gap and number % (gap + 1)]
    one = alone(made, without)
    for name in layers:
        through = set()
        found = one.recompute(name, 1, 3, tuple(made.stages[name]), through)
        assert through <= {*without}
        assert {*found} == {*made.stages[name]}
        for stage, array in found.items():
            np.testing.assert_array_equal(array, made.stages[name][stage][1:3])


def test_nothing_is_recomputed_from_nothing(made):
    layers = [layer.name for layer in made.network.layers]
    one = alone(made, without=layers, images=False)
    assert all(one.recompute(name, 0, 1, ("code",), set()) is None for name in layers)
    assert one.case(layers[1], range(0, 1)) is None


def test_codes_of_another_shape_or_range_are_not_read(made):
    layers = [layer.name for layer in made.network.layers]
    wide = made.stages[layers[0]]["code"].astype(np.int64)
    assert alone(made, **{layers[0]: wide}).recompute(layers[1], 0, 2, ("code",), set()) is not None
    assert alone(made, **{layers[0]: wide + 1000}).recompute(layers[1], 0, 2, ("code",), set()) is None
    turned = made.stages[layers[0]]["code"].transpose(0, 3, 1, 2)
    through = set()
    assert alone(made, **{layers[0]: turned}).recompute(layers[1], 0, 2, ("code",), through) is not None
    assert through == {layers[0]}


def test_only_layers_before_may_have_left_the_residual(made):
    """Whatever lies behind a layer, its own output too, would explain it from itself."""
    names = [layer.name for layer in made.network.layers]
    for place, layer in enumerate(made.network.layers):
        if layer.residual is not None:
            assert {*alone(made).case(layer.name, range(3)).others} <= {*names[:place]} - {layer.residual}


def test_others_that_the_dut_did_not_dump_are_the_goldens(made):
    layer = next(layer for layer in made.network.layers if layer.residual is not None)
    names = [*alone(made).case(layer.name, range(1)).others]
    held = {name: {stage: Held(array) for stage, array in stages.items()} for name, stages in made.stages.items()}
    mine = {layer.residual, *layer.inputs}
    few = {name: stages for name, stages in held.items() if name in mine}
    for golden, wanted in ((held, names), (None, [name for name in names if name in mine])):
        one = Alone(made.network, few, Held(made.images), 0, golden)
        assert {*one.case(layer.name, range(1)).others} == {*wanted}


def test_what_a_layer_is_recomputed_from(made):
    """By plain recursion over the inputs."""
    layers = {layer.name: layer for layer in made.network.layers}

    def sources(name, through):
        needed = {*layers[name].inputs, *([layers[name].residual] if layers[name].residual else [])}
        return {one for one in needed if one not in through}.union(*(sources(n, through) for n in needed & through))

    one = alone(made)
    names = [*layers]
    for through in (set(), {*names[2:5]}, {*names[1:-1]}):
        for name in names:
            assert {*one.sources(name, through)} == sources(name, through)


def test_damaged_codes_are_not_read(made):
    layers = [layer.name for layer in made.network.layers]
    stages = {name: {stage: Held(array) for stage, array in held.items()} for name, held in made.stages.items()}

    class Broken(Held):
        def read(self, start, stop):
            raise FileError("conv.npy: is truncated")

    stages[layers[0]] = {"code": Broken(made.stages[layers[0]]["code"])}
    one = Alone(made.network, stages, Broken(made.images), 0)
    assert one.recompute(layers[0], 0, 1, ("code",), set()) is None
    assert one.recompute(layers[1], 0, 1, ("code",), set()) is None


def test_a_case_holds_what_the_layer_read(made):
    layer = next(layer for layer in made.network.layers if layer.residual is not None)
    case = alone(made).case(layer.name, range(1, 3))
    np.testing.assert_array_equal(case.residual, made.stages[layer.residual]["code"][1:3])
    assert (case.first_image, case.count) == (1, 2)
    assert all(codes.shape == case.residual.shape for codes in case.others.values())
