"""A case is plain data: integers and words that JSON and files can hold."""

import json

from conform_customers import every_case, some

from refengine.conform.folder import TYPES


def test_parameters_are_json_and_inputs_are_integers_of_known_types():
    for name, case in some(7).items():
        assert json.loads(json.dumps(case.parameters)) == case.parameters, name
        assert all(array.dtype.name in TYPES for array in case.inputs.values()), name
        assert case.why.isprintable()


def test_names_are_a_group_and_a_number():
    assert all(name == f"{case.group}-{name[-4:]}" for name, case in every_case().items())
