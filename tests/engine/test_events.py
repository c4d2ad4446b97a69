"""Events add up, count by count."""

from hypothesis import given
from hypothesis import strategies as st

from refengine.engine.events import Events

COUNTS = st.tuples(*[st.integers(0, 2**40)] * 4)


@given(COUNTS, COUNTS)
def test_events_add_up_count_by_count(one, other):
    assert Events(*one) + Events(*other) == Events(*(a + b for a, b in zip(one, other, strict=True)))


def test_nothing_happens_at_first():
    assert Events() == Events(values=0, saturated_low=0, saturated_high=0, overflowed=0)
    assert Events(9, 1, 2, 3) + Events() == Events(9, 1, 2, 3)
