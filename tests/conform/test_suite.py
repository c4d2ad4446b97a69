"""All cases of a level: enough of them, in an order that stays, the same on every machine."""

import hashlib
import json

from conform_customers import every_case

from refengine.conform.answers import ANSWERS
from refengine.conform.network_cases import GROUP
from refengine.conform.suite import answer_of, cases, is_layer, named


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


def test_every_machine_makes_the_same_cases_and_answers():
    """This digest changes where a case is added or changed, and nowhere else: NumPy's version must not be in it."""
    found = hashlib.sha256()
    for name, case in every_case().items():
        found.update(json.dumps([name, case.clauses, case.why, case.parameters]).encode())
        for key, array in [*case.inputs.items(), *answer_of(case).items()]:
            found.update(f"{key} {array.dtype.name} {array.shape}".encode())
            found.update(array.astype(array.dtype.newbyteorder("<")).tobytes())
    assert found.hexdigest() == DIGEST


DIGEST = "f36b63d98357511ab87e60df71c33983402a40ccc81bec133e41bcce57ace114"
