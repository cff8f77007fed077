"""Presets: a network and a recipe under one name, some of them chosen by looking at the dataset."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cnnflow.config import ModelConfig, Recipe, one_of
from cnnflow.data.image_set import Dataset

# Below this many training images augmentation pays on every dataset that it was tried on.
_FEW_IMAGES = 10_000
# The largest class may have this many times the images of the smallest before classes are weighted.
_BALANCED = 1.5
# From this side on, two poolings leave a network of the tutorial too wide a dense layer.
_LARGE_SIDE = 48


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


def automatic(dataset: Dataset) -> Choice:
    """The network by the size of the pictures; class weights and augmentation where the dataset asks for them."""
    reasons = []
    height, width, _ = dataset.train.image_shape
    classes = len(dataset.train.class_names)
    large = min(height, width) >= _LARGE_SIDE
    model = ModelConfig("flower_cnn" if large else "basic_cnn")
    output = "one sigmoid unit" if large and classes == 2 else "softmax"
    reasons.append(f"model {model.name} with {output}: {classes} classes of {height}x{width} pictures")
    counts = np.array(list(dataset.train.counts().values()))
    weighted = bool(counts.max() > _BALANCED * counts.min())
    if weighted:
        reasons.append(f"class weights: classes have {counts.min()} to {counts.max()} images")
    few = len(dataset.train) < _FEW_IMAGES
    if few:
        reasons.append(f"augmentation 'tutorial': only {len(dataset.train):,} images to train on")
    recipe = Recipe(
        epochs=100 if few else 30,
        batch_size=32 if few else 64,
        augment="tutorial" if few else "light",
        class_weights=weighted,
        early_stopping=15 if few else 5,
        reduce_on_plateau=5 if few else 3,
        keep_best=True,
    )
    return Choice(model, recipe, tuple(reasons))


def transfer(dataset: Dataset) -> Choice:
    """A frozen EfficientNet-Lite0 that knows ImageNet, under a new head: photos, few of them."""
    recipe = Recipe(epochs=40, batch_size=64, early_stopping=8, keep_best=True, label_smoothing=0.05)
    return Choice(ModelConfig("efficientnet_lite0", weights="imagenet"), recipe)


PRESETS: dict[str, Preset] = {
    "tutorial": Preset("a first network, trained as in a first lesson: overfits, on purpose", tutorial),
    "flowers": Preset("photos of two or more kinds, as in a second lesson", flowers, size=(80, 80)),
    "transfer": Preset("few photos, with what a network learned on ImageNet", transfer, size=(224, 224)),
    "auto": Preset("chooses by the size, the number and the balance of the pictures", automatic),
}


def find_preset(name: str) -> Preset:
    """The preset of this name; raises `OptionError` with the nearest known one."""
    one_of("preset", name, tuple(PRESETS))
    return PRESETS[name]
