"""A figure of its own for every plot: no pyplot, whose list of open figures is global state."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from cnnflow.files import write_with

# Okabe and Ito's palette, which people with any colour vision can tell apart; their yellow is left out (too pale).
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of `width` x `height` inches."""
    figure = Figure(figsize=(width, height), layout="constrained", dpi=120)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure as PNG, whole or not at all."""
    # "tight": long names beside an axis widen the picture; the layout alone would cut them off.
    write_with(path, lambda temporary: figure.savefig(temporary, format="png", bbox_inches="tight", pad_inches=0.1))
