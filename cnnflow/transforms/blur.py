"""Gaussian blur."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnflow.transforms.checks import amounts_for, check_between, check_images

MAX_SIGMA = 50.0
# Kernels end at this many standard deviations.
TRUNCATE = 3.0


def adjust_blur(images: NDArray[np.uint8], amounts: ArrayLike) -> NDArray[np.uint8]:
    """Each image blurred by a Gaussian of standard deviation `amounts` pixels: `[n]` or a number; 0 changes nothing.

    What stands outside of an image is its reflection (dcba|abcd|dcba).
    """
    check_images(images)
    sigmas = amounts_for(images, "blur", amounts, low=0, high=MAX_SIGMA)
    if len(images) == 0:
        return images.copy()
    kernels = _kernels(sigmas)
    blurred = _along(_along(images.astype(np.float32), kernels, 1), kernels, 2)
    return np.rint(blurred, out=blurred).clip(0, 255).astype(np.uint8)


def random_blur(images: NDArray[np.uint8], rng: np.random.Generator, *, blur: float = 1.0) -> NDArray[np.uint8]:
    """Each image blurred by a Gaussian of a standard deviation drawn between 0 and `blur` pixels."""
    check_images(images)
    check_between("blur", blur, 0, MAX_SIGMA)
    return adjust_blur(images, rng.random(len(images)) * blur)


def _kernels(sigmas: NDArray[np.float64]) -> NDArray[np.float32]:
    """A kernel for each image, `[n, 2 * radius + 1]`; those of less radius end in zeros."""
    radii = np.floor(TRUNCATE * sigmas + 0.5)[:, None]
    places = np.arange(-radii.max(), radii.max() + 1)
    # An image of sigma 0 has radius 0, whatever its exponent.
    exponents = -0.5 * (places / np.maximum(sigmas, 1e-6)[:, None]) ** 2
    kernels: NDArray[np.float64] = np.where(np.abs(places) <= radii, np.exp(exponents), 0)
    kernels /= kernels.sum(axis=1, keepdims=True)
    return kernels.astype(np.float32)


def _along(levels: NDArray[np.float32], kernels: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    radius, side = kernels.shape[1] // 2, levels.shape[axis]
    margins = [(0, 0)] * 4
    margins[axis] = (radius, radius)
    padded = np.pad(levels, margins, mode="symmetric")
    total = np.zeros_like(levels)
    for offset in range(kernels.shape[1]):
        total += kernels[:, offset, None, None, None] * np.take(padded, range(offset, offset + side), axis=axis)
    return total
