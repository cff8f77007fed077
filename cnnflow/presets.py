"""Presets: a network and a recipe under one name, some of them chosen by looking at the dataset."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cnnflow.config import ModelConfig, Recipe, one_of
from cnnflow.data.image_set import Dataset

# Below this many training images, more epochs of them in smaller batches are better.
_FEW_IMAGES = 10_000
# The largest class may have this many times the images of the smallest before classes are weighted.
_BALANCED = 1.5


@dataclass(frozen=True)
class Choice:
    """What a preset chose for a dataset.

    Attributes:
        model: the network.
        recipe: how it is trained.
        reasons: a line for each choice that depends on the dataset, to be shown.
    """

    model: ModelConfig
    recipe: Recipe
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preset:
    """A named way to choose.

    Attributes:
        summary: what it is for, in a line.
        choose: the choice for a dataset.
        size: `(height, width)` that pictures of a folder are brought to; None: the default of folders.
    """

    summary: str
    choose: Callable[[Dataset], Choice]
    size: tuple[int, int] | None = None


def tutorial(dataset: Dataset) -> Choice:
    """The recipe of the tutorial: 15 epochs of Adam in batches of 64, nothing against overfitting, the last weights."""
    return Choice(ModelConfig("basic_cnn"), Recipe(epochs=15, batch_size=64, optimizer="adam"))


def flowers(dataset: Dataset) -> Choice:
    """The tutorial's recipe for photos: 50 epochs at most, stopped early, halved rate on a plateau, best weights."""
    recipe = Recipe(epochs=50, batch_size=32, early_stopping=5, reduce_on_plateau=3, keep_best=True)
    return Choice(ModelConfig("flower_cnn"), recipe)


def fast(dataset: Dataset) -> Choice:
    """`speed_net` with one cycle of Adam: the best accuracy in a few minutes of a CPU, whatever the pictures are.

    Few images are seen more often, in smaller batches; classes that differ much in size are weighted.
    """
    counts = np.array(list(dataset.train.counts().values()))
    classes, images = len(counts), len(dataset.train)
    few = images < _FEW_IMAGES
    weighted = bool(counts.max() > _BALANCED * counts.min())
    reasons = [f"{'one sigmoid unit' if classes == 2 else 'softmax'}: there are {classes} classes"]
    reasons.append(
        f"{'30 epochs, batches of 32' if few else '8 epochs, batches of 128'}: {images:,} images to train on"
    )
    reasons.append(f"augmentation light, {'mirrored too' if dataset.mirror else 'never mirrored'}")
    if weighted:
        reasons.append(f"class weights: classes have {counts.min():,} to {counts.max():,} images")
    recipe = Recipe(
        epochs=30 if few else 8,
        batch_size=32 if few else 128,
        learning_rate=0.003,
        schedule="one-cycle",
        augment="light",
        label_smoothing=0.1,
        class_weights=weighted,
    )
    return Choice(ModelConfig("speed_net"), recipe, tuple(reasons))


def transfer(dataset: Dataset) -> Choice:
    """A frozen EfficientNet-Lite0 that knows ImageNet, under a new head: photos, few of them."""
    recipe = Recipe(epochs=40, batch_size=64, early_stopping=8, keep_best=True, label_smoothing=0.05)
    return Choice(ModelConfig("efficientnet_lite0", weights="imagenet"), recipe)


PRESETS: dict[str, Preset] = {
    "tutorial": Preset("a first network, trained as in a first lesson: overfits, on purpose", tutorial),
    "flowers": Preset("photos of two or more kinds, as in a second lesson", flowers, size=(80, 80)),
    "transfer": Preset("few photos, with what a network learned on ImageNet", transfer, size=(224, 224)),
    "fast": Preset(
        "the best accuracy in a few minutes of a CPU; follows the number and the balance of the pictures", fast
    ),
}


def find_preset(name: str) -> Preset:
    """The preset of this name; raises `OptionError` with the nearest known one."""
    one_of("preset", name, tuple(PRESETS))
    return PRESETS[name]
