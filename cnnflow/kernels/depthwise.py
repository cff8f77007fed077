"""Depthwise convolution as shifted multiply-adds.

XLA on a CPU has no fast code for as many groups as channels (3x3 on 32x48x48x96: forward 448 ms, as nine shifted
multiply-adds 12.5 ms). Each place of the kernel is one strided slice of the padded image times one row of weights; XLA
fuses them all into one pass over the image, vectorised along the channels.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

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
        return _kernel_gradient(shape, x, gradient), _image_gradient(shape, kernel, gradient)

    total, dx = sum_chunks(images, _chunk(shape, x), x, gradient)
    return dx, total.reshape(kernel.shape)


depthwise_convolution.defvjp(_forward, _backward)


def kernel_gradient(shape: Geometry, x: Any, gradient: Any) -> Any:
    """[n, h, w, c] and [n, h', w', c] -> [kh kw, c]."""

    def images(x: Any, gradient: Any) -> tuple[Any, None]:
        return _kernel_gradient(shape, x, gradient), None

    total, _ = sum_chunks(images, _chunk(shape, x), x, gradient)
    return total


def _kernel_gradient(shape: Geometry, x: Any, gradient: Any) -> Any:
    """[n, h, w, c] and [n, h', w', c] -> [kh kw, c].

    The sum over images is written out: XLA's reduction over all three axes at once is scalar along the way, and takes
    twice as long (2.6 against 1.0 ms for 8x24x24x144). The rest, a small array, is summed apart from it.
    """
    padded = shape.pad(x)

    def summed(i: int, j: int) -> Any:
        terms = shape.window(padded, i, j) * gradient
        return sum((terms[image] for image in range(1, x.shape[0])), terms[0])

    rows = jnp.stack([summed(i, j) for i, j in shape.places])
    return lax.optimization_barrier(rows).sum((1, 2))


def _image_gradient(shape: Geometry, kernel: Any, gradient: Any) -> Any:
    """[n, h', w', c] -> [n, h, w, c]."""
    if shape.strides == (1, 1):
        return _forward_images(shape.transposed, gradient, kernel[::-1, ::-1])
    spread = [shape.unwindow(gradient * kernel[i, j], i, j) for i, j in shape.places]
    return shape.crop(sum(spread[1:], spread[0]))


def _chunk(shape: Geometry, x: Any) -> int:
    # At most eight, since the kernel's gradient writes the sum over images out.
    return min(8, chunk_images(x.shape[0], 12 * x.shape[1] * x.shape[2] * x.shape[3]))
