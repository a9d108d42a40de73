"""Small drawn pictures for the tests: discs, crosses and bars, grey or coloured, on noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

NAMES = ("bar", "cross", "disc")


def shape_picture(kind: int, rng: np.random.Generator, size: int = 16, channels: int = 1) -> np.ndarray:
    """Return uint8 (size, size, channels) of a shape at a place and brightness of its own."""
    y, x = np.mgrid[0:size, 0:size]
    cy, cx = rng.uniform(0.35 * size, 0.65 * size, 2)
    r = rng.uniform(0.2, 0.3) * size
    dy, dx = np.abs(y - cy), np.abs(x - cx)
    mask = (
        (dx < 0.35 * r) & (dy < 1.3 * r),
        ((dx < 0.3 * r) | (dy < 0.3 * r)) & (dx < 1.2 * r) & (dy < 1.2 * r),
        dx**2 + dy**2 < r**2,
    )[kind]
    colour = rng.uniform(140, 230, channels)
    picture = rng.uniform(0, 60, (size, size, channels)) + mask[..., None] * colour
    return np.clip(picture, 0, 255).astype(np.uint8)


def shape_set(n: int, *, seed: int = 0, size: int = 16, channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures (n, size, size, channels) and codes (n,), classes in turn."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % 3
    return np.stack([shape_picture(int(c), rng, size, channels) for c in codes]), codes


def write_folder(folder: Path, n: int, *, seed: int = 0, size: int = 16, channels: int = 1) -> Path:
    """Write n pictures as PNG into one sub-folder per class."""
    pictures, codes = shape_set(n, seed=seed, size=size, channels=channels)
    for i, (picture, code) in enumerate(zip(pictures, codes, strict=True)):
        place = folder / NAMES[code]
        place.mkdir(parents=True, exist_ok=True)
        as_image(picture).save(place / f"{i:04d}.png")
    return folder


def as_image(picture: np.ndarray) -> Image.Image:
    """Return a Pillow picture."""
    return Image.fromarray(picture[..., 0] if picture.shape[2] == 1 else picture)
