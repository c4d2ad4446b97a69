"""All cases of a level: enough of them, in an order that stays."""

from conform_customers import every_case

from refengine.conform.answers import ANSWERS
from refengine.conform.network_cases import GROUP
from refengine.conform.suite import cases, is_layer, named


def test_level_1_has_at_least_3000_cases_of_every_group():
    assert len(every_case()) >= 3000
    assert {case.group for case in every_case().values()} == {*ANSWERS, GROUP}


def test_they_are_the_same_again():
    for name, case in list(named(cases(1)))[::50]:
        again = every_case()[name]
        assert (case.parameters, case.why) == (again.parameters, again.why)
        assert all((case.inputs[key] == array).all() for key, array in again.inputs.items())


def test_layers_are_told_from_functions():
    assert is_layer("layer_requantize")
    assert not is_layer("requantize")
