"""A part of the planted mistakes, in a small network: found, named, and nothing wrong called certain.

The whole table is ``python -m mutation MODEL.h5 IMAGES.h5``; here every ninth mistake is planted, in one layer each.
"""

import pytest
from golden_cases import conv_case
from networks import random_images

from mutation.fault_table import fault_table
from mutation.faults import FAULTS
from refengine.golden.diagnose.cause import diagnose


@pytest.fixture(scope="module")
def table():
    network = conv_case(11, 1, size=(10, 9), inputs=8, outputs=8, cluster=4, residual=True, shift=14).network
    images = random_images(network, 2, 7)
    return fault_table(network, images, diagnose, layers=["003_conv"], faults=[*FAULTS.values()][::9], layers_a_fault=1)


@pytest.mark.slow
def test_layer_and_first_element_are_always_right(table):
    assert len(table.trials) >= 15
    assert all(trial.detected and trial.layer_right and trial.element_right and trial.alone for trial in table.trials)


@pytest.mark.slow
def test_nine_of_ten_are_named(table):
    named = [trial.named == "right" for trial in table.nameable]
    assert 10 * sum(named) >= 9 * len(named), [trial for trial in table.nameable if trial.named != "right"]


@pytest.mark.slow
def test_nothing_wrong_is_certain(table):
    assert not [trial for trial in table.trials if trial.certain_but_wrong]
