"""Winograd's F(2x2, 3x3): a 3x3 convolution of stride 1 with 16 multiplications for each four outputs, not 36.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015 (arXiv:1509.09308), section 4.1:
`Y = A' [(G g G') * (B' d B)] A` for each tile of 2x2 outputs, where the sum over channels makes the elementwise product
sixteen matrix products [tiles, c] @ [c, o], done as one batched product. The gradients are the exact transposes, and
share `A e A'`, the transformed gradient of the outputs. Relative error in float32: about 1e-6.

Tiles of outputs come and go as four "phases", one for each place in the 2x2 tile, [n, rows, columns, o]. A 2x2 max
pooling of the outputs is then an elementwise maximum of the phases (see `fused`).
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

_KERNEL_TRANSFORM = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)

Grid = list[list[Any]]


def transform_kernel(kernel: Any) -> Any:
    """[3, 3, c, o] -> [16, c, o]."""
    g = jnp.asarray(_KERNEL_TRANSFORM, kernel.dtype)
    rows = jnp.einsum("ik,klco->ilco", g, kernel, precision=lax.Precision.HIGHEST)
    both = jnp.einsum("ilco,jl->ijco", rows, g, precision=lax.Precision.HIGHEST)
    return both.reshape(16, *kernel.shape[2:])


def kernel_gradient(gradient: Any) -> Any:
    """The transpose of `transform_kernel`: [16, c, o] -> [3, 3, c, o]."""
    g = jnp.asarray(_KERNEL_TRANSFORM, gradient.dtype)
    grid = gradient.reshape(4, 4, *gradient.shape[1:])
    rows = jnp.einsum("ik,ijco->kjco", g, grid, precision=lax.Precision.HIGHEST)
    return jnp.einsum("kjco,jl->klco", rows, g, precision=lax.Precision.HIGHEST)


def forward(padded: Any, transformed: Any) -> list[Any]:
    """[n, 2 rows + 2, 2 columns + 2, c] and a transformed kernel -> the four phases [n, rows, columns, o]."""
    n, rows, columns, _ = _tiles(padded)
    products = jnp.matmul(_transform_input(padded), transformed)
    grid = [[products[4 * i + j] for j in range(4)] for i in range(4)]
    phases = _both_axes(lambda v: [v[0] + v[1] + v[2], v[1] - v[2] - v[3]], grid)
    return [phase.reshape(n, rows, columns, -1) for row in phases for phase in row]


def backward(padded: Any, transformed: Any, phases: list[Any]) -> tuple[Any, Any]:
    """The gradients of `forward`'s kernel, still transformed [16, c, o], and of its input, from those of its phases."""
    e = _transform_gradient(phases)
    return _kernel_products(_transform_input(padded), e), input_gradient(transformed, e, _tiles(padded))


def input_gradient(transformed: Any, e: Any, tiles: tuple[int, int, int, int]) -> Any:
    """B (e U') B' for each tile, overlapping tiles added up: -> [n, 2 rows + 2, 2 columns + 2, c]."""
    products = jnp.matmul(e, jnp.swapaxes(transformed, 1, 2))
    grid = [[products[4 * i + j].reshape(tiles) for j in range(4)] for i in range(4)]
    # Down the columns of a tile first, then along its rows; neighbours overlap by two.
    strips = [_overlap(_spread([row[j] for row in grid]), 1) for j in range(4)]
    parts = [_overlap(_spread([strip[p] for strip in strips]), 2) for p in range(2)]
    n, rows, columns, c = tiles
    image = jnp.stack([jnp.stack(part, axis=3) for part in parts], axis=2)
    return image.reshape(n, 2 * rows + 2, 2 * columns + 2, c)


def _tiles(padded: Any) -> tuple[int, int, int, int]:
    n, h, w, c = padded.shape
    return n, h // 2 - 1, w // 2 - 1, c


def _both_axes(f: Any, grid: Grid) -> Grid:
    """Apply the one-dimensional transform `f` along the columns, then along the rows, of a grid."""
    columns = [f([row[j] for row in grid]) for j in range(len(grid[0]))]
    return [f([column[i] for column in columns]) for i in range(len(columns[0]))]


def _transform_input(padded: Any) -> Any:
    """B' d B of each tile of 4x4 inputs: -> [16, tiles, c]."""
    n, rows, columns, c = _tiles(padded)

    def every_second(i: int, j: int) -> Any:
        stop = (n, i + 2 * rows - 1, j + 2 * columns - 1, c)
        return lax.slice(padded, (0, i, j, 0), stop, (1, 2, 2, 1))

    grid = [[every_second(i, j) for j in range(4)] for i in range(4)]
    v = _both_axes(lambda d: [d[0] - d[2], d[1] + d[2], d[2] - d[1], d[1] - d[3]], grid)
    return jnp.stack([part.reshape(-1, c) for row in v for part in row])


def _transform_gradient(phases: list[Any]) -> Any:
    """A e A' of each tile of 2x2 gradients: -> [16, tiles, o]."""
    grid = [phases[:2], phases[2:]]
    e = _both_axes(lambda v: [v[0], v[0] + v[1], v[0] - v[1], -v[1]], grid)
    return jnp.stack([part.reshape(-1, part.shape[-1]) for row in e for part in row])


def _spread(u: list[Any]) -> list[Any]:
    """The transpose of B' along one axis."""
    return [u[0], u[1] - u[2] + u[3], u[1] + u[2] - u[0], -u[3]]


def _overlap(parts: list[Any], axis: int) -> list[Any]:
    """Add what the four places of a tile give to the even and to the odd rows; each tile begins two after the last."""

    def grow(part: Any, low: int) -> Any:
        return jnp.pad(part, [(low, 1 - low) if a == axis else (0, 0) for a in range(part.ndim)])

    return [grow(parts[p], 0) + grow(parts[p + 2], 1) for p in range(2)]


def _kernel_products(v: Any, e: Any) -> Any:
    """Sum over tiles, [16, tiles, c] and [16, tiles, o] -> [16, c, o].

    XLA's matrix product packs a transposed left side badly: twice as slow where its rows are a power of two apart
    (16x16x64). The fewer channels stand there; from 64 up it is faster to write the transposed matrix out first.
    """
    if v.shape[-1] > e.shape[-1]:
        return jnp.swapaxes(_kernel_products(e, v), 1, 2)
    if v.shape[-1] < 64:
        return jnp.einsum("ktc,kto->kco", v, e)
    return jnp.matmul(lax.optimization_barrier(jnp.swapaxes(v, 1, 2)), e)
