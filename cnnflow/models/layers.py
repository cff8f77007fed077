"""The few groups of stock Keras layers that the plain networks are lists of."""

from typing import Any

from keras import layers

# Of BatchNorm's moving averages. Keras's own 0.99 needs several hundred steps before they follow the network, and a
# short training of a few images ends before that.
MOMENTUM = 0.9


def convolution(
    name: str,
    filters: int,
    *,
    batch_norm: bool,
    regularizer: Any,
    padding: str = "same",
    initializer: str = "glorot_uniform",
) -> list[Any]:
    """A 3 x 3 convolution and ReLU; with `batch_norm` the order is convolution, normalisation, activation.

    The normalisation has a shift of its own, so that the convolution before it has no bias.
    """
    common: dict[str, Any] = {
        "padding": padding,
        "kernel_regularizer": regularizer,
        "kernel_initializer": initializer,
        "name": name,
    }
    if not batch_norm:
        return [layers.Conv2D(filters, 3, activation="relu", **common)]
    return [layers.Conv2D(filters, 3, use_bias=False, **common), *_normalized(name)]


def dense(name: str, units: int, *, batch_norm: bool, regularizer: Any, dropout: float = 0.0) -> list[Any]:
    """A dense layer and ReLU; normalisation stands before the activation, dropout after it."""
    if batch_norm:
        group = [layers.Dense(units, use_bias=False, kernel_regularizer=regularizer, name=name), *_normalized(name)]
    else:
        group = [layers.Dense(units, activation="relu", kernel_regularizer=regularizer, name=name)]
    return [*group, layers.Dropout(dropout, name=f"{name}_dropout")] if dropout else group


def class_probabilities(classes: int, *, regularizer: Any = None) -> Any:
    """The last layer: a probability for each class, float32 whatever the precision of the layers before it."""
    return layers.Dense(
        classes, activation="softmax", kernel_regularizer=regularizer, dtype="float32", name="output_layer"
    )


def _normalized(name: str) -> list[Any]:
    return [
        layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm"),
        layers.Activation("relu", name=f"{name}_activation"),
    ]
