"""Probabilities from models, and their file."""

import numpy as np
import pytest

from cnnflow.errors import DataError, RunError
from cnnflow.evaluation.predictions import predict
from cnnflow.evaluation.predictions_file import read_predictions, write_predictions
from cnnflow.evaluation.views import View


class Brightness:
    """A stand-in for a model: the mean of the left half and of the right half of a picture, as two 'classes'."""

    input_shape = (None, 4, 4, 1)

    def __init__(self, units: int = 2) -> None:
        self.units = units
        self.shapes: list[tuple[int, ...]] = []

    def predict_on_batch(self, x):
        self.shapes.append(x.shape)
        halves = np.stack([x[:, :, :2].mean(axis=(1, 2, 3)), x[:, :, 2:].mean(axis=(1, 2, 3))], axis=1) / 255
        return halves[:, : self.units].astype(np.float32)


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 4, 4, 1), np.uint8)


@pytest.mark.parametrize("count", [1, 2, 7, 8, 9, 16, 17])
def test_every_row_is_predicted_once_in_order_with_one_batch_shape(count):
    model, pictures = Brightness(), images(count)
    result = predict(model, pictures, batch_size=8)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, Brightness().predict_on_batch(pictures))
    assert len(set(model.shapes)) == 1


def test_few_images_are_not_blown_up_to_a_full_batch():
    model = Brightness()
    predict(model, images(3), batch_size=256)
    assert model.shapes == [(4, 4, 4, 1)]


def test_one_sigmoid_unit_gives_two_columns():
    result = predict(Brightness(units=1), images(5))
    np.testing.assert_allclose(result.sum(axis=1), 1)
    np.testing.assert_array_equal(result[:, 1], Brightness(units=1).predict_on_batch(images(5))[:, 0])


def test_views_are_averaged():
    plain = predict(Brightness(), images(9), batch_size=4)
    flipped = predict(Brightness(), images(9), batch_size=4, views=(View(), View(mirrored=True)))
    np.testing.assert_allclose(flipped, plain.mean(axis=1, keepdims=True).repeat(2, axis=1), rtol=1e-6)


def test_progress_counts_images_and_not_filling():
    events = []
    predict(Brightness(), images(9), batch_size=4, on_event=events.append)
    assert [(event.done, event.total) for event in events] == [(4, 9), (8, 9), (9, 9)]


def test_stored_images_are_read_in_batches():
    class Stored:
        def __init__(self, rows):
            self.rows, self.shape, self.dtype, self.asked = rows, rows.shape, rows.dtype, []

        def __len__(self):
            return len(self.rows)

        def __getitem__(self, index):
            self.asked.append(index)
            return self.rows[index]

    stored = Stored(images(10))
    np.testing.assert_array_equal(predict(Brightness(), stored, batch_size=4), predict(Brightness(), stored.rows))
    assert stored.asked == [slice(0, 4), slice(4, 8), slice(8, 12)]


def test_wrong_shape_and_no_images_are_refused():
    with pytest.raises(DataError, match="5x5x1 for a model that takes 4x4x1"):
        predict(Brightness(), np.zeros((2, 5, 5, 1), np.uint8))
    with pytest.raises(DataError, match="at least one"):
        predict(Brightness(), np.zeros((0, 4, 4, 1), np.uint8))


def test_a_keras_model_predicts_what_it_computes():
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    model = keras.Sequential([keras.layers.Input((4, 4, 1)), *layers])
    expected = keras.ops.convert_to_numpy(model(images(11)))
    np.testing.assert_allclose(predict(model, images(11), batch_size=4), expected, atol=1e-6)


def test_predictions_file_gives_back_what_was_written(tmp_path):
    path = tmp_path / "predictions.csv"
    probabilities = np.array([[0.75, 0.25], [0.1, 0.9], [0.4, 0.6]], np.float32)
    names, origins = ("데이지", 'a "b", c'), ["test/0", "folder/with, comma.jpg", "line\nbreak.png"]
    write_predictions(path, probabilities, np.array([0, 1, 0]), names, origins)
    read = read_predictions(path)
    assert read.origins == tuple(origins)
    assert read.labels == (names[0], names[1], names[0])
    assert read.predictions == (names[0], names[1], names[1])
    np.testing.assert_allclose(read.probabilities, [0.75, 0.9, 0.6], atol=1e-6)
    assert read.correct.tolist() == [True, True, False]


@pytest.mark.parametrize(
    "content",
    ["", "a,b\n1,2\n", "origin,label,prediction,probability\n", "origin,label,prediction,probability\nx,a,b\n"],
)
def test_a_damaged_predictions_file_is_refused(tmp_path, content):
    path = tmp_path / "predictions.csv"
    path.write_text(content)
    with pytest.raises(RunError, match=r"predictions\.csv cannot be read"):
        read_predictions(path)


def test_a_missing_predictions_file_is_refused(tmp_path):
    with pytest.raises(RunError, match="cannot be read"):
        read_predictions(tmp_path / "predictions.csv")
