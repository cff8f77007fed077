"""Cropping with padding: a shift by whole pixels, with a mirror image where asked, in one gather."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnflow.transforms.checks import check_between, check_fill, check_images, check_whole, flags_for, whole_amounts_for

# Bytes gathered at a time: their indices (eight bytes each) then stay in a core's own cache.
CHUNK_BYTES = 1 << 15


def adjust_crop(
    images: NDArray[np.uint8],
    amounts: ArrayLike,
    *,
    mirrored: ArrayLike = False,
    fill: str = "reflect",
    value: int = 0,
) -> NDArray[np.uint8]:
    """The window of each image that starts `amounts` pixels (down, right) of its corner, the rest filled.

    Args:
        images: uint8 `[n, height, width, channels]`.
        amounts: whole numbers `[n, 2]` or `[2]`: (down, right), negative for up and left, smaller than the sides.
        mirrored: bool `[n]` or one for all: flip the result left to right.
        fill: what stands outside of an image: "nearest" (its edge), "reflect" (dcba|abcd|dcba) or "constant".
        value: the constant.

    Returns:
        uint8 of the same shape.

    Example:
        >>> adjust_crop(images, (0, 2))[:, :, 0] == images[:, :, 2]
    """
    check_images(images)
    check_fill(fill, value)
    _, height, width, _ = images.shape
    offsets = whole_amounts_for(images, "amounts", amounts, size=(2,))
    flips = flags_for(images, "mirrored", mirrored)
    rows = offsets[:, :1] + np.arange(height)
    columns = offsets[:, 1:] + np.where(flips[:, None], np.arange(width)[::-1], np.arange(width))
    moved = _gather(images, _inside(rows, height, fill), _inside(columns, width, fill))
    if fill == "constant":
        outside = ((rows < 0) | (rows >= height))[:, :, None] | ((columns < 0) | (columns >= width))[:, None, :]
        moved[outside] = value
    return moved


def random_crop(
    images: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    padding: int = 4,
    mirror: float = 0.0,
    fill: str = "reflect",
    value: int = 0,
) -> NDArray[np.uint8]:
    """Pad each image by `padding` pixels and crop it to its size at random; flip it with probability `mirror`.

    The padding rule of CIFAR-10 training since He et al., "Deep residual learning" (2015), section 4.2.
    """
    check_images(images)
    check_whole("padding", padding, 0, min(images.shape[1:3]) - 1)
    check_between("mirror", mirror, 0, 1)
    offsets = rng.integers(-padding, padding, size=(len(images), 2), endpoint=True)
    mirrored = rng.random(len(images)) < mirror
    return adjust_crop(images, offsets, mirrored=mirrored, fill=fill, value=value)


def _inside(places: NDArray[np.int64], side: int, fill: str) -> NDArray[np.int64]:
    """The pixel of a side of `side` pixels that stands at each of `places`, which may be outside of it."""
    if fill == "reflect":
        folded = places % (2 * side)
        return np.minimum(folded, 2 * side - 1 - folded)
    return places.clip(0, side - 1)


def _gather(images: NDArray[np.uint8], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.uint8]:
    """The pixels at `rows` `[n, h]` and `columns` `[n, w]` of each image."""
    n, height, width, channels = images.shape
    source = np.ascontiguousarray(images).reshape(-1)
    result = np.empty(images.shape, np.uint8)
    lines = (rows + np.arange(n)[:, None] * height) * (width * channels)
    offsets = (columns[:, :, None] * channels + np.arange(channels)).reshape(n, 1, width * channels)
    step = max(1, CHUNK_BYTES // (height * width * channels))
    # One buffer for all chunks: asking the system for fresh pages would take longer than the gather itself.
    buffer = np.empty((min(step, n), height, width * channels), np.intp)
    for start in range(0, n, step):
        part = slice(start, start + step)
        indices = buffer[: len(result[part])]
        np.add(lines[part, :, None], offsets[part], out=indices)
        # mode="wrap" is the fastest one; every index is inside.
        np.take(source, indices, out=result[part].reshape(indices.shape), mode="wrap")
    return result
