"""`compose`: several transforms as one."""

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

Transform = Callable[[NDArray[np.uint8], np.random.Generator], NDArray[np.uint8]]
"""uint8 `[n, height, width, channels]` and a generator to images of the same shape; the input is not written to."""

Mix = Callable[
    [NDArray[np.uint8], NDArray[np.float32], np.random.Generator], tuple[NDArray[np.uint8], NDArray[np.float32]]
]
"""Images, their shares of the classes (float32 `[n, classes]`) and a generator to mixed images and shares."""


def compose(*stages: Transform) -> Transform:
    """One transform that applies `stages` in order.

    Stage i draws from the i-th child of the generator, so what one stage draws never moves another's numbers.

    Example:
        >>> transform = compose(random_flip_left_right, partial(random_brightness, low=0.8, high=1.2))
        >>> augmented = transform(images, numpy.random.default_rng(0))
    """
    return partial(_apply, stages=stages)


def _apply(images: NDArray[np.uint8], rng: np.random.Generator, *, stages: tuple[Transform, ...]) -> NDArray[np.uint8]:
    for stage, child in zip(stages, rng.spawn(len(stages)), strict=True):
        images = stage(images, child)
    return images
