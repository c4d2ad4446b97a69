"""Every error is a RefengineError, so that one except clause sees each refusal."""

import inspect

from refengine import errors


def test_every_error_is_a_RefengineError():
    kinds = [kind for _, kind in inspect.getmembers(errors, inspect.isclass)]
    assert len(kinds) > 1
    assert all(issubclass(kind, errors.RefengineError) for kind in kinds)
    assert issubclass(errors.RefengineError, ValueError)
    assert all(kind.__doc__ for kind in kinds)
