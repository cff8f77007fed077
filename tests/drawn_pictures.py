"""Pictures that tests draw, and folders of them."""

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter


def scene(seed: int, *, width: int = 120, height: int = 90, grey: bool = False) -> Image.Image:
    """A picture with structure at several scales; pictures of different seeds look different."""
    rng = np.random.default_rng(seed)
    mode, channels = ("L", ()) if grey else ("RGB", (3,))
    coarse = Image.fromarray(rng.integers(0, 256, (5, 7, *channels), np.uint8), mode)
    fine = Image.fromarray(rng.integers(0, 256, (height, width, *channels), np.uint8), mode)
    large = coarse.resize((width, height), Image.Resampling.BICUBIC)
    return Image.blend(large, fine.filter(ImageFilter.GaussianBlur(0.6)), 0.3)


def encoded(picture: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    """The bytes of a file of `kind`."""
    if kind == "JPEG":
        options = {"quality": 92} | options
    buffer = BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> Path:
    """Write a file and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def photo_folder(root: Path, counts: dict[str, int], *, seed: int = 0, **options: int) -> Path:
    """A folder with so many JPEG files in each of the class folders `counts`."""
    number = seed * 1_000_000
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            write(root / folder / f"{index:04}.jpg", encoded(scene(number, **options)))
            number += 1
    return root
