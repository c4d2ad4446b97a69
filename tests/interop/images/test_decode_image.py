"""Pillow's pixels, by an oracle where no codec is between: what is handled, what is refused, and never a traceback."""

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from data_sets import colours, ppm
from hypothesis import given
from hypothesis import strategies as st

from refengine.errors import FileError
from refengine.interop.images import decode_image
from refengine.interop.images.decode_image import Preparation, decode, scaled

pytest.importorskip("PIL", reason="Pillow is not installed (refengine[images])")
from PIL import Image

PIXELS = colours(6, 9)
RGB = Preparation()


def saved(path, image, kind, **keywords):
    image.save(path, kind, **keywords)
    return path


def picture(mode="RGB", pixels=PIXELS):
    return Image.fromarray(np.array(pixels, np.uint8)).convert(mode)


def refusal(path, how=RGB):
    with pytest.raises(FileError) as caught:
        decode(path, how)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


@pytest.mark.parametrize("kind", ["PPM", "PNG", "BMP", "TIFF", "WEBP"])
def test_whole_pixels_of_formats_that_lose_nothing(tmp_path, kind):
    path = saved(tmp_path / "name.does.not.matter", picture(), kind, **({"lossless": True} if kind == "WEBP" else {}))
    decoded = decode(path, RGB)
    assert decoded.pixels.tolist() == PIXELS
    assert (decoded.damage, decoded.tilted, decoded.pixels.dtype) == (None, False, np.uint8)


def test_gray_is_the_luminance(tmp_path):
    (tmp_path / "x").write_bytes(ppm(PIXELS))
    gray = decode(tmp_path / "x", Preparation(gray=True)).pixels
    assert gray.shape == (6, 9, 1)
    for row, wanted in zip(gray[..., 0].tolist(), PIXELS, strict=True):
        assert all(abs(g - (299 * r + 587 * n + 114 * b) / 1000) < 1 for g, (r, n, b) in zip(row, wanted, strict=True))
    (tmp_path / "y").write_bytes(b"P5 2 1 255\n\x07\xff")
    assert decode(tmp_path / "y", RGB).pixels.tolist() == [[[7] * 3, [255] * 3]]


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "L", "1", "CMYK"])
def test_modes_are_converted_as_pillow_does(tmp_path, mode):
    image = picture(mode)
    path = saved(tmp_path / "x", image, "TIFF" if mode == "CMYK" else "PNG")
    np.testing.assert_array_equal(decode(path, RGB).pixels, np.array(image.convert("RGB")))


def test_alpha_is_dropped_and_the_colours_stay(tmp_path):
    image = picture("RGBA")
    image.putalpha(0)
    assert decode(saved(tmp_path / "x.png", image, "PNG"), RGB).pixels.tolist() == PIXELS


def test_a_photo_is_turned_on_request_alone(tmp_path):
    """EXIF 6: the top of the picture is the right side of what is stored."""
    tag = Image.Exif()
    tag[0x0112] = 6
    path = saved(tmp_path / "x.png", picture(), "PNG", exif=tag)
    stored, turned = decode(path, RGB), decode(path, Preparation(upright=True))
    assert (stored.pixels.tolist(), stored.tilted, turned.tilted) == (PIXELS, True, False)
    assert turned.pixels.tolist() == [[PIXELS[5 - x][y] for x in range(6)] for y in range(9)]


def png(depth, colour, channels):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = (b"\0" + bytes(4 * channels * depth // 8)) * 3
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 3, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("content", [png(16, 2, 3), png(16, 6, 4), png(16, 0, 1), b"P6 1 1 65535\n" + bytes(6)])
def test_more_than_8_bits(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    assert "more than 8 bits" in refusal(tmp_path / "x")
    (tmp_path / "x").write_bytes(png(8, 2, 3))
    assert decode(tmp_path / "x", RGB).pixels.shape == (3, 4, 3)


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "TIFF"])
def test_animations_are_refused(tmp_path, kind):
    frames = [picture(pixels=colours(6, 9, seed)) for seed in (1, 2, 3)]
    path = saved(tmp_path / "x", frames[0], kind, save_all=True, append_images=frames[1:])
    assert "has 3 frames" in refusal(path)


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_modes_without_a_way_to_rgb(tmp_path, mode):
    refusal(saved(tmp_path / "x", Image.new(mode, (3, 2)), "TIFF"))


def test_huge_images_are_refused(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"P6 100000 100000 255\n")
    assert "at most 67108864" in refusal(tmp_path / "x") or "more than 67108864" in refusal(tmp_path / "x")
    (tmp_path / "x").write_bytes(b"P6 9000 9000 255\n")
    assert "has 9000x9000 pixels" in refusal(tmp_path / "x")
    (tmp_path / "x").write_bytes(ppm(colours(1, 5000)))
    assert "becomes 128x640000" in refusal(tmp_path / "x", Preparation(size=(128, 128)))
    monkeypatch.setattr(decode_image, "MAX_FILE", 100)
    assert "larger than 100 bytes" in refusal(tmp_path / "x")


def test_a_program_is_not_run_as_an_image(tmp_path):
    (tmp_path / "x.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n")
    assert decode(tmp_path / "x.png", RGB).damage.startswith("is damaged or no image")
    saved(tmp_path / "x.png", picture(), "PCX")  # Pillow could; the list of formats is ours
    assert decode(tmp_path / "x.png", RGB).damage.startswith("is damaged or no image")


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20), st.integers(1, 20))
def test_the_image_covers_its_cut_and_hardly_more(height, width, high, wide):
    tall, broad = scaled(height, width, Preparation(size=(high, wide)))
    assert tall >= high
    assert broad >= wide
    assert tall == high or broad == wide
    assert abs(tall * width - broad * height) < max(height, width)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 20))
def test_the_shorter_side_gets_its_size(height, width, shorter):
    tall, broad = scaled(height, width, Preparation(size=(1, 1), shorter=shorter))
    assert min(tall, broad) == shorter
    assert max(tall, broad) == shorter * max(height, width) // min(height, width)


def test_the_middle_is_cut(tmp_path):
    (tmp_path / "x").write_bytes(ppm(PIXELS))
    cut = decode(tmp_path / "x", Preparation(size=(4, 4), shorter=6)).pixels
    assert cut.tolist() == [row[2:6] for row in PIXELS[1:5]]
    assert "too small for 7x4" in refusal(tmp_path / "x", Preparation(size=(7, 4), shorter=6))


def test_halving_with_the_bilinear_filter_is_a_weighted_mean(tmp_path):
    """Half the size: a triangle four pixels wide on each side of the middle of two, weights 1 3 3 1 of 8."""
    (tmp_path / "x").write_bytes(ppm(colours(8, 8)))
    half, stored = decode(tmp_path / "x", Preparation(size=(4, 4))).pixels, np.array(colours(8, 8))
    weights = {-1: 1, 0: 3, 1: 3, 2: 1}
    for y, x, channel in np.ndindex(2, 2, 3):  # the inner pixels, where the filter does not reach over the edge
        terms = (
            weights[i] * weights[j] * stored[2 * (y + 1) + i, 2 * (x + 1) + j, channel]
            for i in weights
            for j in weights
        )
        assert abs(int(half[y + 1, x + 1, channel]) - sum(terms) / 64) <= 1
    other = decode(tmp_path / "x", Preparation(size=(4, 4), filter="bicubic")).pixels
    assert (other != half).any()


def test_a_file_that_cannot_be_read(tmp_path):
    assert "No such file" in refusal(tmp_path / "x")
    assert "Is a directory" in refusal(tmp_path)


def samples():
    for kind in ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM"):
        stream = io.BytesIO()
        picture().save(stream, kind)
        yield stream.getvalue()


SAMPLES = list(samples())


@given(st.data())
def test_damage_is_pixels_or_a_word(tmp_path_factory, data):
    content = bytearray(data.draw(st.sampled_from(SAMPLES)))
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with suppress(FileError):  # nothing else may come out
        decoded = decode(path, Preparation(size=(4, 4)))
        assert decoded.pixels.shape == (4, 4, 3) or decoded.damage.isprintable()
