"""How far a model's confidence can be believed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BINS = 15


@dataclass(frozen=True, eq=False)
class Reliability:
    """The predictions, sorted into bins of equal width by the probability of the predicted class.

    Attributes:
        counts: int64 `[bins]`, how many predictions are in each; bin i holds confidences in (i / bins, (i + 1) / bins].
        confidence: float64 `[bins]`, their mean confidence; 0 in an empty bin.
        accuracy: float64 `[bins]`, the share of them that is right; 0 in an empty bin.
    """

    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @property
    def error(self) -> float:
        """The expected calibration error, 0 to 1: |accuracy - confidence|, averaged over the predictions."""
        return float(np.average(np.abs(self.accuracy - self.confidence), weights=self.counts))


def reliability(probabilities: NDArray[np.floating], labels: NDArray[np.int64], *, bins: int = BINS) -> Reliability:
    """Confidence against accuracy (Guo et al. 2017, "On Calibration of Modern Neural Networks", section 2).

    Args:
        probabilities: `[n, classes]`, each row summing to 1.
        labels: int64 `[n]`.
        bins: how many bins; 15 as in the paper.

    Example:
        >>> reliability(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0])).error  # 0.1 and 0.8, half each
        0.45
    """
    # Rounded, since a confidence of 0.2 in float32 is above 3 / 15 in float64, and would miss its bin.
    confidence = np.asarray(probabilities, np.float64).max(axis=1).round(6)
    right = probabilities.argmax(axis=1) == labels
    edges = (np.arange(1, bins) / bins).round(6)
    index = np.searchsorted(edges, confidence, side="left")
    counts = np.bincount(index, minlength=bins)
    divisor = np.maximum(counts, 1)
    return Reliability(
        counts=counts.astype(np.int64),
        confidence=np.bincount(index, weights=confidence, minlength=bins) / divisor,
        accuracy=np.bincount(index, weights=right, minlength=bins) / divisor,
    )
