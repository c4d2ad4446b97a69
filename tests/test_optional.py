"""Optional packages: one clear line where they are missing, and silence where they are not."""

import logging
import sys
import warnings

import pytest

from refengine.errors import RefengineError
from refengine.optional import installed, package, quiet


def test_a_module_that_is_there():
    assert package("os.path") is sys.modules["os.path"]
    assert installed("json")


def test_a_missing_package_says_how_to_get_it():
    assert not installed("refengine_knows_no_such_package")
    with pytest.raises(RefengineError, match=r'cannot be imported \(.*\); needed: pip install "refengine\[bench\]"'):
        package("refengine_knows_no_such_package")


def test_quiet_hides_both_streams(capsys, caplog):
    with quiet():
        print("out")
        print("err", file=sys.stderr)
        warnings.warn("no", stacklevel=1)
        logging.getLogger("talker").error("no")
    assert capsys.readouterr() == ("", "")
    assert caplog.records == []
    logging.getLogger("talker").error("heard again")
    assert len(caplog.records) == 1


def test_errors_come_through():
    with pytest.raises(KeyError), quiet():
        raise KeyError
