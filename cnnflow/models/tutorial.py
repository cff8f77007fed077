"""The networks of the project's origin document: a first CNN, a dense network and a CNN to compare, a flower CNN.

All take pixels 0 to 255 (`[n, height, width, channels]`, uint8 or float) and give probabilities: float32
`[n, classes]`; `flower_cnn` for two classes gives `[n, 1]`, the probability of the second one.

The options against overfitting are the same in all: `dropout` (the fraction of units left out after a dense layer),
`l1` and `l2` (penalties on the kernels of all convolutions and dense layers, never on biases), `batch_norm`
(normalisation between each convolution or dense layer and its activation).
"""

from typing import Any

import keras
from keras import layers

from cnnflow.models.layers import class_probabilities, convolution, dense
from cnnflow.models.options import InputShape, check_input, penalty


def basic_cnn(
    input_shape: InputShape,
    classes: int,
    *,
    dropout: float = 0.0,
    l1: float = 0.0,
    l2: float = 0.0,
    batch_norm: bool = False,
) -> keras.Model:
    """The document's first network (section 1.3): twice convolution and pooling, then a dense layer of 128.

    Raises `OptionError` for pictures smaller than 4x4.

    Example:
        >>> basic_cnn((28, 28, 1), 10).count_params()
        421642
    """
    check_input("basic_cnn", input_shape, classes, smallest=4)
    regularizer = penalty(l1, l2)
    options: dict[str, Any] = {"batch_norm": batch_norm, "regularizer": regularizer}
    return keras.Sequential(
        [
            layers.Input(input_shape, name="input_layer"),
            layers.Rescaling(1 / 255, name="rescaling"),
            *convolution("conv1", 32, **options),
            layers.MaxPooling2D(2, name="pool1"),
            *convolution("conv2", 64, **options),
            layers.MaxPooling2D(2, name="pool2"),
            layers.Flatten(name="flatten"),
            *dense("dense1", 128, dropout=dropout, **options),
            class_probabilities(classes, regularizer=regularizer),
        ],
        name="basic_cnn",
    )


def dense_net(
    input_shape: InputShape,
    classes: int,
    *,
    dropout: float = 0.0,
    l1: float = 0.0,
    l2: float = 0.0,
    batch_norm: bool = False,
) -> keras.Model:
    """The document's network without convolutions (section 3.1): flatten, then two dense layers of 128.

    Example:
        >>> dense_net((32, 32, 3), 10).count_params()
        411146
    """
    check_input("dense_net", input_shape, classes)
    regularizer = penalty(l1, l2)
    options: dict[str, Any] = {"batch_norm": batch_norm, "regularizer": regularizer, "dropout": dropout}
    return keras.Sequential(
        [
            layers.Input(input_shape, name="input_layer"),
            layers.Rescaling(1 / 255, name="rescaling"),
            layers.Flatten(name="flatten"),
            *dense("dense1", 128, **options),
            *dense("dense2", 128, **options),
            class_probabilities(classes, regularizer=regularizer),
        ],
        name="dense_net",
    )


def comparison_cnn(
    input_shape: InputShape,
    classes: int,
    *,
    dropout: float = 0.0,
    l1: float = 0.0,
    l2: float = 0.0,
    batch_norm: bool = False,
) -> keras.Model:
    """The CNN that the document sets against `dense_net` (section 3.2), which it describes only by its size.

    Two convolutions without padding, one pooling, dense layers of 128 and 64 have exactly its 1,634,058 parameters.
    Raises `OptionError` for pictures smaller than 6x6.

    Example:
        >>> comparison_cnn((32, 32, 3), 10).count_params()
        1634058
    """
    check_input("comparison_cnn", input_shape, classes, smallest=6)
    regularizer = penalty(l1, l2)
    options: dict[str, Any] = {"batch_norm": batch_norm, "regularizer": regularizer}
    return keras.Sequential(
        [
            layers.Input(input_shape, name="input_layer"),
            layers.Rescaling(1 / 255, name="rescaling"),
            *convolution("conv1", 32, padding="valid", **options),
            *convolution("conv2", 64, padding="valid", **options),
            layers.MaxPooling2D(2, name="pool1"),
            layers.Flatten(name="flatten"),
            *dense("dense1", 128, dropout=dropout, **options),
            *dense("dense2", 64, dropout=dropout, **options),
            class_probabilities(classes, regularizer=regularizer),
        ],
        name="comparison_cnn",
    )


def flower_cnn(
    input_shape: InputShape,
    classes: int,
    *,
    dropout: float = 0.3,
    l1: float = 0.0,
    l2: float = 0.0,
    batch_norm: bool = False,
) -> keras.Model:
    """The document's network for photos of two flowers (section 4.3), made for 80x80 pictures.

    Two classes end in one sigmoid unit, `[n, 1]`: the probability of class 1 (train it with binary cross-entropy);
    more end in a softmax, `[n, classes]`. The document's dropout, 0.3 after the first dense layer and 0.2 after the
    second, is the default here: `dropout` is the first rate and the second is two thirds of it.
    Raises `OptionError` for pictures smaller than 4x4.

    Example:
        >>> flower_cnn((80, 80, 3), 2).output_shape
        (None, 1)
    """
    check_input("flower_cnn", input_shape, classes, smallest=4)
    regularizer = penalty(l1, l2)
    options: dict[str, Any] = {"batch_norm": batch_norm, "regularizer": regularizer}
    return keras.Sequential(
        [
            layers.Input(input_shape, name="input_layer"),
            layers.Rescaling(1 / 255, name="rescaling"),
            *convolution("conv1", 64, **options),
            layers.MaxPooling2D(2, name="pool1"),
            *convolution("conv2", 32, **options),
            layers.MaxPooling2D(2, name="pool2"),
            layers.Flatten(name="flatten"),
            *dense("dense1", 128, dropout=dropout, **options),
            *dense("dense2", 32, dropout=dropout * 2 / 3, **options),
            _one_or_many(classes, regularizer),
        ],
        name="flower_cnn",
    )


def _one_or_many(classes: int, regularizer: Any) -> Any:
    if classes > 2:
        return class_probabilities(classes, regularizer=regularizer)
    return layers.Dense(1, activation="sigmoid", kernel_regularizer=regularizer, dtype="float32", name="output_layer")
