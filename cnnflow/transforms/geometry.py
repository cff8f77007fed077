"""Shift, rotation, zoom and shear by themselves; `adjust_affine` composes them into one interpolation."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnflow.transforms.affine import MAX_SHEAR, ZOOMS, adjust_affine, affine_maps, random_affine
from cnnflow.transforms.checks import amounts_for, check_images


def adjust_shift(
    images: NDArray[np.uint8], amounts: ArrayLike, *, fill: str = "nearest", value: int = 0
) -> NDArray[np.uint8]:
    """Each image moved by (down, right) pixels, which need not be whole: `amounts` `[n, 2]` or `[2]`."""
    check_images(images)
    shift = amounts_for(images, "amounts", amounts, size=(2,))
    return adjust_affine(images, affine_maps(images.shape[1:3], shift=shift), fill=fill, value=value)


def random_shift(
    images: NDArray[np.uint8], rng: np.random.Generator, *, shift: float = 0.2, fill: str = "nearest", value: int = 0
) -> NDArray[np.uint8]:
    """Each image moved by at most the part `shift` of its height and of its width."""
    return random_affine(images, rng, shift=shift, fill=fill, value=value)


def adjust_rotation(
    images: NDArray[np.uint8], amounts: ArrayLike, *, fill: str = "nearest", value: int = 0
) -> NDArray[np.uint8]:
    """Each image rotated about its centre by degrees counter-clockwise: `amounts` `[n]` or a number."""
    check_images(images)
    degrees = amounts_for(images, "amounts", amounts)
    return adjust_affine(images, affine_maps(images.shape[1:3], rotation=degrees), fill=fill, value=value)


def random_rotation(
    images: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    rotation: float = 30.0,
    fill: str = "nearest",
    value: int = 0,
) -> NDArray[np.uint8]:
    """Each image rotated by at most `rotation` degrees to either side."""
    return random_affine(images, rng, rotation=rotation, fill=fill, value=value)


def adjust_zoom(
    images: NDArray[np.uint8], amounts: ArrayLike, *, fill: str = "nearest", value: int = 0
) -> NDArray[np.uint8]:
    """Each image enlarged about its centre by a factor, below 1 to shrink: `amounts` `[n]` or a number."""
    check_images(images)
    factors = amounts_for(images, "zoom", amounts, low=ZOOMS[0], high=ZOOMS[1])
    maps = affine_maps(images.shape[1:3], zoom=np.stack([factors, factors], axis=-1))
    return adjust_affine(images, maps, fill=fill, value=value)


def random_zoom(
    images: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    zoom: tuple[float, float] = (0.8, 1.2),
    fill: str = "nearest",
    value: int = 0,
) -> NDArray[np.uint8]:
    """Each image enlarged by factors between `zoom[0]` and `zoom[1]`, drawn for height and width separately."""
    return random_affine(images, rng, zoom=zoom, fill=fill, value=value)


def adjust_shear(
    images: NDArray[np.uint8], amounts: ArrayLike, *, fill: str = "nearest", value: int = 0
) -> NDArray[np.uint8]:
    """Each image sheared about its centre, so that vertical lines lean to the right by `amounts` degrees."""
    check_images(images)
    degrees = amounts_for(images, "shear", amounts, low=-MAX_SHEAR, high=MAX_SHEAR)
    return adjust_affine(images, affine_maps(images.shape[1:3], shear=degrees), fill=fill, value=value)


def random_shear(
    images: NDArray[np.uint8], rng: np.random.Generator, *, shear: float = 10.0, fill: str = "nearest", value: int = 0
) -> NDArray[np.uint8]:
    """Each image sheared by at most `shear` degrees to either side."""
    return random_affine(images, rng, shear=shear, fill=fill, value=value)
