"""A convolution, its bias, a rectifier and a tiling 2x2 max pooling as one operation.

Where nothing is learned, XLA does all four on all cores without writing out what is between them, the largest arrays of
a small network: 52 MB for 32 images of 80x80 and 64 filters. It does so only for its own operations, so that these are
what it is given. Where gradients are wanted, too, its way with them is the slow one; then there are two:

- by Winograd's tiles, one chunk of images at a time, as four phases (one for each place in the pooling window), whose
  maximum is the pooled image. Kept for the gradient are the pooled image and, one byte for each of its elements, which
  place won. Adding a bias and rectifying keep the order of numbers, so that they come after the pooling, on a quarter
  of the elements;
- else one after the other, each with the gradient of this package (level with phases at 28x28x32 -> 64, and simpler).
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from cnnflow.kernels import winograd
from cnnflow.kernels.chunks import map_chunks, sum_chunks
from cnnflow.kernels.direct import direct_convolution
from cnnflow.kernels.geometry import Geometry
from cnnflow.kernels.pooling import max_pool
from cnnflow.kernels.tiled import tile_chunk

WINDOW = (2, 2)


@dataclasses.dataclass(frozen=True)
class FusedPlan:
    """The convolution's geometry, whether a rectifier follows, and whether it is learned by Winograd's tiles."""

    shape: Geometry
    rectify: bool
    tiled: bool

    @property
    def tiles(self) -> Geometry:
        """The Winograd tiles; one for each pooling window."""
        rows, columns = self.shape.output
        return Geometry(self.shape.input, (4, 4), (2, 2), (1, 1), self.shape.padding, (rows // 2, columns // 2))

    def chunk(self, batch: int, kernel: Any) -> int:
        """How many images at a time."""
        return tile_chunk(self.tiles, batch, sum(kernel.shape[2:]))

    def finish(self, values: Any, bias: Any) -> Any:
        """Add the bias, rectify."""
        biased = values + bias
        return jnp.maximum(biased, 0) if self.rectify else biased


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolve_and_pool(plan: FusedPlan, x: Any, kernel: Any, bias: Any) -> Any:
    """float32 [n, h, w, c], [kh, kw, c, o] and [o] -> [n, h' // 2, w' // 2, o] of the convolution's h' and w'."""
    values = plan.finish(plan.shape.convolve(x, kernel), bias)
    return lax.reduce_window(values, -jnp.inf, lax.max, (1, *WINDOW, 1), (1, *WINDOW, 1), "VALID")


def _forward(plan: FusedPlan, x: Any, kernel: Any, bias: Any) -> tuple[Any, Any]:
    return _tiled_forward(plan, x, kernel, bias) if plan.tiled else jax.vjp(partial(_apart, plan), x, kernel, bias)


def _backward(plan: FusedPlan, saved: Any, gradient: Any) -> tuple[Any, Any, Any]:
    dx, dk, db = _tiled_backward(plan, saved, gradient) if plan.tiled else saved(gradient)
    return dx, dk, db


convolve_and_pool.defvjp(_forward, _backward)


def _apart(plan: FusedPlan, x: Any, kernel: Any, bias: Any) -> Any:
    return max_pool(plan.finish(direct_convolution(plan.shape, x, kernel), bias), WINDOW, WINDOW)


def _tiled_forward(plan: FusedPlan, x: Any, kernel: Any, bias: Any) -> tuple[Any, tuple[Any, ...]]:
    u = winograd.transform_kernel(kernel)

    def images(x: Any) -> tuple[Any, Any]:
        phases = winograd.forward(plan.tiles.pad(x), u)
        best, winner = phases[0], jnp.zeros(phases[0].shape, jnp.uint8)
        for place, phase in enumerate(phases[1:], 1):
            winner = jnp.where(phase > best, jnp.uint8(place), winner)
            best = jnp.maximum(best, phase)
        return best, winner

    best, winner = map_chunks(images, plan.chunk(x.shape[0], kernel), x)
    pooled = plan.finish(best, bias)
    return pooled, (x, kernel, pooled, winner)


def _tiled_backward(plan: FusedPlan, saved: tuple[Any, ...], gradient: Any) -> tuple[Any, Any, Any]:
    x, kernel, pooled, winner = saved
    if plan.rectify:
        gradient = jnp.where(pooled > 0, gradient, 0)
    u, tiles = winograd.transform_kernel(kernel), plan.tiles

    def images(x: Any, winner: Any, gradient: Any) -> tuple[Any, Any]:
        phases = [jnp.where(winner == place, gradient, 0) for place in range(4)]
        du, dx = winograd.backward(tiles.pad(x), u, phases)
        return du, tiles.crop(dx)

    du, dx = sum_chunks(images, plan.chunk(x.shape[0], kernel), x, winner, gradient)
    return dx, winograd.kernel_gradient(du), gradient.sum((0, 1, 2))
