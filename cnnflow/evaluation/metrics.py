"""Probabilities and labels -> the figures of `metrics.json`."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_fscore_support

from cnnflow.errors import DataError
from cnnflow.evaluation.calibration import reliability

# What Keras adds before a logarithm, so that the loss here is the loss there.
EPSILON = 1e-7


@dataclass(frozen=True)
class ClassMetrics:
    """One class against all others; each figure is 0 where its denominator is 0.

    Attributes:
        precision: of the images that were given this class, the share that has it.
        recall: of the images that have this class, the share that was given it: the accuracy on this class.
        f1: the harmonic mean of the two.
        support: how many images have this class.
    """

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True, eq=False)
class Metrics:
    """How good the predictions for a set of images are.

    Attributes:
        accuracy: the share of images whose most probable class is the right one, 0 to 1.
        loss: mean cross entropy in nats, `-log p(right class)`.
        per_class: the figures of each class, by class name.
        ece: expected calibration error with 15 bins, 0 to 1.
        confusion: int64 `[classes, classes]`; row: the label, column: the prediction.
    """

    accuracy: float
    loss: float
    per_class: dict[str, ClassMetrics]
    ece: float
    confusion: NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """The figures in JSON's types."""
        return {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "per_class": {name: asdict(figures) for name, figures in self.per_class.items()},
            "ece": self.ece,
            "confusion": self.confusion.tolist(),
        }


def evaluate(probabilities: NDArray[np.floating], labels: NDArray[np.int64], class_names: Sequence[str]) -> Metrics:
    """Compare probabilities `[n, classes]` with the labels, int64 `[n]`; classes may be missing from the labels.

    Raises:
        DataError: the shapes do not fit, or a probability is not finite.

    Example:
        >>> metrics = evaluate(predict(model, test.images), test.labels, test.class_names)
        >>> metrics.accuracy, metrics.per_class["Shirt"].recall
    """
    _check(probabilities, labels, class_names)
    predicted = probabilities.argmax(axis=1)
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return Metrics(
        accuracy=float(np.mean(predicted == labels)),
        loss=float(-np.log(np.clip(right, EPSILON, 1.0)).mean()),
        per_class=_per_class(labels, predicted, class_names),
        ece=reliability(probabilities, labels).error,
        confusion=_confusion(labels, predicted, len(class_names)),
    )


def _confusion(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    # Not scikit-learn's: that one warns where there is a single class.
    counts = np.bincount(labels * classes + predicted, minlength=classes * classes)
    return counts.reshape(classes, classes).astype(np.int64)


def _per_class(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], class_names: Sequence[str]
) -> dict[str, ClassMetrics]:
    columns = precision_recall_fscore_support(labels, predicted, labels=range(len(class_names)), zero_division=0.0)
    rows = zip(class_names, *(column.tolist() for column in columns), strict=True)
    return {name: ClassMetrics(precision, recall, f1, int(support)) for name, precision, recall, f1, support in rows}


def _check(probabilities: NDArray[np.floating], labels: NDArray[np.int64], class_names: Sequence[str]) -> None:
    if len(labels) == 0 or probabilities.shape != (len(labels), len(class_names)):
        raise DataError(
            f"probabilities of shape {probabilities.shape} for {len(labels)} labels and {len(class_names)} classes; "
            "there must be a row for each label, at least one, and a column for each class"
        )
    if not np.isfinite(probabilities).all():
        rows = int((~np.isfinite(probabilities)).any(axis=1).sum())
        raise DataError(f"{rows} rows of probabilities are not finite; train with a lower learning rate")
