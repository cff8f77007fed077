"""Presets: a network and a recipe under one name, some of them chosen by looking at the dataset."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cnnflow.config import DataConfig, ModelConfig, Recipe, one_of
from cnnflow.data.image_set import Dataset

# Below this many training images, more epochs of them in smaller batches are better.
_FEW_IMAGES = 10_000
# The largest class may have this many times the images of the smallest before classes are weighted.
_BALANCED = 1.5
# About three minutes on two cores for 60,000 grey pictures of 28x28, and eight for 50,000 of 32x32 in colour.
_GREY_EPOCHS, _COLOUR_EPOCHS = 7, 18
# The share of the images that is kept to choose with.
_VALIDATION = 0.1
# The shortest side of what is taken for a photo and not for a small picture.
_PHOTO = 64


@dataclass(frozen=True)
class Choice:
    """What a preset chose for a dataset.

    Attributes:
        model: the network.
        recipe: how it is trained.
        reasons: a line for each choice that depends on the dataset, to be shown.
        validation: the share of the images that is kept to choose with; None: the default of `DataConfig`.
    """

    model: ModelConfig
    recipe: Recipe
    reasons: tuple[str, ...] = ()
    validation: float | None = None

    def data(self, said: DataConfig) -> DataConfig:
        """The options of the data, with this choice's share of validation images where they say none."""
        return said if said.validation is not None else replace(said, validation=self.validation)


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

    def data(self, source: str, **said: Any) -> DataConfig:
        """The options to read the data with: the preset's own, but for those that were `said`."""
        return DataConfig(source, **{"size": self.size, **said})


def tutorial(dataset: Dataset) -> Choice:
    """The recipe of the tutorial: 15 epochs of Adam in batches of 64, nothing against overfitting, the last weights."""
    return Choice(ModelConfig("basic_cnn"), Recipe(epochs=15, batch_size=64, optimizer="adam"))


def flowers(dataset: Dataset) -> Choice:
    """The tutorial's recipe for photos: 50 epochs at most, stopped early, halved rate on a plateau, best weights."""
    recipe = Recipe(epochs=50, batch_size=32, early_stopping=5, reduce_on_plateau=3, keep_best=True)
    return Choice(ModelConfig("flower_cnn"), recipe)


def fast(dataset: Dataset) -> Choice:
    """`speed_net`: the best accuracy in a few minutes of a CPU, whatever the pictures are.

    Few images are seen more often, in smaller batches, with Adam; many with SGD, by the settings of airbench (Jordan
    2024, arXiv:2404.00498, section 3) brought to this batch size. Classes that differ much in size are weighted.
    """
    look = _Look.at(dataset)
    grey = dataset.train.image_shape[-1] == 1
    epochs = 30 if look.few else (_GREY_EPOCHS if grey else _COLOUR_EPOCHS)
    reasons = [f"{'one sigmoid unit' if look.classes == 2 else 'softmax'}: there are {look.classes} classes"]
    why = f"{look.images:,} images" if look.few else f"{look.images:,} {'grey' if grey else 'colour'} images"
    reasons.append(f"{epochs} epochs, batches of {32 if look.few else 128}: {why}")
    # Six epochs of Fashion-MNIST end at 94.5% of the validation images without augmentation, at 93.6% with it. A
    # network that saw no mirrored picture is not shown any later: 94.6% alone, 94.4% with the mirror image.
    augment = "light" if look.few or not grey else "none"
    if augment == "light":
        reasons.append(f"augmentation light, {'mirrored too' if dataset.mirror else 'never mirrored'}")
    reasons += look.imbalance
    base = _FEW if look.few else _MANY
    recipe = replace(
        base,
        epochs=epochs,
        augment=augment,
        tta="none" if augment == "none" else "shift",
        class_weights=bool(look.imbalance),
    )
    return Choice(ModelConfig("speed_net"), recipe, tuple(reasons), _VALIDATION)


def best(dataset: Dataset) -> Choice:
    """The best accuracy, time no object: a wider `speed_net`, or for few photos a backbone that is tuned throughout."""
    look = _Look.at(dataset)
    if look.few and min(dataset.train.image_shape[:2]) >= _PHOTO:
        choice = transfer(dataset)
        recipe = replace(choice.recipe, fine_tune=1.0, fine_tune_epochs=10, class_weights=bool(look.imbalance))
        reason = f"EfficientNet-Lite0 with ImageNet weights, all of it tuned: only {look.images:,} images"
        return Choice(choice.model, recipe, (reason, *look.imbalance), _VALIDATION)
    # Of Fashion-MNIST's validation images, after 30 epochs, "erase" has 95.6% right with a loss of 0.310, "light" 95.3%
    # with 0.323; "erase" over all views 95.8% after 30 epochs and 96.1% after 45. Three convolutions a block, or mixing
    # one batch in two, are no better. One seed each.
    augment = "erase" if dataset.train.image_shape[-1] == 1 else "light"
    reason = f"40 epochs of speed_net_wide, augmentation {augment}: {look.images:,} images"
    recipe = replace(_MANY, epochs=40, augment=augment, precision="auto", class_weights=bool(look.imbalance))
    # Of many pictures, few decide the one number that is fitted to them: the temperature of the probabilities.
    validation = _VALIDATION if look.few else _VALIDATION / 2
    return Choice(ModelConfig("speed_net_wide"), recipe, (reason, *look.imbalance), validation)


def transfer(dataset: Dataset) -> Choice:
    """EfficientNet-Lite0 that knows ImageNet under a new head, then its upper half tuned: photos, few of them."""
    # Chosen on the validation images of the five flowers: 96.2%, where four epochs at a third of the rate, without
    # augmentation and of a constant rate, gave 94.7%.
    recipe = Recipe(
        epochs=40,
        batch_size=32,
        learning_rate=0.003,
        schedule="cosine",
        early_stopping=8,
        keep_best=True,
        label_smoothing=0.05,
        fine_tune=0.5,
        fine_tune_epochs=6,
        fine_tune_rate=0.1,
        fine_tune_augment="light",
        tta="mirror",
        calibrate=True,
    )
    return Choice(ModelConfig("efficientnet_lite0", weights="imagenet"), recipe)


_MANY = Recipe(
    batch_size=128,
    optimizer="sgd",
    learning_rate=0.19,
    momentum=0.85,
    weight_decay=0.01,
    schedule="linear",
    warmup=0.2,
    label_smoothing=0.2,
    augment="light",
    tta="shift",
    calibrate=True,
)
_FEW = Recipe(
    batch_size=32,
    learning_rate=0.003,
    schedule="one-cycle",
    label_smoothing=0.1,
    augment="light",
    tta="shift",
    calibrate=True,
)


@dataclass(frozen=True)
class _Look:
    """What presets look at: the number of images and classes, and what is to be said of their balance, if anything."""

    images: int
    classes: int
    imbalance: tuple[str, ...]

    @property
    def few(self) -> bool:
        return self.images < _FEW_IMAGES

    @classmethod
    def at(cls, dataset: Dataset) -> "_Look":
        counts = np.array(list(dataset.train.counts().values()))
        said = (f"class weights: classes have {counts.min():,} to {counts.max():,} images",)
        return cls(len(dataset.train), len(counts), said if counts.max() > _BALANCED * counts.min() else ())


PRESETS: dict[str, Preset] = {
    "tutorial": Preset("a first network, trained as in a first lesson: overfits, on purpose", tutorial),
    "flowers": Preset("photos of two or more kinds, as in a second lesson", flowers, size=(80, 80)),
    "transfer": Preset("few photos, with what a network learned on ImageNet", transfer, size=(224, 224)),
    "fast": Preset("the best accuracy in a few minutes of a CPU; follows the number and the balance of pictures", fast),
    "best": Preset("the best accuracy, an hour of a CPU or more", best),
}


def find_preset(name: str) -> Preset:
    """The preset of this name; raises `OptionError` with the nearest known one."""
    one_of("preset", name, tuple(PRESETS))
    return PRESETS[name]
