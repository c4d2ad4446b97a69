"""Model files: the engine accepts what must be accepted, and refuses the others, each for its own reason."""

from collections import Counter

import pytest

from refengine.conform.draft import write_draft
from refengine.conform.file_cases import file_cases
from refengine.errors import RefengineError
from refengine.network.int_file import read_int_network

CASES = [*file_cases()]
SHARES = [pytest.param(9, id="a share"), pytest.param(1, id="all", marks=pytest.mark.slow)]


def said_of(case, path):
    """What the engine says of a file, None where it accepts it."""
    write_draft(case.draft, path)
    try:
        read_int_network(path)
    except RefengineError as error:
        return str(error)
    return None


def test_there_are_enough_and_each_is_another():
    assert Counter(case.accept for case in CASES)[False] >= 300
    assert len({(case.base, case.why) for case in CASES}) == len(CASES)


@pytest.mark.parametrize("step", SHARES)
def test_the_engine_decides_as_the_suite_says(step, tmp_path):
    """And refuses for the hash alone what says V4: all others have the right one."""
    for case in CASES[::step]:
        said = said_of(case, tmp_path / "model.h5")
        assert (said is None) == case.accept, (case.why, said)
        if said is not None:
            assert ("changed after it was written" in said) == ("V4" in case.clauses), (case.why, said)
