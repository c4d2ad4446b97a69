"""A comparison as one page of HTML that needs neither a network nor a script.

Of each layer that was looked at the page shows golden, DUT and their difference, a picture for each channel, and maps
of the errors by row and column and by channel; below are the verdicts of all layers.  Pictures are PNG files within the
page, a pixel for each integer.
"""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator
from html import escape
from string import Template

import numpy as np

from ..dumps.difference import Array
from .compare import Comparison, LayerReport, Picture
from .text_report import count_sentence, element_sentence, layer_sentences

MOST_CHANNELS = 64
_SCALE = 160  # pixels that a picture is wide at least, each integer a square

_STYLE = """
:root { --ink: #1c2127; --soft: #66707b; --line: #d5dade; --paper: #fff; --bad: #b3392b; --good: #2d7a4b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7eb; --soft: #97a1ab; --line: #3b434b; --paper: #171b1f;
  --bad: #e5877b; --good: #7cc79a; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 2rem auto;
  max-width: 78rem; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; } p, ul { margin: .3rem 0; } .soft { color: var(--soft); }
.bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); font-weight: 600; }
table { border-collapse: collapse; } th { text-align: left; }
td, th { padding: .15rem .8rem .15rem 0; border-bottom: 1px solid var(--line); vertical-align: top;
  font-variant-numeric: tabular-nums; } td.n, th.n { text-align: right; }
.strip { display: flex; flex-wrap: wrap; gap: .6rem; } figure { margin: 0; }
figcaption { font-size: .75rem; color: var(--soft); }
img { image-rendering: pixelated; display: block; border: 1px solid var(--line); }
.scroll { overflow-x: auto; }
"""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>$title</title><style>$style</style></head><body>
<h1>$title</h1>
<p class="$mood">$verdict</p>
<p class="soft">golden $golden, DUT $dut, model $model</p>
$body
</body></html>
""")


def page(comparison: Comparison) -> str:
    """The whole document; layers have pictures where ``compare`` was asked for them."""
    parts = [_layer(layer, comparison) for layer in comparison.layers if layer.picture is not None or layer.cause]
    parts += [_problems(comparison), _verdicts(comparison)]
    return _PAGE.substitute(
        title=f"{escape(comparison.verdict)}: {escape(comparison.dut)}",
        style=_STYLE,
        mood="good" if comparison.equal else "bad",
        verdict=escape(count_sentence(comparison)),
        golden=escape(comparison.golden),
        dut=escape(comparison.dut),
        model=escape(comparison.model_hash or "unknown"),
        body="\n".join(parts),
    )


# -------------------------------------------------------------------------------------------------------------- layers


def _layer(layer: LayerReport, comparison: Comparison) -> str:
    """One layer that differs: what is said of it, its pictures, its maps."""
    parts = [f'<section><h2>{escape(layer.layer)} <span class="bad">{escape(layer.verdict)}</span></h2>']
    stage = layer.first()
    if stage is not None and stage.entire is not None and stage.entire.first is not None:
        parts.append(f"<p>First difference, {escape(stage.stage)}: ")
        parts.append(f"{escape(element_sentence(stage.entire.first, comparison))}</p>")
    if layer.cause is not None:
        certain = "certain" if layer.cause.certain else "not certain"
        parts.append(f"<p>Cause ({certain}): {escape(layer.cause.sentence)}</p>")
    parts.append(_list(one.sentence for one in layer.where))
    if layer.picture is not None:
        parts += _pictures(layer.picture)
    return "".join([*parts, "</section>"])


def _list(sentences: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


def _pictures(picture: Picture) -> Iterator[str]:
    golden, got = (_spatial(values) for values in (picture.golden, picture.got))
    wrong = golden != got
    yield f"<h3>{escape(picture.stage)} of image {picture.image}: errors by row and column, and by channel</h3>"
    yield '<div class="strip">'
    yield _figure(_heat(wrong.sum(axis=2)), f"wrong channels of each pixel, of {wrong.shape[2]}")
    yield _figure(_heat(wrong.sum(axis=(0, 1))[None, :]), "wrong pixels of each channel", 8)
    yield _figure(_heat(wrong.sum(axis=2).sum(axis=1)[:, None]), "by row", 8)
    yield _figure(_heat(wrong.sum(axis=2).sum(axis=0)[None, :]), "by column", 8)
    yield "</div>"
    channels = np.argsort(~wrong.any(axis=(0, 1)), kind="stable")[:MOST_CHANNELS]
    low, high = (int(of(side)) for side, of in ((golden, np.min), (golden, np.max)))
    left_out = f"; {wrong.shape[2] - len(channels)} more are not shown" if wrong.shape[2] > len(channels) else ""
    yield f"<h3>golden, DUT and difference of each channel, those with errors first{left_out}</h3>"
    yield '<div class="strip">'
    for channel in sorted(channels.tolist()):
        shown = [_grey(side[:, :, channel], low, high) for side in (golden, got)]
        shown.append(_signed(got[:, :, channel] - golden[:, :, channel]))
        gap = np.full((golden.shape[0], 1, 3), 128, np.uint8)
        strip = np.concatenate([shown[0], gap, shown[1], gap, shown[2]], axis=1)
        count = int(np.count_nonzero(wrong[:, :, channel]))
        yield _figure(strip, f"channel {channel}: {count} wrong")
    yield "</div>"


def _spatial(values: Array) -> Array:
    return values if values.ndim == 3 else values[None, None, :]


# ------------------------------------------------------------------------------------------------------------ pictures


def _figure(pixels: Array, caption: str, least: int = 0) -> str:
    """A picture with its caption; each integer is a square of some pixels."""
    height, width = pixels.shape[:2]
    size = max(2, least, min(16, _SCALE // max(width, height)))
    data = b64encode(png(pixels)).decode("ascii")
    return (
        f'<figure><img alt="{escape(caption)}" width="{width * size}" height="{height * size}" '
        f'src="data:image/png;base64,{data}"><figcaption>{escape(caption)}</figcaption></figure>'
    )


def png(pixels: Array) -> bytes:
    """A PNG file of uint8 (H, W, 3) pixels."""
    height, width, _ = pixels.shape
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1).tobytes()

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(lines, 9)), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _grey(values: Array, low: int, high: int) -> Array:
    """Black at the lowest integer of the golden, white at the highest."""
    shade = (np.clip(values, low, high) - low) * 255 // max(high - low, 1)
    return np.repeat(shade.astype(np.uint8)[..., None], 3, axis=2)


def _signed(by: Array) -> Array:
    """White where nothing differs, red where the DUT is too large, blue where it is too small; by its bit length."""
    sizes = np.frexp(np.abs(by).astype(np.float64))[1]
    fade = (215 - 215 * np.minimum(sizes, 16) // 16).astype(np.uint8)
    full = np.full_like(fade, 255)
    red, blue = np.stack([full, fade, fade], axis=2), np.stack([fade, fade, full], axis=2)
    white = np.full((*by.shape, 3), 255, np.uint8)
    return np.where((by > 0)[..., None], red, np.where((by < 0)[..., None], blue, white))


def _heat(counts: Array) -> Array:
    """White where nothing is wrong, the darker the more is."""
    most = max(int(counts.max()), 1)
    fade = np.where(counts == 0, 255, 200 - 200 * counts // most).astype(np.uint8)
    return np.stack([np.where(counts == 0, 255, 225).astype(np.uint8), fade, fade], axis=2)


# ------------------------------------------------------------------------------------------------------------ verdicts


def _problems(comparison: Comparison) -> str:
    said = [*(f"problem: {one}" for one in comparison.problems), *(f"note: {one}" for one in comparison.notes)]
    if comparison.explanation is not None:
        said.append(f"best explanation: {comparison.explanation.sentence}")
    return _list(said)


def _verdicts(comparison: Comparison) -> str:
    """A row for each layer."""
    rows = []
    for layer in comparison.layers:
        values = sum(stage.entire.values for stage in layer.stages if stage.entire is not None)
        different = sum(stage.entire.different for stage in layer.stages if stage.entire is not None)
        mood = "bad" if layer.fails else "good" if layer.stages else "soft"
        said = next(layer_sentences(layer, comparison), layer.why or "")
        rows.append(
            f'<tr><td>{escape(layer.layer)}</td><td class="{mood}">{escape(layer.verdict)}</td>'
            f'<td class="n">{values}</td><td class="n">{different}</td><td>{escape(said)}</td></tr>'
        )
    head = "".join(f"<th{_numeric(name)}>{name}</th>" for name in ("layer", "verdict", "values", "different", ""))
    body = "".join(rows)
    return f'<h2>All layers</h2><div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def _numeric(name: str) -> str:
    return ' class="n"' if name in ("values", "different") else ""
