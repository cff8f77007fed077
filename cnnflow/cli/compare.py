"""`cnnflow compare`: train several networks under equal conditions, or take trained ones, and say which is better."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnflow.cli.experiment import (
    EXPERIMENT,
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
from cnnflow.cli.options import BackendOption, JsonOption, RunsOption, use_backend
from cnnflow.cli.output import print_json, results, show_events
from cnnflow.config import DataConfig, FitConfig, ModelConfig
from cnnflow.errors import OptionError, RunError
from cnnflow.events import Caution

if TYPE_CHECKING:
    from cnnflow.data.image_set import Dataset
    from cnnflow.experiments.compare import ComparisonPlan
    from cnnflow.experiments.comparison import Comparison

# With `--time-limit` alone the clock ends a training, not the count of epochs.
_ENDLESS = 1000


def compare(
    data: DataArgument = None,
    models: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODEL...", help="Networks of `cnnflow models`, presets, or runs already trained."),
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
        str | None,
        typer.Option(metavar="NAME", help="Go on with this comparison, or `last`.", rich_help_panel=EXPERIMENT),
    ] = None,
    name: NameOption = None,
    runs: RunsOption = Path("runs"),
    backend: BackendOption = None,
    json: JsonOption = False,
) -> None:
    """Compare MODELs on DATA: same splits, same batches, same budget, with intervals and tests.

    Examples: `cnnflow compare cifar10 dense_net comparison_cnn`, `cnnflow compare fashion tutorial auto --limit 5000`,
    `cnnflow compare fashion fashion-basic_cnn-001 fashion-vgg_net-001`.
    """
    use_backend(backend)
    from cnnflow.experiments.compare import ComparisonPlan
    from cnnflow.experiments.compare import compare as run_comparison
    from cnnflow.experiments.plan import find_experiment, read_plan
    from cnnflow.presets import find_preset
    from cnnflow.training.stopping import stop_on_signals

    dataset = None
    with show_events() as on_event:
        if resume is not None:
            if data is not None:
                raise OptionError(f"--resume together with {data}; a comparison's plan is fixed, leave DATA out")
            folder = find_experiment(runs, resume, "compare")
            plan = ComparisonPlan.from_dict(read_plan(folder, "compare"))
        else:
            if data is None or not models or len(models) < 2:
                raise OptionError("compare needs DATA and two or more MODELs, such as: fashion dense_net basic_cnn")
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
            changes = {
                "epochs": _ENDLESS if time_limit and epochs is None else epochs,
                "batch_size": batch_size,
                "optimizer": optimizer,
                "learning_rate": learning_rate,
                "augment": augment,
            }
            where = find_preset(preset).choose(dataset).data(where)
            contestants = _Contestants(where, dataset, preset, seed, time_limit, changes, runs)
            plan = contestants.plan(models, seeds, wanted / 100)
            folder = new_folder(runs, f"compare-{Path(data).stem}", name, on_event)
        with stop_on_signals(lambda: on_event(Caution("stopping at the end of this step, with a snapshot"))) as stop:
            comparison = run_comparison(plan, folder, dataset=dataset, should_stop=stop, on_event=on_event)
    if comparison is None:
        say_interrupted("compare", folder)
    else:
        _show(comparison, folder, json)


class _Contestants:
    """What the names on the command line mean: networks, presets, or runs."""

    def __init__(
        self,
        data: DataConfig,
        dataset: "Dataset",
        preset: str,
        seed: int,
        time_limit: str | None,
        changes: dict[str, Any],
        runs: Path,
    ) -> None:
        self._data, self._dataset, self._preset = data, dataset, preset
        self._seed, self._time_limit, self._changes, self._runs = seed, time_limit, changes, runs

    def plan(self, names: list[str], seeds: int | None, wanted: float) -> "ComparisonPlan":
        from cnnflow.experiments.compare import ComparisonPlan

        configs: dict[str, FitConfig] = {}
        paths: dict[str, str] = {}
        for name in names:
            config = self._config(name)
            if config is not None:
                configs[name] = config
            else:
                folder = self._run(name)
                paths[folder.name] = str(folder)
        if len(configs) + len(paths) < len(names):
            raise OptionError(f"{' '.join(names)}: each must be named once; a preset or a run can vary a network")
        return ComparisonPlan(configs, paths, seeds or (1 if paths else 3), wanted)

    def _config(self, name: str) -> FitConfig | None:
        from cnnflow.models.catalog import MODELS
        from cnnflow.presets import PRESETS, find_preset

        if name in MODELS:
            model, preset = ModelConfig(name), self._preset
            recipe = find_preset(preset).choose(self._dataset).recipe
        elif name in PRESETS:
            choice = find_preset(name).choose(self._dataset)
            model, recipe, preset = choice.model, choice.recipe, name
        else:
            return None
        return fit_config(
            self._data,
            model,
            recipe,
            preset=preset,
            seed=self._seed,
            time_limit=self._time_limit,
            changes=self._changes,
        )

    def _run(self, name: str) -> Path:
        from cnnflow.config import one_of
        from cnnflow.models.catalog import MODELS
        from cnnflow.presets import PRESETS
        from cnnflow.training.run_folder import find_run

        try:
            return find_run(self._runs, name).path.resolve()
        except RunError:
            one_of("network, preset or run", name, (*MODELS, *PRESETS))
            raise


def _show(comparison: "Comparison", folder: Path, json: bool) -> None:
    from cnnflow.experiments.claims import judge_claims

    claims = judge_claims(comparison)
    if json:
        print_json({"folder": str(folder), **comparison.to_dict(), "claims": list(claims)})
        return
    from cnnflow.experiments.markdown import MOST_CLASSES, mcnemar_text, points

    console = results()
    console.print(comparison_table(comparison))
    for pair in comparison.pairs:
        console.print(f"{pair.sentence}", style="bold", soft_wrap=True)
        level = f"{100 * pair.difference.level:.4g}%"
        console.print(f"  difference in points ({level} interval): {points(pair.difference)}", soft_wrap=True)
        console.print(f"  McNemar's test: {mcnemar_text(pair)}; agreement {pair.agreement:.1%}", soft_wrap=True)
        most = [f"{name} {points(found)}" for name, found in list(pair.per_class.items())[:MOST_CLASSES]]
        console.print(f"  classes that differ most: {'; '.join(most)}", soft_wrap=True, markup=False)
    if claims:
        console.print("Against the tutorial's own figures:")
        for line in claims:
            console.print(f"  {line}", soft_wrap=True)
    console.print(f"Everything is in {folder}", soft_wrap=True)


def comparison_table(comparison: "Comparison") -> Any:
    """A rich table of the figures of each variant, the tutorial's own beside them where it has some."""
    from rich.table import Table

    from cnnflow.experiments.markdown import figure_columns, limited

    header, rows = figure_columns(comparison)
    title = f"{comparison.images['test']:,} test images of {comparison.dataset}{limited(comparison)}"
    table = Table(title=title, title_justify="left")
    for number, title in enumerate(header):
        style = "dim" if title == "reported" else "bold" if not number else None
        table.add_column(title, justify="right" if number else "left", style=style)
    for row in rows:
        table.add_row(*row)
    return table
