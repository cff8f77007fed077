"""A kernel's gradient as one matrix product, for many input channels and stride 1.

The gradient at place (i, j) of the kernel is the sum over positions of the image, shifted by (i, j), times the outputs'
gradient. Shifting the image by j alone and the gradient by i alone, the other way, gives the same sum: kw copies of the
one beside kh copies of the other make all kh kw places in one product [kw c, positions] @ [positions, kh o], with
kw c + kh o numbers copied for each position instead of the kh kw c of `im2col`. At 26x26x18 -> 32, 128 images: 6.0 ms,
by `im2col` 8.9, by XLA's own 8.6; at 32x32x64 -> 64, 64 images: 21.6 ms, XLA's own 41.4.
"""

from typing import Any

import jax.numpy as jnp
from jax import lax

from cnnflow.kernels.geometry import Geometry


def suits(shape: Geometry) -> bool:
    """Whether `kernel_gradient` knows these windows."""
    return shape.strides == shape.dilation == (1, 1)


def bytes_per_image(shape: Geometry, c: int, o: int) -> int:
    """What the copies of one image take, for float32."""
    return 4 * shape.span[0] * shape.output[1] * (shape.kernel[1] * c + shape.kernel[0] * o)


def kernel_gradient(shape: Geometry, x: Any, gradient: Any) -> Any:
    """Images [n, h, w, c] and the gradient of the outputs [n, h', w', o] -> [kh, kw, c, o]."""
    (kh, kw), (h, w) = shape.kernel, shape.output
    c, o = x.shape[3], gradient.shape[3]
    padded = shape.pad(x)
    images = jnp.concatenate([padded[:, :, j : j + w] for j in range(kw)], axis=3)
    rows = [(i, shape.span[0] - h - i) for i in range(kh)]
    gradients = jnp.concatenate([jnp.pad(gradient, ((0, 0), low_high, (0, 0), (0, 0))) for low_high in rows], axis=3)
    products = lax.dot_general(images.reshape(-1, kw * c), gradients.reshape(-1, kh * o), (((0,), (0,)), ((), ())))
    return products.reshape(kw, c, kh, o).transpose(2, 0, 1, 3)
