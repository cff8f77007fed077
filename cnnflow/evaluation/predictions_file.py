"""`predictions.csv`: what a model said about each test image."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnflow.errors import RunError
from cnnflow.files import write_text

COLUMNS = ["origin", "label", "prediction", "probability"]


@dataclass(frozen=True, eq=False)
class Predictions:
    """The rows of a `predictions.csv`, by column.

    Attributes:
        origins: where each image came from: a path, or "test/17".
        labels: its class name.
        predictions: the name of the most probable class.
        probabilities: float64 `[n]`, the probability of that class.
    """

    origins: tuple[str, ...]
    labels: tuple[str, ...]
    predictions: tuple[str, ...]
    probabilities: NDArray[np.float64]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """bool `[n]`: whether the prediction is the label."""
        return np.array([label == said for label, said in zip(self.labels, self.predictions, strict=True)], np.bool_)


def write_predictions(
    path: Path,
    probabilities: NDArray[np.floating],
    labels: NDArray[np.int64],
    class_names: Sequence[str],
    origins: Sequence[str],
) -> None:
    """Write one row an image: origin, label, prediction and its probability; the file appears whole or not at all.

    Example:
        >>> write_predictions(run / "predictions.csv", probabilities, test.labels, test.class_names, test.origins)
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row, label, origin in zip(probabilities, labels, origins, strict=True):
        best = int(row.argmax())
        writer.writerow([origin, class_names[int(label)], class_names[best], f"{row[best]:.6f}"])
    write_text(path, text.getvalue())


def read_predictions(path: Path) -> Predictions:
    """Read a `predictions.csv`; raises `RunError` where it is missing or not one."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            header, *rows = list(csv.reader(file, strict=True))
        if header != COLUMNS:
            raise ValueError(f"its columns are {', '.join(header)}")
        origins, labels, predictions, probabilities = zip(*rows, strict=True)
        return Predictions(origins, labels, predictions, np.array([float(p) for p in probabilities]))
    except (OSError, ValueError, csv.Error) as error:
        raise RunError(f"{path} cannot be read ({error}); `cnnflow evaluate` writes it anew") from error
