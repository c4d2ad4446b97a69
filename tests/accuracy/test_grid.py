"""Grids: every combination once, progressions as a reader means them, and nothing collapsed that could differ."""

from dataclasses import fields, replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import seven

from refengine.accuracy.grid import MAX_SCHEMES, collapsed, expanded, label, schemes, varied, written
from refengine.errors import RefengineError, SchemeError
from refengine.numbers.formats import WEIGHT_FORMATS
from refengine.numbers.rounding import ROUNDINGS
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import EXPONENTS, METHODS, Scheme


def test_a_grid_is_the_cross_product_of_its_fields():
    made = schemes(["cluster=1,4", "method=paper,optimal", "weights=ternary"])
    assert [(one.cluster, one.method) for one in made] == [*product([1, 4], ["paper", "optimal"])]
    assert schemes([]) == (Scheme(),)


def test_clusters_and_methods_do_nothing_for_8_bits():
    """One job of 8 bits, seven of 4, fourteen ternary ones."""
    made = schemes(["cluster=1,2,4,...,64", "weights=ternary,int4,int8", "method=paper,optimal"])
    assert {fmt: sum(one.weights == fmt for one in made) for fmt in WEIGHT_FORMATS} == {
        "ternary": 14,
        "int4": 7,
        "int8": 1,
    }


def test_every_field_can_be_in_a_grid():
    """What ``written`` says is what a grid reads."""
    for field in fields(Scheme):
        assert schemes([f"{field.name}={written(field.name, field.default)}"]) == (Scheme(),)
    assert schemes(["layers=none,first=int4+conv*=int8"]) == (
        Scheme(),
        Scheme(layers=(("first", "int4"), ("conv*", "int8"))),
    )
    assert [one.reestimate for one in schemes(["reestimate=yes,no,auto"])] == [True, False, None]
    assert [one.equalize for one in schemes(["equalize=yes,no"])] == [True, False]
    assert [one.exponents for one in schemes([f"exponents={','.join(EXPONENTS)}"])] == [*EXPONENTS]
    assert len(schemes([f"rounding={','.join(ROUNDINGS)}", "seed=1,2"])) == len(ROUNDINGS) + 1  # of stochastic


def test_a_field_is_written_as_the_option_too():
    assert schemes(["multiplier-bits=4,8"]) == schemes(["multiplier_bits=4,8"])
    with pytest.raises(SchemeError, match="two lists of scale_exponent"):
        schemes(["scale-exponent=layer", "scale_exponent=layer"])
    with pytest.raises(SchemeError, match="needed the rounding and multiplier-bits that it stands for"):
        schemes(["arith=tflite"])


@pytest.fixture(scope="module")
def model_hash():
    network, images = seven(), np.random.default_rng(1).integers(0, 256, (4, 6, 5, 3), np.uint8)
    known = {}

    def quantized(scheme):
        if scheme not in known:
            known[scheme] = quantize(network, images, scheme).hash
        return known[scheme]

    return quantized


@pytest.mark.parametrize("weights", WEIGHT_FORMATS)
@pytest.mark.parametrize("method", METHODS)
def test_what_is_collapsed_is_the_same_model(model_hash, weights, method):
    for cluster, rounding in product([1, 3], ["half_up", "floor"]):
        scheme = Scheme(weights=weights, method=method, cluster=cluster, rounding=rounding, seed=5)
        scheme = replace(scheme, accumulator_policy="wrap")
        assert model_hash(collapsed(scheme)) == model_hash(scheme)


def test_what_can_differ_is_not_collapsed():
    for one in (
        Scheme(cluster=8, method="optimal"),
        Scheme(weights="int4", cluster=8),
        Scheme(weights="int8", last="ternary", cluster=8, method="optimal"),
        Scheme(weights="int8", layers=(("conv*", "int4"),), cluster=8),
        Scheme(rounding="stochastic", seed=3),
        Scheme(accumulator_bits=20, accumulator_policy="wrap"),
    ):
        assert collapsed(one) == one


@given(st.integers(-50, 50), st.integers(1, 9), st.integers(3, 30), st.integers(3, 6))
def test_equal_steps(start, step, length, told):
    numbers = [start + step * place for place in range(length + told + 1)]
    text = ",".join(map(str, [*numbers[:told], "...", numbers[-1]]))
    assert expanded(text) == [str(number) for number in numbers]
    falling = ",".join(map(str, [*numbers[::-1][:told], "...", numbers[0]]))
    assert expanded(falling) == [str(number) for number in numbers[::-1]]


@given(st.integers(1, 9), st.integers(3, 20), st.integers(3, 6))
def test_dots_continue_a_series_that_doubles(start, length, told):
    numbers = [start << place for place in range(length + told)]
    text = ",".join(map(str, [*numbers[:told], "...", numbers[-1]]))
    assert expanded(text) == [str(number) for number in numbers]


@pytest.mark.parametrize(
    ("word", "needle"),
    [
        ("cluster", "needed FIELD=VALUE"),
        ("clusters=1,2", "with one of weights, cluster"),
        ("cluster=", "has an empty value"),
        ("cluster=1,,2", "has an empty value"),
        ("cluster=a", "cluster is 'a', needed a number"),
        ("cluster=0", "a cluster has 1 to 65536 filters"),
        ("weights=int5", "weights is 'int5'; available: "),
        ("rounding=up", "up"),
        ("reestimate=maybe", "available: auto, yes, no"),
        ("equalize=auto", "available: yes, no"),
        ("layers=conv1", "needed PATTERN=FORMAT"),
        ("layers=conv1=int5", "int5"),
        ("cluster=1,2,...,64", "can be filled doubling and with equal steps"),
        ("cluster=1,3,4,...,64", "can be filled neither doubling nor with equal steps"),
        ("cluster=2,4,8,...,63", "neither"),
        ("cluster=2,4,8,...,4", "neither"),
        ("cluster=5,5,5,...,9", "neither"),
        ("cluster=0,0,...,9", "neither"),
        ("cluster=1,...,9", "needs two or more whole numbers before it"),
        ("cluster=1,2,4,...", "one after it"),
        ("cluster=1,2,3,...,99999999999", "more than 1000 values"),
        ("method=paper,optimal,...,best", "whole numbers"),
    ],
)
def test_what_a_grid_cannot_mean_is_refused(word, needle):
    with pytest.raises(RefengineError) as refusal:
        schemes([word])
    assert needle in str(refusal.value)


def test_two_lists_and_too_many_combinations():
    with pytest.raises(SchemeError, match="two lists of cluster"):
        schemes(["cluster=1", "cluster=2"])
    with pytest.raises(SchemeError, match=f"at most {MAX_SCHEMES}"):
        schemes(["cluster=1,2,3,...,1000", "seed=1,2,3,...,11"])


def test_names_are_what_differs():
    made = schemes(["cluster=2,4", "weights=ternary,int8"])
    assert varied(made) == ("weights", "cluster")
    assert [label(one, varied(made)) for one in made] == [
        "weights=ternary cluster=2",
        "weights=int8",
        "weights=ternary cluster=4",
    ]
    assert label(Scheme(), varied([Scheme()])) == "weights=ternary"
    assert label(Scheme(weights="int8"), ()) == "weights=int8"
