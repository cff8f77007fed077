"""Presets choose by the dataset, and say why."""

import numpy as np
import pytest

from cnnflow.data.image_set import Dataset, ImageSet
from cnnflow.errors import OptionError
from cnnflow.models.catalog import MODELS
from cnnflow.presets import PRESETS, find_preset


def _dataset(counts: list[int], side: int) -> Dataset:
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(labels), side, side, 3), np.uint8)
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


def test_the_automatic_choice_follows_the_pictures() -> None:
    few = find_preset("auto").choose(_dataset([30, 90], 80))
    assert few.model.name == "flower_cnn"
    assert few.recipe.class_weights
    assert few.recipe.augment == "tutorial"
    assert len(few.reasons) == 3
    many = find_preset("auto").choose(_dataset([5000, 5000, 5000], 28))
    assert many.model.name == "basic_cnn"
    assert not many.recipe.class_weights
    assert len(many.reasons) == 1


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(OptionError, match="did you mean tutorial"):
        find_preset("tutorail")
