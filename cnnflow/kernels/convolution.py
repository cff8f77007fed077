"""Convolution on a CPU: which way is taken for which shape, and why.

Rates on 2 Zen 5 cores (AVX-512), where a large float32 matrix product reaches 410 GFLOP/s:

- XLA's own convolution: forward and input gradient 210, kernel gradient 100 (it transposes both operands first).
- 3x3, stride 1, both channel counts from 16 up: Winograd (`winograd`), by the direct form's count 280 to 390, since it
  multiplies 2.25 times less; below 16 channels the transforms (8 additions an input) cost more than they save. It needs
  more tiles than channels: with fewer, reading the transformed kernel (16/9 of the kernel) is most of the work
  (4x4x512: half of XLA's rate).
- Few taps (first layers, kh kw c up to 64): XLA forward; kernel gradient by `im2col`, 3 times as fast.
- 1x1: one matrix product (`pointwise`). As many groups as channels: shifted multiply-adds (`depthwise`).
- All else (other groups, larger kernels, strides): XLA's own.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from cnnflow.errors import OptionError
from cnnflow.kernels import im2col
from cnnflow.kernels.chunks import chunk_images, sum_chunks
from cnnflow.kernels.depthwise import depthwise_convolution
from cnnflow.kernels.fused import FusedPlan, convolve_and_pool
from cnnflow.kernels.geometry import Geometry, Padding, geometry
from cnnflow.kernels.pointwise import pointwise_convolution
from cnnflow.kernels.tiled import winograd_convolution

FEWEST_WINOGRAD_CHANNELS = 16
MOST_TAPS = 64


def convolution(
    x: Any,
    kernel: Any,
    *,
    strides: Sequence[int] = (1, 1),
    padding: Padding = "same",
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Any:
    """Convolve images with a kernel (cross-correlation, as everywhere in this field).

    Args:
        x: [n, h, w, c], float32, bfloat16 or float16; half precision is computed in float32 and rounded once.
        kernel: [kh, kw, c // groups, o].
        strides: (down, right).
        padding: "same", "valid" or ((top, bottom), (left, right)).
        dilation: distance of the kernel's places, (down, right).
        groups: into how many groups channels and filters are divided.

    Returns:
        [n, h', w', o] of the dtype of `x`. Differentiable any number of times, in reverse mode.

    Raises:
        OptionError: shapes that do not fit.

    Example:
        >>> convolution(jnp.ones((1, 4, 4, 1)), jnp.ones((3, 3, 1, 1)))[0, :, :, 0].astype(int).tolist()
        [[4, 6, 6, 4], [6, 9, 9, 6], [6, 9, 9, 6], [4, 6, 6, 4]]
    """
    _check(x, kernel, groups)
    shape = geometry(x.shape[1:3], kernel.shape[:2], strides, padding, dilation)
    wide, wide_kernel = x.astype(_wide(x)), kernel.astype(_wide(x))
    return _way(shape, x.shape[0], kernel.shape, groups)(wide, wide_kernel).astype(x.dtype)


def convolution_and_max_pool(
    x: Any,
    kernel: Any,
    bias: Any,
    *,
    rectify: bool,
    strides: Sequence[int] = (1, 1),
    padding: Padding = "same",
    dilation: Sequence[int] = (1, 1),
) -> Any:
    """`max_pool(relu(convolution(...) + bias), (2, 2), (2, 2))` as one operation, without relu if not `rectify`.

    Raises:
        OptionError: as `convolution`, and where `fusable` is false.
    """
    _check(x, kernel, 1)
    shape = geometry(x.shape[1:3], kernel.shape[:2], strides, padding, dilation)
    if not fusable(shape, x.shape[0], kernel.shape):
        raise OptionError(f"a kernel of {kernel.shape} over {x.shape}; its pooling is not fused: pool by itself")
    plan = FusedPlan(shape, rectify, _suits_winograd(shape, x.shape[0], kernel.shape))
    wide = _wide(x)
    return convolve_and_pool(plan, x.astype(wide), kernel.astype(wide), bias.astype(wide)).astype(x.dtype)


def fusable(shape: Geometry, batch: int, kernel: tuple[int, ...]) -> bool:
    """Whether `convolution_and_max_pool` knows this convolution."""
    few = shape.dilation == (1, 1) and kernel[0] * kernel[1] * kernel[2] <= MOST_TAPS
    return min(shape.output) >= 2 and (few or _suits_winograd(shape, batch, kernel))


def _way(shape: Geometry, batch: int, kernel: tuple[int, ...], groups: int) -> Any:
    kh, kw, c, o = kernel
    if groups > 1:
        return _grouped(shape, groups) if (c, o) == (1, groups) else partial(shape.convolve, groups=groups)
    if (kh, kw) == (1, 1):
        return partial(pointwise_convolution, shape)
    if _suits_winograd(shape, batch, kernel):
        return partial(winograd_convolution, shape)
    return partial(_few_taps, shape) if kh * kw * c <= MOST_TAPS else shape.convolve


def _suits_winograd(shape: Geometry, batch: int, kernel: tuple[int, ...]) -> bool:
    tiles = batch * -(-shape.output[0] // 2) * -(-shape.output[1] // 2)
    plain = shape.kernel == (3, 3) and shape.strides == shape.dilation == (1, 1)
    return plain and min(kernel[2:]) >= FEWEST_WINOGRAD_CHANNELS and tiles >= max(kernel[2:])


def _grouped(shape: Geometry, groups: int) -> Any:
    def convolve(x: Any, kernel: Any) -> Any:
        return depthwise_convolution(shape, x, kernel[:, :, 0])

    return convolve


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _few_taps(shape: Geometry, x: Any, kernel: Any) -> Any:
    return shape.convolve(x, kernel)


def _few_taps_forward(shape: Geometry, x: Any, kernel: Any) -> tuple[Any, tuple[Any, Any]]:
    return _few_taps(shape, x, kernel), (x, kernel)


def _few_taps_backward(shape: Geometry, saved: tuple[Any, Any], gradient: Any) -> tuple[Any, Any]:
    x, kernel = saved

    def images(x: Any, gradient: Any) -> tuple[Any, None]:
        return im2col.kernel_gradient(im2col.planes(shape, x), gradient.reshape(-1, gradient.shape[3])), None

    pixels = shape.output[0] * shape.output[1]
    chunk = chunk_images(x.shape[0], 4 * pixels * (kernel.size // kernel.shape[3] + kernel.shape[3]))
    total, _ = sum_chunks(images, chunk, x, gradient)
    (dx,) = jax.linear_transpose(lambda x: shape.convolve(x, kernel), x)(gradient)
    return dx, total.reshape(kernel.shape)


_few_taps.defvjp(_few_taps_forward, _few_taps_backward)


def _wide(x: Any) -> Any:
    return jnp.promote_types(x.dtype, jnp.float32)


def _check(x: Any, kernel: Any, groups: int) -> None:
    if x.ndim != 4 or kernel.ndim != 4 or x.shape[3] != kernel.shape[2] * groups or kernel.shape[3] % groups:
        raise OptionError(
            f"images {x.shape}, kernel {kernel.shape}, groups {groups};"
            " they must be [n, h, w, c], [kh, kw, c // groups, o] and a divisor of c and o"
        )
