"""Presets choose by the dataset, and say why."""

import numpy as np
import pytest

from cnnflow.config import DataConfig
from cnnflow.data.image_set import Dataset, ImageSet
from cnnflow.errors import OptionError
from cnnflow.models.catalog import MODELS
from cnnflow.presets import PRESETS, find_preset


def _dataset(counts: list[int], side: int, channels: int = 3) -> Dataset:
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(labels), side, side, channels), np.uint8)
    names = tuple(f"class {k}" for k in range(len(counts)))
    return Dataset("x", ImageSet(images, labels, names, [""] * len(labels)))


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("dataset", [_dataset([20, 20], 80), _dataset([30, 30, 30], 28)])
def test_every_preset_chooses_a_network_that_exists(name: str, dataset: Dataset) -> None:
    choice = find_preset(name).choose(dataset)
    assert choice.model.name in MODELS
    assert find_preset(name).summary


def test_the_tutorial_is_the_tutorials() -> None:
    choice = find_preset("tutorial").choose(_dataset([5, 5], 28))
    recipe = choice.recipe
    assert (choice.model.name, recipe.epochs, recipe.batch_size) == ("basic_cnn", 15, 64)
    assert (recipe.optimizer, recipe.augment, recipe.keep_best) == ("adam", "none", False)
    flowers = find_preset("flowers").choose(_dataset([5, 5], 80))
    assert (flowers.recipe.epochs, flowers.recipe.early_stopping, flowers.recipe.reduce_on_plateau) == (50, 5, 3)
    assert flowers.recipe.keep_best


def test_the_fast_choice_follows_the_pictures() -> None:
    few = find_preset("fast").choose(_dataset([30, 90], 80))
    assert few.recipe.class_weights
    assert few.recipe.epochs == 30
    assert "one sigmoid unit: there are 2 classes" in few.reasons
    assert "class weights: classes have 30 to 90 images" in few.reasons
    many = find_preset("fast").choose(_dataset([5000, 5000, 5000], 28))
    assert not many.recipe.class_weights
    assert (many.recipe.epochs, many.recipe.optimizer) == (18, "sgd")
    assert "softmax: there are 3 classes" in many.reasons
    grey = find_preset("fast").choose(_dataset([5000, 5000, 5000], 28, channels=1))
    assert (grey.recipe.augment, grey.recipe.tta) == ("none", "none"), "never trained on mirrored pictures"
    assert (many.recipe.augment, many.recipe.tta) == ("light", "shift")


def test_the_best_choice_tunes_a_backbone_on_few_photos_only() -> None:
    photos = find_preset("best").choose(_dataset([30, 90], 80))
    assert (photos.model.name, photos.model.weights, photos.recipe.fine_tune) == ("efficientnet_lite0", "imagenet", 1.0)
    assert photos.recipe.class_weights
    small = find_preset("best").choose(_dataset([5000, 5000, 5000], 28))
    assert (small.model.name, small.model.weights, small.recipe.augment) == ("speed_net_wide", None, "light")
    grey = find_preset("best").choose(_dataset([5000, 5000, 5000], 28, channels=1))
    assert (grey.model.name, grey.recipe.augment, grey.recipe.tta) == ("speed_net_wide", "erase", "shift")
    assert grey.recipe.precision == small.recipe.precision == "auto"
    few = find_preset("best").choose(_dataset([50, 50], 28, channels=1))
    assert [choice.validation for choice in (photos, small, grey, few)] == [0.1, 0.05, 0.05, 0.1]


def test_a_preset_gives_way_to_what_is_said() -> None:
    preset = find_preset("fast")
    assert preset.data("x", limit=5) == DataConfig("x", limit=5)
    assert find_preset("flowers").data("x") == DataConfig("x", size=(80, 80))
    choice = preset.choose(_dataset([30, 90], 80))
    assert choice.data(DataConfig("x")) == DataConfig("x", validation=0.1)
    assert choice.data(DataConfig("x", validation=0.3)) == DataConfig("x", validation=0.3)


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(OptionError, match="did you mean tutorial"):
        find_preset("tutorail")
