"""Charts: what is drawn is in the SVG, which is well-formed, quiet and full of nobody's addresses."""

import re
from xml.etree import ElementTree

import pytest
from sweeps import HOSTILE

from refengine.accuracy.plots import INK, LayerLine, Level, Point, Series, by_cluster, by_layer, by_share
from refengine.optional import installed, package

pytestmark = pytest.mark.skipif(not installed("matplotlib"), reason="matplotlib is missing")


@pytest.fixture(scope="module")
def matplotlib():
    package("matplotlib.figure")
    return package("matplotlib")


def point(x, y, tip="a tip", note=""):
    return Point(x, y, y - 3, y + 2, tip, note)


def charts(matplotlib, name):
    """One of each kind, with a name wherever a name can stand."""
    series = [Series(name, (point(1, 70, f"{name} one"), point(4, 60, f"{name} four"))), Series("b", (point(2, 65),))]
    levels = [Level(name, 80), Level("other", 75)]
    front = [point(1, 70, "front", name), point(2, 75, "front", "2")]
    lines = [LayerLine(name, (1.0, None, 3.0)), LayerLine("b", (None, None, None))]
    yield by_cluster(matplotlib, series, levels)
    yield by_share(matplotlib, series, front, levels)
    yield by_layer(matplotlib, [name, "conv", "fc"], [("dB", lines), (name, lines)])


def words(svg):
    return [text for element in ElementTree.fromstring(svg).iter() for text in [element.text or ""] if text.strip()]


def test_names_and_tips_are_there(matplotlib):
    clusters, shares, layers = charts(matplotlib, "ternary, paper")
    for svg in (clusters, shares, layers):
        assert "ternary, paper" in words(svg)
    assert {"ternary, paper one", "ternary, paper four", "a tip"} <= {*words(clusters)} & {*words(shares)}
    assert {"conv", "fc", "dB"} <= {*words(layers)}
    assert len([*ElementTree.fromstring(clusters).iter("title")]) == 3


def test_ticks_are_the_sizes_of_clusters(matplotlib):
    svg = by_cluster(matplotlib, [Series("a", (point(1, 70), point(4, 60), point(64, 50)))], [])
    assert {"1", "4", "64"} <= {*words(svg)}
    assert "2" not in words(svg)


def test_ticks_are_what_is_replaced(matplotlib):
    svg = by_share(matplotlib, [Series("a", (point(100, 70), point(4, 60)))], [], [])
    assert {"0", "50", "75", "90", "95"} <= {*words(svg)}
    assert not {"97.5", "99"} & {*words(svg)}


def test_hostile_names_are_text(matplotlib):
    for svg in charts(matplotlib, HOSTILE):
        found = {element.tag for element in ElementTree.fromstring(svg).iter()}
        assert found <= {"svg", "g", "path", "defs", "use", "text", "tspan", "title", "clipPath", "rect"}
        assert any("<script>$x^2$</script> &amp; \\x00\\x1b" in text for text in words(svg))


def test_nothing_is_fetched_and_colours_are_the_page_s(matplotlib):
    for svg in charts(matplotlib, "a"):
        assert not re.search(r"https?:|//|xmlns|<style|<!DOCTYPE|<\?xml", svg)
        assert all(link.startswith("#") for link in re.findall(r'href="([^"]*)"', svg))
        assert all(link.startswith("#") for link in re.findall(r"url\(([^)]*)\)", svg))
        assert INK not in svg
        assert "var(--soft)" in svg
        assert "DejaVu" not in svg


def test_ids_are_only_those_that_are_used(matplotlib):
    for svg in charts(matplotlib, "a"):
        names = re.findall(r'id="([^"]*)"', svg)
        assert len(names) == len({*names})
        assert all(f"#{name}" in svg for name in names)


def test_the_same_chart_twice_is_the_same_text(matplotlib):
    assert [*charts(matplotlib, "a")] == [*charts(matplotlib, "a")]


def test_charts_without_points_are_valid_svg(matplotlib):
    ElementTree.fromstring(by_cluster(matplotlib, [], [Level("float", 90)]))
    ElementTree.fromstring(by_share(matplotlib, [Series("a", (point(100, 70),))], [], []))
    ElementTree.fromstring(by_layer(matplotlib, ["a"], [("dB", [])]))
