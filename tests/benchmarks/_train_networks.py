"""The benchmark's networks, those of `cnnflow.models` and the MobileNetV2 of Keras; uncompiled, for pixels 0 to 255."""

from typing import Any

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
    """A Keras model, by a name of SHAPES, on the backend that Keras has."""
    import keras

    keras.utils.set_random_seed(0)
    shape, classes = SHAPES[name]
    if name == "mobilenetv2":
        inputs = keras.layers.Input(shape)
        x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
        body = keras.applications.MobileNetV2(input_shape=shape, include_top=False, weights=None, pooling="avg")
        return keras.Model(inputs, keras.layers.Dense(classes, activation="softmax")(body(x)))
    from cnnflow.config import ModelConfig
    from cnnflow.models.catalog import build as from_catalog

    return from_catalog(ModelConfig(name.removesuffix("_28").removesuffix("_32")), shape, classes, seed=0)


def loss_of(name: str) -> Any:
    """The loss for labels: two classes end in one sigmoid unit."""
    import keras

    two = SHAPES[name][1] == 2
    return keras.losses.BinaryCrossentropy() if two else keras.losses.SparseCategoricalCrossentropy()
