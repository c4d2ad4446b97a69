"""Which values of a parameter run every day; the others run with the slow tests."""

import pytest


def everyday(values, each):
    """The values as parameters: every ``each``-th, from the first on, is an everyday one, the others are slow.

    A tuple holds the values of several parameters.
    """
    rows = [value if isinstance(value, tuple) else (value,) for value in values]
    return [pytest.param(*row, marks=pytest.mark.slow if number % each else ()) for number, row in enumerate(rows)]
