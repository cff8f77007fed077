"""Residual networks: ResNet with basic blocks, and wide ResNets for small pictures.

Every convolution is normalised, so that `batch_norm` changes nothing here. `l1` and `l2` act on all kernels.
"""

from typing import Any

import keras
from keras import layers

from cnnflow.config import one_of
from cnnflow.models.layers import MOMENTUM, class_probabilities
from cnnflow.models.options import InputShape, check_input, penalty

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
LARGE = 64


def resnet(
    input_shape: InputShape,
    classes: int,
    *,
    depth: int = 18,
    width: int = 64,
    dropout: float = 0.0,
    l1: float = 0.0,
    l2: float = 0.0,
    batch_norm: bool = True,
) -> keras.Model:
    """ResNet of basic blocks (He et al. 2015, arXiv:1512.03385), `depth` 18 or 34; stage i has `width * 2**i` channels.

    Pictures below 64 pixels get the small-image stem, one 3x3 convolution; others the one of ImageNet, a 7x7
    convolution of stride 2 and a pooling. The last normalisation of a block starts at zero, so that a block starts
    as the identity (Goyal et al. 2017, arXiv:1706.02677). `dropout` stands before the output layer.
    """
    one_of("depth", str(depth), tuple(map(str, BLOCKS)))
    check_input(f"resnet{depth}", input_shape, classes)
    regularizer = penalty(l1, l2)
    inputs = layers.Input(input_shape, name="input_layer")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    x = _stem(x, width, large=min(input_shape[:2]) >= LARGE, regularizer=regularizer)
    for stage, count in enumerate(BLOCKS[depth]):
        for block in range(count):
            strides = 2 if stage > 0 and block == 0 else 1
            x = _basic_block(x, f"stage{stage + 1}_block{block + 1}", width * 2**stage, strides, regularizer)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, class_probabilities(classes, regularizer=regularizer)(x), name=f"resnet{depth}")


def wide_resnet(
    input_shape: InputShape,
    classes: int,
    *,
    depth: int = 16,
    width: int = 4,
    dropout: float = 0.0,
    l1: float = 0.0,
    l2: float = 0.0,
    batch_norm: bool = True,
) -> keras.Model:
    """A wide residual network (Zagoruyko and Komodakis 2016, arXiv:1605.07146) for small pictures.

    Three stages of `16 * width`, `32 * width` and `64 * width` channels, `(depth - 4) / 6` blocks in each, with
    normalisation and activation before each convolution. `dropout` stands between a block's two convolutions.
    """
    name = f"wide_resnet_{depth}_{width}"
    check_input(name, input_shape, classes)
    regularizer = penalty(l1, l2)
    inputs = layers.Input(input_shape, name="input_layer")
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    x = _convolution(x, "stem_conv", 16, regularizer=regularizer)
    for stage in range(3):
        for block in range((depth - 4) // 6):
            strides = 2 if stage > 0 and block == 0 else 1
            place = f"stage{stage + 1}_block{block + 1}"
            x = _wide_block(x, place, 16 * width * 2**stage, strides, regularizer, dropout)
    x = _norm_relu(x, "final")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, class_probabilities(classes, regularizer=regularizer)(x), name=name)


def _stem(x: Any, width: int, *, large: bool, regularizer: Any) -> Any:
    if not large:
        return _norm_relu(_convolution(x, "stem_conv", width, regularizer=regularizer), "stem")
    x = _convolution(x, "stem_conv", width, size=7, strides=2, regularizer=regularizer)
    return layers.MaxPooling2D(3, strides=2, padding="same", name="stem_pool")(_norm_relu(x, "stem"))


def _basic_block(x: Any, name: str, filters: int, strides: int, regularizer: Any) -> Any:
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        shortcut = _convolution(x, f"{name}_shortcut", filters, size=1, strides=strides, regularizer=regularizer)
        shortcut = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_shortcut_norm")(shortcut)
    x = _norm_relu(_convolution(x, f"{name}_conv1", filters, strides=strides, regularizer=regularizer), f"{name}_1")
    x = _convolution(x, f"{name}_conv2", filters, regularizer=regularizer)
    x = layers.BatchNormalization(gamma_initializer="zeros", momentum=MOMENTUM, name=f"{name}_2_norm")(x)
    x = layers.Add(name=f"{name}_add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}_2_activation")(x)


def _wide_block(x: Any, name: str, filters: int, strides: int, regularizer: Any, dropout: float) -> Any:
    active = _norm_relu(x, f"{name}_1")
    # Where the shape changes, the shortcut leaves from after the activation, which all branches share.
    shortcut = x
    if strides > 1 or x.shape[-1] != filters:
        shortcut = _convolution(active, f"{name}_shortcut", filters, size=1, strides=strides, regularizer=regularizer)
    x = _norm_relu(
        _convolution(active, f"{name}_conv1", filters, strides=strides, regularizer=regularizer), f"{name}_2"
    )
    if dropout:
        x = layers.Dropout(dropout, name=f"{name}_dropout")(x)
    x = _convolution(x, f"{name}_conv2", filters, regularizer=regularizer)
    return layers.Add(name=f"{name}_add")([shortcut, x])


def _convolution(x: Any, name: str, filters: int, *, size: int = 3, strides: int = 1, regularizer: Any) -> Any:
    return layers.Conv2D(
        filters,
        size,
        strides=strides,
        padding="same",
        use_bias=False,
        kernel_initializer="he_uniform",
        kernel_regularizer=regularizer,
        name=name,
    )(x)


def _norm_relu(x: Any, name: str) -> Any:
    x = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(x)
    return layers.Activation("relu", name=f"{name}_activation")(x)
