"""Augmentations by name: what is done to training images."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cnnflow.config import AUGMENTATIONS, one_of
from cnnflow.transforms.affine import random_affine
from cnnflow.transforms.colour import random_brightness, random_contrast, random_hue, random_saturation
from cnnflow.transforms.compose import Mix, Transform, compose
from cnnflow.transforms.crop import random_crop
from cnnflow.transforms.erasing import random_erasing
from cnnflow.transforms.mixing import cutmix, mixup


@dataclass(frozen=True)
class Augmentation:
    """What is done to a batch of training images.

    Attributes:
        images: done to the images; None: nothing.
        mix: then mixes images and their targets; None: not mixed.
    """

    images: Transform | None = None
    mix: Mix | None = None


def augmentation(name: str, *, mirror: bool) -> Augmentation:
    """The augmentation called `name`.

    - "none": the images as they are.
    - "light": a shift by up to an eighth of a side in whole pixels, and a flip.
    - "erase": a shift by at most a 28th of a side, a flip, and one picture in two with a rectangle erased.
    - "tutorial": rotation to 30 degrees, shift to 20%, zoom 80% to 120%, a flip, brightness 80% to 120%.
    - "strong": rotation to 15 degrees, shift to 12.5%, zoom, shear, a flip, colour, erasing; then mixup or cutmix.

    `mirror` says whether a picture flipped left to right still shows its class, as `Dataset.mirror` does; where it
    does not, no preset flips. Raises `OptionError` for an unknown name.

    Example:
        >>> augmentation("tutorial", mirror=dataset.mirror)
    """
    one_of("augmentation", name, AUGMENTATIONS)
    flips = 0.5 if mirror else 0.0
    if name == "light":
        return Augmentation(partial(_light, mirror=flips))
    if name == "erase":
        return Augmentation(compose(partial(_shift_a_little, mirror=flips), random_erasing))
    if name == "tutorial":
        return Augmentation(_tutorial(flips))
    if name == "strong":
        return Augmentation(_strong(flips), _mixup_or_cutmix)
    return Augmentation()


def _light(images: NDArray[np.uint8], rng: np.random.Generator, *, mirror: float) -> NDArray[np.uint8]:
    # An eighth of a side is the 4 pixels of 32 that CIFAR-10 is trained with.
    return random_crop(images, rng, padding=min(images.shape[1:3]) // 8, mirror=mirror)


def _shift_a_little(images: NDArray[np.uint8], rng: np.random.Generator, *, mirror: float) -> NDArray[np.uint8]:
    # One pixel of 28: what stands in the middle of each picture, as in Fashion-MNIST, stays there.
    return random_crop(images, rng, padding=min(images.shape[1:3]) // 28, mirror=mirror)


def _tutorial(mirror: float) -> Transform:
    return compose(
        partial(random_affine, rotation=30.0, shift=0.2, zoom=(0.8, 1.2), mirror=mirror),
        partial(random_brightness, brightness=(0.8, 1.2)),
    )


def _strong(mirror: float) -> Transform:
    return compose(
        partial(random_affine, rotation=15.0, shift=0.125, zoom=(0.8, 1.2), shear=8.0, mirror=mirror, fill="reflect"),
        partial(random_brightness, brightness=(0.7, 1.3)),
        partial(random_contrast, contrast=(0.7, 1.3)),
        partial(random_saturation, saturation=(0.6, 1.4)),
        partial(random_hue, hue=8.0),
        partial(random_erasing, probability=0.25, area=(0.02, 0.2)),
    )


def _mixup_or_cutmix(
    images: NDArray[np.uint8], targets: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """One batch in two is mixed by `mixup`, the other by `cutmix`."""
    return mixup(images, targets, rng) if rng.random() < 0.5 else cutmix(images, targets, rng)
