"""The networks by name: `MODELS` says what there is, `build` makes one.

Every model takes pixels 0 to 255 (`[n, height, width, channels]`, uint8 or float) and gives probabilities, float32
`[n, classes]`; the exceptions are `flower_cnn` and `speed_net` for two classes, `[n, 1]`, the probability of class 1.

Example:
    >>> model = build(ModelConfig("basic_cnn"), (28, 28, 1), 10, seed=0)
    >>> model.count_params()
    421642
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from cnnflow.config import ModelConfig, one_of
from cnnflow.errors import OptionError
from cnnflow.events import OnEvent, ignore
from cnnflow.models import tutorial
from cnnflow.models.backbones import BACKBONES
from cnnflow.models.densenet import densenet
from cnnflow.models.options import InputShape
from cnnflow.models.resnet import resnet, wide_resnet
from cnnflow.models.seeding import build_seeded
from cnnflow.models.speed_net import speed_net, start_from
from cnnflow.models.transfer import assemble, transfer
from cnnflow.models.vgg import vgg_net


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
        parameters: its weights at that size and for `classes`, every variable counted.
        multiply_adds: `cost.multiply_adds` at that size and for `classes`.
        classes: the number of classes of these two figures.
        start: sets first weights that are computed from training images instead of drawn; None where there are none.
            Call `entry.start(model, images)` once before the first step of a training.
    """

    factory: Factory
    summary: str
    choose: str
    input_shape: InputShape
    parameters: int
    multiply_adds: int
    classes: int = 10
    start: Callable[[keras.Model, NDArray[np.uint8]], None] | None = None


SMALL_GREY = (28, 28, 1)
SMALL = (32, 32, 3)
PHOTO = (80, 80, 3)
LARGE = (224, 224, 3)

MODELS: Mapping[str, Entry] = {
    "basic_cnn": Entry(
        tutorial.basic_cnn,
        "two convolutions and a dense layer, the tutorial's first network",
        "the first thing to try on small pictures; trains in minutes",
        SMALL_GREY,
        421_642,
        4_241_152,
    ),
    "dense_net": Entry(
        tutorial.dense_net,
        "flatten and two dense layers, no convolution",
        "simple patterns, quick prototypes, and to see what convolutions bring",
        SMALL,
        411_146,
        410_880,
    ),
    "comparison_cnn": Entry(
        tutorial.comparison_cnn,
        "two convolutions without padding and large dense layers",
        "to see overfitting, and what regularisation does about it",
        SMALL,
        1_634_058,
        16_842_752,
    ),
    "flower_cnn": Entry(
        tutorial.flower_cnn,
        "two convolutions and two dense layers with dropout; one sigmoid unit for two classes",
        "two kinds of photos, without pretrained weights",
        PHOTO,
        1_662_945,
        42_192_928,
        classes=2,
    ),
    "vgg_net": Entry(
        vgg_net,
        "VGG at a size for small pictures: three pairs of 3x3 convolutions",
        "a plain network with more depth; add batch norm and dropout",
        SMALL,
        550_570,
        38_896_896,
    ),
    "speed_net": Entry(
        speed_net,
        "whitened first layer and three blocks of 32, 96 and 128 channels",
        "high accuracy in a few minutes of a CPU",
        SMALL,
        387_896,
        26_025_248,
        start=start_from,
    ),
    "speed_net_wide": Entry(
        partial(speed_net, widths=(64, 256, 256)),
        "the same with 64, 256 and 256 channels (airbench94)",
        "higher accuracy: seconds of a GPU, or an hour of a CPU",
        SMALL,
        1_973_944,
        118_147_360,
        start=start_from,
    ),
    "speed_net_deep": Entry(
        partial(speed_net, widths=(128, 384, 512), convolutions=3),
        "three convolutions a block, residual, 128, 384 and 512 channels (airbench96)",
        "still higher accuracy, on a GPU",
        SMALL,
        9_921_848,
        451_967_264,
        start=start_from,
    ),
    "densenet_40": Entry(
        partial(densenet, depth=40),
        "DenseNet-BC, 40 layers, growth 12",
        "high accuracy in a small file",
        SMALL,
        181_210,
        72_365_352,
    ),
    "densenet_100": Entry(
        partial(densenet, depth=100),
        "DenseNet-BC, 100 layers, growth 12",
        "high accuracy under a million weights; needs time",
        SMALL,
        793_150,
        287_929_692,
    ),
    "wide_resnet_16_4": Entry(
        partial(wide_resnet, depth=16, width=4),
        "wide ResNet, 16 layers, 4 times as wide",
        "high accuracy on small pictures, where time is short",
        SMALL,
        2_752_506,
        392_612_352,
    ),
    "wide_resnet_28_10": Entry(
        partial(wide_resnet, depth=28, width=10),
        "wide ResNet, 28 layers, 10 times as wide",
        "very high accuracy on small pictures, on a GPU",
        SMALL,
        36_497_146,
        5_243_328_768,
    ),
    "resnet18": Entry(
        partial(resnet, depth=18),
        "ResNet-18, small-image stem below 64 pixels",
        "the reference that others report; a GPU is of use",
        SMALL,
        11_183_562,
        555_422_720,
    ),
    "resnet34": Entry(
        partial(resnet, depth=34),
        "ResNet-34, small-image stem below 64 pixels",
        "as ResNet-18, for more pictures and more classes",
        SMALL,
        21_299_146,
        1_159_402_496,
    ),
    "efficientnet_lite0": Entry(
        partial(assemble, "efficientnet_lite0"),
        "EfficientNet-Lite0; ImageNet weights from the package registry",
        "few photos: its weights come with pip",
        LARGE,
        3_425_834,
        383_920_352,
    ),
    "mobilenet_v3_small": Entry(
        partial(assemble, "mobilenet_v3_small"),
        "MobileNetV3-Small of keras.applications",
        "few photos and a phone to run on",
        LARGE,
        944_890,
        54_902_336,
    ),
    "efficientnet_v2_b0": Entry(
        partial(assemble, "efficientnet_v2_b0"),
        "EfficientNetV2-B0 of keras.applications",
        "few photos: high accuracy for its cost",
        LARGE,
        5_932_122,
        716_818_976,
    ),
    "densenet121": Entry(
        partial(assemble, "densenet121"),
        "DenseNet-121 of keras.applications",
        "few photos of textures: medical pictures, materials",
        LARGE,
        7_047_754,
        2_833_147_904,
    ),
    "resnet50_v2": Entry(
        partial(assemble, "resnet50_v2"),
        "ResNet-50 V2 of keras.applications",
        "the usual baseline of transfer learning",
        LARGE,
        23_585_290,
        3_480_227_840,
    ),
    "convnext_tiny": Entry(
        partial(assemble, "convnext_tiny"),
        "ConvNeXt-Tiny of keras.applications",
        "few photos: high accuracy, on a GPU",
        LARGE,
        27_827_818,
        4_454_770_944,
    ),
    "vgg16": Entry(
        partial(assemble, "vgg16"),
        "VGG-16 of keras.applications",
        "to follow the tutorial; smaller ones do as well",
        LARGE,
        14_719_818,
        15_346_635_776,
    ),
}


def build(
    config: ModelConfig, input_shape: InputShape, classes: int, *, seed: int, on_event: OnEvent = ignore
) -> keras.Model:
    """The network that `config` names, uncompiled, for pictures of `input_shape` and this many `classes`.

    First weights and dropout depend on `seed` alone (on one backend); global random state is left as it was.
    With `config.weights` it is a frozen backbone under a new head (`cnnflow.models.transfer`).

    Args:
        config: name and options.
        input_shape: `(height, width, channels)`.
        classes: at least 2.
        seed: 0 to 2**32 - 1.
        on_event: is told how pictures are changed inside the model, where they are.

    Raises `OptionError` for an unknown name (with the nearest known one), for pictures too small for the network, and
    for weights that cannot be had; `DataError` for a file of other weights.
    """
    one_of("model", config.name, tuple(MODELS))
    options: dict[str, Any] = {"l1": config.l1, "l2": config.l2, "batch_norm": config.batch_norm}
    if config.dropout is not None:
        options["dropout"] = config.dropout
    if config.name in BACKBONES:
        options["hidden"] = config.hidden
    else:
        _refuse_backbone_options(config)
    if config.weights is not None:
        options |= {"weights": config.weights, "seed": seed, "on_event": on_event}
        return transfer(config.name, input_shape, classes, **options)
    return build_seeded(partial(MODELS[config.name].factory, input_shape, classes, **options), seed)


def _refuse_backbone_options(config: ModelConfig) -> None:
    for option, value in (("weights", config.weights), ("hidden", config.hidden)):
        if value:
            raise OptionError(
                f"{option}={value} with model {config.name}; only {', '.join(BACKBONES)} have that option"
            )
