"""Loss and accuracy, epoch by epoch."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from cnnflow.errors import DataError
from cnnflow.plots.figure import COLORS, new_figure, save_figure


def plot_curves(history: Sequence[Mapping[str, float]], path: Path) -> None:
    """Draw loss and accuracy of the training and validation images against the epoch, as a PNG.

    Args:
        history: a row an epoch with the keys `loss` and `accuracy`, and where there were validation images `val_loss`
            and `val_accuracy`; accuracies are 0 to 1. `epoch` counts from 1; rows without it are counted.
        path: where the PNG goes.

    Raises:
        DataError: the history is empty.

    Example:
        >>> plot_curves(history.rows, Path("plots/curves.png"))
    """
    if not history:
        raise DataError("a history of 0 epochs; there must be at least 1 to draw")
    figure = new_figure(10, 4)
    loss, accuracy = figure.subplots(1, 2)
    _draw(loss, history, "loss")
    loss.set_title("Loss (cross entropy)")
    loss.set_ylim(bottom=0)
    _draw(accuracy, history, "accuracy")
    accuracy.set_title("Accuracy")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    _shade_gap(accuracy, history)
    save_figure(figure, path)


def epochs_of(history: Sequence[Mapping[str, float]]) -> NDArray[np.float64]:
    """The numbers of the epochs, from 1."""
    return np.array([row.get("epoch", i) for i, row in enumerate(history, 1)], np.float64)


def column(history: Sequence[Mapping[str, float]], key: str) -> NDArray[np.float64]:
    """One figure of every epoch; NaN, which matplotlib leaves out, where a row has none."""
    return np.array([row.get(key, np.nan) for row in history], np.float64)


def _draw(axes: Axes, history: Sequence[Mapping[str, float]], key: str) -> None:
    epochs = epochs_of(history)
    for name, column_key, color in (("training", key, COLORS[0]), ("validation", f"val_{key}", COLORS[1])):
        values = column(history, column_key)
        if np.isfinite(values).any():
            # A single point has no line; dots show it, and would only clutter a long history.
            axes.plot(epochs, values, color=color, label=name, marker="o" if len(epochs) < 20 else None, markersize=4)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    axes.grid(alpha=0.3)
    axes.legend()


def _shade_gap(axes: Axes, history: Sequence[Mapping[str, float]]) -> None:
    """Shade the gap between training and validation accuracy, which is what overfitting looks like."""
    train, validation = column(history, "accuracy"), column(history, "val_accuracy")
    gap = (train[-1] - validation[-1]) * 100
    if np.isfinite(gap):
        axes.fill_between(epochs_of(history), train, validation, color=COLORS[1], alpha=0.12, linewidth=0)
        axes.set_title(f"Accuracy (gap after the last epoch: {gap:+.1f} points)")
