"""`cnnflow fit`: train on a dataset and fill a run folder."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnflow.cli.options import BackendOption, JsonOption, RunsOption, read_duration, read_list, read_size, use_backend
from cnnflow.cli.output import print_json, remarks, results, show_events
from cnnflow.config import DataConfig, FitConfig, ModelConfig, Recipe, from_toml, one_of
from cnnflow.errors import CnnflowError, OptionError
from cnnflow.events import Caution, Note, OnEvent

if TYPE_CHECKING:
    from cnnflow.data.image_set import Dataset
    from cnnflow.experiments.run import RunResult
    from cnnflow.presets import Preset

_DATA, _MODEL, _TRAINING, _RUN = "Data", "Model", "Training", "Run"
_FLAGS = {"batch-norm": "batch_norm"}
_ZERO_IS_NEVER = {"early_stopping", "reduce_on_plateau", "clip_norm", "ema", "fine_tune"}


def fit(
    data: Annotated[
        str | None,
        typer.Argument(metavar="DATA", help="A dataset name, tfds:NAME, a folder of class folders, or an .npz file."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="Network and recipe: fast, best, transfer, tutorial, flowers.", rich_help_panel=_MODEL),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="The network; `cnnflow models` lists them.", rich_help_panel=_MODEL)
    ] = None,
    dropout: Annotated[
        float | None, typer.Option(help="Share of units that dropout silences, such as 0.3.", rich_help_panel=_MODEL)
    ] = None,
    l1: Annotated[
        float | None, typer.Option(help="L1 penalty on weights, such as 1e-5.", rich_help_panel=_MODEL)
    ] = None,
    l2: Annotated[
        float | None, typer.Option(help="L2 penalty on weights, such as 1e-4.", rich_help_panel=_MODEL)
    ] = None,
    batch_norm: Annotated[
        bool | None,
        typer.Option(
            "--batch-norm/--no-batch-norm", help="Normalise between convolution and activation.", rich_help_panel=_MODEL
        ),
    ] = None,
    regularize: Annotated[
        str | None, typer.Option(help="Several at once: dropout=0.3,l2=1e-4,batch-norm.", rich_help_panel=_MODEL)
    ] = None,
    weights: Annotated[
        str | None,
        typer.Option(help="For a backbone: imagenet, or a file of weights; frozen.", rich_help_panel=_MODEL),
    ] = None,
    hidden: Annotated[
        int | None, typer.Option(help="For a backbone: size of a dense layer in the head.", rich_help_panel=_MODEL)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(help="How often each image is seen, at most.", rich_help_panel=_TRAINING)
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images a step.", rich_help_panel=_TRAINING)] = None,
    optimizer: Annotated[
        str | None, typer.Option(help="sgd, adam, rmsprop or adamw.", rich_help_panel=_TRAINING)
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="The highest learning rate of the schedule.", rich_help_panel=_TRAINING)
    ] = None,
    momentum: Annotated[
        float | None, typer.Option(help="Nesterov momentum of sgd, such as 0.9.", rich_help_panel=_TRAINING)
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="Decoupled weight decay, such as 5e-4.", rich_help_panel=_TRAINING)
    ] = None,
    schedule: Annotated[
        str | None, typer.Option(help="constant, cosine, one-cycle or linear.", rich_help_panel=_TRAINING)
    ] = None,
    warmup: Annotated[
        float | None,
        typer.Option(help="Share of the steps in which the rate rises from zero.", rich_help_panel=_TRAINING),
    ] = None,
    label_smoothing: Annotated[
        float | None, typer.Option(help="Share of each target spread over all classes.", rich_help_panel=_TRAINING)
    ] = None,
    clip_norm: Annotated[
        float | None, typer.Option(help="Largest norm of the gradient.", rich_help_panel=_TRAINING)
    ] = None,
    ema: Annotated[
        float | None,
        typer.Option(help="Keep a moving average of the weights, such as 0.999.", rich_help_panel=_TRAINING),
    ] = None,
    augment: Annotated[
        str | None, typer.Option(help="none, light, erase, tutorial or strong.", rich_help_panel=_TRAINING)
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="What training computes in: float32, mixed_bfloat16, or auto, the faster one.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    class_weights: Annotated[
        bool | None,
        typer.Option("--class-weights/--no-class-weights", help="Weigh rare classes up.", rich_help_panel=_TRAINING),
    ] = None,
    early_stopping: Annotated[
        int | None,
        typer.Option(
            help="Stop after this many epochs without lower validation loss; 0: never.", rich_help_panel=_TRAINING
        ),
    ] = None,
    reduce_on_plateau: Annotated[
        int | None,
        typer.Option(help="Halve the rate after so many such epochs; 0: never.", rich_help_panel=_TRAINING),
    ] = None,
    keep_best: Annotated[
        bool | None,
        typer.Option(
            "--keep-best/--keep-last",
            help="Keep the weights of the lowest validation loss, or the last.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    fine_tune: Annotated[
        float | None,
        typer.Option(
            help="For a frozen backbone: train this share of it, from the top, after the head.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    fine_tune_epochs: Annotated[
        int | None, typer.Option(help="How many epochs that takes, at most.", rich_help_panel=_TRAINING)
    ] = None,
    fine_tune_rate: Annotated[
        float | None,
        typer.Option(help="Its learning rate, as a share of the head's, such as 0.05.", rich_help_panel=_TRAINING),
    ] = None,
    fine_tune_augment: Annotated[
        str | None,
        typer.Option(help="Its augmentation; default: the same as the head's.", rich_help_panel=_TRAINING),
    ] = None,
    tta: Annotated[
        str | None,
        typer.Option(
            help="Judge each picture averaged with its mirror image (mirror), also shifted (shift), or alone (none).",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    calibrate: Annotated[
        bool | None,
        typer.Option(
            "--calibrate/--no-calibrate",
            help="Make probabilities honest by the validation images; classes stay.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    time_limit: Annotated[
        str | None, typer.Option(help="End training in this time: 90s, 8m, 1.5h.", rich_help_panel=_TRAINING)
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Of weights, order, augmentation and dropout.", rich_help_panel=_TRAINING)
    ] = None,
    validation: Annotated[
        float | None, typer.Option(help="Share of the images that chooses, such as 0.2.", rich_help_panel=_DATA)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Use at most this many images of each split.", rich_help_panel=_DATA)
    ] = None,
    classes: Annotated[
        str | None, typer.Option(help="Keep these classes: daisy,dandelion.", rich_help_panel=_DATA)
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Where a named dataset's files are.", rich_help_panel=_DATA)
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Bring pictures of a folder to this size: 80 or 160x120.", rich_help_panel=_DATA)
    ] = None,
    fit_rule: Annotated[
        str | None, typer.Option("--fit", help="How: stretch, pad or crop.", rich_help_panel=_DATA)
    ] = None,
    color: Annotated[str | None, typer.Option(help="rgb or gray.", rich_help_panel=_DATA)] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Stop at a bad file instead of leaving it out.", rich_help_panel=_DATA)
    ] = False,
    config: Annotated[
        Path | None, typer.Option(help="Repeat the run of this config.toml.", rich_help_panel=_RUN)
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Go on with this run exactly where it stopped.", rich_help_panel=_RUN),
    ] = None,
    resume_anyway: Annotated[
        bool,
        typer.Option(
            "--resume-anyway", help="Go on although versions, cores or flags have changed.", rich_help_panel=_RUN
        ),
    ] = False,
    find_lr: Annotated[
        bool,
        typer.Option(
            "--find-lr", help="Only look for a good learning rate: a range test with a plot.", rich_help_panel=_RUN
        ),
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the run folder; default: data, network and a number.", rich_help_panel=_RUN),
    ] = None,
    runs: RunsOption = Path("runs"),
    backend: BackendOption = None,
    json: JsonOption = False,
) -> None:
    """Train on DATA, evaluate, and write everything into a run folder.

    Examples: `cnnflow fit fashion`, `cnnflow fit photos/ --epochs 30 --augment light`, `cnnflow fit --resume last`.
    """
    values = {key: value for key, value in locals().items() if value is not None}
    use_backend(backend)
    with show_events() as on_event:
        if resume is not None:
            _only("--resume", values, allowed={"resume", "resume_anyway", "runs", "backend", "json", "strict"})
            result = _resume(resume, runs, resume_anyway, on_event)
        elif config is not None:
            _only("--config", values, allowed={"config", "name", "resume_anyway", "runs", "backend", "json", "strict"})
            result = _start(_read_config(config), None, name, runs, on_event)
        elif data is not None:
            chosen, dataset = _choose(data, values, on_event)
            if find_lr:
                _find_lr(chosen, dataset, runs, json, on_event)
                return
            result = _start(chosen, dataset, name, runs, on_event)
        else:
            raise OptionError("no DATA; name a dataset, a folder or an .npz file, such as `cnnflow fit fashion`")
    _finish(result, json)


def _choose(data: str, values: dict[str, Any], on_event: OnEvent) -> "tuple[FitConfig, Dataset]":
    from cnnflow.data.sources import load
    from cnnflow.models.catalog import MODELS
    from cnnflow.presets import find_preset

    preset_name = values.get("preset", "fast")
    preset = find_preset(preset_name)
    data_config = _data_config(data, values, preset)
    model_values, recipe_values = _model_values(values), _of(Recipe, values)
    # Wrong options are told before pictures are read.
    one_of("model", model_values.get("name", "basic_cnn"), tuple(MODELS))
    dataclasses.replace(ModelConfig(), **model_values)
    dataclasses.replace(Recipe(), **recipe_values)
    dataset = load(data_config, on_event=on_event)
    choice = preset.choose(dataset)
    config = FitConfig(
        data=choice.data(data_config),
        model=dataclasses.replace(choice.model, **model_values),
        recipe=dataclasses.replace(choice.recipe, **recipe_values),
        preset=preset_name,
        seed=values.get("seed", 0),
        time_limit=read_duration(values["time_limit"]) if "time_limit" in values else None,
    )
    for reason in choice.reasons:
        on_event(Note(f"preset {preset_name}: {reason}"))
    own = ("model", "regularize", *model_values, *recipe_values)
    said = [f"{key.replace('_', '-')} {values[key]}" for key in own if key in values and key != "name"]
    if choice.reasons and said:
        on_event(Note(f"preset {preset_name}, but as you said: {', '.join(said)}"))
    return config, dataset


def _find_lr(config: FitConfig, dataset: "Dataset", runs: Path, json: bool, on_event: OnEvent) -> None:
    from cnnflow.data.split import split
    from cnnflow.models.catalog import build
    from cnnflow.plots.learning_rates import plot_learning_rates
    from cnnflow.training.lr_range import find_learning_rate

    train = split(dataset, config.data, seed=config.data.split_seed).train
    model = build(config.model, train.image_shape, len(train.class_names), seed=config.seed)
    found = find_learning_rate(model, train, config.recipe, seed=config.seed, mirror=dataset.mirror, on_event=on_event)
    path = runs / f"{Path(config.data.source).stem}-{config.model.name}-learning-rate.png"
    plot_learning_rates(found.rates, found.losses, found.suggestion, path)
    if json:
        rows = [
            {"learning_rate": r, "loss": x} for r, x in zip(found.rates.tolist(), found.losses.tolist(), strict=True)
        ]
        print_json({"suggestion": found.suggestion, "plot": str(path), "curve": rows})
    else:
        results().print(f"--learning-rate {found.suggestion:g} looks good; the curve is in {path}", soft_wrap=True)


def _start(
    config: FitConfig, dataset: "Dataset | None", name: str | None, runs: Path, on_event: OnEvent
) -> "RunResult":
    from cnnflow.data.sources import load
    from cnnflow.experiments.run import run
    from cnnflow.models.catalog import MODELS
    from cnnflow.training.run_folder import create_run, discard_unstarted
    from cnnflow.training.stopping import stop_on_signals

    one_of("model", config.model.name, tuple(MODELS))
    dataset = dataset or load(config.data, on_event=on_event)
    if config.data.limit:
        on_event(Note(f"--limit {config.data.limit}: at most that many images of each split"))
    folder = create_run(runs, f"{Path(config.data.source).stem}-{config.model.name}", name=name)
    on_event(Note(f"run folder {folder.path}"))
    try:
        with stop_on_signals(_announce(on_event)) as should_stop:
            return run(config, folder, dataset=dataset, should_stop=should_stop, on_event=on_event)
    except CnnflowError:
        discard_unstarted(folder)
        raise


def _resume(name: str, runs: Path, anyway: bool, on_event: OnEvent) -> "RunResult":
    from cnnflow.experiments.run import resume
    from cnnflow.training.run_folder import find_run
    from cnnflow.training.stopping import stop_on_signals

    with stop_on_signals(_announce(on_event)) as should_stop:
        return resume(find_run(runs, name), anyway=anyway, should_stop=should_stop, on_event=on_event)


def _finish(result: "RunResult", json: bool) -> None:
    if result.stopped == "interrupted":
        runs = "" if result.folder.path.parent == Path("runs") else f" --runs {result.folder.path.parent}"
        line = f"stopped; go on with: cnnflow fit --resume {result.folder.name}{runs}"
        remarks().print(line, soft_wrap=True)
        raise typer.Exit(130)
    if json:
        print_json(result.metrics | {"run": str(result.folder.path)})
    else:
        from cnnflow.cli.summary import print_summary

        print_summary(results(), result.metrics, result.folder)


def _announce(on_event: OnEvent) -> Any:
    return lambda: on_event(Caution("stopping at the end of this step, with a snapshot; once more ends at once"))


def _data_config(data: str, values: dict[str, Any], preset: "Preset") -> DataConfig:
    source = str(Path(data).resolve()) if _is_path(data) else data
    options: dict[str, Any] = {key: values[key] for key in ("validation", "limit", "color", "strict") if key in values}
    if "classes" in values:
        options["classes"] = read_list(values["classes"])
    if "data_dir" in values:
        options["data_dir"] = str(values["data_dir"].resolve())
    if "fit_rule" in values:
        options["fit"] = values["fit_rule"]
    if "size" in values:
        options["size"] = read_size(values["size"])
    return preset.data(source, **options)


def _is_path(data: str) -> bool:
    return Path(data).exists() and (Path(data).is_dir() or data.endswith(".npz"))


def _model_values(values: dict[str, Any]) -> dict[str, Any]:
    chosen = _read_regularize(values.get("regularize", "")) | _of(ModelConfig, values)
    chosen.pop("name", None)
    return chosen | ({"name": values["model"]} if "model" in values else {})


def _read_regularize(text: str) -> dict[str, Any]:
    """The options in "dropout=0.3,l2=1e-4,batch-norm"."""
    options: dict[str, Any] = {}
    for part in read_list(text):
        key, _, number = part.partition("=")
        if key in ("dropout", "l1", "l2"):
            try:
                options[key] = float(number)
            except ValueError:
                raise OptionError(f"--regularize {part!r}; {key} takes a number, such as {key}=0.3") from None
        elif part in _FLAGS:
            options[_FLAGS[part]] = True
        else:
            raise OptionError(f"--regularize {part!r}; it takes dropout=0.3, l1=1e-5, l2=1e-4 and batch-norm")
    return options


def _of(kind: type, values: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(kind)}
    return {
        key: None if key in _ZERO_IS_NEVER and not value else value for key, value in values.items() if key in names
    }


def _only(option: str, values: dict[str, Any], *, allowed: set[str]) -> None:
    given = {key for key, value in values.items() if value is not False}
    if wrong := sorted(given - allowed):
        flag = "DATA" if wrong[0] == "data" else "--" + wrong[0].replace("_", "-")
        raise OptionError(f"{option} together with {flag}; the options of that run are fixed, leave {flag} out")


def _read_config(path: Path) -> FitConfig:
    try:
        return from_toml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"--config {path} cannot be read: {error}") from error
