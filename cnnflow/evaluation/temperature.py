"""Probabilities that can be believed: one number, found on validation images, divides the logits of a network."""

from collections.abc import Sequence

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from cnnflow.data.image_set import ImageSet
from cnnflow.errors import OptionError
from cnnflow.evaluation.predictions import predict_views
from cnnflow.evaluation.views import PLAIN, View

# Beyond a factor of 20 either way a network knows nothing, or the validation images are far too few.
_RANGE = np.log(20)
_SMALLEST = 1e-30


def calibrate(model: keras.Model, validation: ImageSet, *, views: Sequence[View] = PLAIN) -> float:
    """Divide the logits of `model` by the temperature that suits `validation` best, and return that temperature.

    No prediction changes, only how sure it is; networks trained with smoothed labels are far too unsure without it.
    The number goes into the weights of the last dense layer, so that the model stays as plain as it was. Temperature
    scaling (Guo et al. 2017, arXiv:1706.04599, section 4.2).

    Args:
        model: returns probabilities, by softmax or one sigmoid unit after its last dense layer, and is changed.
        validation: images that the model was not trained on; not the test images.
        views: over which the model's answers are averaged; see `predict`.

    Raises:
        OptionError: the model has no dense layer.

    Example:
        >>> calibrate(model, splits.validation)
        0.31
    """
    dense = [layer for layer in model.layers if isinstance(layer, keras.layers.Dense)]
    if not dense:
        raise OptionError(f"{model.name} has no dense layer to calibrate; end it with one")
    temperature = best_temperature(predict_views(model, validation.images, views=views), validation.labels)
    dense[-1].set_weights([weights / np.float32(temperature) for weights in dense[-1].get_weights()])
    return temperature


def best_temperature(answers: Sequence[NDArray[np.floating]], labels: NDArray[np.int64]) -> float:
    """The temperature of the lowest cross entropy, for probabilities that are the mean of several `answers`.

    Args:
        answers: arrays `[n, classes]` of probabilities; one, or one for each view of the pictures.
        labels: int64 `[n]`.

    Returns:
        Above 1 where the probabilities are too sure of themselves, below 1 where they are not sure enough; 1/20 to 20.

    The targets are not quite 1 and 0 but (n + 1) / (n + classes) and 1 / (n + classes), after Platt (1999,
    "Probabilistic outputs for support vector machines", section 2.2): a few images that are all right do not make a
    network certain.
    """
    logits = [np.log(np.maximum(np.asarray(answer, np.float64), _SMALLEST)) for answer in answers]
    count, classes = logits[0].shape
    targets = (np.eye(classes)[labels] * count + 1) / (count + classes)

    def loss(log_temperature: float) -> float:
        views = [_softmax(logit / np.exp(log_temperature)) for logit in logits]
        return float(-(targets * np.log(np.maximum(np.mean(views, axis=0), _SMALLEST))).sum(axis=1).mean())

    found = minimize_scalar(loss, bounds=(-_RANGE, _RANGE), method="bounded")
    return float(np.exp(found.x))


def _softmax(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
