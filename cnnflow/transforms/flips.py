"""Flips left to right and upside down."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnflow.transforms.checks import check_between, check_images, flags_for


def adjust_flip_left_right(images: NDArray[np.uint8], amounts: ArrayLike) -> NDArray[np.uint8]:
    """The images, each flipped left to right where `amounts` (bool `[n]`, or one for all) is true."""
    return _flipped(images, amounts, 2)


def random_flip_left_right(
    images: NDArray[np.uint8], rng: np.random.Generator, *, probability: float = 0.5
) -> NDArray[np.uint8]:
    """The images, each flipped left to right with `probability`."""
    check_images(images)
    check_between("probability", probability, 0, 1)
    return adjust_flip_left_right(images, rng.random(len(images)) < probability)


def adjust_flip_up_down(images: NDArray[np.uint8], amounts: ArrayLike) -> NDArray[np.uint8]:
    """The images, each turned upside down (as in water) where `amounts` (bool `[n]`, or one for all) is true."""
    return _flipped(images, amounts, 1)


def random_flip_up_down(
    images: NDArray[np.uint8], rng: np.random.Generator, *, probability: float = 0.5
) -> NDArray[np.uint8]:
    """The images, each turned upside down (as in water) with `probability`."""
    check_images(images)
    check_between("probability", probability, 0, 1)
    return adjust_flip_up_down(images, rng.random(len(images)) < probability)


def _flipped(images: NDArray[np.uint8], amounts: ArrayLike, axis: int) -> NDArray[np.uint8]:
    check_images(images)
    chosen = flags_for(images, "amounts", amounts)
    result = images.copy()
    for channel in range(images.shape[3]):
        # One channel at a time: NumPy copies runs of three values far slower than three long runs.
        result[chosen, :, :, channel] = np.flip(images[chosen, :, :, channel], axis)
    return result
