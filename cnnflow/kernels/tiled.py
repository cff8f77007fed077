"""Convolution by Winograd tiles over a batch in chunks, and the two-way street between images and phases."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from cnnflow.kernels import winograd
from cnnflow.kernels.chunks import chunk_images, map_chunks, sum_chunks
from cnnflow.kernels.geometry import Geometry


def tiles_of(shape: Geometry) -> Geometry:
    """The 4x4 input tiles, two apart, that Winograd's 2x2 output tiles of a 3x3 convolution see."""
    rows, columns = -(-shape.output[0] // 2), -(-shape.output[1] // 2)
    return Geometry(shape.input, (4, 4), (2, 2), (1, 1), shape.padding, (rows, columns))


def tile_chunk(tiles: Geometry, batch: int, channels: int) -> int:
    """The chunk for `channels` transformed channels, those of the input and of the output together."""
    return chunk_images(batch, 4 * 16 * tiles.output[0] * tiles.output[1] * channels)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def winograd_convolution(shape: Geometry, x: Any, kernel: Any) -> Any:
    """A 3x3 convolution of stride 1 of the geometry `shape`; float32 [n, h, w, c] and [3, 3, c, o]."""
    tiles = tiles_of(shape)
    u = winograd.transform_kernel(kernel)

    def images(x: Any) -> Any:
        return _join_phases(shape, winograd.forward(tiles.pad(x), u))

    return map_chunks(images, tile_chunk(tiles, x.shape[0], sum(kernel.shape[2:])), x)


def _forward(shape: Geometry, x: Any, kernel: Any) -> tuple[Any, tuple[Any, Any]]:
    return winograd_convolution(shape, x, kernel), (x, kernel)


def _backward(shape: Geometry, saved: tuple[Any, Any], gradient: Any) -> tuple[Any, Any]:
    x, kernel = saved
    tiles = tiles_of(shape)
    u = winograd.transform_kernel(kernel)

    def images(x: Any, gradient: Any) -> tuple[Any, Any]:
        du, dx = winograd.backward(tiles.pad(x), u, _split_phases(tiles, gradient))
        return du, tiles.crop(dx)

    chunk = tile_chunk(tiles, x.shape[0], sum(kernel.shape[2:]))
    du, dx = sum_chunks(images, chunk, x, gradient)
    return dx, winograd.kernel_gradient(du)


winograd_convolution.defvjp(_forward, _backward)


def _join_phases(shape: Geometry, phases: list[Any]) -> Any:
    """Four [n, rows, columns, o] -> [n, h', w', o]."""
    n, rows, columns, o = phases[0].shape
    pairs = [jnp.stack(phases[i : i + 2], axis=3) for i in (0, 2)]
    image = jnp.stack(pairs, axis=2).reshape(n, 2 * rows, 2 * columns, o)
    return image[:, : shape.output[0], : shape.output[1]]


def _split_phases(tiles: Geometry, image: Any) -> list[Any]:
    """[n, h', w', o] -> four [n, rows, columns, o], zero where the tiles reach past the image."""
    _, h, w, _ = image.shape
    missing = (2 * tiles.output[0] - h, 2 * tiles.output[1] - w)
    if any(missing):
        image = jnp.pad(image, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)))
    return [image[:, i::2, j::2] for i in range(2) for j in range(2)]
