"""Options that more than one verb has."""

import os

import pytest

from refengine.cli import evaluate, options, run, trace
from refengine.errors import RangeError
from refengine.runs.predict import BACKENDS


@pytest.mark.parametrize(
    ("first", "wanted", "numbers"),
    [(0, None, range(0, 5)), (0, 2, range(0, 2)), (3, None, range(3, 5)), (3, 9, range(3, 5)), (4, 1, range(4, 5))],
)
def test_chosen_images(first, wanted, numbers):
    assert options.chosen_images(5, first, wanted, "x.h5") == numbers


def test_an_image_that_is_not_there():
    with pytest.raises(RangeError, match=r"x\.h5: has images 0\.\.4, asked for 5"):
        options.chosen_images(5, 5, 1, "x.h5")


@pytest.mark.parametrize("verb", [run, trace, evaluate])
def test_the_fast_plan_is_the_default_of_every_verb(verb):
    (option,) = (parameter for parameter in verb.command.params if parameter.name == "backend")
    assert option.default == "fast"
    assert tuple(option.type.choices) == BACKENDS


def test_cores():
    assert 1 <= options.cores() <= os.cpu_count()


def test_cores_where_the_system_does_not_tell_which(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert options.cores() == 1
