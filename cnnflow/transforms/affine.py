"""Affine maps: shift, rotation, zoom, shear and mirroring of an image, composed into one bilinear interpolation."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cnnflow.errors import OptionError
from cnnflow.transforms.checks import amounts_for, check_between, check_fill, check_images, check_range
from cnnflow.transforms.warp import REACH, warp

MAX_SHEAR = 80.0
ZOOMS = (0.05, 20.0)


def adjust_affine(
    images: NDArray[np.uint8], amounts: ArrayLike, *, fill: str = "nearest", value: int = 0
) -> NDArray[np.uint8]:
    """Each image mapped by its 2 x 3 matrix, with bilinear interpolation.

    The output at (row, column) is the input at `amounts[:, :2] @ (row, column) + amounts[:, 2]`, the convention of
    `scipy.ndimage.affine_transform`; `affine_maps` makes such matrices. A level differs from the exact
    interpolation by at most 2.

    Args:
        images: uint8 `[n, height, width, channels]`.
        amounts: float `[n, 2, 3]`, or `[2, 3]` for all.
        fill: what stands outside of an image: "nearest" (its edge), "reflect" (dcba|abcd|dcba) or "constant".
        value: the constant, 0 to 255.

    Returns:
        uint8 of the same shape.

    Raises:
        OptionError: images, amounts or options that cannot be.

    Example:
        >>> adjust_affine(images, affine_maps(images.shape[1:3], rotation=[30], zoom=[(1.2, 1.2)]))
    """
    check_images(images)
    check_fill(fill, value)
    maps = amounts_for(images, "amounts", amounts, size=(2, 3))
    _, height, width, _ = images.shape
    reach = np.abs(maps[:, :, 0]) * height + np.abs(maps[:, :, 1]) * width + np.abs(maps[:, :, 2])
    if (reach > REACH).any():
        raise OptionError(f"amounts that lead {reach.max():.0f} pixels off the image; at most {REACH} can be")
    return warp(images, maps, fill, value)


def affine_maps(
    size: tuple[int, int],
    *,
    shift: ArrayLike = (0, 0),
    rotation: ArrayLike = 0,
    zoom: ArrayLike = (1, 1),
    shear: ArrayLike = 0,
    mirrored: ArrayLike = False,
) -> NDArray[np.float64]:
    """The maps that mirror, zoom, shear and rotate about the centre, and then shift, in this order.

    Args:
        size: (height, width) of the images.
        shift: pixels (down, right): `[n, 2]`, or one pair for all.
        rotation: degrees counter-clockwise: `[n]`, or one for all, as the following.
        zoom: factors (down, right), above 1 to enlarge: `[n, 2]`.
        shear: degrees by which vertical lines lean to the right: `[n]`.
        mirrored: bool `[n]`: flipped left to right.

    Returns:
        float64 `[n, 2, 3]`, the `amounts` of `adjust_affine`; `[2, 3]` where no argument has an `n`.

    Raises:
        OptionError: a zoom that is not above 0.
    """
    if not (np.asarray(zoom) > 0).all():
        raise OptionError(f"zoom={zoom!r}; every factor must be above 0, such as (1.2, 1.2) to enlarge")
    angle, lean = np.deg2rad(rotation), np.tan(np.deg2rad(shear))
    cos, sin = np.cos(angle), np.sin(angle)
    flip = np.where(mirrored, -1.0, 1.0)
    (down, right), (moved_down, moved_right) = (np.moveaxis(np.asarray(each, float), -1, 0) for each in (zoom, shift))
    row, column = ((side - 1) / 2 for side in size)
    # Backwards, from an output pixel to where it comes from: first the rotation is undone, then shear, zoom, mirror.
    a, b = cos / down, sin / down
    c, d = flip * (lean * cos - sin) / right, flip * (lean * sin + cos) / right
    from_row, from_column = row + moved_down, column + moved_right
    e, f = row - (a * from_row + b * from_column), column - (c * from_row + d * from_column)
    entries = np.broadcast_arrays(a, b, e, c, d, f)
    return np.stack(entries, axis=-1).reshape(*entries[0].shape, 2, 3)


def random_affine(
    images: NDArray[np.uint8],
    rng: np.random.Generator,
    *,
    shift: float = 0.0,
    rotation: float = 0.0,
    zoom: tuple[float, float] = (1.0, 1.0),
    shear: float = 0.0,
    mirror: float = 0.0,
    fill: str = "nearest",
    value: int = 0,
) -> NDArray[np.uint8]:
    """Each image shifted, rotated, zoomed, sheared and mirrored at random, in one interpolation.

    Args:
        images: uint8 `[n, height, width, channels]`.
        rng: where the amounts are drawn from.
        shift: at most this part of the height up or down, and of the width left or right.
        rotation: at most these degrees to either side.
        zoom: the lowest and the highest factor, drawn for height and width separately.
        shear: at most these degrees to either side.
        mirror: the probability of a flip left to right.
        fill: as in `adjust_affine`.
        value: as in `adjust_affine`.

    Returns:
        uint8 of the same shape.

    Raises:
        OptionError: images or options that cannot be.

    Example:
        >>> random_affine(images, numpy.random.default_rng(0), rotation=30, shift=0.2, zoom=(0.8, 1.2), mirror=0.5)
    """
    check_images(images)
    check_between("shift", shift, 0, 1)
    check_between("rotation", rotation, 0, 180)
    check_range("zoom", zoom, *ZOOMS)
    check_between("shear", shear, 0, MAX_SHEAR)
    check_between("mirror", mirror, 0, 1)
    size = images.shape[1:3]
    drawn = rng.random((len(images), 7))
    # From [0, 1) to [-1, 1).
    both_ways = 2 * drawn[:, :4] - 1
    maps = affine_maps(
        size,
        shift=both_ways[:, :2] * shift * size,
        rotation=both_ways[:, 2] * rotation,
        shear=both_ways[:, 3] * shear,
        zoom=zoom[0] + drawn[:, 4:6] * (zoom[1] - zoom[0]),
        mirrored=drawn[:, 6] < mirror,
    )
    return adjust_affine(images, maps, fill=fill, value=value)
