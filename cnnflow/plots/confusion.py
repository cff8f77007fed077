"""Which classes are taken for which."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from numpy.typing import NDArray

from cnnflow.errors import DataError
from cnnflow.plots.figure import new_figure, save_figure
from cnnflow.plots.fonts import lettering

# With more classes than this, the numbers in the cells could not be read.
MOST_CELLS_WITH_NUMBERS = 20


def plot_confusion(confusion: NDArray[np.int64], class_names: Sequence[str], path: Path) -> None:
    """Draw a confusion matrix as a PNG: a row a label, a column a prediction, coloured by the share of the row.

    Args:
        confusion: int64 `[classes, classes]`, counts of images.
        class_names: a name for each class; written with a font that has its letters, where there is one.
        path: where the PNG goes.

    Raises:
        DataError: the matrix is not square with a row for each name.

    Example:
        >>> plot_confusion(metrics.confusion, test.class_names, Path("plots/confusion.png"))
    """
    classes = len(class_names)
    if classes == 0 or confusion.shape != (classes, classes):
        raise DataError(f"a confusion matrix of shape {confusion.shape} for {classes} classes; it must be square")
    shares = confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    names = [_short(name) for name in lettering(class_names).names]
    side = float(np.clip(0.55 * classes, 2.5, 14))
    margin = 1 + 0.08 * max(len(name) for name in names)
    figure = new_figure(side + margin + 1, side + margin)
    axes = figure.subplots()
    # The square root lets a mistake of 1% still be seen beside the diagonal.
    image = axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, vmin=0, vmax=1))
    bar = figure.colorbar(image, ax=axes, fraction=0.046, pad=0.02, ticks=[0, 0.01, 0.05, 0.1, 0.25, 0.5, 1])
    bar.ax.set_yticklabels(["0%", "1%", "5%", "10%", "25%", "50%", "100%"])
    bar.set_label("share of the label's images")
    _name_axes(axes, names, lettering(class_names).family, side)
    if classes <= MOST_CELLS_WITH_NUMBERS:
        _write_counts(axes, confusion, shares)
    save_figure(figure, path)


def _name_axes(axes: Axes, names: list[str], family: list[str], side: float) -> None:
    # The points that a row is high, less some air; never smaller than what can be read when zoomed in.
    size = float(np.clip(side * 72 / len(names) * 0.7, 4, 10))
    style: dict[str, Any] = {"fontsize": size, "fontfamily": family, "parse_math": False}
    axes.set_xticks(range(len(names)), names, rotation=90, **style)
    axes.set_yticks(range(len(names)), names, **style)
    axes.set_xlabel("prediction")
    axes.set_ylabel("label")


def _short(name: str, longest: int = 24) -> str:
    return name if len(name) <= longest else name[: longest - 1] + "…"


def _write_counts(axes: Axes, confusion: NDArray[np.int64], shares: NDArray[np.float64]) -> None:
    for (row, column), count in np.ndenumerate(confusion):
        if count:
            color = "white" if shares[row, column] > 0.3 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=color, fontsize=8)
