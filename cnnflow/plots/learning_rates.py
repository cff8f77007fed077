"""The loss of the learning-rate range test against the rate."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnflow.plots.figure import COLORS, new_figure, save_figure


def plot_learning_rates(rates: NDArray[np.float64], losses: NDArray[np.float64], suggestion: float, path: Path) -> None:
    """Draw the smoothed loss `[n]` against the learning rate `[n]`, and the suggested rate, as a PNG."""
    figure = new_figure(7, 4)
    axes = figure.subplots()
    axes.plot(rates, losses, color=COLORS[0])
    axes.axvline(suggestion, color=COLORS[1], linestyle="--", label=f"suggestion {suggestion:g}")
    axes.set_xscale("log")
    axes.set_xlabel("learning rate")
    axes.set_ylabel("loss (smoothed)")
    axes.set_title("Learning-rate range test")
    axes.legend()
    save_figure(figure, path)
