"""Several ways to train, side by side: learning curves, accuracy and gap, differences by class."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from cnnflow.errors import DataError
from cnnflow.evaluation.statistics import Interval
from cnnflow.plots.curves import column, epochs_of
from cnnflow.plots.figure import COLORS, new_figure, save_figure
from cnnflow.plots.fonts import lettering

History = Sequence[Mapping[str, float]]

# A chart of more classes could not be read; those that differ most are drawn.
MOST_CLASSES = 20
LINES = ("solid", "dashed", "dotted")


def plot_learning(histories: Mapping[str, Sequence[History]], path: Path) -> None:
    """Draw validation accuracy against the epoch and against the time: a colour a variant, a thin line a seed.

    Args:
        histories: for each variant the history of each of its seeds; rows have `epoch`, `val_accuracy` and `seconds`
            (since the start of training).
        path: where the PNG goes.

    Raises:
        DataError: there is nothing to draw.

    Example:
        >>> plot_learning({"dense_net": [history_0, history_1], "basic_cnn": [history_2, history_3]}, path)
    """
    if not histories or not all(seeds and all(seeds) for seeds in histories.values()):
        raise DataError("a variant without epochs; each needs at least 1 to draw")
    figure = new_figure(11, 4.5)
    by_epoch, by_time = figure.subplots(1, 2, sharey=True)
    letters = lettering(list(histories))
    unit, name = _time_unit(max(float(column(h, "seconds")[-1]) for seeds in histories.values() for h in seeds))
    for i, (label, seeds) in enumerate(zip(letters.names, histories.values(), strict=True)):
        style: dict[str, Any] = {"color": COLORS[i % len(COLORS)], "linestyle": LINES[i // len(COLORS) % len(LINES)]}
        for axes, key, scale in ((by_epoch, "epoch", 1.0), (by_time, "seconds", unit)):
            for history in seeds:
                x = epochs_of(history) if key == "epoch" else column(history, key) / scale
                marker = "o" if len(history) == 1 else None
                # Against time there is no mean of the seeds to stand out.
                faint: dict[str, Any] = (
                    {"linewidth": 0.8, "alpha": 0.45} if key == "epoch" else {"linewidth": 1.4, "alpha": 0.8}
                )
                axes.plot(x, column(history, "val_accuracy"), marker=marker, **faint, **style)
        epochs, middle = _mean(seeds)
        by_epoch.plot(epochs, middle, linewidth=2.2, label=label, marker="o" if len(epochs) == 1 else None, **style)
    for axes, title in ((by_epoch, "epoch"), (by_time, f"training time, {name}")):
        axes.set_xlabel(title)
        axes.grid(alpha=0.3)
    by_epoch.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    by_epoch.yaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    by_epoch.set_ylabel("validation accuracy")
    legend = by_epoch.legend(prop={"family": letters.family})
    for text in legend.get_texts():
        text.set_parse_math(False)
    save_figure(figure, path)


def plot_gaps(train: Mapping[str, float], test: Mapping[str, Interval], path: Path) -> None:
    """Draw training and test accuracy of each variant on one line, the gap between them written beside.

    Args:
        train: training accuracy by variant, 0 to 1.
        test: test accuracy by variant, with its interval.
        path: where the PNG goes.

    Example:
        >>> plot_gaps({"plain": 0.99, "dropout": 0.95}, {"plain": Interval(0.90, 0.89, 0.91), ...}, path)
    """
    if not test:
        raise DataError("no variants; there must be at least 1 to draw")
    figure = new_figure(9, 1.4 + 0.5 * len(test))
    axes = figure.subplots()
    places = np.arange(len(test))
    shares = np.array([train[name] for name in test])
    found = list(test.values())
    middle = np.array([interval.value for interval in found])
    axes.hlines(places, middle, shares, color="#BBBBBB", linewidth=3, zorder=1)
    axes.errorbar(middle, places, xerr=_errors(found), fmt="o", color=COLORS[1], capsize=3, label="test, 95% interval")
    axes.plot(shares, places, "o", color=COLORS[0], label="training")
    for place, low, high in zip(places, middle, shares, strict=True):
        axes.annotate(
            f"gap {100 * (high - low):+.1f}", (max(low, high), float(place)), (8, -3), textcoords="offset points",
            fontsize=9,
        )  # fmt: skip
    _name_rows(axes, list(test))
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=None))
    axes.set_xlabel("accuracy")
    axes.margins(x=0.15)
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)
    save_figure(figure, path)


def plot_class_differences(a: str, b: str, differences: Mapping[str, Interval], path: Path) -> None:
    """Draw how much more of each class `b` gets right than `a`, with intervals; of many classes those that differ most.

    Args:
        a: the first variant.
        b: the second.
        differences: by class name, in recall, -1 to 1.
        path: where the PNG goes.

    Example:
        >>> plot_class_differences(pair.a, pair.b, pair.per_class, Path("plots/per_class.png"))
    """
    if not differences:
        raise DataError("no classes; there must be at least 1 to draw")
    shown = sorted(differences.items(), key=lambda item: -abs(item[1].value))[:MOST_CLASSES]
    found = [interval for _, interval in shown]
    figure = new_figure(8, 1.2 + 0.35 * len(shown))
    axes = figure.subplots()
    values = 100 * np.array([interval.value for interval in found])
    colors = [COLORS[2] if value >= 0 else COLORS[1] for value in values]
    axes.barh(range(len(shown)), values, xerr=100 * _errors(found), color=colors, capsize=3, alpha=0.8)
    axes.axvline(0, color="black", linewidth=0.8)
    _name_rows(axes, [name for name, _ in shown])
    axes.set_xlabel("difference in recall, points")
    letters = lettering([a, b])
    axes.set_title(
        f"right: {letters.names[1]} is better; left: {letters.names[0]}",
        fontfamily=letters.family, parse_math=False, fontsize=10,
    )  # fmt: skip
    save_figure(figure, path)


def _mean(seeds: Sequence[History]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean over seeds, as far as all of them were trained."""
    epochs = min(len(history) for history in seeds)
    values = np.stack([column(history, "val_accuracy")[:epochs] for history in seeds])
    return epochs_of(seeds[0])[:epochs], values.mean(axis=0)


def _time_unit(longest: float) -> tuple[float, str]:
    if longest < 120:
        return 1.0, "seconds"
    return (60.0, "minutes") if longest < 7200 else (3600.0, "hours")


def _errors(found: Sequence[Interval]) -> NDArray[np.float64]:
    return np.array([[i.value - i.low for i in found], [i.high - i.value for i in found]])


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    letters = lettering(names)
    axes.set_yticks(range(len(names)), letters.names, fontfamily=letters.family, parse_math=False)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(alpha=0.3, axis="x")
    axes.set_axisbelow(True)
