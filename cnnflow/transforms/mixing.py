"""Two images as one, with targets to match: mixup and cutmix."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnflow.errors import OptionError
from cnnflow.transforms.checks import amounts_for, check_between, check_images, check_whole, whole_amounts_for

Mixed = tuple[NDArray[np.uint8], NDArray[np.float32]]
"""Images uint8 `[n, height, width, channels]`, and how much of each class they show, float32 `[n, classes]`."""


def adjust_mixup(
    images: NDArray[np.uint8], targets: NDArray[np.float32], amounts: ArrayLike, *, partners: NDArray[np.int64]
) -> Mixed:
    """Each image with the share `amounts` (`[n]`, or a number) of its partner blended in, its targets likewise.

    Args:
        images: uint8 `[n, height, width, channels]`.
        targets: float32 `[n, classes]`.
        amounts: the partner's share, 0 to 1.
        partners: int64 `[n]`, the index of each image's partner.

    Returns:
        New images and targets of the same shapes.
    """
    _check_pairs(images, targets, partners)
    shares = amounts_for(images, "amounts", amounts, low=0, high=1).astype(np.float32)
    of_partner, own = shares[:, None, None, None], 1 - shares[:, None, None, None]
    blended = images * own
    blended += images[partners] * of_partner
    return np.rint(blended, out=blended).astype(np.uint8), _shared(targets, partners, shares)


def mixup(
    images: NDArray[np.uint8], targets: NDArray[np.float32], rng: np.random.Generator, *, alpha: float = 0.2
) -> Mixed:
    """Each image blended with another of the batch; the partner's share is drawn from Beta(alpha, alpha).

    Zhang et al., "mixup: beyond empirical risk minimization" (2017), section 2; here each image has its own share.
    """
    check_images(images)
    check_between("alpha", alpha, 1e-3, 1e3)
    partners = rng.permutation(len(images))
    return adjust_mixup(images, targets, rng.beta(alpha, alpha, size=len(images)), partners=partners)


def adjust_cutmix(
    images: NDArray[np.uint8], targets: NDArray[np.float32], amounts: ArrayLike, *, partners: NDArray[np.int64]
) -> Mixed:
    """Each image with a rectangle of its partner in it; the partner's share of the targets is that of the area.

    Args:
        images: uint8 `[n, height, width, channels]`.
        targets: float32 `[n, classes]`.
        amounts: int `[n, 4]` or `[4]`: (top, left, bottom, right); bottom and right are outside.
        partners: int64 `[n]`, the index of each image's partner.

    Returns:
        New images and targets of the same shapes.
    """
    _check_pairs(images, targets, partners)
    _, height, width, _ = images.shape
    boxes = whole_amounts_for(images, "amounts", amounts, size=(4,))
    boxes = boxes.clip(0, (height, width, height, width))
    result = images.copy()
    for i, (top, left, bottom, right) in enumerate(boxes):
        result[i, top:bottom, left:right] = images[partners[i], top:bottom, left:right]
    areas = (boxes[:, 2] - boxes[:, 0]).clip(0) * (boxes[:, 3] - boxes[:, 1]).clip(0)
    return result, _shared(targets, partners, (areas / (height * width)).astype(np.float32))


def cutmix(
    images: NDArray[np.uint8], targets: NDArray[np.float32], rng: np.random.Generator, *, alpha: float = 1.0
) -> Mixed:
    """Each image with a rectangle of another of the batch; its share of the area is drawn from Beta(alpha, alpha).

    Yun et al., "CutMix" (2019), section 3.1: the rectangle has the image's proportions and may hang over its edge.
    """
    check_images(images)
    check_between("alpha", alpha, 1e-3, 1e3)
    n, height, width, _ = images.shape
    partners = rng.permutation(n)
    sides = np.sqrt(rng.beta(alpha, alpha, size=n))[:, None] * (height, width)
    centres = rng.random((n, 2)) * (height, width)
    boxes = np.rint(np.concatenate([centres - sides / 2, centres + sides / 2], axis=1)).astype(np.int64)
    return adjust_cutmix(images, targets, boxes, partners=partners)


def _check_pairs(images: NDArray[np.uint8], targets: NDArray[np.float32], partners: NDArray[np.int64]) -> None:
    check_images(images)
    n = len(images)
    if targets.dtype != np.float32 or targets.ndim != 2 or len(targets) != n:
        raise OptionError(f"targets of {targets.dtype} {targets.shape}; they must be float32 [{n}, classes]")
    if partners.shape != (n,) or not np.issubdtype(partners.dtype, np.integer):
        raise OptionError(f"partners of dtype {partners.dtype}, shape {partners.shape}; they must be int [{n}]")
    for partner in (partners.min(), partners.max()) if n else ():
        check_whole("partner", partner, 0, n - 1)


def _shared(
    targets: NDArray[np.float32], partners: NDArray[np.int64], shares: NDArray[np.float32]
) -> NDArray[np.float32]:
    return targets * (1 - shares[:, None]) + targets[partners] * shares[:, None]
