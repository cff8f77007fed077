"""A VGG-like network for small pictures: pairs of 3x3 convolutions, each pair followed by a pooling."""

from typing import Any

import keras
from keras import layers

from cnnflow.models.layers import class_probabilities, convolution, dense
from cnnflow.models.options import InputShape, check_input, penalty


def vgg_net(
    input_shape: InputShape,
    classes: int,
    *,
    dropout: float = 0.0,
    l1: float = 0.0,
    l2: float = 0.0,
    batch_norm: bool = False,
) -> keras.Model:
    """Three pairs of convolutions with 32, 64 and 128 channels, then a dense layer of 128.

    The plan of VGG (Simonyan and Zisserman 2014, arXiv:1409.1556) at a size for small pictures. `dropout` follows the
    dense layer; half of it follows each pooling. `l1` and `l2` act on all kernels; `batch_norm` normalises between
    each convolution or dense layer and its activation, and is worth it here.
    Raises `OptionError` for pictures smaller than 8x8.
    """
    check_input("vgg_net", input_shape, classes, smallest=8)
    regularizer = penalty(l1, l2)
    options: dict[str, Any] = {"batch_norm": batch_norm, "regularizer": regularizer}
    blocks = [
        layer
        for block, filters in enumerate((32, 64, 128), start=1)
        for layer in _block(f"block{block}", filters, dropout / 2, options)
    ]
    return keras.Sequential(
        [
            layers.Input(input_shape, name="input_layer"),
            layers.Rescaling(1 / 255, name="rescaling"),
            *blocks,
            layers.Flatten(name="flatten"),
            *dense("dense1", 128, dropout=dropout, **options),
            class_probabilities(classes, regularizer=regularizer),
        ],
        name="vgg_net",
    )


def _block(name: str, filters: int, dropout: float, options: dict[str, Any]) -> list[Any]:
    block = [
        *convolution(f"{name}_conv1", filters, initializer="he_uniform", **options),
        *convolution(f"{name}_conv2", filters, initializer="he_uniform", **options),
        layers.MaxPooling2D(2, name=f"{name}_pool"),
    ]
    return [*block, layers.Dropout(dropout, name=f"{name}_dropout")] if dropout else block
