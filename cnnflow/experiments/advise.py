"""Which family of networks and which preset to start with, from the figures of a dataset."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnflow.data.image_set import Dataset
from cnnflow.errors import DataError
from cnnflow.presets import PRESETS

# Files of rows and columns, for which a network over pictures is not the tool.
TABLES = (".csv", ".tsv", ".xls", ".xlsx", ".parquet", ".json", ".jsonl", ".feather")
# Sides up to this are those of MNIST and CIFAR; larger pictures are photos.
_SMALL_SIDE = 48
# With fewer training images a class than this, a network from scratch mostly learns them by heart.
_FEW_A_CLASS = 500
_TOO_FEW_A_CLASS = 20
_BALANCED = 1.5
_LOOKED_AT = 500


@dataclass(frozen=True)
class Figures:
    """What advice looks at.

    Attributes:
        images: training images of the source, before a validation split.
        classes: how many classes.
        smallest: images of the smallest class.
        largest: images of the largest class.
        height: of a picture, pixels.
        width: of a picture, pixels.
        colour: whether pictures have colour; an RGB picture whose channels are equal has none.
        mirror: whether a mirrored picture still shows its class.
    """

    images: int
    classes: int
    smallest: int
    largest: int
    height: int
    width: int
    colour: bool
    mirror: bool


@dataclass(frozen=True)
class Advice:
    """Where to start.

    Attributes:
        figures: what was looked at.
        family: the kind of network.
        model: one of that kind, of `cnnflow models`.
        preset: the recipe to start with.
        reasons: why, each with the figure that it rests on.
        command: starts it.
    """

    figures: Figures
    family: str
    model: str
    preset: str
    reasons: tuple[str, ...]
    command: str

    def to_dict(self) -> dict[str, Any]:
        """The advice in JSON's types."""
        return asdict(self)


def refuse_table(source: str) -> None:
    """Raise `DataError` where `source` is a file of rows and columns, with the tool that is for it."""
    if Path(source).suffix.lower() in TABLES:
        raise DataError(
            f"{source} is a table, and convolutions are for pictures, where neighbours belong together; "
            "for rows and columns take scikit-learn's HistGradientBoostingClassifier first, or a dense network"
        )


def look(dataset: Dataset) -> Figures:
    """The figures of a dataset that advice rests on."""
    counts = list(dataset.train.counts().values())
    height, width, _ = dataset.train.image_shape
    return Figures(
        images=len(dataset.train),
        classes=len(counts),
        smallest=min(counts),
        largest=max(counts),
        height=height,
        width=width,
        colour=_has_colour(dataset),
        mirror=dataset.mirror,
    )


def advise(dataset: Dataset, source: str) -> Advice:
    """Which family and preset to start with on `dataset`, which `source` named, and why.

    The rules are those of thumb that the tutorial's section on choosing a network gives, with figures to them.

    Example:
        >>> advise(load(DataConfig("fashion")), "fashion").model
        'speed_net'
    """
    figures = look(dataset)
    family, preset, reason = _choose(figures)
    model = PRESETS[preset].choose(dataset).model.name
    words = ["cnnflow fit", f"'{source}'" if " " in source else source, "--preset", preset]
    return Advice(figures, family, model, preset, (reason, *_remarks(figures)), " ".join(words))


def _choose(figures: Figures) -> tuple[str, str, str]:
    """Family, preset, and the reason."""
    size = f"{figures.height}x{figures.width}"
    a_class = figures.images // figures.classes
    if min(figures.height, figures.width) > _SMALL_SIDE and a_class < 2 * _FEW_A_CLASS:
        return (
            "a network with weights from other photos, or a small CNN with augmentation",
            "transfer",
            f"{size} photos, about {a_class:,} a class: too few to learn from scratch what photos are made of",
        )
    if min(figures.height, figures.width) > _SMALL_SIDE:
        return (
            "a CNN",
            "fast",
            f"{size} pictures, about {a_class:,} a class: enough for a deeper CNN from scratch",
        )
    if figures.colour:
        return (
            "a CNN",
            "fast",
            f"{size} pictures in colour: a dense network loses what is next to what, and much accuracy with it",
        )
    return (
        "a small CNN",
        "fast",
        f"{size} grey pictures: simple patterns, a small CNN does well; a dense network would do for a quick prototype",
    )


def _remarks(figures: Figures) -> tuple[str, ...]:
    remarks = []
    a_class = figures.images // figures.classes
    if figures.smallest < _TOO_FEW_A_CLASS:
        remarks.append(
            f"the smallest class has {figures.smallest} images: gather more of it, or expect little of its accuracy"
        )
    if a_class < _FEW_A_CLASS:
        flips = "" if figures.mirror else " (without mirroring, which would change the class)"
        remarks.append(
            f"about {a_class:,} images a class: overfitting is the danger, use augmentation{flips} and dropout"
        )
    if figures.largest > _BALANCED * figures.smallest:
        remarks.append(
            f"classes have {figures.smallest:,} to {figures.largest:,} images: weigh them (--class-weights), and look "
            "at recall by class, not at accuracy alone"
        )
    if figures.classes == 2:
        remarks.append("2 classes: one sigmoid unit is enough at the output")
    return tuple(remarks)


def _has_colour(dataset: Dataset) -> bool:
    images = dataset.train.images
    if images.shape[3] == 1:
        return False
    sample = images[np.linspace(0, len(images) - 1, min(_LOOKED_AT, len(images)), dtype=np.int64)].astype(np.int16)
    # Grey pictures saved as JPEG differ between channels by a unit or two.
    return bool((sample.max(axis=3) - sample.min(axis=3)).mean() > 2)


def describe(figures: Figures) -> Mapping[str, str]:
    """The figures as people read them, by what they are."""
    return {
        "training images": f"{figures.images:,}",
        "classes": f"{figures.classes}",
        "images a class": f"{figures.smallest:,} to {figures.largest:,}",
        "picture": f"{figures.height}x{figures.width}, {'colour' if figures.colour else 'grey'}",
        "mirrored pictures": "still show their class" if figures.mirror else "show another class",
    }
