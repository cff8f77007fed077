"""What every transform asks of its images, amounts and options."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnflow.config import one_of
from cnnflow.errors import OptionError

FILLS = ("nearest", "reflect", "constant")


def check_images(images: NDArray[np.uint8]) -> None:
    """Raise `OptionError` unless `images` are uint8 `[n, height, width, channels]` with 1 or 3 channels."""
    if not isinstance(images, np.ndarray):
        raise OptionError(f"images of type {type(images).__name__}; they must be a NumPy array of uint8")
    if images.dtype != np.uint8:
        raise OptionError(f"images of dtype {images.dtype}; they must be uint8 with values 0 to 255")
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape[1:]:
        raise OptionError(f"images of shape {images.shape}; they must be [n, height, width, channels], 1 or 3 channels")


def check_fill(fill: str) -> None:
    """Raise `OptionError` unless `fill` is a fill mode."""
    one_of("fill", fill, FILLS)


def amounts_for(
    images: NDArray[np.uint8], name: str, amounts: ArrayLike, *, size: tuple[int, ...] = ()
) -> NDArray[np.float64]:
    """The amounts as float64 `[n, *size]`, one for each image; a single one goes for all images.

    Raises `OptionError` for amounts of another shape, or that are not finite.
    """
    values = np.asarray(amounts, dtype=np.float64)
    wanted = (len(images), *size)
    if values.shape not in (wanted, size):
        raise OptionError(
            f"{name} of shape {values.shape}; it must be {list(wanted)}, an amount an image, or {list(size)}"
        )
    if not np.isfinite(values).all():
        raise OptionError(f"{name} holds {values[~np.isfinite(values)].flat[0]}; every amount must be finite")
    return np.broadcast_to(values, wanted)


def check_between(name: str, value: float, low: float, high: float = math.inf) -> None:
    """Raise `OptionError` unless `low <= value <= high`."""
    if not (low <= value <= high and math.isfinite(value)):
        rule = f"at least {low}" if high == math.inf else f"{low} to {high}"
        raise OptionError(f"{name}={value}; it must be {rule}")
