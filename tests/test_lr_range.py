"""The learning-rate range test finds a usable rate and leaves the model as it was."""

from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from cnnflow.config import DataConfig, ModelConfig, Recipe
from cnnflow.data import fashion
from cnnflow.data.image_set import ImageSet
from cnnflow.models.catalog import build
from cnnflow.plots.learning_rates import plot_learning_rates
from cnnflow.training.lr_range import HIGHEST, LOWEST, find_learning_rate


@pytest.fixture(scope="module")
def images() -> ImageSet:
    return fashion.load(DataConfig("fashion")).train.take(np.arange(600))


def _values(model: keras.Model) -> list[bytes]:
    return [np.asarray(keras.ops.convert_to_numpy(v.value)).tobytes() for v in model.variables]


def test_the_suggestion_trains_and_the_model_is_untouched(images: ImageSet, tmp_path: Path) -> None:
    model = build(ModelConfig("flower_cnn", batch_norm=True), (28, 28, 1), 10, seed=0)
    before = _values(model)
    found = find_learning_rate(model, images, Recipe(batch_size=32))
    assert _values(model) == before
    # Adam trains such a network with anything from 1e-4 to 1e-2, and not with 1e-6 or 1.
    assert 1e-5 < found.suggestion < 0.1
    assert found.rates[0] == LOWEST
    assert found.rates[-1] <= HIGHEST
    assert found.losses.min() < 0.9 * found.losses[0]
    plot_learning_rates(found.rates, found.losses, found.suggestion, tmp_path / "rates.png")
    with Image.open(tmp_path / "rates.png") as picture:
        assert picture.width > 400


def test_the_same_test_gives_the_same_curve(images: ImageSet) -> None:
    model = build(ModelConfig("dense_net"), (28, 28, 1), 10, seed=0)
    recipe = Recipe(optimizer="sgd", momentum=0.9, augment="strong")
    first, second = (find_learning_rate(model, images, recipe).losses for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_a_small_last_batch_does_not_bend_the_curve(images: ImageSet) -> None:
    # Two batches of 32 and one of a single image, which must not pass for one of a very low loss. While the rates are
    # low the loss stays that of guesses.
    model = build(ModelConfig("dense_net"), (28, 28, 1), 10, seed=0)
    losses = find_learning_rate(model, images.take(np.arange(65)), Recipe(optimizer="sgd", batch_size=32)).losses[:40]
    assert np.ptp(losses) < 0.1 * np.mean(losses)
