"""What training minimises: the loss that fits a model's output, and targets in the form that it takes."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cnnflow.config import Recipe


def is_binary(model: keras.Model) -> bool:
    """Whether `model` ends in one sigmoid unit (the probability of class 1) instead of a softmax."""
    return int(model.output_shape[-1]) == 1


def one_hot(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """float32 `[n, classes]` with a 1 at each label of int64 `[n]`."""
    return np.eye(classes, dtype=np.float32)[labels]


def form_targets(targets: NDArray[Any], *, classes: int, binary: bool, dense: bool) -> NDArray[Any]:
    """Bring a batch's targets, int64 `[n]` labels or float32 `[n, classes]` shares, to what the loss takes.

    Returns:
        binary: float32 `[n, 1]`, the share of class 1; dense: float32 `[n, classes]`; else int64 `[n]`.
    """
    if binary:
        share = targets[:, 1] if targets.ndim == 2 else targets
        return share.astype(np.float32)[:, None]
    return one_hot(targets, classes) if dense and targets.ndim == 1 else targets


def compile_for_training(
    model: keras.Model, recipe: Recipe, optimizer: keras.optimizers.Optimizer, *, dense: bool
) -> None:
    """Compile `model` with the recipe's loss and an accuracy named "accuracy".

    `dense`: targets are `[n, classes]` shares, as mixing makes them and label smoothing needs them. Where classes are
    weighted the accuracy is of images, unweighted; elsewhere weights only mask padding, which must not count.
    """
    loss, accuracy = _loss_and_accuracy(is_binary(model), dense, recipe.label_smoothing)
    counted = {"metrics": [accuracy]} if recipe.class_weights else {"weighted_metrics": [accuracy]}
    # On torch "auto" calls torch.compile: slow for these sizes, and it warns.
    jit = False if keras.backend.backend() == "torch" else "auto"
    model.compile(optimizer=optimizer, loss=loss, jit_compile=jit, **counted)


def _loss_and_accuracy(binary: bool, dense: bool, smoothing: float) -> tuple[keras.losses.Loss, keras.metrics.Metric]:
    if binary:
        return keras.losses.BinaryCrossentropy(label_smoothing=smoothing), keras.metrics.BinaryAccuracy(name="accuracy")
    if dense:
        loss = keras.losses.CategoricalCrossentropy(label_smoothing=smoothing)
        return loss, keras.metrics.CategoricalAccuracy(name="accuracy")
    return keras.losses.SparseCategoricalCrossentropy(), keras.metrics.SparseCategoricalAccuracy(name="accuracy")
