"""Plans: a readable file, read back as it was written; what is none, or another network's, is refused in one line."""

import json

import numpy as np
import pytest
from calibrated import pixels
from hypothesis import given
from hypothesis import strategies as st
from sweeps import seven

from refengine.errors import FileError, SchemeError
from refengine.quantization.plan import Plan, Weights, check_alone, check_fits, plan_of, plan_text, read_plan
from refengine.quantization.quantize import quantize
from refengine.quantization.scheme import Scheme

NAMES = ("001_conv", "003_conv", "006_fc")
PLAN = Plan("seven", tuple(zip(NAMES, (Weights("int8"), Weights("ternary", 2), Weights("int4", 4)), strict=True)))

WEIGHTS = st.one_of(
    st.just(Weights("int8")), st.builds(Weights, st.sampled_from(["ternary", "int4"]), st.integers(1, 65536))
)


@given(st.text(), st.dictionaries(st.text(), WEIGHTS, min_size=1))
def test_what_is_written_is_read(network, layers):
    plan = Plan(network, tuple(layers.items()))
    assert plan_of(json.loads(plan_text(plan))) == plan


def test_the_file_has_a_line_for_each_layer(tmp_path):
    (tmp_path / "plan.json").write_text(plan_text(PLAN))
    assert read_plan(tmp_path / "plan.json") == PLAN
    lines = plan_text(PLAN).splitlines()
    assert lines[2] == '  "003_conv": {"weights": "ternary", "cluster": 2},'
    assert len(lines) == len(NAMES) + 2


def text_of(**changed):
    return json.dumps({**json.loads(plan_text(PLAN)), **changed})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "is no plan of this version"),
        (text_of(version=2), "is no plan of this version"),
        (text_of(layers=[]), "needed 'network'"),
        (text_of(network=3), "needed 'network'"),
        (text_of(more=1), "has 'more', which no plan has"),
        (text_of(layers={"a": "int8"}), "layer 'a': is 'int8', needed as"),
        (
            text_of(layers={"a": {"weights": "int8", "cluster": 4}}),
            "layer 'a': ternary and int4 weights need a cluster",
        ),
        (text_of(layers={"a": {"weights": "ternary"}}), "layer 'a': ternary and int4 weights need a cluster"),
        (text_of(layers={"a": {"weights": "int3", "cluster": 4}}), "layer 'a': weights are 'int3'; available: "),
        (text_of(layers={"a": {"weights": "int4", "cluster": True}}), "layer 'a': a cluster has 1 to 65536 filters"),
        (text_of(layers={"a": {"weights": "int4", "cluster": 0}}), "layer 'a': a cluster has 1 to 65536 filters"),
        ('{"format": 1, "format": 1}', "has 'format' twice"),
        ("\ud800", "cannot be read"),
    ],
)
def test_what_is_no_plan_is_refused(tmp_path, content, said):
    path = tmp_path / "plan.json"
    path.write_bytes(content.encode("utf-8", "surrogatepass"))
    wanted = "is no JSON" if content == "\ud800" else said
    with pytest.raises(FileError) as refused:
        read_plan(path)
    assert wanted in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_or_too_large_is_refused(tmp_path, monkeypatch):
    with pytest.raises(FileError, match="there is no such file"):
        read_plan(tmp_path / "none.json")
    with pytest.raises(FileError, match="it is no file"):
        read_plan(tmp_path)
    (tmp_path / "plan.json").write_text(plan_text(PLAN))
    monkeypatch.setattr("refengine.quantization.plan.MAX_BYTES", 10)
    with pytest.raises(FileError, match="more than 10 bytes"):
        read_plan(tmp_path / "plan.json")


def test_a_plan_of_another_network_is_refused():
    check_fits(PLAN, "other", NAMES)
    with pytest.raises(SchemeError, match=r"it was made for 'seven': layers unknown '006_fc', missing '006_dense'"):
        check_fits(PLAN, "other", ("001_conv", "003_conv", "006_dense"))
    with pytest.raises(SchemeError, match=r"layers missing 'a', 'b', 'c' and 1 more"):
        check_fits(PLAN, "seven", (*NAMES, *"abcd"))
    with pytest.raises(SchemeError, match="plan has layer 'a' twice"):
        Plan("x", (("a", Weights("int8")), ("a", Weights("int8"))))


def test_a_plan_stands_alone():
    check_alone(None, Scheme(weights="int4"))
    check_alone(PLAN, Scheme(exponents="max"))
    for field, value in {"weights": "int4", "cluster": 8, "first": "int4", "last": "int4"}.items():
        with pytest.raises(SchemeError, match=f"{field} is {value!r}, but the plan says"):
            check_alone(PLAN, Scheme(**{field: value}))


def test_quantize_gives_each_layer_the_weights_of_the_plan_and_says_so():
    network = seven()
    model = quantize(network, pixels(network), Scheme(), plan=PLAN)
    found = {layer.covers[0]: layer for layer in model.layers if layer.weight_format}
    assert {name: layer.weight_format for name, layer in found.items()} == dict(
        zip(NAMES, ("int8", "ternary", "int4"), strict=True)
    )
    assert (found["003_conv"].attributes["cluster"], found["006_fc"].attributes["cluster"]) == (2, 4)
    assert model.made_with["plan"] == PLAN.described() == "001_conv=int8, 003_conv=ternary:2, 006_fc=int4:4"
    assert not {"weights", "cluster", "first", "last", "layers"} & {*model.made_with}


def test_a_plan_that_says_what_a_scheme_says_makes_the_same_integers():
    network = seven()
    plain = quantize(network, pixels(network), Scheme(cluster=2))
    weights = (Weights("int8"), Weights("ternary", 2), Weights("int8"))
    planned = quantize(network, pixels(network), Scheme(), plan=Plan("any", tuple(zip(NAMES, weights, strict=True))))
    for one, other in zip(plain.layers, planned.layers, strict=True):
        assert all(np.array_equal(one.constants[name], other.constants[name]) for name in one.constants)
        assert one.exponent == other.exponent
