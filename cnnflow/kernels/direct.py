"""XLA's own convolution on all cores, with a gradient of its kernel that is a matrix product.

XLA (jaxlib 0.10) has two libraries for a convolution on a CPU. One (YNNPACK) is the faster on a core and runs on a
single one, unless a reduction such as a pooling follows in the same operation; the other (Eigen) uses them all. The
first is never taken where the output has more rows than the input, so that a few more rows are asked for than are
needed: 13x13x32 -> 96 for 128 images takes 3.6 ms with one row more, and 6.2 ms without.

The gradient of the kernel is computed badly by both, since XLA transposes its operands first: 41 ms at 32x32x64 -> 64
for 64 images, where the outputs take 24.
"""

import dataclasses
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from cnnflow.kernels import im2col, shifted
from cnnflow.kernels.chunks import chunk_images, sum_chunks
from cnnflow.kernels.geometry import Geometry

# Below, all kh kw copies of the image take less than the shifted ones of the image and of the gradient.
MOST_TAPS = 64
# The copies are made by one pass and read by another. In chunks that stay in the cache the loop costs more than it
# saves (64x28x28x1: 0.54 ms in two chunks, 0.28 in one), so that only the need of memory is bounded.
MOST_PLANES_BYTES = 64 * 2**20


def few_taps(kernel: tuple[int, ...]) -> bool:
    """Whether a kernel [kh, kw, c, o] sees so few numbers (first layers) that `im2col` is best."""
    return kernel[0] * kernel[1] * kernel[2] <= MOST_TAPS


# Of the rows that are needed: so many more may be computed. Below 5 rows one core's library is as fast as the other.
MOST_MORE_ROWS = 0.2


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def direct_convolution(shape: Geometry, x: Any, kernel: Any) -> Any:
    """float32 [n, h, w, c] and [kh, kw, c, o] -> [n, h', w', o]."""
    return on_all_cores(shape, x.shape[3]).convolve(x, kernel)[:, : shape.output[0]]


def on_all_cores(shape: Geometry, channels: int) -> Geometry:
    """`shape` with more rows than the input has, to be cut off again, where that costs little; else itself.

    Of one channel a single core makes the outputs faster than they can be written.
    """
    (top, bottom), sides = shape.padding
    more = max(0, shape.input[0] - shape.output[0] + 1)
    if channels == 1 or shape.strides != (1, 1) or more > MOST_MORE_ROWS * shape.output[0]:
        return shape
    output = (shape.output[0] + more, shape.output[1])
    return dataclasses.replace(shape, padding=((top, bottom + more), sides), output=output)


def _forward(shape: Geometry, x: Any, kernel: Any) -> tuple[Any, tuple[Any, Any]]:
    return direct_convolution(shape, x, kernel), (x, kernel)


def _backward(shape: Geometry, saved: tuple[Any, Any], gradient: Any) -> tuple[Any, Any]:
    x, kernel = saved
    return image_gradient(shape, x, kernel, gradient), kernel_gradient(shape, x, kernel, gradient)


direct_convolution.defvjp(_forward, _backward)


def image_gradient(shape: Geometry, x: Any, kernel: Any, gradient: Any) -> Any:
    """The gradient of the images `x`, of which only the shape is used."""
    if shape.strides != (1, 1):
        (dx,) = jax.linear_transpose(lambda x: shape.convolve(x, kernel), x)(gradient)
        return dx
    # A convolution of the gradient with the kernel turned round, over the windows that see each pixel.
    return direct_convolution(shape.transposed, gradient, jnp.swapaxes(kernel[::-1, ::-1], 2, 3))


def kernel_gradient(shape: Geometry, x: Any, kernel: Any, gradient: Any) -> Any:
    """The gradient of `kernel`, of which only the shape is used."""
    if few_taps(kernel.shape):
        return _by_im2col(shape, x, kernel, gradient)
    if not shifted.suits(shape):
        (dk,) = jax.linear_transpose(lambda kernel: shape.convolve(x, kernel), kernel)(gradient)
        return dk
    c, o = kernel.shape[2:]
    chunk = chunk_images(x.shape[0], shifted.bytes_per_image(shape, c, o))
    total, _ = sum_chunks(lambda x, g: (shifted.kernel_gradient(shape, x, g), None), chunk, x, gradient)
    return total


def _by_im2col(shape: Geometry, x: Any, kernel: Any, gradient: Any) -> Any:
    def images(x: Any, gradient: Any) -> tuple[Any, None]:
        return im2col.kernel_gradient(im2col.planes(shape, x), gradient.reshape(-1, gradient.shape[3])), None

    bytes_per_image = 4 * shape.output[0] * shape.output[1] * (kernel.size // kernel.shape[3])
    chunk = chunk_images(x.shape[0], bytes_per_image, MOST_PLANES_BYTES)
    total, _ = sum_chunks(images, chunk, x, gradient)
    return total.reshape(kernel.shape)
