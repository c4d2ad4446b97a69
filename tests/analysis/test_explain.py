"""An explanation is right in every stage: the run, the trace and the oracle say the same, and a lie is noticed."""

import json
from dataclasses import replace
from fractions import Fraction

import networks
import numpy as np
import oracle
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refengine.analysis import explain as module
from refengine.analysis import explain_rounding
from refengine.analysis.explain import (
    clipped,
    explain,
    explain_result,
    figures,
    held,
    worth,
)
from refengine.engine.run import run
from refengine.errors import NetworkError, RangeError, RefengineError
from refengine.numbers.formats import INT8, UINT8
from refengine.numbers.requantize import total
from refengine.runs.trace import open_trace, write_trace

POLICIES = ("wrap", "saturate")


def observed(network, images, first_image=0):
    """(layer, operands, result) of every layer, by the NumPy definitions."""
    seen = []
    run(network, images, "reference", lambda *what: seen.append(what), first_image)
    return seen


def assert_oracle_agrees(network, found, operands, residual):
    """Every stage of an explanation against tests/oracle.py."""
    layer, index = network.layer(found.layer), (0, *found.at)
    sums = found.accumulation
    if layer.op == "requantize":
        assert sums.sum == int(operands[0][index])
    else:
        assert sums.sum == getattr(oracle, layer.op)(*operands, **layer.arguments)[index]
    if layer.op in ("conv", "fc"):
        filters = layer.constants["weight"].reshape(
            len(layer.constants["weight"]), -1, *found.accumulation.parts[0].grid
        )
        flat = (
            operands[0]
            if layer.op == "conv"
            else np.array([*oracle.flatten(operands[0]).values()])[None, None, None]
            if operands[0].ndim == 4
            else operands[0][:, None, None]
        )
        window = {"strides": (1, 1), "pads": (0, 0, 0, 0), "group": 1, **layer.attributes}
        partial = oracle.conv_partial_sums(flat, weight=filters, **window)
        where = index if layer.op == "conv" else (0, 0, 0, found.at[0])
        assert [part.partial for part in sums.parts] == [partial[(*where, g)] for g in range(len(sums.parts))]
    assert sums.accumulator == (
        oracle.confine(sums.sum, sums.bits, sums.policy) if sums.policy in POLICIES else sums.sum
    )
    step = found.requantization
    if step is None:
        assert found.result == sums.accumulator
        return
    element = int(np.ravel_multi_index(found.at, found.shape))
    numbers, channel = layer.requantize, found.at[-1]
    bits = (
        oracle.random_bits(numbers.seed, found.position, found.image, element)
        if numbers.rounding == "stochastic"
        else None
    )
    multiplier, shift = (int(v[channel % len(v)]) for v in (numbers.multiplier, numbers.shift))
    shift += found.exponent - layer.exponent
    added = (
        {}
        if residual is None
        else {
            "residual": int(residual[index]),
            "residual_shift": int(numbers.residual_shift[channel % len(numbers.residual_shift)]),
        }
    )
    wanted = oracle.requantize(
        sums.accumulator, multiplier, shift, numbers.rounding, numbers.lo, numbers.hi, bits=bits, **added
    )
    assert found.result == wanted
    assert step.rounding.rounded == oracle.round_shift(step.rounding.total, shift, numbers.rounding, bits)
    assert step.rounding.total == step.rounding.quotient * 2**shift + step.rounding.discarded


@given(networks.int_networks() | networks.dynamic_networks(), st.data(), st.integers(0, 3))
@example(networks.dynamic(), None, 1)
@example(networks.every_op("stochastic"), None, 2)
def test_random_places_of_random_networks(network, data, image):
    for layer, operands, result in observed(network, networks.random_images(network, 1, image), image):
        shape = network.shapes[layer.name]
        place = tuple(data.draw(st.integers(0, size - 1)) if data else size // 2 for size in shape)
        found = explain_result(network, layer, place, operands, result, image)
        assert found.result == int(result.result[(0, *place)])
        assert found.exponent == layer.exponent + (0 if result.coarser is None else result.coarser[0])
        if found.accumulation is not None:
            assert_oracle_agrees(network, found, operands, result.residual)
        else:
            chosen = found.passing.taps[found.passing.chosen]
            assert chosen.code == found.result
        json.dumps(figures(found), allow_nan=False)


def test_how_an_image_came_to_its_exponent():
    """The widest total is where it is said to be, and no other is wider; what it comes to is the oracle's (D2)."""
    network, looked = networks.dynamic(), 0
    for layer, operands, result in observed(network, networks.random_images(network, 1)):
        place = (0,) * len(network.shapes[layer.name])
        found = explain_result(network, layer, place, operands, result, 0)
        choice = None if found.requantization is None else found.requantization.choice
        assert (choice is None) == (layer.requantize is None or not layer.requantize.dynamic)
        if choice is None:
            continue
        step, totals = layer.requantize, total(result.accumulator, layer.requantize, result.residual)[0]
        shift = np.broadcast_to(step.shift, totals.shape[-1])
        pairs = [(int(t), int(shift[index[-1]])) for index, t in np.ndenumerate(totals)]
        floored = int(totals[choice.place]) >> int(shift[choice.place[-1]])
        assert choice.widest == (floored if floored >= 0 else -1 - floored if step.lo < 0 else 0)
        assert choice.coarser == oracle.coarser(*zip(*pairs, strict=True), step.lo, step.hi, step.dynamic)
        assert oracle.coarser([choice.widest], [0], 0, 0, 99) == choice.bits
        looked += 1
        spoilt = replace(result, coarser=result.coarser + 1)
        with pytest.raises(RefengineError, match=r"added \d+ to its exponent, its totals come to \d+"):
            explain_result(network, layer, place, operands, spoilt, 0)
    assert looked > 3


def test_what_a_dynamic_layer_s_readers_read_is_called_what_it_is():
    """A shifted code where they compute with it, a code where they pass it on (D4, D5)."""
    network, seen = networks.dynamic(), set()
    image = networks.random_images(network, 1)[0]
    for layer in network.layers:
        found = explain(network, image, layer.name, (0,) * len(network.shapes[layer.name]))
        for operand in found.operands:
            computes = found.accumulation is not None
            if network.dynamic.get(operand.source):
                assert (" << 0..5" in operand.format) == computes
                seen.add(computes)
    assert seen == {True, False}


def test_it_agrees_with_the_trace(tmp_path):
    """Accumulators, totals, codes and partial sums of a trace, in a network with every operator."""
    network = networks.every_op()
    images, rng = networks.random_images(network, 2), np.random.default_rng(0)
    write_trace(network, images, tmp_path / "trace.h5", backend="reference", partial_sums_of="001_conv")
    with open_trace(tmp_path / "trace.h5") as trace:
        for layer in network.layers:
            place = tuple(int(rng.integers(size)) for size in network.shapes[layer.name])
            found = explain(network, images[1], layer.name, place, image=1, backend="reference")
            stages = {
                name: int(trace.stage(layer.name, name).whole()[1][place])
                for name in trace.layer(layer.name).stages
                if name != "partial_sums"
            }
            explained = {"code": found.result}
            if found.accumulation:
                explained["accumulator"] = found.accumulation.accumulator
            if found.requantization:
                explained["total"] = found.requantization.rounding.total
            assert {name: explained[name] for name in stages} == stages
            if layer.name == "001_conv":
                sums = trace.stage(layer.name, "partial_sums").whole()[1][place].tolist()
                assert [part.partial for part in found.accumulation.parts] == sums


def test_backends_agree():
    network = networks.every_op()
    image = networks.random_images(network, 1)[0]
    for layer in network.layers:
        place = (0,) * len(network.shapes[layer.name])
        found = [explain(network, image, layer.name, place, backend=backend) for backend in ("fast", "reference")]
        assert found[0] == found[1]


def test_the_running_sum_starts_with_the_bias_and_ends_with_the_sum():
    network = networks.every_op()
    for layer, operands, result in observed(network, networks.random_images(network, 1)):
        found = explain_result(network, layer, (0,) * len(network.shapes[layer.name]), operands, result, 0).accumulation
        if found is not None:
            running = found.bias
            for part in found.parts:
                assert part.product == part.factor * part.partial == part.factor * sum(tap.product for tap in part.taps)
                running += part.product
                assert part.running == running
            assert running == found.sum


@pytest.mark.parametrize("stage", ["result", "accumulator"])
def test_another_integer_than_the_runs_is_an_error(stage):
    network = networks.small()
    layer, operands, result = observed(network, networks.random_images(network, 1))[1]
    array = getattr(result, stage).copy()
    array[0, 0, 0, 1] += 1
    spoilt = type(result)(**{**vars(result), stage: array})
    with pytest.raises(RefengineError, match=rf"'001_conv' \(conv\) at 0,0,1 of image 5: the run gave the {stage} "):
        explain_result(network, layer, (0, 0, 1), operands, spoilt, 5)
    assert explain_result(network, layer, (0, 0, 0), operands, spoilt, 5)


@given(st.integers(-(2**31), 2**31 - 1), st.integers(16, 31), st.sampled_from(POLICIES))
def test_a_narrow_accumulator_holds_what_the_oracle_holds(value, bits, policy):
    assert held(value, bits, policy) == oracle.confine(value, bits, policy)


@pytest.mark.parametrize(
    ("activation", "fmt", "lo", "hi", "value", "end", "saturation", "why"),
    [
        ("relu", UINT8, 0, 255, -3, "low", False, "ReLU cuts it"),
        ("relu", UINT8, 0, 255, 256, "high", True, "uint8 ends there"),
        ("clip", UINT8, 0, 96, 97, "high", False, "clip cuts it"),
        ("none", INT8, -128, 127, -129, "low", True, "int8 ends there"),
        ("none", INT8, -128, 127, 127, None, False, "inside -128..127"),
    ],
)
def test_the_explanation_says_which_end_clips_and_why(activation, fmt, lo, hi, value, end, saturation, why):
    step = networks.plain_requantize(fmt, activation=activation, lo=lo, hi=hi)
    found = clipped(value, step)
    assert (found.end, found.saturation) == (end, saturation)
    assert why in found.reason


@given(st.integers(-(2**31), 2**31), st.integers(-40, 20))
def test_worth_is_exact_or_has_nine_digits(code, exponent):
    exact = Fraction(code) * Fraction(2) ** exponent
    found = Fraction(worth(code, exponent))
    assert found == exact or abs(found - exact) <= abs(exact) / 10**8


def test_unknown_layers_and_places_are_refused():
    network = networks.small()
    image = networks.random_images(network, 1)[0]
    with pytest.raises(NetworkError, match="'nosuch'"):
        explain(network, image, "nosuch", (0, 0, 0))
    with pytest.raises(RangeError, match="no place 0,0,5"):
        explain(network, image, "conv", (0, 0, 5))
    with pytest.raises(RangeError, match="images are"):
        explain(network, image[:1], "conv", (0, 0, 0))


def test_it_computes_without_the_engines_arithmetic():
    """No kernel, no operator's definition and no requantization: the opinion is a second one."""
    assert not {"run_layer", "confine", "requantize", "round_shift", "OPS"} & {*vars(module), *vars(explain_rounding)}
