"""Picture decoding: one file of any Pillow format and mode into uint8 (H, W, C), upright, of one size.

Knows no folders and no cache. A file that cannot be read, or whose pixels would fill memory, raises
:class:`BrokenPicture` and nothing else.
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

__all__ = [
    "BrokenPicture",
    "Decoded",
    "decode",
    "decode_content",
    "from_image",
    "header",
    "no_bombs",
    "resized",
]

#: Formats whose decoders may round differently from version to version: their bytes are their content.
_LOSSY = {"JPEG", "MPO", "WEBP", "AVIF", "JPEG2000", "HEIF"}
_MOST_HASHED_PIXELS = 1 << 20
_MOST_BYTES = 1 << 30
_ORIENTATION = 0x0112


class BrokenPicture(Exception):
    """A picture that cannot be read; the message says why in a few words."""


@dataclass(frozen=True)
class Decoded:
    """A picture's pixels (H, W, C) and the hash of its content, which no change of size alters."""

    pixels: NDArray[np.uint8]
    content: str


@contextmanager
def no_bombs() -> Iterator[None]:
    """Refuse pictures of more than Pillow's limit of pixels inside (a warning of Pillow becomes an error)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def header(path: Path) -> tuple[int, int, bool]:
    """Return width, height (upright) and whether the format stores colours, from the file's header.

    Raises:
        BrokenPicture: it has none.
    """
    try:
        with Image.open(path) as picture:
            width, height = picture.size
            if picture.getexif().get(_ORIENTATION, 1) >= 5:
                width, height = height, width
            return (
                width,
                height,
                picture.mode not in ("1", "L", "LA", "La", "I", "F") and not (picture.mode.startswith("I;")),
            )
    except Exception as error:
        raise BrokenPicture(_why(error)) from None


def decode(path: Path, height: int, width: int, channels: int) -> Decoded:
    """Read a picture: first frame, upright, scaled to cover the size, cut to its centre.

    Args:
        path: of the file.
        height, width: of the result.
        channels: 1 (grey) or 3.

    Raises:
        BrokenPicture: it cannot be read, or is a decompression bomb.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BrokenPicture(f"{path.stat().st_size:,} bytes, more than any picture needs")
        content = path.read_bytes()
    except OSError as error:
        raise BrokenPicture(_why(error)) from None
    return decode_content(content, height, width, channels)


def decode_content(
    content: bytes,
    height: int,
    width: int,
    channels: int,
    *,
    formats: Sequence[str] | None = None,
    most_pixels: int | None = None,
) -> Decoded:
    """Read the content of a picture file as :func:`decode` does.

    Args:
        content: of the file.
        height, width, channels: of the result.
        formats: Pillow's names of those that are read; None for all.
        most_pixels: before scaling; None for Pillow's own limit.

    Raises:
        BrokenPicture: it cannot be read, or is a decompression bomb.
    """
    try:
        if not content:
            raise BrokenPicture("an empty file")
        if formats is not None:
            Image.init()
            formats = [name for name in formats if name in Image.OPEN]
        with Image.open(io.BytesIO(content), formats=formats) as picture:
            if most_pixels is not None and picture.size[0] * picture.size[1] > most_pixels:
                raise BrokenPicture(f"{picture.size[0]:,} × {picture.size[1]:,} pixels, more than are read")
            lossy = picture.format in _LOSSY
            hashed = not lossy and picture.size[0] * picture.size[1] <= _MOST_HASHED_PIXELS
            if picture.format in ("JPEG", "MPO"):
                # Let the decoder leave out detail that the small size cannot show.
                picture.draft("L" if channels == 1 else "RGB", (2 * width, 2 * height))
            upright = as_bytes(ImageOps.exif_transpose(picture))
    except BrokenPicture:
        raise
    except Exception as error:
        raise BrokenPicture(_why(error)) from None
    mark = _pixel_hash(upright) if hashed else hashlib.blake2b(content, digest_size=16).hexdigest()
    return Decoded(resized(upright, height, width, channels), mark)


def from_image(picture: Image.Image, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Return an open Pillow picture as :func:`decode` reads a file."""
    return resized(as_bytes(ImageOps.exif_transpose(picture) or picture), height, width, channels)


def as_bytes(picture: Image.Image) -> Image.Image:
    """Return a picture of mode L or RGB: first frame, palettes and transparency (on white) resolved.

    16-bit greys keep their scale (65,535 is white); fractions of 0 to 1 are read as such.
    """
    mode = picture.mode
    if mode in ("L", "RGB"):
        return picture
    if mode == "1":
        return picture.convert("L")
    if mode in ("I", "F") or mode.startswith("I;"):
        return Image.fromarray(_to_bytes(np.asarray(picture)))
    if mode in ("LA", "La", "PA", "RGBA", "RGBa") or (mode == "P" and "transparency" in picture.info):
        seen = picture.convert("RGBA")
        ground = Image.new("RGBA", seen.size, (255, 255, 255, 255))
        flat = Image.alpha_composite(ground, seen).convert("RGB")
        return flat.convert("L") if mode in ("LA", "La") else flat
    return picture.convert("RGB")


def resized(picture: Image.Image, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Return pixels (height, width, channels): scaled to cover, cut to the centre."""
    wanted = picture.convert("L" if channels == 1 else "RGB")
    if wanted.size != (width, height):
        wanted = ImageOps.fit(wanted, (width, height), method=Image.Resampling.BICUBIC)
    pixels = np.asarray(wanted, dtype=np.uint8)
    return pixels.reshape(height, width, channels)


def _to_bytes(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    number = np.nan_to_num(values.astype(np.float64))
    high = float(number.max(initial=0.0))
    if np.issubdtype(values.dtype, np.floating) and high <= 1.0:
        number = number * 255.0
    elif values.dtype.itemsize == 2 or high > 255:
        number = number * (255.0 / max(65535.0, high))
    return np.clip(np.rint(number), 0, 255).astype(np.uint8)


def _pixel_hash(picture: Image.Image) -> str:
    pixels = np.asarray(picture)
    if pixels.ndim == 3 and (pixels[..., :1] == pixels).all():
        pixels = pixels[..., 0]
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def array_hash(pixels: NDArray[np.uint8]) -> str:
    """Return the hash of a picture (H, W, C) that came as an array: that of a lossless file of the same."""
    if pixels.shape[2] == 1 or (pixels[..., :1] == pixels).all():
        pixels = pixels[..., 0]
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.hexdigest()


def _why(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "so many pixels that it could be a decompression bomb"
    if isinstance(error, Image.UnidentifiedImageError):
        return "no picture that Pillow knows"
    if isinstance(error, FileNotFoundError):
        return "no such file"
    text = str(error).strip().splitlines()
    return (text[0][:120] if text else type(error).__name__).replace(str(error.__class__), "")
