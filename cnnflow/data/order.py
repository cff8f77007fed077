"""The canonical order: the same images in the same order, whatever source a dataset came from.

TFDS shuffles, archives have an order of their own, and a folder has its names. Splits and batches are chosen by
position, so they repeat only where positions mean the same images. The order is that of the sha256 of the pixels, then
of the label; images that agree in both are interchangeable. Fashion-MNIST keeps its own order, which is everywhere
the same.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

from cnnflow.data.image_set import Images
from cnnflow.data.split import image_hashes


def canonical_order(images: Images, labels: NDArray[np.integer]) -> NDArray[np.int64]:
    """The rows of `images` (uint8 `[n, h, w, c]`) and `labels` (`[n]`) in canonical order, int64 `[n]`.

    Example:
        >>> images.take(canonical_order(images.images, images.labels))
    """
    return np.lexsort((labels, np.array(image_hashes(images), dtype="S64")))


def content_sha256(*arrays: NDArray[np.uint8]) -> str:
    """One sha256, as hexadecimal text, over the values of `arrays` in the order that they have."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
