"""Blocks cover everything once, whatever the number of threads."""

import pytest

from refengine.quantization.blocks import by_blocks


@pytest.mark.parametrize("threads", [1, 2, 7])
@pytest.mark.parametrize(("count", "size"), [(0, 3), (1, 3), (7, 3), (9, 3), (5, 100)])
def test_blocks_cover_everything_once_and_do_not_depend_on_threads(count, size, threads):
    seen = []
    by_blocks(seen.append, count, size, threads)
    assert sorted((block.start, block.stop) for block in seen) == [
        (start, min(count, start + size)) for start in range(0, count, size)
    ]


def test_an_error_in_a_block_reaches_the_caller():
    with pytest.raises(ZeroDivisionError):
        by_blocks(lambda block: 1 // block.start, 4, 2, 2)
