"""Pictures side by side: samples of each class, or originals beside their variants."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from cnnflow.errors import DataError
from cnnflow.plots.figure import new_figure, save_figure
from cnnflow.plots.fonts import lettering

_TILE_INCHES = 0.9
_LABEL_POINTS = 10
# Below this side, pixels are drawn as squares; above, Matplotlib smooths what does not fit.
_PIXELS_SHOWN = 64
_GAP = 0.08  # of a picture's side


@dataclass(frozen=True, eq=False)
class GridRow:
    """A row of the grid.

    Attributes:
        label: what stands at its left.
        images: uint8 `[n, height, width, channels]`, grey or RGB; all rows of a grid have pictures of one size.
    """

    label: str
    images: NDArray[np.uint8]


def plot_grid(rows: Sequence[GridRow], path: Path, *, title: str = "", columns: Sequence[str] = ()) -> None:
    """Draw the rows one under the other, as a PNG.

    Args:
        rows: the pictures; rows may have different numbers of them.
        path: where the PNG goes.
        title: above it all.
        columns: what stands above each column; fewer than there are columns is fine.

    Raises:
        DataError: there is nothing to draw.

    Example:
        >>> plot_grid([GridRow("Bag", bags), GridRow("Coat", coats)], Path("samples.png"))
    """
    if not any(len(row.images) for row in rows):
        raise DataError("a grid of no pictures; there must be at least one to draw")
    height, width = rows[0].images.shape[1:3]
    step_y, step_x = height + max(1, round(_GAP * height)), width + max(1, round(_GAP * width))
    mosaic = _mosaic(rows, step_y, step_x)
    scale = _TILE_INCHES / max(step_y, step_x)
    figure = new_figure(mosaic.shape[1] * scale + 1, mosaic.shape[0] * scale + 0.5)
    axes = figure.add_subplot()
    axes.imshow(mosaic, interpolation="nearest" if max(height, width) <= _PIXELS_SHOWN else "antialiased")
    axes.set_axis_off()
    _name_rows(axes, [row.label for row in rows], x=-step_x * 0.1, step=step_y, middle=height / 2)
    for number, name in enumerate(columns):
        place = (number * step_x + width / 2, -step_y * 0.08)
        axes.text(*place, name, ha="center", va="bottom", fontsize=_LABEL_POINTS)
    if title:
        axes.set_title(title, pad=18 if columns else 6, parse_math=False)
    save_figure(figure, path)


def _name_rows(axes: Axes, names: Sequence[str], *, x: float, step: float, middle: float) -> None:
    letters = lettering(names)
    for number, name in enumerate(letters.names):
        axes.text(
            x,
            number * step + middle,
            name,
            ha="right",
            va="center",
            fontsize=_LABEL_POINTS,
            fontfamily=letters.family,
            parse_math=False,
        )


def _mosaic(rows: Sequence[GridRow], step_y: int, step_x: int) -> NDArray[np.uint8]:
    """All pictures on white, RGB, each at a multiple of the steps (pixels)."""
    columns = max(len(row.images) for row in rows)
    mosaic = np.full((len(rows) * step_y, columns * step_x, 3), 255, np.uint8)
    for number, row in enumerate(rows):
        for column, image in enumerate(row.images):
            height, width, _ = image.shape
            top, left = number * step_y, column * step_x
            mosaic[top : top + height, left : left + width] = image  # grey is broadcast to three channels
    return mosaic[: -(step_y - rows[0].images.shape[1]), : -(step_x - rows[0].images.shape[2])]
