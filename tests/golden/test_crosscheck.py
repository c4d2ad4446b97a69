"""The same network by ONNX Runtime, onnx's reference and TOSA's: no integer differs, a planted bug is named."""

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given
from networks import every_op, int_networks, random_images, seeded, small, with_fc_on
from tosa_tools import needs_tosa

from refengine.engine.run import run_layer
from refengine.errors import NetworkError, RangeError, RefengineError
from refengine.golden import crosscheck as module
from refengine.golden.compare.text_report import report_lines
from refengine.golden.crosscheck import ENGINES, crosscheck, images_at_a_time
from refengine.interop.onnx.export_int import to_onnx
from refengine.interop.tosa import building, requantize, sums
from refengine.interop.tosa.engine import TosaEngine
from refengine.numbers.rounding import DOUBLE_ROUND, MODES
from refengine.ops import OPS
from refengine.optional import installed, package
from refengine.runs.digest import stages_of

pytestmark = pytest.mark.skipif(
    not (installed("onnx") and installed("onnxruntime")), reason="onnx or onnxruntime is missing"
)

EXACT = (*MODES, DOUBLE_ROUND)


def integers_of(network):
    """Accumulators, codes and logits of one image."""
    sizes = {layer.name: prod(network.shapes[layer.name]) for layer in network.layers}
    ends_in_sums = not network.layers[-1].requantize and OPS[network.layers[-1].op].ACCUMULATES
    accumulators = sum(sizes[layer.name] for layer in network.layers if OPS[layer.op].ACCUMULATES)
    codes = sum(sizes.values()) - (network.classes if ends_in_sums else 0)
    return accumulators + codes + network.classes


def assert_no_integer_differs(network, count):
    for one in crosscheck(network, random_images(network, count), backend="reference"):
        assert one.equal, [*report_lines(one.comparison, *one.dumps)]
        assert (one.images, one.layers, one.different) == (count, len(network.layers), 0)
        assert one.values == count * integers_of(network)


@pytest.mark.parametrize("rounding", EXACT)
def test_every_operator_in_every_rounding(rounding):
    assert_no_integer_differs(every_op(rounding), 2)


@pytest.mark.parametrize("last", range(len(every_op().layers)), ids=lambda last: every_op().layers[last].op)
def test_networks_that_end_in_any_operator_agree(last):
    """Codes as logits, of an image in the order of its pixels."""
    network = every_op()
    layers = network.layers[: last + 1]
    assert_no_integer_differs(replace(network, layers=layers, classes=prod(network.shapes[layers[-1].name])), 2)


@pytest.mark.parametrize("seed", range(20))
def test_every_operator_with_other_attributes(seed):
    ops = ["conv", "pad_channels", "maxpool", "add", "batchnorm", "conv", "concat", "avgpool", "requantize"]
    assert_no_integer_differs(seeded(seed, ops, EXACT), 2)


@given(int_networks(roundings=EXACT))
def test_random_networks_agree(network):
    """Groups, strides, uneven padding, residuals, signed and unsigned codes, all formats, narrow accumulators."""
    assert_no_integer_differs(network, 2)


# --------------------------------------------------------------------------------------------------------- planted bugs


def spoiled(network, constant, change):
    """The export with one of its constants changed."""
    model, arrays = to_onnx(network, layers=True), package("onnx.numpy_helper")
    (stored,) = [one for one in model.graph.initializer if one.name == constant]
    stored.CopyFrom(arrays.from_array(change(arrays.to_array(stored).copy()), constant))
    return model


def found_in(network, model, images, **options):
    (one,) = crosscheck(network, images, ["onnxruntime"], model=model, backend="reference", **options)
    return one


@pytest.mark.parametrize(
    ("constant", "change", "layer", "stage", "sentence"),
    [
        ("001_conv/sum_weight", lambda w: 256 - w.astype(np.int64), "001_conv", "accumulator", "sign"),
        ("001_conv/bias", lambda b: 0 * b, "001_conv", "accumulator", "bias"),
        ("001_conv/addend_even", lambda a: 0 * a, "001_conv", "code", "offset is missing"),
        ("001_conv/multiplier", lambda m: m + 1, "001_conv", "code", ""),
        ("001_conv/hi", lambda hi: hi - 1, "001_conv", "code", ""),
        ("002_fc/bias", lambda b: b[::-1], "002_fc", "accumulator", "bias"),
    ],
)
def test_a_planted_bug_is_named(constant, change, layer, stage, sentence):
    network = small()

    def changed(array):
        return np.asarray(change(array)).astype(array.dtype)

    one = found_in(network, spoiled(network, constant, changed), random_images(network, 40))
    assert not one.equal
    first, report = one.comparison.first
    assert (first.layer, report.stage, [layer.layer for layer in one.comparison.faulty_layers]) == (
        layer, stage, [layer],
    )  # fmt: skip
    lines = "\n".join(report_lines(one.comparison, *one.dumps))
    assert f"first difference: layer {layer}, stage {stage}" in lines
    assert sentence in lines.rpartition("cause: ")[2]
    assert 0 < one.different < one.values


def test_wrong_logits_are_a_difference_though_every_layer_is_right():
    network = small()
    model = to_onnx(network, layers=True)
    (flatten,) = [node for node in model.graph.node if node.name == "logits"]
    flatten.op_type = "Neg"
    flatten.ClearField("attribute")
    one = found_in(network, model, random_images(network, 4))
    (problem,) = one.comparison.problems
    assert problem.startswith(f"{one.different} of 8 logits differ, first (n 0, k 0): golden ")
    assert not one.comparison.faulty_layers


def test_an_image_is_known_by_its_number_and_later_batches_are_left_out():
    """Only image 5 of 8 reaches the pixel that the bug changes; batches of 2 end with it."""
    network = small()
    images = np.zeros((8, 2, 2, 1), np.uint8)
    images[5] = 255
    model = spoiled(network, "000_input/hi", lambda hi: hi - 1)
    one = found_in(network, model, images, batch=2, first_image=100)
    assert (one.images, one.comparison.first_image) == (6, 104)
    assert "(n 1, y 0, x 0, c 0) of image 105: golden 255" in "\n".join(report_lines(one.comparison, *one.dumps))


def test_an_engine_that_differs_leaves_the_others_alone():
    network = small()
    model = spoiled(network, "000_input/hi", lambda hi: hi - 1)
    images = random_images(network, 30)
    found = crosscheck(network, images, model=model, backend="reference", batch=1)
    assert [one.engine for one in found] == [*ENGINES]
    assert {one.equal for one in found} == {False}
    assert len({one.images for one in found}) == 1


# -------------------------------------------------------------------------------------------------------------- batches


def test_neither_batches_nor_the_backend_change_what_is_counted():
    network, seen = every_op(), []
    images = random_images(network, 5)
    for options in ({"batch": 1}, {"batch": 5}, {"batch": 2, "backend": "fast"}):
        (one,) = crosscheck(network, images, ["onnxruntime"], progress=lambda *at: seen.append(at), **options)
        assert (one.equal, one.images, one.values) == (True, 5, 5 * integers_of(network))
    assert seen == [
        (done, total, "onnxruntime") for total in (5, 1, 3) for done in range(total)
    ]  # fmt: skip


def test_large_networks_go_image_by_image():
    assert images_at_a_time(small()) == 16
    assert images_at_a_time(with_fc_on((3000, 3000, 1))) == 1


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(RangeError, match="the network reads uint8 of shape"):
        crosscheck(small(), np.zeros((1, 3, 3, 1), np.uint8))


@pytest.mark.parametrize(("count", "batch"), [(0, None), (1, 0)])
def test_nothing_to_run_is_refused(count, batch):
    with pytest.raises(RangeError, match="needed at least 1"):
        crosscheck(small(), np.zeros((count, 2, 2, 1), np.uint8), batch=batch)


def test_networks_that_cannot_be_exported_are_refused():
    network = every_op("stochastic")
    with pytest.raises(NetworkError, match="rounds stochastic"):
        crosscheck(network, random_images(network, 1))


# ------------------------------------------------------------------------------------------------ TOSA, layer by layer


class _StandIn(TosaEngine):
    """Layers by refengine's own definitions, one of them changed, in place of TOSA's reference model."""

    spoiled = forgotten = ""

    def run(self, pixels, codes):
        found = {}
        for layer in self._network.layers:
            read = [codes[name] for name in layer.inputs] or [pixels]
            residual = None if layer.residual is None else codes[layer.residual]
            stages = dict(stages_of(layer, run_layer(layer, read, residual, "reference")))
            found[layer.name] = {
                stage: array + (layer.name == self.spoiled and stage == "code")
                for stage, array in stages.items()
                if f"{layer.name}.{stage}" not in (*self.left_out, self.forgotten)
            }
        return found


@pytest.fixture
def stand_in(monkeypatch):
    """In the engine's place, and no export to ONNX."""

    class Model:
        version = "1.2.3"

    monkeypatch.setattr(module, "reference_model", lambda python: Model)
    monkeypatch.setattr(module, "TosaEngine", _StandIn)
    monkeypatch.setattr(module, "to_onnx", None)
    return monkeypatch


def by_tosa(network, count=3, **options):
    (one,) = crosscheck(network, random_images(network, count), ["tosa"], backend="reference", **options)
    return one


def test_tosa_runs_each_layer_alone(stand_in):
    network = every_op()
    one = by_tosa(network, batch=2)
    assert (one.engine, one.version, one.equal, one.images) == ("tosa", "1.2.3", True, 3)
    assert (one.layers, one.values) == (len(network.layers), 3 * (integers_of(network) - network.classes))
    assert {*one.by_int64.values()} == {"a residual is added before the rounding"}
    assert not one.left_out


def test_what_is_left_out_is_said_and_not_counted(stand_in):
    network = every_op("stochastic")
    one = by_tosa(network)
    assert one.equal
    assert {*one.left_out} == {f"{layer.name}.code" for layer in network.layers if layer.requantize is not None}
    kept = sum(OPS[layer.op].ACCUMULATES for layer in network.layers)
    passing = len(network.layers) - kept
    assert one.stages == kept + passing


def test_a_layer_that_goes_wrong_alone_blames_no_other(stand_in):
    """Those that read its codes were given refengine's."""
    network = every_op()
    stand_in.setattr(_StandIn, "spoiled", "002_conv")
    one = by_tosa(network)
    (failing,) = [report for report in one.comparison.layers if report.fails]
    assert (failing.layer, failing.verdict) == ("002_conv", "faulty")
    assert failing.cause is not None
    size = 3 * prod(network.shapes["002_conv"])
    assert one.different == size
    assert "first difference: layer 002_conv, stage code" in "\n".join(report_lines(one.comparison, *one.dumps))


def test_a_stage_that_is_missing_without_a_reason_is_a_failure(stand_in):
    stand_in.setattr(_StandIn, "forgotten", "002_conv.code")
    one = by_tosa(every_op())
    (failing,) = [report for report in one.comparison.layers if report.fails]
    assert (failing.layer, failing.verdict, failing.why) == ("002_conv", "missing", "code: not in the dump of the DUT")


def test_unknown_engines_are_refused_before_anything_is_made(stand_in):
    with pytest.raises(RefengineError, match="available: onnxruntime, onnx-reference, tosa"):
        by_tosa(small()) and crosscheck(small(), random_images(small(), 1), ["tosa", "abacus"])


@needs_tosa
@pytest.mark.parametrize(
    ("module", "attribute", "wrong", "faulty"),
    [
        (sums, "PIXEL_SHIFT", 7, ["000_input"]),
        (sums, "integer_weights", lambda weight, scale, cluster: weight.astype(np.int32), ["001_conv"]),
        (requantize, "_ROUNDING_MODES", {"half_up": "INEXACT_ROUND"}, ["001_conv"]),
    ],
)
def test_a_bug_in_the_graphs_is_found(monkeypatch, module, attribute, wrong, faulty):
    """The fc has scales of 1, and the input's sums are whole pixels."""
    monkeypatch.setattr(module, attribute, wrong)
    one = by_tosa(small(), 20)
    assert [report.layer for report in one.comparison.faulty_layers] == faulty


@needs_tosa
def test_a_wrong_zero_point_is_found(monkeypatch):
    """Every layer that reads unsigned codes and computes with them is faulty, and no other."""
    monkeypatch.setattr(building.Building, "zero", lambda self, name: 0)
    network = small()
    one = by_tosa(network, 20)
    assert [report.layer for report in one.comparison.faulty_layers] == ["000_input", "001_conv"]
    assert not one.equal
