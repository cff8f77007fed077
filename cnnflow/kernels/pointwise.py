"""1x1 convolution as a matrix product of all pixels, forward and both gradients."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from cnnflow.kernels import onednn
from cnnflow.kernels.geometry import Geometry

# Of a batch, for the gradient of the kernel. Beyond, XLA's product is level, or twice as fast (96 -> 16 channels).
MOST_ONEDNN_PIXELS = 2**15


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def pointwise_convolution(shape: Geometry, x: Any, kernel: Any) -> Any:
    """float32 [n, h, w, c] and [1, 1, c, o] -> [n, h', w', o]; with a stride, of every so many pixels."""
    return jnp.matmul(shape.window(shape.pad(x), 0, 0), kernel[0, 0])


def _forward(shape: Geometry, x: Any, kernel: Any) -> tuple[Any, tuple[Any, Any]]:
    return pointwise_convolution(shape, x, kernel), (x, kernel)


def _backward(shape: Geometry, saved: tuple[Any, Any], gradient: Any) -> tuple[Any, Any]:
    x, kernel = saved
    pixels = shape.window(shape.pad(x), 0, 0).reshape(-1, x.shape[3])
    flat = gradient.reshape(-1, gradient.shape[3])
    dx = shape.crop(shape.unwindow(jnp.matmul(gradient, kernel[0, 0].T), 0, 0))
    fits = len(pixels) <= MOST_ONEDNN_PIXELS and onednn.available() and onednn.suits(pixels, flat)
    product = onednn.product(True, False, pixels, flat) if fits else jnp.matmul(pixels.T, flat)
    return dx, product.reshape(kernel.shape)


pointwise_convolution.defvjp(_forward, _backward)
