"""Work shared out among threads in blocks that do not depend on how many threads there are."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


def by_blocks(function: Callable[[slice], None], count: int, size: int, threads: int) -> None:
    """Call ``function`` with slices of ``size`` that cover 0..count, the last one shorter, in ``threads`` threads.

    A single block runs where it is called: small layers come by here some hundred times.

    >>> by_blocks(print, 5, 2, threads=1)
    slice(0, 2, None)
    slice(2, 4, None)
    slice(4, 5, None)
    """
    blocks = [slice(start, min(count, start + size)) for start in range(0, count, size)]
    if min(threads, len(blocks)) < 2:
        for block in blocks:
            function(block)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(function, blocks))
