"""The page: every setting is in it, the front is the front, nothing hostile acts, and nothing is fetched."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import HOSTILE, record

from refengine.accuracy.grid import schemes
from refengine.accuracy.jobs import Files, Job
from refengine.accuracy.report import PAPER, page, pareto
from refengine.accuracy.results import Row, Sweep
from refengine.optional import installed, package

needs_matplotlib = pytest.mark.skipif(not installed("matplotlib"), reason="matplotlib is missing")

REAL = Job(None, "a" * 64, "b" * 64, "c" * 64, 16, 50)
FILES = Files("net.h5", "calibration.h5", "images.h5")


@pytest.fixture(scope="module")
def matplotlib():
    package("matplotlib.figure")
    return package("matplotlib")


def sweep(words=("cluster=1,4,64", "weights=ternary,int4,int8"), name="seven", layer="001_conv"):
    """Made-up figures: the more clusters, the fewer right; more right with more bits."""
    rows = [Row(REAL, record(46, 50, layers=(), made_with=None, network=name))]
    for scheme in schemes(words):
        correct = {"ternary": 40, "int4": 44, "int8": 45}[scheme.weights] - scheme.cluster // 8
        replaced = 1 - 1 / (9 * scheme.cluster) if scheme.weights == "ternary" else 0.0
        right = np.roll(np.arange(50) < correct, scheme.cluster)
        layers = tuple(replace(one, name=layer) for one in record().layers)
        made = record(correct, 50, right=right, multiplications_replaced=replaced, network=name, layers=layers)
        rows.append(Row(replace(REAL, scheme=scheme), made))
    return Sweep(FILES, tuple(rows))


class Reader(HTMLParser):
    """Tags, attributes and text of a page; complains where tags are not closed in order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.words, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(self.words)


@needs_matplotlib
def test_the_page_has_every_job_and_chart(matplotlib):
    found = Reader(page(sweep(), matplotlib))
    assert found.open == []
    assert found.tags.count("svg") == 3
    rows = found.tags.count("tr")
    assert rows == 1 + len(PAPER) + 1 + 8  # the float network, 3 ternary ones, 3 of int4, one of int8
    for text in ("7 settings of", "seven", "92.00 %", "46 of 50", "71.8 %", "weights=ternary cluster=64", "21.5 dB"):
        assert text in found.text
    assert ("class", "front") in found.attributes


def beside(sweep, matplotlib):
    """Cells of the table of the paper's figures, a list a row."""
    html = page(sweep, matplotlib).split("<h2>The paper beside</h2>")[1].split("</table>")[0]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in html.split("<tr>")[2:]]
    return [row for row in rows if row]


@needs_matplotlib
def test_the_paper_stands_beside_what_it_did_alone(matplotlib):
    """No overrides, no other first or last layer; every such setting is named, none is picked."""
    plain = sweep(("cluster=1,4,64", "weights=ternary,int4"))
    rows = beside(plain, matplotlib)
    assert [row[5] for row in rows] == [
        "weights=ternary cluster=4",
        "weights=ternary cluster=64",
        "weights=ternary cluster=64, not trained",
        "weights=int4 cluster=4",
    ]
    mixed = beside(sweep(("cluster=4,64", "layers=conv*=int4,last=int4")), matplotlib)
    assert [row[5:] for row in mixed] == [[""] * 4] * len(PAPER)
    assert [row[5] for row in beside(sweep(("first=int4,ternary",)), matplotlib)] == [""] * len(PAPER)
    several = beside(sweep(("rounding=half_up,floor", "layers=none,conv*=int8")), matplotlib)
    assert [row[5] for row in several[:2]] == ["layers=none rounding=half_up", "layers=none rounding=floor"]
    assert [row[0] for row in several[:3]] == ["ternary, clusters of 4", "", "ternary, clusters of 64"]


@needs_matplotlib
def test_what_the_figures_cannot_say_is_said(matplotlib):
    whole = sweep()
    text = Reader(page(replace(whole, apart=3), matplotlib)).text
    assert "picked on these same images" in text
    assert "corrected for the number of settings" in text
    assert "wall-clock s" in text
    assert "3 more results in the folder" in text
    assert "more results in the folder" not in Reader(page(whole, matplotlib)).text


@needs_matplotlib
def test_nothing_is_fetched_and_nothing_runs(matplotlib):
    text = page(sweep(name="http://example.com/", layer="001_https://example.com/x"), matplotlib)
    found = Reader(text)
    assert not {"script", "img", "link", "iframe", "object", "embed", "image", "a", "form", "base"} & {*found.tags}
    addresses = [value for name, value in found.attributes if name in ("href", "src", "srcset", "action", "data")]
    assert all(value.startswith("#") for value in addresses)
    assert not [name for name, _ in found.attributes if name.startswith("on")]
    assert "@import" not in text
    assert all(place.startswith("#") for place in re.findall(r"url\(([^)]*)\)", text))
    assert "default-src 'none'" in dict(found.attributes)["content"] or "default-src 'none'" in text
    quiet = page(sweep(), matplotlib)
    assert not re.search(r"https?:|//", quiet)


@needs_matplotlib
def test_hostile_names_are_text(matplotlib):
    hostile = sweep(
        words=("cluster=1,4", "layers=none,<img src=x onerror=alert(1)>*=int8"), name=HOSTILE, layer=f"001_{HOSTILE}"
    )
    rows = (*hostile.rows[:-1], Row(hostile.rows[-1].job, record(error=HOSTILE, right=None)))
    names = Files(f"{HOSTILE}.h5", HOSTILE, HOSTILE)
    text = page(Sweep(names, rows), matplotlib)
    found, plain = Reader(text), Reader(page(sweep(), matplotlib))
    assert {*found.tags} <= {*plain.tags, "tspan"}
    assert {name for name, _ in found.attributes} <= {name for name, _ in plain.attributes} | {"colspan"}
    assert "<script>$x^2$</script> &amp; \\x00\\x1b" in found.text
    assert "<img src=x onerror=alert(1)>*=int8" in found.text
    text.encode()


@needs_matplotlib
def test_in_the_middle_of_a_sweep(matplotlib):
    whole = sweep()
    rows = [*whole.rows]
    rows[2], rows[3] = Row(rows[2].job), Row(rows[3].job, failure="the process died")
    found = Reader(page(Sweep(FILES, tuple(rows)), matplotlib))
    assert "1 of 8 jobs are still to be done." in found.text
    assert "1 of 8 jobs failed" in found.text
    assert "the process died" in found.text
    assert "not done yet" in found.text


@needs_matplotlib
@pytest.mark.parametrize("rows", [slice(0, 0), slice(0, 1), slice(1, 2)])
def test_a_sweep_without_results_has_a_valid_page(matplotlib, rows):
    whole = sweep()
    few = whole.rows[rows] or (Row(REAL), Row(whole.rows[1].job))
    assert Reader(page(Sweep(FILES, few), matplotlib)).open == []


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), max_size=12))
def test_the_front_is_what_nothing_beats(figures):
    rows = [
        Row(replace(REAL, count=number + 1), record(correct, 9, multiplications_replaced=replaced / 10))
        for number, (correct, replaced) in enumerate(figures)
    ]
    wanted = {
        (correct, replaced)
        for correct, replaced in figures
        if not any(c >= correct and r >= replaced and (c, r) != (correct, replaced) for c, r in figures)
    }
    front = pareto(rows)
    assert [(row.record.correct, round(10 * row.record.multiplications_replaced)) for row in front] == sorted(wanted)
