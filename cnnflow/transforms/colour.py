"""Brightness, contrast, saturation and hue.

The first three are those of Pillow's `ImageEnhance`: a level moves away from a base (black, the image's mean grey,
the pixel's own grey) by a factor: 0 gives the base, 1 the image itself, more than 1 exaggerates.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnflow.transforms.checks import amounts_for, check_between, check_images, check_range

# Levels computed at a time, in float32: they then stay in a core's own cache.
CHUNK_LEVELS = 1 << 15
MAX_FACTOR = 100.0
# ITU-R BT.601 luma in 16-bit fixed point, as Pillow converts to grey.
LUMA = (19595, 38470, 7471)


def adjust_brightness(images: NDArray[np.uint8], amounts: ArrayLike) -> NDArray[np.uint8]:
    """Every level times its image's factor, at most 255: `amounts` `[n]` or a number; 1 changes nothing."""
    check_images(images)
    factors = _factors(images, "brightness", amounts)
    result = np.empty_like(images)
    for part in _chunks(images):
        result[part] = _moved(images[part], None, factors[part])
    return result


def random_brightness(
    images: NDArray[np.uint8], rng: np.random.Generator, *, brightness: tuple[float, float] = (0.8, 1.2)
) -> NDArray[np.uint8]:
    """Every level times a factor of its image, drawn between `brightness[0]` and `brightness[1]`."""
    return adjust_brightness(images, _drawn(images, rng, "brightness", brightness))


def adjust_contrast(images: NDArray[np.uint8], amounts: ArrayLike) -> NDArray[np.uint8]:
    """Every level's distance from its image's mean grey times a factor: `amounts` `[n]` or a number."""
    check_images(images)
    factors = _factors(images, "contrast", amounts)
    result = np.empty_like(images)
    for part in _chunks(images):
        sums = _grey(images[part]).sum(axis=(1, 2), dtype=np.int64, keepdims=True)[..., None]
        mean = np.rint(sums / (images.shape[1] * images.shape[2]))
        result[part] = _moved(images[part], mean.astype(np.float32), factors[part])
    return result


def random_contrast(
    images: NDArray[np.uint8], rng: np.random.Generator, *, contrast: tuple[float, float] = (0.8, 1.2)
) -> NDArray[np.uint8]:
    """Contrast changed by a factor of each image, drawn between `contrast[0]` and `contrast[1]`."""
    return adjust_contrast(images, _drawn(images, rng, "contrast", contrast))


def adjust_saturation(images: NDArray[np.uint8], amounts: ArrayLike) -> NDArray[np.uint8]:
    """Every pixel's distance from its own grey times a factor: `amounts` `[n]` or a number; grey images stay."""
    check_images(images)
    factors = _factors(images, "saturation", amounts)
    if images.shape[3] == 1:
        return images.copy()
    result = np.empty_like(images)
    for part in _chunks(images):
        grey = _grey(images[part]).astype(np.float32)
        for channel in range(3):
            result[part, ..., channel] = _moved(images[part, ..., channel], grey, factors[part, ..., 0])
    return result


def random_saturation(
    images: NDArray[np.uint8], rng: np.random.Generator, *, saturation: tuple[float, float] = (0.8, 1.2)
) -> NDArray[np.uint8]:
    """Saturation changed by a factor of each image, drawn between `saturation[0]` and `saturation[1]`."""
    return adjust_saturation(images, _drawn(images, rng, "saturation", saturation))


def adjust_hue(images: NDArray[np.uint8], amounts: ArrayLike) -> NDArray[np.uint8]:
    """Every pixel's hue (the H of HSV) turned by degrees: `amounts` `[n]` or a number; 120 makes red green.

    Grey images stay as they are.
    """
    check_images(images)
    turns = (amounts_for(images, "hue", amounts, low=-360, high=360) / 60).astype(np.float32)[:, None, None]
    if images.shape[3] == 1:
        return images.copy()
    result = np.empty_like(images)
    for part in _chunks(images):
        _turn_hue(images[part], turns[part], out=result[part])
    return result


def random_hue(images: NDArray[np.uint8], rng: np.random.Generator, *, hue: float = 10.0) -> NDArray[np.uint8]:
    """Every image's hues turned by at most `hue` degrees to either side."""
    check_images(images)
    check_between("hue", hue, 0, 180)
    return adjust_hue(images, (2 * rng.random(len(images)) - 1) * hue)


def _factors(images: NDArray[np.uint8], name: str, amounts: ArrayLike) -> NDArray[np.float32]:
    """The factors as `[n, 1, 1, 1]`."""
    return amounts_for(images, name, amounts, low=0, high=MAX_FACTOR).astype(np.float32)[:, None, None, None]


def _drawn(
    images: NDArray[np.uint8], rng: np.random.Generator, name: str, ends: tuple[float, float]
) -> NDArray[np.float64]:
    check_images(images)
    check_range(name, ends, 0, MAX_FACTOR)
    return ends[0] + rng.random(len(images)) * (ends[1] - ends[0])


def _chunks(images: NDArray[np.uint8]) -> Iterator[slice]:
    step = max(1, CHUNK_LEVELS // images[0].size) if len(images) else 1
    for start in range(0, len(images), step):
        yield slice(start, start + step)


def _moved(
    levels: NDArray[np.uint8], base: NDArray[np.float32] | None, factors: NDArray[np.float32]
) -> NDArray[np.float32]:
    """`base + (levels - base) * factors`, rounded and brought into 0 to 255; the base None is 0."""
    moved = np.multiply(levels, factors, dtype=np.float32)
    if base is not None:
        moved += base * (1 - factors)
    np.rint(moved, out=moved)
    return np.clip(moved, 0, 255, out=moved)


def _grey(images: NDArray[np.uint8]) -> NDArray[np.integer[Any]]:
    """The luma of each pixel, 0 to 255, `[n, height, width]`."""
    if images.shape[3] == 1:
        return images[..., 0]
    red, green, blue = (images[..., k] * np.uint32(LUMA[k]) for k in range(3))
    scaled: NDArray[np.uint32] = red + green + blue + np.uint32(1 << 15)
    return scaled >> np.uint32(16)


def _turn_hue(images: NDArray[np.uint8], turns: NDArray[np.float32], *, out: NDArray[np.uint8]) -> None:
    """Turn hues by `turns` sixths of a circle, through HSV and back."""
    red, green, blue = (images[..., k].astype(np.float32) for k in range(3))
    highest = np.maximum(np.maximum(red, green), blue)
    spread = highest - np.minimum(np.minimum(red, green), blue)
    divisor = np.where(spread == 0, np.float32(1), spread)
    hue = np.where(
        highest == red,
        (green - blue) / divisor,
        np.where(highest == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor),
    )
    hue += turns
    hue -= 6 * np.floor(hue / 6)
    # How much of its range each channel has at a hue from 0 to 6: red 1 at both ends, green at 2, blue at 4.
    parts = (np.abs(hue - 3) - 1, 2 - np.abs(hue - 2), 2 - np.abs(hue - 4))
    for channel, part in enumerate(parts):
        part.clip(0, 1, out=part)
        out[..., channel] = np.rint(highest - spread * (1 - part))
