"""Augmentations by name: what is done to training images."""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cnnflow.config import AUGMENTATIONS, one_of
from cnnflow.transforms.compose import Mix, Transform
from cnnflow.transforms.crop import random_crop


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
    """The augmentation called `name`: "none", "light", "tutorial" or "strong".

    `mirror` says whether a picture flipped left to right still shows its class (`Dataset.mirror`); where it does
    not, no preset flips. Raises `OptionError` for an unknown name.

    Example:
        >>> augmentation("light", mirror=dataset.mirror)
    """
    one_of("augmentation", name, AUGMENTATIONS)
    flips = 0.5 if mirror else 0.0
    if name == "none":
        return Augmentation()
    return Augmentation(images=partial(_light, mirror=flips))


def _light(images: NDArray[np.uint8], rng: np.random.Generator, *, mirror: float) -> NDArray[np.uint8]:
    """A shift by up to an eighth of the smaller side (4 pixels of 32), and a flip."""
    return random_crop(images, rng, padding=min(images.shape[1:3]) // 8, mirror=mirror)
