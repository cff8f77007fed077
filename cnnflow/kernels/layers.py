"""What takes the place of a stock layer's `call`: one class for each kind of layer.

Each object knows its layer and nothing that is traced, so that a copied layer gets a copied object that fits it.
"""

import weakref
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import keras

from cnnflow.kernels.activation import gelu
from cnnflow.kernels.convolution import convolution, convolution_and_max_pool, fusable
from cnnflow.kernels.geometry import geometry
from cnnflow.kernels.pooling import average_pool, max_pool

# Weights of a dense layer. Below, XLA is as fast.
LEAST_DENSE = 2**14
FUSED_ACTIVATIONS = {keras.activations.relu: True, keras.activations.linear: False}


@dataclass
class Handoff:
    """Tells a pooling layer what the convolution before it computed its input from; one for all layers of a model.

    The convolution's own output is computed as well, for whoever else reads it; the compiler drops it where nobody
    does. Holds the last output offered, weakly, and its source no longer than that lives.
    """

    _output: Any = None
    _source: "Source | None" = None

    def offer(self, output: Any, source: "Source") -> None:
        # Only while tracing: outside of it nothing drops the work that is done twice.
        if isinstance(output, jax.core.Tracer):
            self._output = weakref.ref(output, lambda _: self._clear())
            self._source = source

    def take(self, output: Any) -> "Source | None":
        """The source of `output`, if it was the last one offered."""
        source = self._source if self._output is not None and self._output() is output else None
        self._clear()
        return source

    def _clear(self) -> None:
        self._output = self._source = None

    def __deepcopy__(self, memo: dict[int, Any]) -> "Handoff":
        memo[id(self)] = copied = Handoff()
        return copied


@dataclass(frozen=True)
class Source:
    """A convolution layer and the three arrays that its output was computed from."""

    layer: Any
    inputs: Any
    kernel: Any
    bias: Any


@dataclass
class FastLayer(ABC):
    """A layer's replaced `call`."""

    layer: Any
    handoff: Handoff

    @abstractmethod
    def __call__(self, inputs: Any) -> Any:
        """What the layer makes of `inputs`."""


@dataclass
class FastConvolution(FastLayer):
    """keras.layers.Conv2D."""

    def __call__(self, inputs: Any) -> Any:
        layer = self.layer
        kernel, bias = tensor(layer.kernel), tensor(layer.bias)
        outputs = convolution(inputs, kernel, groups=layer.groups, **windows(layer))
        outputs = finish(layer, outputs, bias)
        if layer.groups == 1 and layer.activation in FUSED_ACTIVATIONS:
            shift = jnp.zeros(layer.filters) if bias is None else bias
            self.handoff.offer(outputs, Source(layer, inputs, kernel, shift))
        return outputs


@dataclass
class FastDepthwiseConvolution(FastLayer):
    """keras.layers.DepthwiseConv2D with a depth multiplier of 1."""

    def __call__(self, inputs: Any) -> Any:
        layer = self.layer
        kernel = keras.ops.swapaxes(tensor(layer.kernel), 2, 3)
        outputs = convolution(inputs, kernel, groups=inputs.shape[3], **windows(layer))
        return finish(layer, outputs, tensor(layer.bias))


@dataclass
class FastMaxPooling(FastLayer):
    """keras.layers.MaxPooling2D, fused with the convolution before it where that can be."""

    def __call__(self, inputs: Any) -> Any:
        layer = self.layer
        source = self.handoff.take(inputs)
        if source is not None and self._fits(source):
            rectify = FUSED_ACTIVATIONS[source.layer.activation]
            arrays = source.inputs, source.kernel, source.bias
            return convolution_and_max_pool(*arrays, rectify=rectify, **windows(source.layer))
        return max_pool(inputs, layer.pool_size, layer.strides, layer.padding)

    def _fits(self, source: Source) -> bool:
        if not tuple(self.layer.pool_size) == tuple(self.layer.strides) == (2, 2):
            return False
        window = windows(source.layer)
        size = source.inputs.shape[1:3], source.kernel.shape[:2]
        shape = geometry(*size, window["strides"], window["padding"], window["dilation"])
        odd = any(side % 2 for side in shape.output)
        return fusable(shape) and not (odd and self.layer.padding == "same")


@dataclass
class FastAveragePooling(FastLayer):
    """keras.layers.AveragePooling2D."""

    def __call__(self, inputs: Any) -> Any:
        layer = self.layer
        return average_pool(inputs, layer.pool_size, layer.strides, layer.padding)


@dataclass
class FastDense(FastLayer):
    """keras.layers.Dense over vectors, one an image: a 1x1 convolution of images of one pixel.

    XLA does the gradient of the kernel with code of its own; 4096 -> 128 units for 64 images: 0.9 ms, oneDNN 0.35 ms.
    """

    def __call__(self, inputs: Any, **options: Any) -> Any:
        layer = self.layer
        kernel = tensor(layer.kernel)
        if inputs.ndim != 2 or inputs.dtype != kernel.dtype or kernel.size < LEAST_DENSE:
            return type(layer).call(layer, inputs, **options)
        outputs = convolution(inputs[:, None, None], kernel[None, None])[:, 0, 0]
        return finish(layer, outputs, tensor(layer.bias))


@dataclass
class FastGelu(FastLayer):
    """keras.layers.Activation of GELU."""

    def __call__(self, inputs: Any) -> Any:
        return gelu(rows(inputs)).reshape(inputs.shape)


def windows(layer: Any) -> dict[str, Any]:
    """The arguments of `convolution` that a convolution layer's attributes give."""
    return {"strides": layer.strides, "padding": layer.padding, "dilation": layer.dilation_rate}


def tensor(variable: Any) -> Any:
    """A layer's variable in the type that the layer computes in; None stays None."""
    return None if variable is None else keras.ops.convert_to_tensor(variable)


def rows(x: Any) -> Any:
    """[n, h, w, c] -> [n, h, w c] where c is not a multiple of 16.

    XLA's innermost loop is over the last axis: `speed_net`'s first activation, of 18 channels, takes 4.4 ms by channels
    and 1.1 ms by rows (128 images of 26x26).
    """
    return x.reshape(*x.shape[:2], -1) if x.ndim == 4 and x.shape[3] % 16 else x


def finish(layer: Any, outputs: Any, bias: Any) -> Any:
    """Add the bias, apply the activation."""
    if bias is not None:
        wide = rows(outputs)
        outputs = (wide + jnp.tile(bias, wide.shape[-1] // bias.size)).reshape(outputs.shape)
    return outputs if layer.activation is None else layer.activation(outputs)


def replacement(layer: Any, handoff: Handoff) -> FastLayer | None:
    """What to put in the place of the layer's `call`; None: leave the layer alone."""
    if type(layer) is keras.layers.Activation and layer.activation is keras.activations.gelu:
        return FastGelu(layer, handoff)
    if type(layer) is keras.layers.Dense and not layer.quantization_mode:
        return FastDense(layer, handoff)
    if getattr(layer, "data_format", None) != "channels_last" or getattr(layer, "quantization_mode", None):
        return None
    # Exactly these classes: a subclass may compute something else.
    kind = type(layer)
    if kind is keras.layers.Conv2D:
        return FastConvolution(layer, handoff)
    if kind is keras.layers.DepthwiseConv2D and layer.depth_multiplier == 1:
        return FastDepthwiseConvolution(layer, handoff)
    if kind is keras.layers.MaxPooling2D:
        return FastMaxPooling(layer, handoff)
    return FastAveragePooling(layer, handoff) if kind is keras.layers.AveragePooling2D else None
