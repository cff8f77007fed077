"""A convolution, its bias, a rectifier and a tiling 2x2 max pooling as one operation.

Between them stand the largest arrays of a small network: 52 MB for 32 images of 80x80 and 64 filters, written and read
five times a step. Here they exist for one chunk of images at a time, as four phases (one for each place in the pooling
window), whose maximum is the pooled image. What is kept for the gradient is the pooled image and, one byte for each of
its elements, which place won. Adding a bias and rectifying keep the order of numbers, so that they come
after the pooling, on a quarter of the elements.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from cnnflow.kernels import im2col, winograd
from cnnflow.kernels.chunks import chunk_images, map_chunks, sum_chunks
from cnnflow.kernels.direct import few_taps, image_gradient, kernel_gradient, on_all_cores
from cnnflow.kernels.geometry import Geometry
from cnnflow.kernels.tiled import tile_chunk


@dataclasses.dataclass(frozen=True)
class FusedPlan:
    """The convolution's geometry, whether a rectifier follows, and which of two ways the products are made."""

    shape: Geometry
    rectify: bool
    tiled: bool

    @property
    def pooled(self) -> tuple[int, int]:
        return self.shape.output[0] // 2, self.shape.output[1] // 2

    @property
    def tiles(self) -> Geometry:
        """The Winograd tiles; one for each pooling window."""
        return Geometry(self.shape.input, (4, 4), (2, 2), (1, 1), self.shape.padding, self.pooled)

    def phase(self, i: int, j: int) -> Geometry:
        """The convolution at every second output down and right, from output (i, j) on."""
        (down, right), ((top, bottom), (left, right_edge)) = self.shape.strides, self.shape.padding
        padding = ((top - i * down, bottom), (left - j * right, right_edge))
        return dataclasses.replace(self.shape, strides=(2 * down, 2 * right), padding=padding, output=self.pooled)

    def chunk(self, batch: int, kernel: Any) -> int:
        """How many images at a time."""
        c, o = kernel.shape[2:]
        if self.tiled:
            return tile_chunk(self.tiles, batch, c + o)
        taps = c * kernel.shape[0] * kernel.shape[1]
        return chunk_images(batch, 16 * self.pooled[0] * self.pooled[1] * (taps + o))


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolve_and_pool(plan: FusedPlan, x: Any, kernel: Any, bias: Any) -> Any:
    """float32 [n, h, w, c], [kh, kw, c, o] and [o] -> [n, h' // 2, w' // 2, o] of the convolution's h' and w'."""
    # Where nothing is kept for a gradient, XLA's own two are the fastest.
    windows = {"window_dimensions": (1, 2, 2, 1), "window_strides": (1, 2, 2, 1), "padding": "VALID"}
    return _finish(plan, lax.reduce_window(plan.shape.convolve(x, kernel), -jnp.inf, lax.max, **windows), bias)


def _forward(plan: FusedPlan, x: Any, kernel: Any, bias: Any) -> tuple[Any, tuple[Any, ...]]:
    if plan.tiled:
        u = winograd.transform_kernel(kernel)

        def images(x: Any) -> tuple[Any, Any]:
            return _compete(winograd.forward(plan.tiles.pad(x), u))

        best, winner = map_chunks(images, plan.chunk(x.shape[0], kernel), x)
    else:
        image, (rows, columns) = on_all_cores(plan.shape, x.shape[3]).convolve(x, kernel), plan.pooled
        best, winner = _compete([image[:, i : 2 * rows : 2, j : 2 * columns : 2] for i in range(2) for j in range(2)])
    pooled = _finish(plan, best, bias)
    return pooled, (x, kernel, pooled, winner)


def _compete(phases: list[Any]) -> tuple[Any, Any]:
    best, winner = phases[0], jnp.zeros(phases[0].shape, jnp.uint8)
    for place, phase in enumerate(phases[1:], 1):
        winner = jnp.where(phase > best, jnp.uint8(place), winner)
        best = jnp.maximum(best, phase)
    return best, winner


def _backward(plan: FusedPlan, saved: tuple[Any, ...], gradient: Any) -> tuple[Any, Any, Any]:
    x, kernel, pooled, winner = saved
    if plan.rectify:
        gradient = jnp.where(pooled > 0, gradient, 0)
    bias_gradient = gradient.sum((0, 1, 2))
    untiled = _planes_backward if few_taps(kernel.shape) else _direct_backward
    back = _tiled_backward if plan.tiled else untiled
    return (*back(plan, x, kernel, winner, gradient), bias_gradient)


convolve_and_pool.defvjp(_forward, _backward)


def _finish(plan: FusedPlan, best: Any, bias: Any) -> Any:
    biased = best + bias
    return jnp.maximum(biased, 0) if plan.rectify else biased


def _phase_planes(plan: FusedPlan, x: Any) -> Any:
    return jnp.concatenate([im2col.planes(plan.phase(i, j), x) for i in range(2) for j in range(2)], axis=1)


def _gradients(winner: Any, gradient: Any) -> list[Any]:
    return [jnp.where(winner == place, gradient, 0) for place in range(4)]


def _tiled_backward(plan: FusedPlan, x: Any, kernel: Any, winner: Any, gradient: Any) -> tuple[Any, Any]:
    u, tiles = winograd.transform_kernel(kernel), plan.tiles

    def images(x: Any, winner: Any, gradient: Any) -> tuple[Any, Any]:
        du, dx = winograd.backward(tiles.pad(x), u, _gradients(winner, gradient))
        return du, tiles.crop(dx)

    du, dx = sum_chunks(images, plan.chunk(x.shape[0], kernel), x, winner, gradient)
    return dx, winograd.kernel_gradient(du)


def _planes_backward(plan: FusedPlan, x: Any, kernel: Any, winner: Any, gradient: Any) -> tuple[Any, Any]:
    def images(x: Any, winner: Any, gradient: Any) -> tuple[Any, None]:
        parts = jnp.stack(_gradients(winner, gradient))
        return im2col.kernel_gradient(_phase_planes(plan, x), parts.reshape(-1, parts.shape[-1])), None

    total, _ = sum_chunks(images, plan.chunk(x.shape[0], kernel), x, winner, gradient)
    # Apart from the loop, so that XLA leaves it out where nobody asks for the gradient of the pixels.
    return image_gradient(plan.shape, x, kernel, _unpool(plan, winner, gradient)), total.reshape(kernel.shape)


def _direct_backward(plan: FusedPlan, x: Any, kernel: Any, winner: Any, gradient: Any) -> tuple[Any, Any]:
    image = _unpool(plan, winner, gradient)
    return image_gradient(plan.shape, x, kernel, image), kernel_gradient(plan.shape, x, kernel, image)


def _unpool(plan: FusedPlan, winner: Any, gradient: Any) -> Any:
    """The gradient of the convolution's outputs [n, h', w', o]: that of the pooled image, where each window's won."""
    (h, w), (rows, columns) = plan.shape.output, plan.pooled
    a, b, c, d = _gradients(winner, gradient)
    pairs = jnp.stack([jnp.stack([a, b], axis=3), jnp.stack([c, d], axis=3)], axis=2)
    image = pairs.reshape(winner.shape[0], 2 * rows, 2 * columns, -1)
    return jnp.pad(image, ((0, 0), (0, h - 2 * rows), (0, w - 2 * columns), (0, 0)))
