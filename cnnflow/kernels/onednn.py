"""Convolution by oneDNN, the library that PyTorch and TensorFlow use on a CPU, and that is built into jaxlib.

XLA itself calls it only under an experimental flag, and for forward convolutions only. Its custom call is open to
`jax.ffi.ffi_call` all the same, and both gradients can be said as forward convolutions, too:

- of the images: the outputs' gradient with the kernel turned round; with a stride, one such convolution for each place
  in it, of every so many places of the kernel, interleaved;
- of the kernel: the images with the batch as channels and (column, channel) as one axis [1, h, w c, n], convolved with
  the outputs' gradient as a kernel [h', w', n, o] whose columns lie c apart. The result is [1, kh, kw c, o], and the
  inner loop of oneDNN runs over kw c rows of n numbers, long enough to keep its registers full.

On 2 Zen 5 cores where a matrix product reaches 490 GFLOP/s, 14x14x64 -> 64 for 128 images: outputs 485, gradient of
the images 473, of the kernel 370, where XLA's own way reaches 283, 222 and 188. Depthwise outputs: 3 to 5 times the
speed of shifted multiply-adds, the gradient of the kernel 1 to 1.7 times.

The call's names and the fields of its settings are no public interface of XLA, and settings that oneDNN refuses end the
process. So only the versions of jaxlib for which this was tested are trusted (`available`), and only arrays that oneDNN
is known to take (`suits`). Programs with these calls cannot be kept in JAX's persistent cache; they compile fast. The
fields: xla/service/cpu/onednn_config.proto in https://github.com/openxla/xla.
"""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

from cnnflow import xla
from cnnflow.kernels import depthwise, direct
from cnnflow.kernels.geometry import Geometry, Pair
from cnnflow.process import switch

# Of a batch, which becomes the channels of the convolution that gives the gradient of the kernel.
FEWEST_IMAGES = 8
# Of an image, for the gradient of a depthwise kernel. Beyond, bringing the images into oneDNN's order costs more than
# is won: MobileNetV2 at 96x96 trains at 190 images/s with all, 210 with those up to here, 185 with none.
MOST_DEPTHWISE_PIXELS = 32 * 32


def available() -> bool:
    """Whether oneDNN may be called here: a tested jaxlib, on Linux on x86-64, no persistent compilation cache in use.

    Storing a program with these calls in that cache is an error inside XLA. Never with CNNFLOW_KERNELS=xla.
    """
    return switch() != "xla" and xla.tested() and not jax.config.jax_compilation_cache_dir


def suits(x: Any, kernel: Any) -> bool:
    """Whether oneDNN computes fast in the type of these arrays, and there is something to compute."""
    fast = x.dtype == jnp.float32 or (x.dtype == jnp.bfloat16 and xla.has_bfloat16())
    return bool(fast and x.dtype == kernel.dtype and x.size > 0 and kernel.size > 0)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1, 4))
def onednn_convolution(shape: Geometry, groups: int, x: Any, kernel: Any, swapped: bool = False) -> Any:
    """[n, h, w, c] and [kh, kw, c // groups, o] -> [n, h', w', o]; `swapped`: [kh, kw, o, c // groups]."""
    padding = shape.padding
    if any(not 0 <= edge < reach for pair, reach in zip(padding, shape.reach, strict=True) for edge in pair):
        x, padding = shape.pad(x), ((0, 0), (0, 0))
    inputs, outputs = (3, 2) if swapped else (2, 3)
    output = (x.shape[0], *shape.output, kernel.shape[outputs])
    window = _window(shape.kernel, padding, shape.strides, shape.dilation)
    return _call(x, kernel, output, _filter(inputs, outputs, (0, 1)), window, groups)


def _forward(shape: Geometry, groups: int, x: Any, kernel: Any, swapped: bool) -> tuple[Any, tuple[Any, Any]]:
    return onednn_convolution(shape, groups, x, kernel, swapped), (x, kernel)


def _backward(shape: Geometry, groups: int, swapped: bool, saved: tuple[Any, Any], gradient: Any) -> tuple[Any, Any]:
    x, kernel = saved
    kernel = kernel.swapaxes(2, 3) if swapped else kernel
    dx = image_gradient(shape, groups, kernel, gradient)
    dk = kernel_gradient(shape, groups, x, kernel, gradient)
    return dx, dk.swapaxes(2, 3) if swapped else dk


onednn_convolution.defvjp(_forward, _backward)


def image_gradient(shape: Geometry, groups: int, kernel: Any, gradient: Any) -> Any:
    """The gradient of the images, from that of the outputs."""
    kh, kw, c, o = kernel.shape
    turned = kernel[::-1, ::-1]
    if groups > 1:
        # Out come the channels of all groups, each from the outputs of its own.
        turned = turned.reshape(kh, kw, c, groups, o // groups).transpose(0, 1, 3, 2, 4)
        turned = turned.reshape(kh, kw, groups * c, o // groups)
    if shape.strides == (1, 1):
        return onednn_convolution(shape.transposed, groups, gradient, turned, True)
    if shape.dilation == (1, 1):
        return _strided_image_gradient(shape, groups, turned, gradient)
    # Nobody's network has both a stride and holes.
    images = jax.ShapeDtypeStruct((len(gradient), *shape.input, groups * c), gradient.dtype)
    (dx,) = jax.linear_transpose(lambda x: shape.convolve(x, kernel, groups), images)(gradient)
    return dx


def _strided_image_gradient(shape: Geometry, groups: int, turned: Any, gradient: Any) -> Any:
    """One convolution for each place in the stride, which sees every so many places of the kernel."""
    (down, right), (kh, kw), span = shape.strides, shape.kernel, shape.span
    rows, columns = -(-span[0] // down), -(-span[1] // right)
    n, c = gradient.shape[0], turned.shape[2]

    def phase(i: int, j: int) -> Any:
        if i >= kh or j >= kw:
            return jnp.zeros((n, rows, columns, c), gradient.dtype)
        part = turned[(kh - 1 - i) % down :: down, (kw - 1 - j) % right :: right]
        taps = part.shape[0], part.shape[1]
        missing = rows - shape.output[0], columns - shape.output[1]
        edges = ((taps[0] - 1, missing[0]), (taps[1] - 1, missing[1]))
        back = Geometry(shape.output, taps, (1, 1), (1, 1), edges, (rows, columns))
        return onednn_convolution(back, groups, gradient, part, True)

    phases = [jnp.stack([phase(i, j) for j in range(right)], axis=3) for i in range(down)]
    image = jnp.stack(phases, axis=2).reshape(n, rows * down, columns * right, c)
    return shape.crop(image[:, : span[0], : span[1]])


def kernel_gradient(shape: Geometry, groups: int, x: Any, kernel: Any, gradient: Any) -> Any:
    """The gradient of `kernel`, of which only the shape is used."""
    if groups > 1 and kernel.shape[2:] == (1, groups):
        if shape.dilation == (1, 1) and x.shape[1] * x.shape[2] <= MOST_DEPTHWISE_PIXELS:
            return _depthwise_kernel_gradient(shape, x, gradient)
        return depthwise.kernel_gradient(shape, x, gradient).reshape(kernel.shape)
    if groups > 1:
        (dk,) = jax.linear_transpose(lambda kernel: shape.convolve(x, kernel, groups), kernel)(gradient)
        return dk
    if shape.dilation[1] > 1 or x.shape[0] < FEWEST_IMAGES or direct.few_taps(kernel.shape):
        wide = (array.astype(jnp.float32) for array in (x, kernel, gradient))
        return direct.kernel_gradient(shape, *wide).astype(x.dtype)
    return _kernel_gradient(shape, x, gradient)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _depthwise_kernel_gradient(shape: Geometry, x: Any, gradient: Any) -> Any:
    """[n, h, w, c] and [n, h', w', c] -> [kh, kw, 1, c].

    The images convolved with their gradients, each channel of each image by itself, and summed over the images.
    """
    n, h, w, c = x.shape
    edges = shape.edges
    if min(*edges[0], *edges[1]) < 0:
        x, edges, (h, w) = shape.pad(x), ((0, 0), (0, 0)), shape.span
    images = _alone(lambda x: x.transpose(1, 2, 0, 3), x).reshape(1, h, w, n * c)
    kernels = _alone(lambda x: x.transpose(1, 2, 0, 3), gradient).reshape(*shape.output, 1, n * c)
    window = _window(shape.output, edges, (1, 1), shape.strides)
    each = _call(images, kernels, (1, *shape.kernel, n * c), _filter(2, 3, (0, 1)), window, n * c)
    return each.reshape(*shape.kernel, n, 1, c).sum(2)


def _depthwise_forward(shape: Geometry, x: Any, gradient: Any) -> tuple[Any, tuple[Any, Any]]:
    return _depthwise_kernel_gradient(shape, x, gradient), (x, gradient)


def _depthwise_backward(shape: Geometry, saved: tuple[Any, Any], dk: Any) -> tuple[Any, Any]:
    x, gradient = saved
    groups = x.shape[3]
    return image_gradient(shape, groups, dk, gradient), onednn_convolution(shape, groups, x, dk)


_depthwise_kernel_gradient.defvjp(_depthwise_forward, _depthwise_backward)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _kernel_gradient(shape: Geometry, x: Any, gradient: Any) -> Any:
    """[n, h, w, c] and [n, h', w', o] -> [kh, kw, c, o]; places that are not dilated along the rows."""
    n, h, w, c = x.shape
    kh, kw, o = *shape.kernel, gradient.shape[3]
    edges = shape.edges
    if min(*edges[0], *edges[1]) < 0:
        x, edges, (h, w) = shape.pad(x), ((0, 0), (0, 0)), shape.span
    images = _alone(lambda x: x.transpose(1, 2, 3, 0), x).reshape(1, h, w * c, n)
    padding = (edges[0], (edges[1][0] * c, edges[1][1] * c))
    dilation = (shape.strides[0], shape.strides[1] * c)
    window = _window(shape.output, padding, (shape.dilation[0], 1), dilation)
    return _call(images, gradient, (1, kh, kw * c, o), _filter(0, 3, (1, 2)), window).reshape(kh, kw, c, o)


def _alone(change: Callable[[Any], Any], x: Any) -> Any:
    """`change(x)`, in a loop of its own.

    XLA computes what `x` comes from once more inside the loop of a transposition, in the order that is slowest to read;
    it does not do so across a condition. Both branches are the same; the compiler cannot know which is taken.
    """
    return jax.lax.cond(x[0, 0, 0, 0] > 0, change, change, x)


def _kernel_gradient_forward(shape: Geometry, x: Any, gradient: Any) -> tuple[Any, tuple[Any, Any]]:
    return _kernel_gradient(shape, x, gradient), (x, gradient)


def _kernel_gradient_backward(shape: Geometry, saved: tuple[Any, Any], dk: Any) -> tuple[Any, Any]:
    x, gradient = saved
    return image_gradient(shape, 1, dk, gradient), onednn_convolution(shape, 1, x, dk)


_kernel_gradient.defvjp(_kernel_gradient_forward, _kernel_gradient_backward)


@partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def product(transpose_a: bool, transpose_b: bool, a: Any, b: Any) -> Any:
    """float32 matrices: a @ b, with one of them, both or none transposed before."""
    settings = {"onednn_matmul_config": {"transpose_a": transpose_a, "transpose_b": transpose_b}}
    output = jax.ShapeDtypeStruct((a.shape[int(transpose_a)], b.shape[1 - int(transpose_b)]), a.dtype)
    return _custom_call("__onednn$matmul", output, settings)(a, b)


def _product_forward(transpose_a: bool, transpose_b: bool, a: Any, b: Any) -> tuple[Any, tuple[Any, Any]]:
    return product(transpose_a, transpose_b, a, b), (a, b)


def _product_backward(transpose_a: bool, transpose_b: bool, saved: tuple[Any, Any], gradient: Any) -> tuple[Any, Any]:
    a, b = saved
    da = product(transpose_b, True, b, gradient) if transpose_a else product(False, not transpose_b, gradient, b)
    db = product(True, transpose_a, gradient, a) if transpose_b else product(not transpose_a, False, a, gradient)
    return da, db


product.defvjp(_product_forward, _product_backward)


def _call(
    x: Any,
    kernel: Any,
    output: Sequence[int],
    filters: dict[str, Any],
    window: dict[str, Any],
    groups: int = 1,
) -> Any:
    """XLA's custom call on images [n, h, w, c] and a kernel whose axes `filters` names -> [n, h', w', o]."""
    images = {"dims": 4, "data": {"batch_dim": 0, "feature_dim": 3, "spatial_dims": (1, 2)}}
    settings = {
        "dims": 4,
        "input": images,
        "kernel": filters,
        "output": images,
        "window": window,
        "feature_groups": groups,
    }
    outputs = jax.ShapeDtypeStruct(tuple(output), x.dtype)
    return _custom_call("__onednn$convolution", outputs, {"onednn_conv_config": settings})(x, kernel)


def _custom_call(target: str, output: jax.ShapeDtypeStruct, settings: dict[str, Any]) -> Any:
    return jax.ffi.ffi_call(
        target,
        output,
        vmap_method="sequential",
        custom_call_api_version=1,
        legacy_backend_config=json.dumps(settings),
    )


def _filter(inputs: int, outputs: int, places: Pair) -> dict[str, Any]:
    """Which axes of a kernel are its input channels, its output channels and its places."""
    axes = {"input_feature_dim": inputs, "output_feature_dim": outputs, "spatial_dims": places}
    return {"dims": 4, "filter": axes}


def _window(size: Pair, padding: Sequence[Pair], strides: Pair, dilation: Pair) -> dict[str, Any]:
    low, high = zip(*padding, strict=True)
    return {"size": size, "pad_left": low, "pad_right": high, "strides": strides, "window_dilations": dilation}
