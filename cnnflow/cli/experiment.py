"""What `cnnflow compare` and `cnnflow study` share: their data, their folder, and how they end."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnflow.cli.options import read_duration, read_list, read_size
from cnnflow.cli.output import remarks
from cnnflow.config import DataConfig, FitConfig, ModelConfig, Recipe
from cnnflow.events import Note, OnEvent

if TYPE_CHECKING:
    from cnnflow.data.image_set import Dataset
    from cnnflow.presets import Preset

DATA, TRAINING, EXPERIMENT = "Data", "Training", "Experiment"

DataArgument = Annotated[
    str | None,
    typer.Argument(metavar="DATA", help="A dataset name, tfds:NAME, a folder of class folders, or an .npz file."),
]
PresetOption = Annotated[
    str, typer.Option(help="The recipe: fast, best, transfer, tutorial, flowers.", rich_help_panel=TRAINING)
]
EpochsOption = Annotated[
    int | None, typer.Option(help="How often each image is seen, at most.", rich_help_panel=TRAINING)
]
BatchSizeOption = Annotated[int | None, typer.Option(help="Images a step.", rich_help_panel=TRAINING)]
OptimizerOption = Annotated[str | None, typer.Option(help="sgd, adam, rmsprop or adamw.", rich_help_panel=TRAINING)]
RateOption = Annotated[
    float | None, typer.Option(help="The highest learning rate of the schedule.", rich_help_panel=TRAINING)
]
AugmentOption = Annotated[
    str | None, typer.Option(help="none, light, erase, tutorial or strong.", rich_help_panel=TRAINING)
]
TimeLimitOption = Annotated[
    str | None, typer.Option(help="Equal time instead: end each training in 90s, 8m, 1.5h.", rich_help_panel=TRAINING)
]
SeedOption = Annotated[int, typer.Option(help="The first seed; the others count up from it.", rich_help_panel=TRAINING)]
ValidationOption = Annotated[
    float | None, typer.Option(help="Share of the images that chooses, such as 0.2.", rich_help_panel=DATA)
]
LimitOption = Annotated[
    int | None, typer.Option(help="Use at most this many images of each split.", rich_help_panel=DATA)
]
ClassesOption = Annotated[str | None, typer.Option(help="Keep these classes: daisy,dandelion.", rich_help_panel=DATA)]
DataDirOption = Annotated[Path | None, typer.Option(help="Where a named dataset's files are.", rich_help_panel=DATA)]
SizeOption = Annotated[
    str | None, typer.Option(help="Bring pictures of a folder to this size: 80 or 160x120.", rich_help_panel=DATA)
]
SeedsOption = Annotated[
    int | None,
    typer.Option(help="How often each is trained, with seeds of its own; default 3.", rich_help_panel=EXPERIMENT),
]
WantedOption = Annotated[
    float,
    typer.Option(
        "--difference",
        help="The difference in points that matters; sample sizes are for it.",
        rich_help_panel=EXPERIMENT,
    ),
]
NameOption = Annotated[str | None, typer.Option(help="Name of the experiment's folder.", rich_help_panel=EXPERIMENT)]


def data_config(
    data: str,
    *,
    validation: float | None,
    limit: int | None,
    classes: str | None,
    data_dir: Path | None,
    size: str | None,
    preset: "Preset",
) -> DataConfig:
    """The options of the data, with paths that hold from any folder."""
    path = Path(data)
    is_path = path.is_dir() or (path.exists() and data.endswith(".npz"))
    said = {
        "data_dir": str(data_dir.resolve()) if data_dir else None,
        "classes": read_list(classes) if classes else None,
        "limit": limit,
        "validation": validation,
        "size": read_size(size) if size else None,
    }
    given = {name: value for name, value in said.items() if value is not None}
    return preset.data(str(path.resolve()) if is_path else data, **given)


def fit_config(
    data: DataConfig,
    model: ModelConfig,
    recipe: Recipe,
    *,
    preset: str,
    seed: int,
    time_limit: str | None,
    changes: Mapping[str, Any],
) -> FitConfig:
    """The options of a trial: a preset's recipe with what was said otherwise on the command line."""
    said = {name: value for name, value in changes.items() if value is not None}
    return FitConfig(
        data=data,
        model=model,
        recipe=dataclasses.replace(recipe, **said),
        preset=preset,
        seed=seed,
        time_limit=read_duration(time_limit) if time_limit else None,
    )


def load_data(config: DataConfig, on_event: OnEvent) -> "Dataset":
    """The dataset, and a note where it is limited."""
    from cnnflow.data.sources import load

    if config.limit:
        on_event(Note(f"--limit {config.limit}: at most that many images of each split"))
    return load(config, on_event=on_event)


def new_folder(runs: Path, stem: str, name: str | None, on_event: OnEvent) -> Path:
    """A folder for an experiment, numbered like a run's."""
    from cnnflow.training.run_folder import create_run

    folder = create_run(runs, stem, name=name).path
    on_event(Note(f"experiment folder {folder}"))
    return folder


def say_interrupted(command: str, folder: Path) -> None:
    """Say how the experiment goes on, and end with code 130."""
    runs = "" if folder.parent == Path("runs") else f" --runs {folder.parent}"
    remarks().print(f"stopped; go on with: cnnflow {command} --resume {folder.name}{runs}", soft_wrap=True)
    raise typer.Exit(130)
