"""DenseNet-BC for small pictures: each layer sees the outputs of all layers before it in its block.

Source: Huang, Liu, van der Maaten and Weinberger 2017, arXiv:1608.06993 (section 3 and table 2).
"""

from typing import Any

import keras
from keras import layers

from cnnflow.models.layers import MOMENTUM, class_probabilities
from cnnflow.models.options import InputShape, check_input, penalty


def densenet(
    input_shape: InputShape,
    classes: int,
    *,
    depth: int = 40,
    growth: int = 12,
    dropout: float = 0.0,
    l1: float = 0.0,
    l2: float = 0.0,
    batch_norm: bool = True,
) -> keras.Model:
    """A DenseNet-BC: three blocks of `(depth - 4) / 6` pairs of convolutions, 1x1 with `4 * growth` channels, then 3x3.

    Between blocks the channels are halved and the picture is pooled 2x2. Every convolution is normalised, so that
    `batch_norm` changes nothing.
    `dropout` follows each 3x3 convolution, as in the paper; `l1` and `l2` act on all kernels.
    Raises `OptionError` for pictures smaller than 4x4.
    """
    name = f"densenet_{depth}"
    check_input(name, input_shape, classes, smallest=4)
    regularizer = penalty(l1, l2)
    inputs = layers.Input(input_shape, name="input_layer")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    x = _convolution(x, "stem_conv", 2 * growth, 3, regularizer)
    for block in range(1, 4):
        for layer in range(1, (depth - 4) // 6 + 1):
            x = _dense_layer(x, f"block{block}_layer{layer}", growth, dropout, regularizer)
        x = _norm_relu(x, f"block{block}_end")
        if block < 3:
            x = _convolution(x, f"transition{block}_conv", x.shape[-1] // 2, 1, regularizer)
            x = layers.AveragePooling2D(2, name=f"transition{block}_pool")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, class_probabilities(classes, regularizer=regularizer)(x), name=name)


def _dense_layer(x: Any, name: str, growth: int, dropout: float, regularizer: Any) -> Any:
    new = _convolution(_norm_relu(x, f"{name}_1"), f"{name}_conv1", 4 * growth, 1, regularizer)
    new = _convolution(_norm_relu(new, f"{name}_2"), f"{name}_conv2", growth, 3, regularizer)
    if dropout:
        new = layers.Dropout(dropout, name=f"{name}_dropout")(new)
    return layers.Concatenate(name=f"{name}_join")([x, new])


def _convolution(x: Any, name: str, filters: int, size: int, regularizer: Any) -> Any:
    return layers.Conv2D(
        filters,
        size,
        padding="same",
        use_bias=False,
        kernel_initializer="he_uniform",
        kernel_regularizer=regularizer,
        name=name,
    )(x)


def _norm_relu(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(x)
    return layers.Activation("relu", name=f"{name}_activation")(x)
