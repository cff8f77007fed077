"""Metrics against cases worked out by hand, and against scikit-learn."""

import json

import numpy as np
import pytest
from sklearn.metrics import log_loss

from cnnflow.errors import DataError
from cnnflow.evaluation.calibration import reliability
from cnnflow.evaluation.metrics import evaluate

# Three classes, the third never a label; predictions: 0, 1, 1, 2.
PROBABILITIES = np.array([[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.1, 0.5, 0.4], [0.2, 0.2, 0.6]], np.float32)
LABELS = np.array([0, 0, 1, 1])
NAMES = ("a", "b", "c")


def test_figures_worked_out_by_hand():
    metrics = evaluate(PROBABILITIES, LABELS, NAMES)
    assert metrics.accuracy == 0.5
    assert metrics.loss == pytest.approx(-np.log([0.7, 0.3, 0.5, 0.2]).mean(), rel=1e-6)
    assert metrics.confusion.tolist() == [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    a, b, c = (metrics.per_class[name] for name in NAMES)
    assert (a.precision, a.recall, a.support) == (1.0, 0.5, 2)
    assert a.f1 == pytest.approx(2 / 3)
    assert (b.precision, b.recall, b.f1, b.support) == (0.5, 0.5, 0.5, 2)
    assert (c.precision, c.recall, c.f1, c.support) == (0.0, 0.0, 0.0, 0)


def test_loss_is_that_of_scikit_learn():
    rng = np.random.default_rng(1)
    probabilities = rng.dirichlet(np.ones(5), 200)
    labels = rng.integers(0, 5, 200)
    expected = log_loss(labels, probabilities, labels=range(5))
    assert evaluate(probabilities, labels, "vwxyz").loss == pytest.approx(expected)


def test_a_certain_mistake_costs_what_keras_says_and_not_infinity():
    metrics = evaluate(np.array([[1.0, 0.0]], np.float32), np.array([1]), ("a", "b"))
    assert metrics.loss == pytest.approx(-np.log(1e-7))


def test_figures_are_json_without_nan():
    content = json.loads(json.dumps(evaluate(PROBABILITIES, LABELS, NAMES).to_dict(), allow_nan=False))
    assert content["per_class"]["b"] == {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    assert sorted(content) == ["accuracy", "confusion", "ece", "loss", "per_class"]


def test_one_class_alone():
    metrics = evaluate(np.ones((3, 1), np.float32), np.zeros(3, np.int64), ("only",))
    assert (metrics.accuracy, metrics.loss, metrics.ece) == (1.0, 0.0, 0.0)
    assert metrics.confusion.tolist() == [[3]]


def test_calibration_error_worked_out_by_hand():
    # 0.95 and 0.93 share the last bin, (14/15, 1], with 0.95 only: 0.93 is in (13/15, 14/15].
    probabilities = np.array([[0.95, 0.05], [0.93, 0.07], [0.55, 0.45], [0.57, 0.43]])
    labels = np.array([0, 1, 0, 1])
    # 0.55 and 0.57 share (8/15, 9/15]: accuracy 0.5, confidence 0.56.
    expected = (1 * abs(1 - 0.95) + 1 * abs(0 - 0.93) + 2 * abs(0.5 - 0.56)) / 4
    result = reliability(probabilities, labels)
    assert result.error == pytest.approx(expected)
    assert result.counts.tolist() == [0] * 8 + [2, 0, 0, 0, 0, 1, 1]
    assert result.confidence[8] == pytest.approx(0.56)
    assert result.accuracy[8] == 0.5


def test_a_confidence_on_an_edge_is_in_the_bin_below_also_in_float32():
    edges = np.array([[0.6, 0.4], [0.8, 0.2], [1.0, 0.0]])
    for dtype in (np.float32, np.float64):
        counts = reliability(edges.astype(dtype), np.zeros(3, np.int64)).counts
        assert np.flatnonzero(counts).tolist() == [8, 11, 14]


def test_a_calibrated_model_has_no_calibration_error():
    rng = np.random.default_rng(2)
    confidence = rng.uniform(0.5, 1, 200_000)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    labels = (rng.random(200_000) > confidence).astype(np.int64)
    assert reliability(probabilities, labels).error < 0.005
    assert reliability(np.round(probabilities), labels).error == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    ("probabilities", "labels", "message"),
    [
        (np.zeros((2, 3)), np.zeros(3, np.int64), r"shape \(2, 3\) for 3 labels and 3 classes"),
        (np.zeros((3, 2)), np.zeros(3, np.int64), "a column for each class"),
        (np.zeros((0, 3)), np.zeros(0, np.int64), "at least one"),
        (np.array([[np.nan, 0, 1]]), np.zeros(1, np.int64), "1 rows of probabilities are not finite"),
    ],
)
def test_what_does_not_fit_is_refused(probabilities, labels, message):
    with pytest.raises(DataError, match=message):
        evaluate(probabilities, labels, NAMES)
