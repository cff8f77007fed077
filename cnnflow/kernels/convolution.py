"""Convolution on a CPU: which way is taken for which shape, and why.

Where oneDNN may be called (`onednn`), it is the way for all but 1x1 kernels of float32: on 2 Zen 5 cores (AVX-512),
where a large float32 matrix product reaches 490 GFLOP/s, outputs 340 to 540 and both gradients 250 to 520; outputs of
bfloat16 810 to 1,100. Elsewhere (rates of a day on which that product reached 410):

- XLA's own convolution, on all cores and with the gradient of the kernel as a matrix product of shifted copies
  (`direct`): outputs and gradient of the images 190 to 330, gradient of the kernel 150 to 220. The way for all that has
  none below.
- 3x3, stride 1: Winograd (`winograd`) multiplies 2.25 times less, and pays for its transforms: 8 additions for each
  input channel, as many for each output channel. With c o from 4,096 up (64 -> 64) it wins, by the direct form's count
  280 to 390; at 32 -> 64 its outputs take 5.1 ms where XLA's take 1.9. Tiles that reach past the image are lost work:
  of a 3x3 map 44%, of 9x9 19%, and there `direct` is faster. It needs more tiles than channels: with fewer, reading
  the transformed kernel (16/9 of the kernel) is most of the work (4x4x512: half of XLA's rate).
- As many groups as channels: shifted multiply-adds (`depthwise`). Other groups: XLA's own.

Everywhere: with few taps (first layers, kh kw c up to 64) the gradient of the kernel by `im2col`, 3 times as fast as
XLA's and twice as oneDNN's; 1x1 as one matrix product (`pointwise`).
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import jax.numpy as jnp

from cnnflow.errors import OptionError
from cnnflow.kernels import onednn
from cnnflow.kernels.depthwise import depthwise_convolution
from cnnflow.kernels.direct import direct_convolution
from cnnflow.kernels.fused import FusedPlan, convolve_and_pool
from cnnflow.kernels.geometry import Geometry, Padding, geometry
from cnnflow.kernels.pointwise import pointwise_convolution
from cnnflow.kernels.tiled import winograd_convolution

# Of input channels times output channels, and of the pixels of Winograd's tiles that are in the image.
LEAST_WINOGRAD_PRODUCT = 64 * 64
LEAST_WINOGRAD_SHARE = 0.82


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
        x: [n, h, w, c], float32, bfloat16 or float16; products of half precision are summed in float32, and the sum is
            rounded once.
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
    dtype = _computed_in(x, kernel, groups)
    images, taps = x.astype(dtype), kernel.astype(dtype)
    return _way(shape, images, taps, groups)(images, taps).astype(x.dtype)


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
    if not fusable(shape):
        raise OptionError(f"a kernel of {kernel.shape} over {x.shape}; its output is too small to be pooled")
    dtype = _computed_in(x, kernel, 1)
    images, taps, shift = (array.astype(dtype) for array in (x, kernel, bias))
    if onednn.available() and onednn.suits(images, taps):
        plan = FusedPlan(shape, rectify, "onednn")
    else:
        plan = FusedPlan(shape, rectify, "winograd" if _suits_winograd(shape, x.shape[0], kernel.shape) else "direct")
    return convolve_and_pool(plan, images, taps, shift).astype(x.dtype)


def fusable(shape: Geometry) -> bool:
    """Whether there is a whole window to pool after this convolution."""
    return min(shape.output) >= 2


def _way(shape: Geometry, x: Any, kernel: Any, groups: int) -> Any:
    kh, kw, c, o = kernel.shape
    # XLA multiplies float32 matrices as fast as oneDNN does, but not those of bfloat16.
    by_onednn = (kh, kw) != (1, 1) or x.dtype == jnp.bfloat16
    if by_onednn and onednn.available() and onednn.suits(x, kernel):
        return partial(onednn.onednn_convolution, shape, groups)
    if groups > 1:
        return _grouped(shape, groups) if (c, o) == (1, groups) else partial(shape.convolve, groups=groups)
    if (kh, kw) == (1, 1):
        return partial(pointwise_convolution, shape)
    if _suits_winograd(shape, x.shape[0], kernel.shape):
        return partial(winograd_convolution, shape)
    return partial(direct_convolution, shape)


def _suits_winograd(shape: Geometry, batch: int, kernel: tuple[int, ...]) -> bool:
    rows, columns = (-(-size // 2) for size in shape.output)
    share = shape.output[0] * shape.output[1] / (4 * rows * columns)
    plain = shape.kernel == (3, 3) and shape.strides == shape.dilation == (1, 1)
    pays = kernel[2] * kernel[3] >= LEAST_WINOGRAD_PRODUCT and share >= LEAST_WINOGRAD_SHARE
    return plain and pays and batch * rows * columns >= max(kernel[2:])


def _grouped(shape: Geometry, groups: int) -> Any:
    def convolve(x: Any, kernel: Any) -> Any:
        return depthwise_convolution(shape, x, kernel[:, :, 0])

    return convolve


def _computed_in(x: Any, kernel: Any, groups: int) -> Any:
    """bfloat16 stays where oneDNN sums its products in float32; else at least float32."""
    if x.dtype == jnp.bfloat16 and groups == 1 and onednn.available() and onednn.suits(x, kernel):
        return x.dtype
    return jnp.promote_types(x.dtype, jnp.float32)


def _check(x: Any, kernel: Any, groups: int) -> None:
    if x.ndim != 4 or kernel.ndim != 4 or x.shape[3] != kernel.shape[2] * groups or kernel.shape[3] % groups:
        raise OptionError(
            f"images {x.shape}, kernel {kernel.shape}, groups {groups};"
            " they must be [n, h, w, c], [kh, kw, c // groups, o] and a divisor of c and o"
        )
