"""refengine lint: the findings of analysis/lint.py, and an exit code for scripts."""

import json

import networks
import numpy as np
import pytest
from verbs import assert_damage_is_refused, refengine, refusal

from refengine.analysis.lint import figures, lint
from refengine.network.int_file import read_int_network, write_int_network
from refengine.numbers.formats import INT8


def spoilt(**changed):
    """``small`` whose convolution has a changed requantization."""
    step = {"multiplier": np.array([5, 2]), "shift": np.array([3, 2]), **changed}
    return networks.with_layer(networks.small(), "001_conv", requantize=networks.plain_requantize(INT8, **step))


WARNED = spoilt(multiplier=np.array([200, 3]), shift=np.array([8, 2]))
NOTED = spoilt(shift=np.array([8, 7]))


def test_the_findings_are_those_of_the_function(files):
    network = read_int_network("model.h5")
    report = refengine("lint", "model.h5", "--json", "-").json
    assert (report["report"], report["model_hash"]) == ("lint", network.hash)
    assert report["findings"] == json.loads(json.dumps([figures(finding) for finding in lint(network)]))
    counts = [sum(one["severity"] == name for one in report["findings"]) for name in ("error", "warning", "note")]
    assert [report[name] for name in ("error", "warning", "note")] == counts


def test_a_clean_network_passes_strict(files):
    write_int_network(networks.small(), "clean.h5")
    outcome = refengine("lint", "clean.h5", "--strict")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines()[1:] == ["0 errors, 0 warnings, 0 notes"]


def test_the_table_names_channels_and_says_what_to_do(files):
    write_int_network(WARNED, "warned.h5")
    (finding,) = lint(WARNED)
    outcome = refengine("lint", "warned.h5")
    row = next(line for line in outcome.out.splitlines() if line.startswith("warning"))
    assert row.split() == ["warning", "001_conv", "coarse-multiplier", "1", "of", "2:", "1", *finding.detail.split()]
    assert f"coarse-multiplier: {finding.meaning} {finding.advice}" in outcome.out.splitlines()
    assert outcome.out.splitlines()[-1] == "0 errors, 1 warning, 0 notes"


@pytest.mark.parametrize(
    ("network", "options", "code"), [(WARNED, [], 0), (WARNED, ["--strict"], 1), (NOTED, ["--strict"], 0)]
)
def test_strict_ends_with_1_for_more_than_a_note(files, network, options, code):
    write_int_network(network, "some.h5")
    assert lint(network)
    assert refengine("lint", "some.h5", *options).code == code
    assert refengine("lint", "some.h5", *options, "--json", "-").code == code


def test_json_does_not_overwrite_the_model(files):
    assert "is also read from" in refusal("lint", "model.h5", "--json", "model.h5")


def test_damaged_input_is_refused_in_one_line(files):
    assert_damage_is_refused(files / "model.h5", "lint", "model.h5")
