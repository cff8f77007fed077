"""Temperature scaling: known answers, laws, and a model whose classes stay while its probabilities move."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cnnflow.config import DataConfig
from cnnflow.data import fashion
from cnnflow.errors import OptionError
from cnnflow.evaluation.metrics import evaluate
from cnnflow.evaluation.predictions import predict
from cnnflow.evaluation.temperature import best_temperature, calibrate
from cnnflow.evaluation.views import views_of
from cnnflow.models.tutorial import basic_cnn, flower_cnn


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def _honest(rng: np.random.Generator, images: int, classes: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits, and labels drawn from the probabilities that they stand for."""
    logits = rng.normal(0, 2, (images, classes))
    labels = np.array([rng.choice(classes, p=row) for row in _softmax(logits)])
    return logits, labels


@given(classes=st.integers(2, 12), wrong_by=st.floats(0.2, 5), seed=st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_it_finds_by_how_much_logits_are_too_large(classes: int, wrong_by: float, seed: int) -> None:
    logits, labels = _honest(np.random.default_rng(seed), 4000, classes)
    assert best_temperature([_softmax(logits * wrong_by)], labels) == pytest.approx(wrong_by, rel=0.15)


def test_two_views_have_one_temperature() -> None:
    logits, labels = _honest(np.random.default_rng(0), 4000, 5)
    views = [_softmax(3 * logits), _softmax(3 * logits)]
    assert best_temperature(views, labels) == pytest.approx(best_temperature(views[:1], labels), rel=1e-3)


def test_a_few_images_that_are_all_right_make_nothing_certain() -> None:
    answers = np.full((20, 2), 0.3)
    labels = np.arange(20) % 2
    answers[np.arange(20), labels] = 0.7
    sharpened = _softmax(np.log(answers) / best_temperature([answers], labels))
    assert 0.9 < sharpened.max() < 0.97  # (20 + 1) / (20 + 2)


@pytest.mark.parametrize("classes", [10, 2])
@pytest.mark.parametrize("tta", ["none", "mirror"])
def test_classes_stay_and_the_loss_falls(classes: int, tta: str) -> None:
    views = views_of(tta, (28, 28), mirror=True)
    images = fashion.load(DataConfig("fashion", classes=("Sandal", "Bag") if classes == 2 else ())).train
    keep = np.flatnonzero(images.labels < classes)[:600]
    images = images.take(keep)
    model = basic_cnn((28, 28, 1), 10) if classes == 10 else flower_cnn((28, 28, 1), 2)
    if classes == 2:
        images = type(images)(images.images, images.labels % 2, ("a", "b"), images.origins)
    rng = np.random.default_rng(0)  # a quarter of the labels is drawn, so that nobody can be 98% sure and right
    labels = np.where(rng.random(len(images)) < 0.25, rng.integers(0, classes, len(images)), images.labels)
    images = type(images)(images.images, labels, images.class_names, images.origins)
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)][-1]
    while (before := predict(model, images.images)).max(axis=1).mean() < 0.98:
        dense.set_weights([2 * weights for weights in dense.get_weights()])
    loss = evaluate(predict(model, images.images, views=views), images.labels, images.class_names).loss
    temperature = calibrate(model, images, views=views)
    after = predict(model, images.images)
    assert temperature > 1
    np.testing.assert_array_equal(after.argmax(axis=1), before.argmax(axis=1))
    assert evaluate(predict(model, images.images, views=views), images.labels, images.class_names).loss < loss


def test_a_model_without_a_dense_layer_is_refused() -> None:
    images = fashion.load(DataConfig("fashion")).train.take(np.arange(8))
    inputs = keras.layers.Input((28, 28, 1))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs), name="plain")
    with pytest.raises(OptionError, match="plain has no dense layer"):
        calibrate(model, images)
