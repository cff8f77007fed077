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


def check_fill(fill: str, value: int) -> None:
    """Raise `OptionError` unless `fill` is a fill mode and `value` the level of a pixel."""
    one_of("fill", fill, FILLS)
    check_level("value", value)


def check_level(name: str, value: int) -> None:
    """Raise `OptionError` unless `value` is a whole number from 0 to 255."""
    check_whole(name, value, 0, 255)


def check_whole(name: str, value: int, low: int, high: int) -> None:
    """Raise `OptionError` unless `value` is a whole number, `low <= value <= high`."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not low <= value <= high:
        raise OptionError(f"{name}={value!r}; it must be a whole number from {low} to {high}")


def check_between(name: str, value: float, low: float, high: float) -> None:
    """Raise `OptionError` unless `value` is a finite number, `low <= value <= high`."""
    if not _is_number(value) or not low <= value <= high:
        raise OptionError(f"{name}={value!r}; it must be {_rule(low, high)}")


def check_range(name: str, ends: tuple[float, float], low: float, high: float) -> None:
    """Raise `OptionError` unless `ends` is a pair of finite numbers, `low <= ends[0] <= ends[1] <= high`."""
    fine = isinstance(ends, tuple) and len(ends) == 2 and all(map(_is_number, ends))
    if not fine or not low <= ends[0] <= ends[1] <= high:
        raise OptionError(f"{name}={ends!r}; it must be a pair (lowest, highest), both {_rule(low, high)}")


def amounts_for(
    images: NDArray[np.uint8],
    name: str,
    amounts: ArrayLike,
    *,
    size: tuple[int, ...] = (),
    low: float = -math.inf,
    high: float = math.inf,
) -> NDArray[np.float64]:
    """The amounts as float64 `[n, *size]`, one for each image; a single one goes for all images.

    Raises `OptionError` for amounts of another shape, that are not finite, or not `low <= amount <= high`.
    """
    try:
        values = np.asarray(amounts, dtype=np.float64)
    except (TypeError, ValueError):
        raise OptionError(f"{name} of {amounts!r}; it must be numbers, an amount an image") from None
    wanted = (len(images), *size)
    _check_shape(name, values.shape, wanted, size)
    fine = np.isfinite(values) & (values >= low) & (values <= high)
    if not fine.all():
        raise OptionError(f"{name} with {values[~fine].flat[0]:g}; every one must be {_rule(low, high)}")
    return np.broadcast_to(values, wanted)


def whole_amounts_for(
    images: NDArray[np.uint8], name: str, amounts: ArrayLike, *, size: tuple[int, ...] = ()
) -> NDArray[np.int64]:
    """The amounts as int64 `[n, *size]`, one for each image; a single one goes for all images.

    Raises `OptionError` for amounts of another shape, or that are not whole numbers.
    """
    values = np.asarray(amounts)
    if not np.issubdtype(values.dtype, np.integer):
        raise OptionError(f"{name} of dtype {values.dtype}; it must be of whole numbers, such as int64")
    _check_shape(name, values.shape, (len(images), *size), size)
    return np.broadcast_to(values.astype(np.int64, copy=False), (len(images), *size))


def flags_for(images: NDArray[np.uint8], name: str, amounts: ArrayLike) -> NDArray[np.bool_]:
    """The amounts as bool `[n]`; a single one goes for all images.

    Raises `OptionError` for amounts of another shape, or that are not bool.
    """
    values = np.asarray(amounts)
    if values.dtype != np.bool_:
        raise OptionError(f"{name} of dtype {values.dtype}; it must be bool, an amount an image")
    _check_shape(name, values.shape, (len(images),), ())
    return np.broadcast_to(values, (len(images),))


def _check_shape(name: str, shape: tuple[int, ...], each: tuple[int, ...], single: tuple[int, ...]) -> None:
    if shape not in (each, single):
        one = f"{list(single)}" if single else "a single number"
        raise OptionError(f"{name} of shape {list(shape)}; it must be {list(each)}, an amount an image, or {one}")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(np.isfinite(value))


def _rule(low: float, high: float) -> str:
    return "finite" if low == -math.inf else f"{low:g} to {high:g}"
