"""The page of a comparison: pictures whose pixels are the integers, one self-contained file, and a browser shows it."""

import re
import shutil
import subprocess
import zlib
from base64 import b64decode

import numpy as np
import pytest

from refengine.golden.compare.compare import compare
from refengine.golden.compare.html_report import page, png
from refengine.golden.dumps.dump import in_memory

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
GOLDEN = np.random.default_rng(1).integers(0, 200, (2, 9, 14, 3)).astype(np.uint8)


def pixels(data):
    """(H, W, 3) of a PNG file without filters, read by its definition."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    size = int.from_bytes(data[33:37], "big")
    lines = np.frombuffer(zlib.decompress(data[41 : 41 + size]), np.uint8).reshape(height, 1 + 3 * width)
    assert not lines[:, 0].any()
    return lines[:, 1:].reshape(height, width, 3)


def found(golden=GOLDEN, **changed):
    got = golden.copy()
    got[1, :, 6::7, 1] += 9
    sides = [in_memory({"001_conv<b>": {"code": side}, "002_next": {"code": golden}}) for side in (golden, got)]
    return compare(*sides, pictures=True)


def test_a_png_holds_its_pixels():
    image = np.random.default_rng(2).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    np.testing.assert_array_equal(pixels(png(image)), image)


def test_the_pictures_show_where_the_differences_are():
    pictures = [pixels(b64decode(data)) for data in re.findall(r"base64,([^\"]*)\"", page(found()))]
    assert len(pictures) == 4 + 3
    wrong = (pictures[0] != 255).any(axis=2)
    assert [*np.flatnonzero(wrong.any(axis=0))] == [6, 13]
    assert wrong[:, [6, 13]].all()
    assert (pictures[1] != 255).any(axis=2).tolist() == [[False, True, False]]
    strip = pictures[4 + 1]
    difference = strip[:, -14:]
    assert strip.shape == (9, 3 * 14 + 2, 3)
    assert [*np.flatnonzero((difference != 255).any(axis=(0, 2)))] == [6, 13]
    assert (difference[:, 6, 0] == 255).all(), "red: the DUT is too large"


def test_the_page_needs_nothing_else_and_escapes_names():
    text = page(found())
    assert "001_conv&lt;b&gt;" in text
    assert "<b>" not in text
    assert "<script" not in text
    assert not re.search(r"(src|href)=\"(?!data:)", text)
    assert "all differences lie in image 1, columns 6, 13 (period 7), channel 1" in text
    assert ">002_next</td>" in text


def test_a_comparison_that_is_equal_has_a_page_too():
    side = in_memory({"001_conv": {"code": GOLDEN}})
    text = page(compare(side, side, pictures=True))
    assert "EQUAL: 1 layer" in text
    assert "data:image" not in text


def test_vectors_and_many_channels_have_pictures():
    wide = np.arange(2 * 100).reshape(2, 100).astype(np.int32)
    got = wide.copy()
    got[0, 3] += 1
    text = page(compare(*(in_memory({"001_fc": {"accumulator": side}}) for side in (wide, got)), pictures=True))
    assert "channel 3: 1 wrong" in text
    assert "36 more are not shown" in text


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium installed (Debian: chromium)")
def test_a_browser_shows_the_pictures(tmp_path):
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "page.html").write_text(page(found()), encoding="utf-8")
    call = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1000,900"]
    shot = f"--screenshot={tmp_path / 'shot.png'}"
    done = subprocess.run(
        [*call, shot, (tmp_path / "page.html").as_uri()], capture_output=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    shown = np.asarray(image.open(tmp_path / "shot.png").convert("RGB")).astype(int)
    red = (shown[..., 0] > 180) & (shown[..., 1:].max(axis=2) < 60)
    assert np.count_nonzero(red) > 500, "the map of errors is drawn"
    columns = np.flatnonzero(red[:, :300].sum(axis=0) > 30)
    assert 1 <= np.count_nonzero(np.diff(columns) > 1) <= 3, "two columns of errors"
