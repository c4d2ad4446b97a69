"""Options that more than one verb has."""

import pytest

from refengine.cli import evaluate, run, trace
from refengine.runs.predict import BACKENDS


@pytest.mark.parametrize("verb", [run, trace, evaluate])
def test_the_fast_plan_is_the_default_of_every_verb(verb):
    (option,) = (parameter for parameter in verb.command.params if parameter.name == "backend")
    assert option.default == "fast"
    assert tuple(option.type.choices) == BACKENDS
