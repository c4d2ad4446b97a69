"""Few images reach what all of them reach, and none of the few is needless."""

from itertools import combinations

import networks
from hypothesis import given
from hypothesis import strategies as st

from refengine.analysis.coverage import coverage
from refengine.analysis.directed import cover, points_of_images

SETS = st.dictionaries(st.integers(), st.frozensets(st.integers(0, 12)), max_size=12)


def reached_by(network, images):
    return {(one.layer, name) for one in coverage(network, images) for name in one.reached}


@given(SETS)
def test_a_cover_reaches_everything_and_no_item_can_be_left_out(reached):
    taken = cover(reached)
    everything = frozenset().union(*reached.values())
    assert frozenset().union(*(reached[item] for item in taken)) == everything
    for item in taken:
        assert frozenset().union(*(reached[other] for other in taken if other != item)) != everything
    assert [*taken] == [item for item in reached if item in taken]


@given(SETS)
def test_no_cover_has_fewer_items(reached):
    everything = frozenset().union(*reached.values())
    fewer = combinations(reached.values(), max(0, len(cover(reached)) - 1))
    assert not everything or all(frozenset().union(*some) != everything for some in fewer)


def test_a_cover_that_taking_the_largest_first_does_not_find():
    reached = {"greedy": frozenset(range(4)), "left": frozenset((0, 1, 4)), "right": frozenset((2, 3, 5))}
    assert cover(reached) == ("left", "right")


@given(SETS, st.integers(0, 100))
def test_one_item_that_reaches_everything_is_enough(reached, name):
    everything = frozenset().union(frozenset({13}), *reached.values())
    assert cover({**reached, name: everything}) == (name,)


def test_the_points_of_images_are_those_of_their_union():
    network = networks.every_op()
    images = networks.random_images(network, 6)
    found = points_of_images(network, images, only=range(1, 6), first_image=1)
    assert [*found] == [1, 2, 3, 4, 5]
    chosen = cover(found)
    assert reached_by(network, images[list(chosen)]) == reached_by(network, images[1:])
    assert len(chosen) < 5
