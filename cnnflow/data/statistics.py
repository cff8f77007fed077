"""Figures about the pixels of a set of images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnflow.data.image_set import Images

_IMAGES_AT_ONCE = 2048


@dataclass(frozen=True)
class ImageStatistics:
    """What values the pixels have, 0 to 255, by channel.

    Attributes:
        mean: of each channel.
        deviation: the standard deviation of each channel (of all pixels, not of a sample).
        minimum: the smallest value of each channel.
        maximum: the largest value of each channel.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    minimum: tuple[int, ...]
    maximum: tuple[int, ...]


def image_statistics(images: Images) -> ImageStatistics:
    """The statistics of uint8 `[n, height, width, channels]`, exact, read a few images at a time.

    Example:
        >>> image_statistics(np.full((2, 4, 4, 1), 7, np.uint8)).mean
        (7.0,)
    """
    histograms = np.stack([_histogram(images, channel) for channel in range(images.shape[3])])
    values, counts = np.arange(256), histograms.sum(axis=1)
    mean = histograms @ values / counts
    # From the histogram the second moment is exact too; the usual one-pass formula would cancel.
    variance = (histograms * (values - mean[:, None]) ** 2).sum(axis=1) / counts
    present = [np.flatnonzero(histogram) for histogram in histograms]
    return ImageStatistics(
        tuple(mean.tolist()),
        tuple(np.sqrt(variance).tolist()),
        tuple(int(found[0]) for found in present),
        tuple(int(found[-1]) for found in present),
    )


def _histogram(images: Images, channel: int) -> NDArray[np.int64]:
    """How many pixels of the channel have each value, int64 `[256]`."""
    counts = np.zeros(256, np.int64)
    for start in range(0, len(images), _IMAGES_AT_ONCE):
        counts += np.bincount(images[start : start + _IMAGES_AT_ONCE][..., channel].ravel(), minlength=256)
    return counts
