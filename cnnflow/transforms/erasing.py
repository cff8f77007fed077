"""Rectangles of one colour: random erasing and cutout."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnflow.errors import OptionError
from cnnflow.transforms.checks import (
    check_between,
    check_images,
    check_level,
    check_range,
    check_whole,
    whole_amounts_for,
)


def adjust_erasing(images: NDArray[np.uint8], amounts: ArrayLike, *, value: int | None = None) -> NDArray[np.uint8]:
    """Each image with one rectangle erased.

    Args:
        images: uint8 `[n, height, width, channels]`.
        amounts: whole numbers `[n, 4]` or `[4]`: (top, left, height, width); what hangs over the image is left
            out, and height or width 0 erases nothing.
        value: the level that the rectangle gets; None: the image's mean colour.

    Returns:
        uint8 of the same shape.
    """
    check_images(images)
    if value is not None:
        check_level("value", value)
    boxes = whole_amounts_for(images, "amounts", amounts, size=(4,))
    if (boxes[..., 2:] < 0).any():
        raise OptionError(f"a rectangle of size {boxes[..., 2:].min()}; height and width must be at least 0")
    result = images.copy()
    top, left, height, width = boxes.T
    ends = zip(top.clip(0), (top + height).clip(0), left.clip(0), (left + width).clip(0), strict=True)
    for image, (first, last, start, end) in zip(result, ends, strict=True):
        if first < last and start < end:
            image[first:last, start:end] = _mean_colour(image) if value is None else value
    return result


def random_erasing(
    images: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    probability: float = 0.5,
    area: tuple[float, float] = (0.02, 0.33),
    aspect: tuple[float, float] = (0.3, 3.3),
    value: int | None = None,
) -> NDArray[np.uint8]:
    """Each image, with `probability`, with a rectangle erased (Zhong et al., "Random erasing", 2017, algorithm 1).

    Args:
        images: uint8 `[n, height, width, channels]`.
        rng: where the rectangles are drawn from.
        probability: of an image to lose one.
        area: the rectangle's share of the image, least and most.
        aspect: its height by its width, least and most; drawn on a logarithmic scale.
        value: the level that it gets; None: the image's mean colour.

    Returns:
        uint8 of the same shape. A rectangle longer than a side of the image is cut to that side.
    """
    check_images(images)
    check_between("probability", probability, 0, 1)
    check_range("area", area, 0, 1)
    check_range("aspect", aspect, 0.01, 100)
    n, height, width, _ = images.shape
    drawn = rng.random((n, 5))
    pixels = (area[0] + drawn[:, 0] * (area[1] - area[0])) * height * width
    shape = np.exp(np.log(aspect[0]) + drawn[:, 1] * np.log(aspect[1] / aspect[0]))
    sides = np.rint(np.sqrt(np.stack([pixels * shape, pixels / shape], axis=1))).clip(1, (height, width))
    corners = np.floor(drawn[:, 2:4] * ((height, width) - sides + 1))
    sides *= drawn[:, 4:] < probability
    return adjust_erasing(images, np.concatenate([corners, sides], axis=1).astype(np.int64), value=value)


def adjust_cutout(
    images: NDArray[np.uint8], amounts: ArrayLike, *, side: int, value: int | None = None
) -> NDArray[np.uint8]:
    """Each image with a square of `side` pixels erased, centred at (row, column) `amounts`: int `[n, 2]` or `[2]`."""
    check_images(images)
    check_whole("side", side, 0, max(images.shape[1:3]))
    centres = whole_amounts_for(images, "amounts", amounts, size=(2,))
    corners = centres - side // 2
    return adjust_erasing(images, np.concatenate([corners, np.full_like(corners, side)], axis=-1), value=value)


def random_cutout(
    images: NDArray[np.uint8], rng: np.random.Generator, *, side: int = 8, value: int | None = None
) -> NDArray[np.uint8]:
    """Each image with a square of `side` pixels erased around any of its pixels, so that it may hang over.

    DeVries and Taylor, "Improved regularization with cutout" (2017), section 3.2; 16 of 32 pixels for CIFAR-10 there.
    """
    check_images(images)
    return adjust_cutout(images, rng.integers(0, images.shape[1:3], size=(len(images), 2)), side=side, value=value)


def _mean_colour(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    # One channel at a time: NumPy sums runs of three values far slower than three long runs.
    sums = [int(image[..., channel].sum(dtype=np.int64)) for channel in range(image.shape[2])]
    return np.rint(np.array(sums) / image[..., 0].size).astype(np.uint8)
