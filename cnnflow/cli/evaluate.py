"""`cnnflow evaluate`: the figures of a trained model, on its own test images or on others."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnflow.cli.options import (
    BackendOption,
    JsonOption,
    LanguageOption,
    RunArgument,
    RunsOption,
    TtaOption,
    use_backend,
)
from cnnflow.cli.output import print_json, results, show_events

if TYPE_CHECKING:
    from cnnflow.evaluation.metrics import Metrics


def evaluate(
    run: RunArgument,
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="Other images; default: the run's test images.")
    ] = None,
    tta: TtaOption = None,
    data_dir: Annotated[Path | None, typer.Option(help="Where a named dataset's files are.")] = None,
    language: LanguageOption = "en",
    runs: RunsOption = Path("runs"),
    backend: BackendOption = None,
    json: JsonOption = False,
) -> None:
    """Show accuracy, loss, calibration, and precision, recall and F1 of each class.

    Examples: `cnnflow evaluate last`, `cnnflow evaluate last other_photos/ --tta mirror`.
    """
    use_backend(backend)
    from cnnflow.experiments.judge import judge
    from cnnflow.training.run_folder import find_run

    folder = find_run(runs, run)
    with show_events() as on_event:
        judged = judge(folder, data, data_dir=data_dir, tta=tta, on_event=on_event)
    if json:
        print_json(
            {"run": str(folder.path), "data": judged.source, "images": judged.images, "views": len(judged.views)}
            | judged.metrics.to_dict()
        )
        return
    console = results()
    console.print(
        f"{folder.name} on {judged.images:,} images of {judged.source}"
        + (f", each seen {len(judged.views)} times" if len(judged.views) > 1 else ""),
        soft_wrap=True,
    )
    metrics = judged.metrics
    console.print(f"accuracy {metrics.accuracy:.2%}   loss {metrics.loss:.4f}   calibration error {metrics.ece:.3f}")
    console.print(class_table(metrics, judged.trained.names_in(language)))


def class_table(metrics: "Metrics", names: Sequence[str]) -> Any:
    """A rich table of the figures of each class."""
    from rich.table import Table

    table = Table()
    table.add_column("class")
    for title in ("precision", "recall", "F1", "images"):
        table.add_column(title, justify="right")
    for name, figures in zip(names, metrics.per_class.values(), strict=True):
        table.add_row(
            name, f"{figures.precision:.3f}", f"{figures.recall:.3f}", f"{figures.f1:.3f}", f"{figures.support:,}"
        )
    return table
