"""Samples of a set of images, and what an augmentation makes of them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cnnflow.data.image_set import ImageSet
from cnnflow.plots.grid import GridRow, plot_grid
from cnnflow.transforms.compose import Transform

MOST_ROWS = 20


def plot_samples(
    images: ImageSet, path: Path, *, names: Sequence[str] = (), columns: int = 10, seed: int = 0, title: str = ""
) -> None:
    """Draw a row of pictures for each class, as a PNG; of more than twenty classes, twenty spread over all.

    Args:
        images: the pictures to choose from.
        path: where the PNG goes.
        names: what to call the classes; none given: their own names.
        columns: pictures in a row, or as many as the class has.
        seed: chooses the pictures.
        title: above it all.

    Example:
        >>> plot_samples(dataset.train, Path("samples.png"))
    """
    plot_grid(_rows(images, names, columns, seed), path, title=title)


def plot_variants(
    images: ImageSet,
    transform: Transform,
    path: Path,
    *,
    names: Sequence[str] = (),
    columns: int = 10,
    seed: int = 0,
    title: str = "",
) -> None:
    """Draw a picture of each class beside what `transform` makes of it, as a PNG.

    The original stands in the first column, `columns - 1` variants beside it; the rest is as in `plot_samples`.

    Example:
        >>> plot_variants(dataset.train, augmentation("tutorial", mirror=True).images, Path("variants.png"))
    """
    rows = _rows(images, names, 1, seed)
    originals = np.concatenate([row.images for row in rows])
    variants = [transform(originals, np.random.default_rng([seed, number])) for number in range(columns - 1)]
    side_by_side = np.stack([originals, *variants], axis=1)
    drawn = [GridRow(row.label, beside) for row, beside in zip(rows, side_by_side, strict=True)]
    plot_grid(drawn, path, title=title, columns=("original",))


def _rows(images: ImageSet, names: Sequence[str], columns: int, seed: int) -> list[GridRow]:
    names = names or images.class_names
    count = len(names)
    labels = np.unique(np.linspace(0, count - 1, min(count, MOST_ROWS)).astype(int))
    rows = []
    for label in labels.tolist():
        of_class = np.flatnonzero(images.labels == label)
        chosen = np.random.default_rng([seed, label]).permutation(of_class)[:columns]
        rows.append(GridRow(names[label], images.images[chosen]))
    return rows
