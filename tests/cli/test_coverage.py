"""refengine coverage: a table of what is reached, the figures as JSON, and bad input in one line."""

import json

import pytest
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.analysis.coverage import coverage, figures, summary
from refengine.network.images import open_images
from refengine.network.int_file import read_int_network


@pytest.fixture
def found(files):
    with open_images("images.h5") as images:
        return coverage(read_int_network("model.h5"), images, only=range(2, 5), first_image=2)


def test_it_prints_the_coverage_of_the_chosen_images(found):
    outcome = refengine("coverage", "model.h5", "images.h5", "--first", "2", "--count", "3")
    assert outcome.code == 0
    lines = outcome.out.splitlines()
    assert lines[-1] == summary(found)
    for one in found:
        row = next(line for line in lines if line.startswith(one.layer)).split()
        assert row[1:6] == [
            one.op,
            *(str(n) for n in (len(one.reached), len(one.points), one.bits_seen, one.bits_bound)),
        ]


def test_json_has_every_count(found):
    report = refengine("coverage", "model.h5", "images.h5", "--first", "2", "--count", "3", "--json", "-").json
    assert report["layers"] == json.loads(json.dumps([figures(one) for one in found]))
    assert (report["reached"], report["points"]) == (
        sum(len(one.reached) for one in found),
        sum(len(one.points) for one in found),
    )


def test_layers_are_chosen_by_pattern(files):
    report = refengine("coverage", "model.h5", "images.h5", "--layer", "*input*", "--json", "-").json
    assert [layer["op"] for layer in report["layers"]] == ["input"]


def test_bad_input_is_one_line(files):
    assert "nosuch" in refusal("coverage", "model.h5", "images.h5", "--layer", "nosuch")
    assert "images 0..11" in refusal("coverage", "model.h5", "images.h5", "--first", "99")
    assert_damage_is_refused(files / "model.h5", "coverage", "model.h5", "images.h5")
