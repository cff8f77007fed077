"""Noise: something added to every level."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnflow.errors import OptionError
from cnnflow.transforms.checks import check_between, check_images


def adjust_noise(images: NDArray[np.uint8], amounts: ArrayLike) -> NDArray[np.uint8]:
    """The images with `amounts` added, in levels and for each value: float `[n, height, width, channels]`."""
    check_images(images)
    levels = np.asarray(amounts, dtype=np.float32)
    if levels.shape != images.shape:
        raise OptionError(f"noise of shape {levels.shape} for images of {images.shape}; the shapes must be the same")
    if not np.isfinite(levels).all():
        raise OptionError("noise that is not finite; every amount must be a number of levels")
    noisy: NDArray[np.float32] = images + levels
    return np.rint(noisy, out=noisy).clip(0, 255).astype(np.uint8)


def random_noise(images: NDArray[np.uint8], rng: np.random.Generator, *, noise: float = 8.0) -> NDArray[np.uint8]:
    """Normal noise, of a standard deviation that is drawn between 0 and `noise` levels for each image."""
    check_images(images)
    check_between("noise", noise, 0, 255)
    deviations = rng.random(len(images), dtype=np.float32) * np.float32(noise)
    return adjust_noise(images, rng.standard_normal(images.shape, dtype=np.float32) * deviations[:, None, None, None])
