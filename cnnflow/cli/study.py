"""`cnnflow study`: what one change to a recipe brings."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnflow.cli.experiment import (
    EXPERIMENT,
    TRAINING,
    AugmentOption,
    BatchSizeOption,
    ClassesOption,
    DataArgument,
    DataDirOption,
    EpochsOption,
    LimitOption,
    NameOption,
    OptimizerOption,
    PresetOption,
    RateOption,
    SeedOption,
    SeedsOption,
    SizeOption,
    TimeLimitOption,
    ValidationOption,
    WantedOption,
    data_config,
    fit_config,
    load_data,
    new_folder,
    say_interrupted,
)
from cnnflow.cli.options import BackendOption, JsonOption, RunsOption, read_list, use_backend
from cnnflow.cli.output import print_json, results, show_events
from cnnflow.errors import OptionError
from cnnflow.events import Caution

if TYPE_CHECKING:
    from cnnflow.experiments.study import Part


def study(
    data: DataArgument = None,
    vary: Annotated[
        str | None,
        typer.Option(
            help="regularization, augmentation, optimizer, batch-size, depth, learning-rate, or parts, which leaves "
            "out one part of the recipe at a time; or several, with commas.",
            rich_help_panel=EXPERIMENT,
        ),
    ] = None,
    grid: Annotated[
        bool,
        typer.Option("--grid", help="Every combination of them, not one at a time.", rich_help_panel=EXPERIMENT),
    ] = False,
    model: Annotated[
        str | None, typer.Option(help="The network; `cnnflow models` lists them.", rich_help_panel=TRAINING)
    ] = None,
    preset: PresetOption = "tutorial",
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    optimizer: OptimizerOption = None,
    learning_rate: RateOption = None,
    augment: AugmentOption = None,
    time_limit: TimeLimitOption = None,
    seed: SeedOption = 0,
    validation: ValidationOption = None,
    limit: LimitOption = None,
    classes: ClassesOption = None,
    data_dir: DataDirOption = None,
    size: SizeOption = None,
    seeds: SeedsOption = None,
    wanted: WantedOption = 1.0,
    resume: Annotated[
        str | None, typer.Option(metavar="NAME", help="Go on with this study, or `last`.", rich_help_panel=EXPERIMENT)
    ] = None,
    name: NameOption = None,
    runs: RunsOption = Path("runs"),
    backend: BackendOption = None,
    json: JsonOption = False,
) -> None:
    """Vary one factor of a recipe at a time, and rank the variants with intervals.

    Examples: `cnnflow study fashion --vary regularization`, `cnnflow study fashion --vary optimizer --limit 5000`,
    `cnnflow study --resume last`.
    """
    use_backend(backend)
    from cnnflow.experiments.plan import find_experiment, read_plan
    from cnnflow.experiments.study import StudyPlan
    from cnnflow.experiments.study import study as run_study
    from cnnflow.presets import find_preset
    from cnnflow.training.stopping import stop_on_signals

    dataset = None
    with show_events() as on_event:
        if resume is not None:
            if data is not None:
                raise OptionError(f"--resume together with {data}; a study's plan is fixed, leave DATA out")
            folder = find_experiment(runs, resume, "study")
            plan = StudyPlan.from_dict(read_plan(folder, "study"))
        else:
            if data is None or vary is None:
                raise OptionError("study needs DATA and --vary, such as: fashion --vary regularization")
            where = data_config(
                data,
                validation=validation,
                limit=limit,
                classes=classes,
                data_dir=data_dir,
                size=size,
                preset=find_preset(preset),
            )
            dataset = load_data(where, on_event)
            choice = find_preset(preset).choose(dataset)
            changes = {
                "epochs": epochs,
                "batch_size": batch_size,
                "optimizer": optimizer,
                "learning_rate": learning_rate,
                "augment": augment,
            }
            base = fit_config(
                choice.data(where),
                _model(choice.model, model),
                choice.recipe,
                preset=preset,
                seed=seed,
                time_limit=time_limit,
                changes=changes,
            )
            plan = StudyPlan(base, read_list(vary), grid, 3 if seeds is None else seeds, wanted / 100)
            folder = new_folder(runs, f"study-{Path(data).stem}-{'-'.join(plan.factors)}", name, on_event)
        with stop_on_signals(lambda: on_event(Caution("stopping at the end of this step, with a snapshot"))) as stop:
            parts = run_study(plan, folder, dataset=dataset, should_stop=stop, on_event=on_event)
    if parts is None:
        say_interrupted("study", folder)
    elif json:
        print_json({"folder": str(folder), "parts": [part.to_dict() for part in parts]})
    else:
        for part in parts:
            _show(part)
        results().print(f"Everything is in {folder}", soft_wrap=True)


def _model(usual: Any, name: str | None) -> Any:
    import dataclasses

    from cnnflow.config import one_of
    from cnnflow.models.catalog import MODELS

    if name is None:
        return usual
    one_of("network", name, tuple(MODELS))
    return dataclasses.replace(usual, name=name)


def _show(part: "Part") -> None:
    console = results()
    console.print(_table(part))
    for pair in part.comparison.pairs:
        console.print(pair.sentence, soft_wrap=True)
    console.print(f"The best on the validation images, {part.best}:", style="bold")
    console.print(f"  {part.command}", soft_wrap=True, markup=False)


def _table(part: "Part") -> Any:
    from rich.box import SIMPLE
    from rich.table import Table

    from cnnflow.experiments.markdown import limited, points, rate_of, rate_title

    differences = {pair.b: points(pair.difference) for pair in part.comparison.pairs}
    images = f"{part.comparison.images['test']:,} test images of {part.comparison.dataset}{limited(part.comparison)}"
    table = Table(title=f"{part.factor}, {images}; ranked by validation accuracy", title_justify="left", box=SIMPLE)
    table.add_column("variant")
    for title in (*rate_title(part), "validation", "test", f"against {part.reference}", "gap"):
        table.add_column(title, justify="right")
    for row in part.comparison.rows:
        table.add_row(
            row.variant,
            *rate_of(part, row.variant),
            f"{row.validation_accuracy:.2%}",
            f"{row.test_accuracy.value:.2%}",
            differences.get(row.variant, ""),
            f"{100 * row.gap:.2f}",
            style="bold" if row.variant == part.best else None,
        )
    return table
