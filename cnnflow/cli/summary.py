"""The summary of a run: a table, and a sentence on the generalisation gap."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from cnnflow.training.run_folder import RunFolder

# In points of accuracy; the tutorial calls its 8 to 9 overfitting.
_SMALL_GAP = 0.02
_LARGE_GAP = 0.05


def print_summary(console: Console, metrics: Mapping[str, Any], folder: RunFolder) -> None:
    """Print what a run came to and where its files are."""
    counts = {name: f"{count:,} images" for name, count in metrics["images"].items()}
    if metrics["train_images_judged"] < metrics["images"]["train"]:
        counts["train"] = f"{metrics['train_images_judged']:,} of {counts['train']}"
    table = Table(title=f"{metrics['model']} on {metrics['dataset']}", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    for name in ("train", "validation", "test"):
        table.add_row(f"{name} accuracy", f"{metrics[f'{name}_accuracy']:.2%}", counts[name])
    table.add_row("generalization gap", f"{100 * metrics['generalization_gap']:.2f} points", "train minus test")
    table.add_row("test loss", f"{metrics['test_loss']:.4f}", f"calibration error {metrics['ece']:.3f}")
    table.add_row("parameters", f"{metrics['parameters']:,}", f"on {metrics['backend']}")
    table.add_row("epochs", f"{metrics['epochs']}", f"best {metrics['best_epoch']}, ended by {metrics['stopped']}")
    seconds = f"{metrics['images_per_second']:,.0f} images/s"
    table.add_row("training time", duration(metrics["seconds_training"]), seconds)
    console.print(table)
    console.print(explain_gap(metrics["generalization_gap"], metrics["train_accuracy"]))
    if metrics["limit"]:
        console.print(f"Trained on a part: --limit {metrics['limit']} images of each split.", style="yellow")
    console.print(f"Everything is in {folder.path}", soft_wrap=True, highlight=False)


def explain_gap(gap: float, train_accuracy: float) -> str:
    """What the difference between training and test accuracy (0 to 1) says, in a sentence."""
    points = 100 * gap
    if gap > _LARGE_GAP:
        return (
            f"The network is {points:.1f} points better on images that it has seen: it overfits. "
            "Try --dropout 0.3, --augment light or --early-stopping 5."
        )
    if gap > _SMALL_GAP:
        return f"A gap of {points:.1f} points: some overfitting, as is usual; --augment light may narrow it."
    if train_accuracy < 0.8:
        return "Hardly any gap, and the training images are not learned either: train longer, or a larger network."
    return "Hardly any gap: what the network learned holds for new images."


def duration(seconds: float) -> str:
    """Seconds as people read them: "48 s", "3 min 20 s", "1 h 05 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
