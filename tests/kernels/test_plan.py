"""How pixels are dealt out to tiles."""

import pytest

from refengine.kernels.plan import tile_pixels


@pytest.mark.parametrize("large", [6, 8])
@pytest.mark.parametrize("pixels", [*range(1, 70), 196, 784, 3136])
def test_tiles_add_up_and_only_few_pixels_go_alone(large, pixels):
    dealt, left = [], pixels
    while left:
        dealt.append(tile_pixels(left, large))
        left -= dealt[-1]
    assert sum(dealt) == pixels
    assert set(dealt) <= {large, large - 1, 1}
    assert dealt.count(1) < large
    if pixels >= large * (large - 1):
        assert 1 not in dealt
