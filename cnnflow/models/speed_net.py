"""A network made for speed: a whitened first layer that is not trained, then a few wide blocks.

After airbench (Jordan 2024, arXiv:2404.00498) and hlb-CIFAR10, with widths that two CPU cores carry.
`start_from(model, images)` sets the weights that these networks compute instead of drawing; call it once, before the
first step, with training images.
"""

from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from cnnflow.models.options import InputShape, check_input, penalty
from cnnflow.models.whitening import partial_identity, whitening_filters

WHITENED_IMAGES = 5000


def speed_net(
    input_shape: InputShape,
    classes: int,
    *,
    widths: tuple[int, ...] = (32, 96, 128),
    convolutions: int = 2,
    dropout: float = 0.0,
    l1: float = 0.0,
    l2: float = 0.0,
    batch_norm: bool = True,
) -> keras.Model:
    """A frozen layer of whitening filters, a block for each of `widths`, global max pooling, one dense layer.

    A block is convolution, 2x2 max pooling, normalisation, GELU, then `convolutions - 1` times convolution,
    normalisation, GELU; with three convolutions, a shortcut leads from after the pooling to before the last GELU.
    Every convolution is normalised, without a scale, so that `batch_norm` changes nothing; `dropout` stands before the
    output layer; `l1` and `l2` act on all trained kernels. Two classes have one sigmoid unit, `[n, 1]`.
    Raises `OptionError` for pictures that the poolings would leave nothing of.
    """
    patch = 3 if input_shape[-1] == 1 else 2
    check_input("speed_net", input_shape, classes, smallest=2 ** len(widths) + patch - 1)
    regularizer = penalty(l1, l2)
    inputs = layers.Input(input_shape, name="input_layer")
    x = layers.Rescaling(1 / 64, offset=-2, name="rescaling")(inputs)
    filters = 2 * patch * patch * input_shape[-1]
    x = layers.Conv2D(filters, patch, kernel_initializer="he_uniform", trainable=False, name="whitening")(x)
    x = layers.Activation("gelu", name="whitening_activation")(x)
    for number, width in enumerate(widths, start=1):
        x = _block(x, f"block{number}", width, convolutions, regularizer)
    x = layers.GlobalMaxPooling2D(name="pool")(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    binary = classes == 2
    units = 1 if binary else classes
    x = layers.Dense(units, use_bias=False, kernel_regularizer=regularizer, dtype="float32", name="logits")(x)
    # A ninth of the logits: with large weights before it, softmax starts soft (airbench's `scaling_factor`).
    x = layers.Rescaling(1 / 9, dtype="float32", name="logits_scale")(x)
    output = layers.Activation("sigmoid" if binary else "softmax", dtype="float32", name="output_layer")(x)
    return keras.Model(inputs, output, name="speed_net")


def start_from(model: keras.Model, images: NDArray[np.uint8]) -> None:
    """Set the first weights of a `speed_net` that are computed: whitening from `images`, identities elsewhere.

    Args:
        model: a `speed_net` that was not trained yet.
        images: uint8 `[n, height, width, channels]`, training images; the first 5000 are used.
    """
    rescaling, whitening = model.get_layer("rescaling"), model.get_layer("whitening")
    scaled = images[:WHITENED_IMAGES].astype(np.float32) * rescaling.scale + rescaling.offset
    whitening.set_weights(whitening_filters(scaled, whitening.kernel_size[0]))
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D) and layer.trainable:
            layer.set_weights([partial_identity(layer.get_weights()[0])])


def _block(x: Any, name: str, filters: int, convolutions: int, regularizer: Any) -> Any:
    x = _convolution(x, f"{name}_conv1", filters, regularizer)
    x = layers.MaxPooling2D(2, name=f"{name}_pool")(x)
    x = after_pool = layers.Activation("gelu", name=f"{name}_activation1")(_normalize(x, f"{name}_norm1"))
    for number in range(2, convolutions + 1):
        x = _normalize(_convolution(x, f"{name}_conv{number}", filters, regularizer), f"{name}_norm{number}")
        if number == 3:
            x = layers.Add(name=f"{name}_add")([after_pool, x])
        x = layers.Activation("gelu", name=f"{name}_activation{number}")(x)
    return x


def _convolution(x: Any, name: str, filters: int, regularizer: Any) -> Any:
    return layers.Conv2D(
        filters,
        3,
        padding="same",
        use_bias=False,
        kernel_initializer="he_uniform",
        kernel_regularizer=regularizer,
        name=name,
    )(x)


def _normalize(x: Any, name: str) -> Any:
    # A short memory of the statistics: these networks are trained for a few epochs only.
    return layers.BatchNormalization(scale=False, momentum=0.6, epsilon=1e-6, name=name)(x)
