"""One image file to pixels, by Pillow: what is handled, what is refused, and in which order things are done.

    1  format       PNG, JPEG, BMP, GIF, WebP, TIFF, PPM and PGM, told by the content; nothing that runs a program
    2  refused      animations, more than 8 bits a channel, modes without a plain way to gray or RGB, huge images
    3  orientation  the pixels as they are stored; ``upright`` turns them as EXIF says
    4  colours      to RGB, or gray = 0.299 R + 0.587 G + 0.114 B; alpha is dropped, the colours behind it stay;
                    CMYK by Pillow's formula; colour profiles are not applied
    5  size         resized by Pillow's bilinear or bicubic filter, which averages where it shrinks;
                    then the middle is cut out

The sizes are whole numbers: the longer side is side * shorter // shorter side, the cut begins at (size - wanted) // 2.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import FileError
from ...optional import package, quiet
from ...text import printable

EXTRA = 'pip install "refengine[images]"'
FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
FILTERS = ("bilinear", "bicubic")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr")
MAX_PIXELS = 1 << 26
MAX_FILE = 1 << 28

_ORIENTATION = 0x0112
_TURNS = {
    2: "FLIP_LEFT_RIGHT",
    3: "ROTATE_180",
    4: "FLIP_TOP_BOTTOM",
    5: "TRANSPOSE",
    6: "ROTATE_270",
    7: "TRANSVERSE",
    8: "ROTATE_90",
}
_DAMAGE = (
    OSError, SyntaxError, ValueError, LookupError, TypeError, ArithmeticError, EOFError, AttributeError, RuntimeError,
    struct.error, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Preparation:
    """What is done to an image: ``size`` (H, W) to cut, ``shorter`` side before that (None: as ``size`` needs)."""

    size: tuple[int, int] | None = None
    shorter: int | None = None
    filter: str = "bilinear"
    gray: bool = False
    upright: bool = False


@dataclass(frozen=True, eq=False)
class Decoded:
    """Pixels uint8 (H, W, C), or what is damaged; ``tilted``: EXIF would turn the image, and it was not turned."""

    pixels: np.ndarray[Any, Any]
    damage: str | None = None
    tilted: bool = False


def pillow() -> Any:
    """The module ``PIL.Image``; RefengineError where Pillow is not installed."""
    return package("PIL.Image", EXTRA)


def decode(path: str | os.PathLike[str], how: Preparation) -> Decoded:
    """Read an image file; FileError for one that is whole but refused, ``Decoded.damage`` for one that is not whole."""
    place = printable(os.fspath(path))
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_FILE + 1)
    except (OSError, ValueError) as error:
        raise FileError(f"{place}: cannot be read ({getattr(error, 'strerror', None) or printable(error)})") from error
    return decode_content(content, place, how)


def decode_content(content: bytes, place: str, how: Preparation) -> Decoded:
    """As :func:`decode`, of the bytes of a file that messages call ``place``."""
    library = pillow()
    if len(content) > MAX_FILE:
        raise FileError(f"{place}: is larger than {MAX_FILE} bytes")
    try:
        with quiet(), library.open(io.BytesIO(content), formats=FORMATS) as image:
            check(image, place)
            orientation = image.getexif().get(_ORIENTATION, 1)
            image.load()
            if how.upright and orientation in _TURNS:
                image = image.transpose(library.Transpose[_TURNS[orientation]])
            image = image.convert("L" if how.gray else "RGB")
            pixels = np.array(_fitted(library, image, how, place), np.uint8)
    except FileError:
        raise
    except library.DecompressionBombError as error:
        raise FileError(f"{place}: has more than {MAX_PIXELS} pixels") from error
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Decoded(np.empty((0, 0, 0), np.uint8), f"is damaged or no image ({printable(reason)[:120]})")
    return Decoded(pixels.reshape(*pixels.shape[:2], -1), tilted=not how.upright and orientation in _TURNS)


def check(image: Any, place: str) -> None:
    """FileError for an image that is opened, not yet decoded, and will not be."""
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise FileError(f"{place}: has {height}x{width} pixels, at most {MAX_PIXELS} are decoded")
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":  # the others of a camera's MPO are previews
        raise FileError(f"{place}: has {image.n_frames} frames, needed a single image")
    if image.mode in ("I", "F") or image.mode.startswith("I;") or any(_is_deep(tile) for tile in image.tile):
        raise FileError(f"{place}: has more than 8 bits per channel; convert it to 8 bits first")
    if image.mode not in MODES:
        raise FileError(f"{place}: has the mode {printable(image.mode)}, needed one of {', '.join(MODES)}")


def _is_deep(tile: Any) -> bool:
    """Whether a part of a file is stored in 16 bits, which Pillow cuts to 8 without a word."""
    codec, _, _, layout = tile
    words = layout if isinstance(layout, tuple) else (layout,)
    return any(";16" in word if isinstance(word, str) else "ppm" in codec and word > 255 for word in words)


def _fitted(library: Any, image: Any, how: Preparation, place: str) -> Any:
    """The image, resized and cut to ``how.size``."""
    if how.size is None:
        return image
    width, height = image.size
    tall, wide = scaled(height, width, how)
    high, broad = how.size
    if tall < high or wide < broad:
        raise FileError(f"{place}: is {tall}x{wide} with the shorter side {how.shorter}, too small for {high}x{broad}")
    if tall * wide > MAX_PIXELS:
        raise FileError(f"{place}: becomes {tall}x{wide}, at most {MAX_PIXELS} pixels are made")
    if (tall, wide) != (height, width):
        image = image.resize((wide, tall), library.Resampling[how.filter.upper()])
    top, left = (tall - high) // 2, (wide - broad) // 2
    return image.crop((left, top, left + broad, top + high))


def scaled(height: int, width: int, how: Preparation) -> tuple[int, int]:
    """(height, width) before the cut: the shorter side as asked for, or as small as still covers ``how.size``.

    >>> scaled(300, 401, Preparation(size=(224, 224), shorter=256)), scaled(300, 401, Preparation(size=(30, 40)))
    ((256, 342), (30, 40))
    """
    high, wide = how.size or (height, width)
    if how.shorter is not None:
        high = wide = how.shorter
    if high * width >= wide * height:
        return high, width * high // height
    return height * wide // width, wide
