"""Advice: what it looks at, and what it says."""

import numpy as np
import pytest

from cnnflow.data.image_set import Dataset, ImageSet
from cnnflow.errors import DataError
from cnnflow.experiments.advise import advise, look, refuse_table
from cnnflow.models.catalog import MODELS
from cnnflow.presets import PRESETS


def dataset(counts, *, side=28, channels=1, spread=0, mirror=True) -> Dataset:
    """A dataset of flat pictures with so many of each class; `spread` is how far their channels are apart."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.full((len(labels), side, side, channels), 100, np.uint8)
    images += (np.arange(channels) * spread).astype(np.uint8)
    names = tuple(f"class {i}" for i in range(len(counts)))
    return Dataset("made", ImageSet(images, labels, names, [str(i) for i in range(len(labels))]), mirror=mirror)


def test_figures_are_counted():
    figures = look(dataset([30, 10], side=20, channels=3, spread=40))
    assert (figures.images, figures.classes, figures.smallest, figures.largest) == (40, 2, 10, 30)
    assert (figures.height, figures.width, figures.colour) == (20, 20, True)


@pytest.mark.parametrize(("channels", "spread", "colour"), [(1, 0, False), (3, 0, False), (3, 1, False), (3, 30, True)])
def test_colour_is_seen_in_the_pixels(channels, spread, colour):
    assert look(dataset([5, 5], channels=channels, spread=spread)).colour is colour


@pytest.mark.parametrize(
    ("options", "family", "reason"),
    [
        ({"counts": [600] * 3}, "a small CNN", "28x28 grey pictures"),
        ({"counts": [600] * 3, "side": 32, "channels": 3, "spread": 30}, "a CNN", "32x32 pictures in colour"),
        ({"counts": [60, 60], "side": 80, "channels": 3, "spread": 30}, "weights from other photos", "80x80 photos"),
        ({"counts": [1100, 1100], "side": 56, "channels": 3, "spread": 30}, "a CNN", "about 1,100 a class"),
    ],
)
def test_the_family_follows_from_the_figures(options, family, reason):
    advice = advise(dataset(**options), "pictures")
    assert family in advice.family
    assert reason in advice.reasons[0]
    assert advice.model in MODELS
    assert advice.preset in PRESETS
    assert advice.command.startswith(f"cnnflow fit pictures --preset {advice.preset}")


def test_dangers_are_named_with_their_figures():
    reasons = "\n".join(advise(dataset([200, 15], mirror=False), "d").reasons)
    assert "the smallest class has 15 images" in reasons
    assert "about 107 images a class" in reasons
    assert "without mirroring" in reasons
    assert "15 to 200 images: weigh them" in reasons
    assert "2 classes" in reasons


def test_a_large_balanced_dataset_has_no_dangers():
    assert len(advise(dataset([700] * 4, side=16), "d").reasons) == 1


@pytest.mark.parametrize("name", ["sales.csv", "SALES.CSV", "a/b.parquet", "book.xlsx"])
def test_tables_are_sent_elsewhere(name):
    with pytest.raises(DataError, match="HistGradientBoostingClassifier"):
        refuse_table(name)


def test_other_sources_are_not_taken_for_tables():
    for name in ("fashion", "photos.npz", "folder", "tfds:mnist"):
        refuse_table(name)
