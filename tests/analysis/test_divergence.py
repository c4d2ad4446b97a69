"""The divergence matrix: counted once more, layer by layer and element by element, and its laws."""

from itertools import product

import networks
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refengine.analysis.divergence import COMMON, OWN, differing_pairs, divergence, rules_of, run_as
from refengine.engine.run import run
from refengine.errors import NetworkError, RangeError
from refengine.numbers.arith import ARITHMETICS, Arithmetic, requantize_as
from refengine.numbers.rounding import DOUBLE_ROUND, MODES

NAMES = ("tosa", "nvdla", "tflite", "onnxruntime", "ap-fixed-default", "ap-fixed-trn-sat-zero")


@pytest.fixture(scope="module")
def network():
    return networks.every_op("half_up")


@pytest.fixture(scope="module")
def images(network):
    return networks.random_images(network, 6)


@pytest.fixture(scope="module")
def found(network, images):
    return divergence(network, images, NAMES)


@given(st.sampled_from([*MODES, DOUBLE_ROUND]), st.data())
def test_the_network_s_own_arithmetic_gives_its_own_logits(rounding, data):
    """run_as is engine.run where the preset is the network's own, for every operator and any accumulator."""
    network = data.draw(networks.int_networks(roundings=(rounding,)))
    pixels = networks.random_images(network, 2)
    own = Arithmetic("own", rounding, "the contract")
    np.testing.assert_array_equal(run_as(network, pixels, own), run(network, pixels, "reference"))


def test_single_counts_every_layer_on_golden_inputs(network, images, found):
    """Every pair of rules, from accumulators seen in a golden run; counted in Python."""
    seen = {}
    run(network, images, "reference", lambda layer, operands, result: seen.update({layer.name: result}))
    wanted = [layer for layer in network.layers if layer.requantize is not None]
    assert list(found.single) == [layer.name for layer in wanted]
    for layer in wanted:
        acc, residual = seen[layer.name].accumulator, seen[layer.name].residual
        codes = [
            requantize_as(acc, layer.requantize, ARITHMETICS[rule.names[-1]], residual).ravel().tolist()
            for rule in found.rules
        ]
        pairs = [[sum(a != b for a, b in zip(one, other, strict=True)) for other in codes] for one in codes]
        assert found.single[layer.name].tolist() == pairs
        assert found.outputs[layer.name] == len(codes[0])
    np.testing.assert_array_equal(found.single_total, np.sum([*found.single.values()], axis=0))


def test_entire_counts_logits_and_classes(network, images, found):
    logits = [run_as(network, images, ARITHMETICS[rule.names[-1]]) for rule in found.rules]
    np.testing.assert_array_equal(logits[0], run(network, images))
    for one, other in product(range(len(logits)), repeat=2):
        assert found.logits[one, other] == (logits[one] != logits[other]).sum()
        assert found.classes[one, other] == (logits[one].argmax(1) != logits[other].argmax(1)).sum()
    assert (found.count, found.number_of_logits, found.correct) == (6, logits[0].size, None)


def test_the_rules_differ_here(found):
    """A network on which nothing differed would prove nothing."""
    assert np.count_nonzero(found.single_total[0]) >= 3
    assert found.logits.any()


def test_counts_of_differences_are_a_distance(found):
    """Symmetric, nothing differs from itself, no detour is shorter."""
    for pairs in (found.single_total, found.logits, found.classes, *found.single.values()):
        np.testing.assert_array_equal(pairs, pairs.T)
        assert not pairs.diagonal().any()
        assert (pairs[:, :, None] + pairs[None, :, :] >= pairs[:, None, :]).all()


@pytest.mark.parametrize("batch", [1, 4])
def test_batches_change_no_count(network, images, found, batch):
    assert divergence(network, images, NAMES, batch=batch).as_json() == found.as_json()


def test_chosen_layers_are_counted_alone(network, images, found):
    """Also by pattern; the whole network is run as before."""
    some = divergence(network, images, NAMES, layers=["*conv"])
    assert some.single
    assert all(name.endswith("conv") for name in some.single)
    for name, pairs in some.single.items():
        np.testing.assert_array_equal(pairs, found.single[name])
    np.testing.assert_array_equal(some.logits, found.logits)


def test_labels_are_counted(network, images):
    """Of labels that are A's classes, A gets all right and the others what agrees with A."""
    labels = run(network, images).argmax(axis=1)
    found = divergence(network, images, NAMES, labels=labels)
    assert found.correct == tuple(len(images) - found.classes[0])


def test_arithmetics_of_one_rule_are_one_row(network):
    """The model's own comes first, with those that are the same; a name counts once."""
    rules = rules_of(network, ["cmsis", "tosa", "tflite", "deeploy", "tosa", "dory"])
    assert [rule.names for rule in rules] == [(OWN, "tosa", "deeploy"), ("cmsis", "tflite"), ("dory",)]
    assert rules[0].arithmetic is None
    assert rules[0].text == "half_up, saturate"


def test_a_network_of_several_roundings_is_like_no_preset():
    """Its own row stands alone."""
    network = networks.seeded(3, ["conv", "conv", "conv", "conv"], ("half_up", "floor"))
    (own, *others) = rules_of(network, ["tosa", "dory"])
    assert own.names == (OWN,)
    assert set(own.text.removesuffix(", saturate").split(" and ")) == {"half_up", "floor"}
    assert [rule.names for rule in others] == [("tosa",), ("dory",)]


def test_stochastic_rounding_knows_an_image_by_its_number():
    """The own row of images 2.. is that of a run that starts there."""
    network = networks.every_op("stochastic")
    pixels = networks.random_images(network, 5)
    whole, parts = (
        divergence(network, pixels, ["tosa"]),
        [divergence(network, pixels[a:b], ["tosa"], first_image=a) for a, b in ((0, 2), (2, 5))],
    )
    np.testing.assert_array_equal(whole.single_total, sum(part.single_total for part in parts))
    np.testing.assert_array_equal(whole.logits, sum(part.logits for part in parts))


def test_by_default_all_designs_and_no_combination_of_ap_fixed(network):
    assert {"tosa", "tflite", "nvdla", "onnxruntime", "ap-fixed-default"} < set(COMMON)
    assert "ap-fixed-rnd-sat" not in COMMON
    assert sorted(name for rule in rules_of(network, COMMON) for name in rule.names) == sorted([OWN, *COMMON])


def test_progress_ends_at_the_last_image(network, images):
    calls = []
    divergence(network, images, ["dory"], batch=4, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(4, 6), (6, 6)]


def test_differing_pairs_of_one_array():
    assert differing_pairs([np.arange(3)]).tolist() == [[0]]


def test_unknown_arithmetics_and_wrong_arrays_are_refused(network, images):
    with pytest.raises(RangeError, match="arithmetic 'tpu' is unknown"):
        divergence(network, images, ["tpu"])
    with pytest.raises(RangeError, match="there are 2 labels for 6 images"):
        divergence(network, images, labels=np.zeros(2, np.int64))
    with pytest.raises(RangeError, match="the network reads uint8"):
        divergence(network, images[:, :-1])
    with pytest.raises(NetworkError, match="'nosuch'"):
        divergence(network, images, layers=["nosuch"])
