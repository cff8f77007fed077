"""The networks by name: `MODELS` says what there is, `build` makes one.

Every model takes pixels 0 to 255 (`[n, height, width, channels]`, uint8 or float) and gives probabilities, float32
`[n, classes]`; the exception is `flower_cnn` for two classes with `[n, 1]`, the probability of class 1.

Example:
    >>> model = build(ModelConfig("basic_cnn"), (28, 28, 1), 10, seed=0)
    >>> model.count_params()
    421642
"""

from dataclasses import dataclass
from typing import Protocol

import keras

from cnnflow.config import ModelConfig, one_of
from cnnflow.models import tutorial
from cnnflow.models.options import InputShape
from cnnflow.models.seeding import build_seeded


class Factory(Protocol):
    """A function that returns an uncompiled model of stock Keras layers."""

    def __call__(
        self, input_shape: InputShape, classes: int, *, dropout: float, l1: float, l2: float, batch_norm: bool
    ) -> keras.Model: ...


@dataclass(frozen=True)
class Entry:
    """One network of the catalog.

    Attributes:
        factory: makes it.
        summary: what it is, in a line.
        choose: when to choose it, in a line.
        input_shape: the pictures that it was made for, `(height, width, channels)`.
        classes: the classes that it was made for.
        parameters: its weights at that size, every variable counted.
        multiply_adds: `cost.multiply_adds` at that size.
    """

    factory: Factory
    summary: str
    choose: str
    input_shape: InputShape
    classes: int
    parameters: int
    multiply_adds: int


MODELS: dict[str, Entry] = {
    "basic_cnn": Entry(
        tutorial.basic_cnn,
        "two convolutions, one dense layer: the first network of the tutorial",
        "the first thing to try on small pictures; trains in minutes",
        (28, 28, 1),
        10,
        421_642,
        4_241_152,
    ),
    "dense_net": Entry(
        tutorial.dense_net,
        "flatten and two dense layers, no convolution",
        "tables, simple patterns, quick prototypes; on pictures only to compare with",
        (32, 32, 3),
        10,
        411_146,
        410_880,
    ),
    "comparison_cnn": Entry(
        tutorial.comparison_cnn,
        "two convolutions without padding, large dense layers",
        "to see overfitting, and what regularisation and augmentation do about it",
        (32, 32, 3),
        10,
        1_634_058,
        16_842_752,
    ),
    "flower_cnn": Entry(
        tutorial.flower_cnn,
        "two convolutions, two dense layers with dropout; one sigmoid unit for two classes",
        "two kinds of photos and no pretrained weights",
        (80, 80, 3),
        2,
        1_662_945,
        42_192_928,
    ),
}


def build(config: ModelConfig, input_shape: InputShape, classes: int, *, seed: int) -> keras.Model:
    """The network that `config` names, uncompiled, for pictures of `input_shape` and this many `classes`.

    First weights and dropout depend on `seed` alone (on one backend); global random state is left as it was.
    Raises `OptionError` for an unknown name (with the nearest known one) and for pictures too small for the network.

    Args:
        config: name and options against overfitting.
        input_shape: `(height, width, channels)`.
        classes: at least 2.
        seed: 0 to 2**32 - 1.
    """
    one_of("model", config.name, tuple(MODELS))
    factory = MODELS[config.name].factory
    return build_seeded(
        lambda: factory(
            input_shape,
            classes,
            dropout=config.dropout,
            l1=config.l1,
            l2=config.l2,
            batch_norm=config.batch_norm,
        ),
        seed,
    )
