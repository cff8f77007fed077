"""Max and average pooling whose gradients are elementwise work, for JAX on a CPU.

XLA's own gradient of max pooling (select-and-scatter) and of average pooling (a padded window sum) visit the inputs
one by one in scalar code: 30 ms where the memory traffic is worth 1 ms. Here the forward pass notes which element of
each window won (one byte an output element), and the gradient is a comparison of that byte with each element's
place in its window, which XLA turns into vector code along the channels.

Ties in a window: the first element in row-major order gets the whole gradient, as in XLA's own operation.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp

from cnnflow.kernels.geometry import Geometry, Padding, geometry

Array: TypeAlias = Any


def max_pool(x: Array, pool_size: Sequence[int], strides: Sequence[int], padding: Padding = "valid") -> Array:
    """The largest element of each window.

    Args:
        x: [n, h, w, c], any float dtype; the result has it too.
        pool_size: (height, width) of the window.
        strides: (down, right) from one window to the next.
        padding: "valid", "same" (padded with minus infinity) or ((top, bottom), (left, right)).

    Returns:
        [n, h', w', c]. The gradient of a window goes to its largest element, the first in row-major order of equal
        ones. The gradient can itself be differentiated.

    Example:
        >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4, 1), (2, 2), (2, 2))[0, :, :, 0]
        Array([[ 5.,  7.],
               [13., 15.]], dtype=float32)
    """
    shape = geometry(x.shape[1:3], pool_size, strides, padding)
    return _max_pool(shape, x)


def average_pool(x: Array, pool_size: Sequence[int], strides: Sequence[int], padding: Padding = "valid") -> Array:
    """The mean of each window, padding not counted; arguments and shapes as for `max_pool`."""
    shape = geometry(x.shape[1:3], pool_size, strides, padding)
    return _average_pool(shape, x)


def _windows(shape: Geometry, x: Array, fill: float) -> list[Array]:
    """One strided slice [n, h', w', c] for each place in the window, in row-major order."""
    x = shape.pad(x, fill)
    return [shape.window(x, i, j) for i, j in shape.places]


def _spread(shape: Geometry, parts: list[Array]) -> Array:
    """The transpose of `_windows`: each part added to the inputs that its place in the window saw."""
    if shape.tiles:
        return _interleave(shape, parts)
    total = None
    for (i, j), part in zip(shape.places, parts, strict=True):
        spread = shape.unwindow(part, i, j)
        total = spread if total is None else total + spread
    return shape.crop(total)


def _interleave(shape: Geometry, parts: list[Array]) -> Array:
    (kh, kw), (h, w) = shape.kernel, shape.output
    n, c = parts[0].shape[0], parts[0].shape[-1]
    rows = [jnp.stack(parts[i * kw : (i + 1) * kw], axis=3) for i in range(kh)]
    return shape.crop(jnp.stack(rows, axis=2).reshape(n, kh * h, kw * w, c))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _max_pool(shape: Geometry, x: Array) -> Array:
    values = _windows(shape, x, -jnp.inf)
    best = values[0]
    for value in values[1:]:
        best = jnp.maximum(best, value)
    return best


def max_pool_and_winner(shape: Geometry, x: Array) -> tuple[Array, Array]:
    """The largest element of each window and which place in the window it has, both [n, h', w', c]."""
    values = _windows(shape, x, -jnp.inf)
    best, winner = values[0], jnp.zeros(values[0].shape, jnp.int32)
    for place, value in enumerate(values[1:], 1):
        winner = jnp.where(value > best, place, winner)
        best = jnp.maximum(best, value)
    return _max_pool(shape, x), winner.astype(jnp.uint8 if len(values) <= 256 else jnp.int32)


def _max_pool_backward(shape: Geometry, winner: Array, gradient: Array) -> tuple[Array]:
    return (give_to_winner(shape, winner, gradient),)


def give_to_winner(shape: Geometry, winner: Array, gradient: Array) -> Array:
    """The gradient of each window's maximum, given to the element that it was: [n, h', w', c] -> [n, h, w, c]."""
    if shape.tiles:
        return _choose(shape, winner, gradient)
    return _spread(shape, [jnp.where(winner == place, gradient, 0) for place in range(len(shape.places))])


def _choose(shape: Geometry, winner: Array, gradient: Array) -> Array:
    """Windows that do not overlap: every input compares its place with its window's winner; no sums."""
    (kh, kw), (h, w) = shape.kernel, shape.output
    n, c = gradient.shape[0], gradient.shape[-1]
    place = (kw * jnp.arange(kh)[:, None, None, None] + jnp.arange(kw)[:, None]).astype(winner.dtype)
    won = winner[:, :, None, :, None, :] == place
    return shape.crop(jnp.where(won, gradient[:, :, None, :, None, :], 0).reshape(n, kh * h, kw * w, c))


_max_pool.defvjp(max_pool_and_winner, _max_pool_backward)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _average_pool(shape: Geometry, x: Array) -> Array:
    values = _windows(shape, x.astype(_wide(x.dtype)), 0)
    total = values[0]
    for value in values[1:]:
        total = total + value
    return (total * shape.inverse_counts(total.dtype)).astype(x.dtype)


def _average_pool_forward(shape: Geometry, x: Array) -> tuple[Array, None]:
    return _average_pool(shape, x), None


def _average_pool_backward(shape: Geometry, _: None, gradient: Array) -> tuple[Array]:
    wide = gradient.astype(_wide(gradient.dtype))
    share = wide * shape.inverse_counts(wide.dtype)
    if not shape.tiles:
        return (_spread(shape, [share] * len(shape.places)).astype(gradient.dtype),)
    (kh, kw), (h, w) = shape.kernel, shape.output
    n, c = gradient.shape[0], gradient.shape[-1]
    copies = jnp.broadcast_to(share[:, :, None, :, None, :], (n, h, kh, w, kw, c))
    return (shape.crop(copies.reshape(n, kh * h, kw * w, c)).astype(gradient.dtype),)


_average_pool.defvjp(_average_pool_forward, _average_pool_backward)


def _wide(dtype: Any) -> Any:
    """Sums of half precision numbers are made in single precision."""
    return jnp.promote_types(dtype, jnp.float32)
