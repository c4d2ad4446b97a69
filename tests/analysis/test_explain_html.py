"""The page is whole, draws every stage, escapes every name, and asks nobody for anything."""

import re
from html.parser import HTMLParser

import networks
import pytest

from refengine.analysis.explain import explain
from refengine.analysis.explain_html import page
from refengine.network.int_network import IntNetwork

VOID = {"meta", "br", "img", "link"}


class Checked(HTMLParser):
    """Every tag is closed in turn; attributes and texts are kept."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.tags, self.attributes, self.text = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def parsed(text):
    checked = Checked()
    checked.feed(text)
    checked.close()
    assert checked.open == []
    return checked


def explained(layer, network=None):
    network = network or networks.every_op()
    layer = network.layer(layer)
    place = tuple(size // 2 for size in network.shapes[layer.name])
    return explain(network, networks.random_images(network, 1)[0], layer.name, place, backend="reference")


@pytest.mark.parametrize("name", [layer.name for layer in networks.every_op().layers])
def test_every_layer_gives_a_whole_page(name):
    found = explained(name)
    checked = parsed(page(found))
    text = " ".join(checked.text)
    assert f"{found.result}" in text
    assert not {"script", "img", "link", "iframe"} & {*checked.tags}
    assert not [value for attribute, value in checked.attributes if attribute in ("src", "href")]
    assert "http:" not in page(found)
    assert "https:" not in page(found)
    assert not re.search(r"url\(|@import", page(found))
    taps = [tap for part in found.accumulation.parts for tap in part.taps] if found.accumulation else found.passing.taps
    cells = [value for attribute, value in checked.attributes if attribute == "title"]
    assert len(cells) == len(taps)
    for tap, title in zip(taps, cells, strict=True):
        assert title.endswith(f": {tap.code} * {tap.weight}")
        assert ("(padding)" in title) == tap.padding


def test_the_discarded_bits_are_marked():
    found = explained("001_conv")
    rounding = found.requantization.rounding
    assert f'{rounding.kept_bits}<span class="cut">{rounding.discarded_bits}</span>' in page(found)


def test_bars_stay_inside_their_track():
    for layer in networks.every_op().layers:
        for left, width in re.findall(r'style="left: ([\d.-]+)%; width: ([\d.-]+)%"', page(explained(layer.name))):
            assert 0 <= float(left) <= 100
            assert float(width) >= 0
            assert float(left) + float(width) <= 100.02


def test_names_are_escaped():
    network = networks.small()
    evil = "<script>alert(1)</script>$title&"
    layers = [
        type(layer)(
            **{**vars(layer), "name": f"{layer.name}{evil}", "inputs": tuple(f"{name}{evil}" for name in layer.inputs)}
        )
        for layer in network.layers
    ]
    network = IntNetwork(**{**networks.fields_of(network), "name": evil, "layers": tuple(layers)})
    text = page(explained(network.layers[1].name, network))
    assert "<script" not in text
    parsed(text)
