"""What takes the place of a stock layer's behaviour: one function for each kind of layer."""

from collections.abc import Callable
from typing import Any

import keras

from cnnflow.kernels.pooling import average_pool, max_pool

Function = Callable[..., Any]


def replacement(layer: Any) -> tuple[str, Function] | None:
    """The attribute of `layer` to replace and the function to put there; None: leave it alone."""
    found = _BY_CLASS.get(type(layer))
    if found is None or getattr(layer, "data_format", None) != "channels_last":
        return None
    return found


def _max_pooling(self: Any, inputs: Any) -> Any:
    return max_pool(inputs, self.pool_size, self.strides, self.padding)


def _average_pooling(self: Any, inputs: Any) -> Any:
    return average_pool(inputs, self.pool_size, self.strides, self.padding)


_BY_CLASS: dict[type, tuple[str, Function]] = {
    keras.layers.MaxPooling2D: ("call", _max_pooling),
    keras.layers.AveragePooling2D: ("call", _average_pooling),
}
