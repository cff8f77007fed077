"""A convolution, its bias, a rectifier and a tiling 2x2 max pooling as one operation.

Adding a bias and rectifying keep the order of numbers, so that they come after the pooling, on a quarter of the
elements. Kept for the gradient are the pooled image and, one byte for each of its elements, which place in the window
won; not the convolution's outputs, the largest arrays of a small network: 52 MB for 32 images of 80x80 and 64 filters.

The convolution is oneDNN's where that may be called. Elsewhere there are three ways:

- where nothing is learned, XLA does convolution and pooling on all cores without writing out what is between them, if
  given its own operations;
- learned by Winograd's tiles, one chunk of images at a time, as four phases (one for each place in the pooling window),
  whose maximum is the pooled image;
- else `direct`.
"""

import dataclasses
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax

from cnnflow.kernels import direct, onednn, winograd
from cnnflow.kernels.chunks import map_chunks, sum_chunks
from cnnflow.kernels.geometry import Geometry, geometry
from cnnflow.kernels.pooling import give_to_winner, max_pool_and_winner
from cnnflow.kernels.tiled import tile_chunk

WINDOW = (2, 2)
# For 256 images of three channels, pooled outputs by XLA and by oneDNN: 32 filters at 32x32 7.1 and 2.2 ms, 64 at 80x80
# 20.5 and 31.3 ms, 64 of 64x64 13.0 and 19.9 ms.
MANY_FILTERS = 64


@dataclasses.dataclass(frozen=True)
class FusedPlan:
    """The convolution's geometry, whether a rectifier follows, and the way of the convolution."""

    shape: Geometry
    rectify: bool
    way: Literal["onednn", "winograd", "direct"]

    @property
    def pooling(self) -> Geometry:
        """The pooling's windows over the convolution's outputs."""
        return geometry(self.shape.output, WINDOW, WINDOW, "valid")

    @property
    def tiles(self) -> Geometry:
        """The Winograd tiles; one for each pooling window."""
        return Geometry(self.shape.input, (4, 4), (2, 2), (1, 1), self.shape.padding, self.pooling.output)

    def chunk(self, batch: int, kernel: Any) -> int:
        """How many images at a time, by Winograd's tiles."""
        return tile_chunk(self.tiles, batch, sum(kernel.shape[2:]))

    def finish(self, values: Any, bias: Any) -> Any:
        """Add the bias, rectify."""
        biased = values + bias
        return jnp.maximum(biased, 0) if self.rectify else biased


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def convolve_and_pool(plan: FusedPlan, x: Any, kernel: Any, bias: Any) -> Any:
    """float32 [n, h, w, c], [kh, kw, c, o] and [o] -> [n, h' // 2, w' // 2, o] of the convolution's h' and w'."""
    # A first layer with many filters writes much and computes little: there not writing it out is the faster way.
    if plan.way == "onednn" and not (direct.few_taps(kernel.shape) and kernel.shape[3] >= MANY_FILTERS):
        values = onednn.onednn_convolution(plan.shape, 1, x, kernel)
    else:
        values = plan.shape.convolve(x, kernel)
    return plan.finish(_largest(values), bias)


def _forward(plan: FusedPlan, x: Any, kernel: Any, bias: Any) -> tuple[Any, tuple[Any, ...]]:
    if plan.way == "onednn":
        values = onednn.onednn_convolution(plan.shape, 1, x, kernel)
        _, winner = max_pool_and_winner(plan.pooling, values)
        # As a reduction, which XLA does once: elementwise, it would be done again in whatever reads the pooled image.
        best = _largest(values)
    elif plan.way == "direct":
        best, winner = max_pool_and_winner(plan.pooling, direct.direct_convolution(plan.shape, x, kernel))
    else:
        best, winner = _tiled_forward(plan, x, kernel)
    pooled = plan.finish(best, bias)
    return pooled, (x, kernel, pooled, winner)


def _backward(plan: FusedPlan, saved: tuple[Any, ...], gradient: Any) -> tuple[Any, Any, Any]:
    x, kernel, pooled, winner = saved
    if plan.rectify:
        gradient = jnp.where(pooled > 0, gradient, 0)
    db = gradient.sum((0, 1, 2))
    if plan.way == "winograd":
        return *_tiled_backward(plan, x, kernel, winner, gradient), db
    outputs = give_to_winner(plan.pooling, winner, gradient)
    if plan.way == "onednn":
        dx = onednn.image_gradient(plan.shape, 1, kernel, outputs)
        return dx, onednn.kernel_gradient(plan.shape, 1, x, kernel, outputs), db
    dx = direct.image_gradient(plan.shape, x, kernel, outputs)
    return dx, direct.kernel_gradient(plan.shape, x, kernel, outputs), db


convolve_and_pool.defvjp(_forward, _backward)


def _largest(values: Any) -> Any:
    return lax.reduce_window(values, -jnp.inf, lax.max, (1, *WINDOW, 1), (1, *WINDOW, 1), "VALID")


def _tiled_forward(plan: FusedPlan, x: Any, kernel: Any) -> tuple[Any, Any]:
    u = winograd.transform_kernel(kernel)

    def images(x: Any) -> tuple[Any, Any]:
        phases = winograd.forward(plan.tiles.pad(x), u)
        best, winner = phases[0], jnp.zeros(phases[0].shape, jnp.uint8)
        for place, phase in enumerate(phases[1:], 1):
            winner = jnp.where(phase > best, jnp.uint8(place), winner)
            best = jnp.maximum(best, phase)
        return best, winner

    best, winner = map_chunks(images, plan.chunk(x.shape[0], kernel), x)
    return best, winner


def _tiled_backward(plan: FusedPlan, x: Any, kernel: Any, winner: Any, gradient: Any) -> tuple[Any, Any]:
    u, tiles = winograd.transform_kernel(kernel), plan.tiles

    def images(x: Any, winner: Any, gradient: Any) -> tuple[Any, Any]:
        phases = [jnp.where(winner == place, gradient, 0) for place in range(4)]
        du, dx = winograd.backward(tiles.pad(x), u, phases)
        return du, tiles.crop(dx)

    du, dx = sum_chunks(images, plan.chunk(x.shape[0], kernel), x, winner, gradient)
    return dx, winograd.kernel_gradient(du)
