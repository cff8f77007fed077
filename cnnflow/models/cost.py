"""What a model costs to run, counted from its layers."""

from collections.abc import Iterator
from math import prod
from typing import Any

import keras
from keras import layers


def multiply_adds(model: keras.Model) -> int:
    """The multiply-adds of one picture's way through `model`, in convolutions and dense layers, nested models included.

    Counted as the literature does: normalisation, activations, pooling and biases are left out, padding is counted
    as if it were picture. A layer that is called twice is counted once.

    Example:
        >>> multiply_adds(basic_cnn((28, 28, 1), 10))  # 28*28*9*32 + 14*14*9*32*64 + 3136*128 + 128*10
        4241152
    """
    return sum(_layer_multiply_adds(layer) for layer in walk(model))


def walk(model: keras.Model) -> Iterator[Any]:
    """Every layer of `model`, those of nested models in place of the nested model."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from walk(layer)
        else:
            yield layer


def _layer_multiply_adds(layer: Any) -> int:
    if isinstance(layer, layers.SeparableConv2D):
        return _positions(layer) * (_size(layer.depthwise_kernel) + _size(layer.pointwise_kernel))
    if isinstance(layer, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense):
        return _positions(layer) * _size(layer.kernel)
    return 0


def _positions(layer: Any) -> int:
    # A kernel is applied once at each position of the output: batch in front and channels at the end are no positions.
    return int(prod(layer.output.shape[1:-1]))


def _size(kernel: Any) -> int:
    return int(prod(kernel.shape))
