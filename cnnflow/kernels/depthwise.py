"""Depthwise convolution as shifted multiply-adds.

XLA on a CPU has no fast code for as many groups as channels (3x3 on 32x48x48x96: forward 448 ms, as nine shifted
multiply-adds 12.5 ms). Each place of the kernel is one strided slice of the padded image times one row of weights; XLA
fuses them all into one pass over the image, vectorised along the channels.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from cnnflow.kernels.chunks import chunk_images, map_chunks, sum_chunks
from cnnflow.kernels.geometry import Geometry


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def depthwise_convolution(shape: Geometry, x: Any, kernel: Any) -> Any:
    """float32 [n, h, w, c] and [kh, kw, c] -> [n, h', w', c]."""
    return map_chunks(lambda x: _forward_images(shape, x, kernel), _chunk(shape, x), x)


def _forward_images(shape: Geometry, x: Any, kernel: Any) -> Any:
    padded = shape.pad(x)
    terms = [shape.window(padded, i, j) * kernel[i, j] for i, j in shape.places]
    return sum(terms[1:], terms[0])


def _forward(shape: Geometry, x: Any, kernel: Any) -> tuple[Any, tuple[Any, Any]]:
    return depthwise_convolution(shape, x, kernel), (x, kernel)


def _backward(shape: Geometry, saved: tuple[Any, Any], gradient: Any) -> tuple[Any, Any]:
    x, kernel = saved

    def images(x: Any, gradient: Any) -> tuple[Any, Any]:
        padded = shape.pad(x)
        rows = [(shape.window(padded, i, j) * gradient).sum((0, 1, 2)) for i, j in shape.places]
        return jnp.stack(rows), _image_gradient(shape, kernel, gradient)

    total, dx = sum_chunks(images, _chunk(shape, x), x, gradient)
    return dx, total.reshape(kernel.shape)


depthwise_convolution.defvjp(_forward, _backward)


def _image_gradient(shape: Geometry, kernel: Any, gradient: Any) -> Any:
    """[n, h', w', c] -> [n, h, w, c]."""
    spread = [shape.unwindow(gradient * kernel[i, j], i, j) for i, j in shape.places]
    return shape.crop(sum(spread[1:], spread[0]))


def _chunk(shape: Geometry, x: Any) -> int:
    return chunk_images(x.shape[0], 12 * x.shape[1] * x.shape[2] * x.shape[3])
