"""The benchmark's networks, in stock Keras, so that every backend's interpreter can build them without cnnflow.

They are the networks of `cnnflow.models` (a test compares them where both can be imported), uncompiled, and take
pixels of 0 to 255.
"""

from typing import Any

import keras
from keras import layers

# name: (input shape, classes)
SHAPES: dict[str, tuple[tuple[int, int, int], int]] = {
    "basic_cnn_28": ((28, 28, 1), 10),
    "basic_cnn_32": ((32, 32, 3), 10),
    "comparison_cnn": ((32, 32, 3), 10),
    "flower_cnn": ((80, 80, 3), 2),
    "resnet18": ((32, 32, 3), 10),
    "mobilenetv2": ((96, 96, 3), 10),
}


def build(name: str) -> Any:
    """An uncompiled model, by a name of SHAPES."""
    shape, classes = SHAPES[name]
    keras.utils.set_random_seed(0)
    return _BUILDERS[name](shape, classes)


def basic_cnn(shape: tuple[int, int, int], classes: int) -> Any:
    return keras.Sequential(
        [
            layers.Input(shape),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def comparison_cnn(shape: tuple[int, int, int], classes: int) -> Any:
    """Two pairs of convolutions; about 1.6 million weights on CIFAR-10."""
    return keras.Sequential(
        [
            layers.Input(shape),
            layers.Rescaling(1 / 255),
            layers.Conv2D(32, 3, activation="relu", padding="same"),
            layers.Conv2D(32, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu", padding="same"),
            layers.Conv2D(64, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(384, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def flower_cnn(shape: tuple[int, int, int], classes: int) -> Any:
    return keras.Sequential(
        [
            layers.Input(shape),
            layers.Rescaling(1 / 255),
            layers.Conv2D(64, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(2),
            layers.Conv2D(32, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(32, activation="relu"),
            layers.Dropout(0.2),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def resnet18(shape: tuple[int, int, int], classes: int) -> Any:
    """ResNet-18 (He et al., 2015) with a 3x3 first convolution and no first pooling, as is usual for CIFAR-10."""
    inputs = layers.Input(shape)
    x = layers.Rescaling(1 / 127.5, -1)(inputs)
    x = _normalised(layers.Conv2D(64, 3, padding="same", use_bias=False)(x))
    for filters, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        x = _residual(x, filters, stride)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(x))


def _normalised(x: Any, *, relu: bool = True) -> Any:
    x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
    return layers.ReLU()(x) if relu else x


def _residual(x: Any, filters: int, stride: int) -> Any:
    shortcut = x
    if stride > 1 or x.shape[-1] != filters:
        shortcut = _normalised(layers.Conv2D(filters, 1, strides=stride, use_bias=False)(x), relu=False)
    y = _normalised(layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(x))
    y = _normalised(layers.Conv2D(filters, 3, padding="same", use_bias=False)(y), relu=False)
    return layers.ReLU()(layers.Add()([y, shortcut]))


def mobilenetv2(shape: tuple[int, int, int], classes: int) -> Any:
    """`keras.applications`' own, untrained, behind a rescaling layer."""
    inputs = layers.Input(shape)
    x = layers.Rescaling(1 / 127.5, -1)(inputs)
    body = keras.applications.MobileNetV2(input_shape=shape, include_top=False, weights=None, pooling="avg")
    return keras.Model(inputs, layers.Dense(classes, activation="softmax")(body(x)))


_BUILDERS = {
    "basic_cnn_28": basic_cnn,
    "basic_cnn_32": basic_cnn,
    "comparison_cnn": comparison_cnn,
    "flower_cnn": flower_cnn,
    "resnet18": resnet18,
    "mobilenetv2": mobilenetv2,
}
