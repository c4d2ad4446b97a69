"""Tables of 256 entries (contract, section Lookup)."""

import networks
import numpy as np
import oracle
import pytest
import strategies
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import NetworkError, RefengineError
from refengine.numbers.formats import INT8, UINT8
from refengine.ops import lookup

BOTH = pytest.mark.parametrize("run", [lookup.reference, lookup.kernels], ids=["reference", "kernels"])


@st.composite
def cases(draw):
    """Codes of either format, and a table for all channels or one for each, of either format."""
    x = draw(strategies.images(max_size=3, max_channels=3))
    rng, fmt = np.random.default_rng(draw(st.integers(0, 2**32 - 1))), draw(st.sampled_from([UINT8, INT8]))
    count = draw(st.sampled_from([1, x.shape[-1]]))
    return x, rng.integers(fmt.lo, fmt.hi, (count, 256), np.int16, endpoint=True)


@BOTH
@given(cases())
def test_it_gives_the_integers_of_the_oracle(run, case):
    x, table = case
    acc = run(x, table=table)
    assert acc.dtype == np.int32
    assert acc.shape[1:] == lookup.output_shape(x.shape[1:], table=table)
    assert dict(np.ndenumerate(acc)) == oracle.lookup(x, table=table)


@BOTH
@pytest.mark.parametrize("fmt", [UINT8, INT8])
def test_every_code_has_the_entry_at_its_eight_bits(run, fmt):
    """The address is the byte in which the code is stored."""
    codes = np.arange(fmt.lo, fmt.hi + 1).astype(fmt.dtype)
    entries = run(codes[:, None], table=np.arange(256, dtype=np.int16)[None])
    assert entries.ravel().tolist() == codes.view(np.uint8).tolist()


@given(cases(), st.integers(-128, 255), st.integers(0, 200))
def test_bound_holds_and_is_reached(case, first, more):
    """By some code of the range, or by 0."""
    _, table = case
    ends = min(first, 0), max(min(first + more, first + 255), 0)
    if ends[1] - ends[0] > 255:
        return
    lo, hi = lookup.bound(ends, table=table)
    for row, low, high in zip(table.tolist(), lo.tolist(), hi.tolist(), strict=True):
        entries = [row[code % 256] for code in range(ends[0], ends[1] + 1)]
        assert (low, high) == (min(0, *entries), max(0, *entries)) if len(entries) > 1 else True


def test_integers_of_more_than_eight_bits_have_no_entry():
    with pytest.raises(NetworkError, match=r"^reads integers in 0\.\.510, a table has 256 entries$"):
        lookup.bound((0, 510), table=np.zeros((1, 256), np.int16))


@pytest.mark.parametrize("shape", [(2, 256), (1, 255), (256, 1)])
def test_other_tables_are_refused(shape):
    with pytest.raises(
        NetworkError, match=rf"^table has shape \({shape[0]}, {shape[1]}\), needed \(1, 256\) or \(3, 256\)$"
    ):
        lookup.output_shape((4, 4, 3), table=np.zeros(shape, np.int16))


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"multiplier": np.array([2])}, "needs the multiplier 1, the shift 0"),
        ({"shift": np.array([1])}, "needs the multiplier 1, the shift 0"),
        ({"dynamic": 1}, "needs the multiplier 1, the shift 0"),
        ({"activation": "relu", "lo": 0}, "needed 'none' and a format of all entries"),
        ({"format": UINT8, "lo": 0, "hi": 255}, r"table holds -128\.\.127, .* needed 'none' and a format of all"),
    ],
)
def test_what_follows_a_table_changes_nothing(changed, complaint):
    """Lookup2: a code goes in, an entry comes out."""
    table = np.arange(-128, 128, dtype=np.int16)[None]
    plain = networks.plain_requantize(INT8, multiplier=np.array([1]), shift=np.array([0]))
    made = networks.small()
    conv = made.layers[1]
    fields = {
        "name": "002_lookup",
        "op": "lookup",
        "inputs": (conv.name,),
        "exponent": 0,
        "constants": {"table": table},
    }

    def network(step):
        layer = type(conv)(**fields, requantize=step)
        last = type(conv)(**{**vars(made.layers[2]), "name": "003_fc", "inputs": ("002_lookup",)})
        return networks.small(layers=(*made.layers[:2], layer, last))

    assert network(plain).ranges["002_lookup"] == (-128, 127)
    with pytest.raises(RefengineError, match=complaint):
        network(type(plain)(**{**vars(plain), **changed}))


def test_bound_holds_0_where_no_entry_is_0():
    for entry, ends in ((7, (0, 7)), (-7, (-7, 0))):
        table = np.full((1, 256), entry, np.int16)
        assert tuple(int(end[0]) for end in lookup.bound((0, 255), table=table)) == ends
