"""Images -> class probabilities, on any backend."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cnnflow.data.image_set import Images
from cnnflow.errors import DataError
from cnnflow.evaluation.views import PLAIN, View
from cnnflow.events import OnEvent, Progress, ignore


class Predictor(Protocol):
    """What is asked of a model here; every `keras.Model` with one input and one output is one."""

    @property
    def input_shape(self) -> tuple[int | None, ...]: ...
    def predict_on_batch(self, x: Any, /) -> Any: ...


def predict(
    model: Predictor,
    images: Images,
    *,
    batch_size: int = 256,
    views: Sequence[View] = PLAIN,
    on_event: OnEvent = ignore,
) -> NDArray[np.float32]:
    """Class probabilities, float32 `[n, classes]`, of uint8 images `[n, height, width, channels]`.

    Every batch has one shape (the last is filled up), so that a backend that compiles for a shape does it once; stored
    images are read a batch at a time. A model with one sigmoid unit gives two columns, `1 - p` and `p`.

    With several `views` each picture is shown in each of them, and the answers are averaged (`views_of`).

    Raises:
        DataError: the images have not the shape that the model takes.

    Example:
        >>> probabilities = predict(keras.saving.load_model("model.keras"), images)
        >>> probabilities.argmax(axis=1)
    """
    found = predict_views(model, images, batch_size=batch_size, views=views, on_event=on_event)
    return found[0] if len(found) == 1 else np.mean(found, axis=0, dtype=np.float32)


def predict_views(
    model: Predictor,
    images: Images,
    *,
    batch_size: int = 256,
    views: Sequence[View] = PLAIN,
    on_event: OnEvent = ignore,
) -> list[NDArray[np.float32]]:
    """What `predict` averages: the probabilities of the images in each of the `views`."""
    _check_shape(model, images)
    # Keras's `predict_on_batch` rather than `predict`: as fast or faster on every backend (on TensorFlow by far, for
    # one batch), nothing is rebuilt with each call, and on JAX it leaves the variables whole when a call fails.
    parts: list[list[NDArray[np.float32]]] = [[] for _ in views]
    done = 0
    for batch, size in _batches(images, batch_size):
        for part, view in zip(parts, views, strict=True):
            part.append(_outputs(model, view.of(batch))[:size])
        done += size
        on_event(Progress("predict", done, len(images)))
    return [np.concatenate(view) for view in parts]


def _check_shape(model: Predictor, images: Images) -> None:
    wanted = tuple(model.input_shape[1:])
    given = images.shape[1:]
    if len(images) == 0:
        raise DataError(f"images of shape {images.shape}; there must be at least one to predict")
    if len(wanted) != len(given) or any(side not in (None, got) for side, got in zip(wanted, given, strict=True)):
        raise DataError(f"images of {_shape(given)} for a model that takes {_shape(wanted)}; resize them to that")


def _shape(sides: tuple[int | None, ...]) -> str:
    return "x".join("any" if side is None else str(side) for side in sides)


def _batches(images: Images, batch_size: int) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Batches of one shape, each with the number of its rows that are images and not filling."""
    # A few images are not blown up to a full batch; powers of two keep the number of compiled shapes small.
    rows = min(batch_size, 1 << (len(images) - 1).bit_length())
    for start in range(0, len(images), rows):
        batch = images[start : start + rows]
        size = len(batch)
        if size < rows:
            batch = np.concatenate([batch, np.zeros((rows - size, *batch.shape[1:]), np.uint8)])
        yield batch, size


def _outputs(model: Predictor, batch: NDArray[np.uint8]) -> NDArray[np.float32]:
    outputs = np.asarray(model.predict_on_batch(batch), np.float32)
    if outputs.shape[1] == 1:
        return np.concatenate([1 - outputs, outputs], axis=1)
    return outputs
