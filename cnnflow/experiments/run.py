"""One run, from a config to a full run folder: load, split, train, evaluate, write."""

import csv
import io
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import keras
import numpy as np

from cnnflow.config import FitConfig, from_toml, to_toml
from cnnflow.data.image_set import Dataset, ImageSet
from cnnflow.data.shards import select
from cnnflow.data.sources import load
from cnnflow.data.split import Splits, image_hashes, split
from cnnflow.errors import RunError
from cnnflow.evaluation.metrics import Metrics, evaluate
from cnnflow.evaluation.predictions import predict
from cnnflow.evaluation.predictions_file import write_predictions
from cnnflow.evaluation.temperature import calibrate
from cnnflow.evaluation.views import View, views_of
from cnnflow.events import Caution, EpochDone, Event, Note, OnEvent, ignore
from cnnflow.files import write_json, write_text, write_with
from cnnflow.models.catalog import build
from cnnflow.plots.confusion import plot_confusion
from cnnflow.plots.curves import plot_curves
from cnnflow.training.fingerprint import describe_machine, make_fingerprint
from cnnflow.training.fit import FitResult, Snapshots
from cnnflow.training.precision import chosen
from cnnflow.training.run_folder import RunFolder
from cnnflow.training.stages import train
from cnnflow.training.stopping import ShouldStop, never

# Training images that are judged in the end, or as many as there are test images where those are more. To judge all
# would take longer and make the gap between the two no surer.
_FEWEST_JUDGED = 1000


@dataclass(frozen=True)
class RunResult:
    """What a run came to.

    Attributes:
        folder: where everything is.
        stopped: why training ended; "interrupted": it can be resumed.
        metrics: the content of metrics.json; empty after an interruption.
    """

    folder: RunFolder
    stopped: str
    metrics: dict[str, Any]


def run(
    config: FitConfig,
    folder: RunFolder,
    *,
    dataset: Dataset | None = None,
    anyway: bool = False,
    should_stop: ShouldStop = never,
    on_event: OnEvent = ignore,
) -> RunResult:
    """Train as `config` says and fill `folder`; where the folder has snapshots, go on from the newest.

    Args:
        config: all options.
        folder: from `create_run`, or of an earlier run of the same config.
        dataset: what `load(config.data)` gives, where the caller has it already.
        anyway: go on although versions, cores or flags have changed.
        should_stop: is asked after every step.
        on_event: receives all that happens; notes and cautions also go to the run's log.txt.

    Raises:
        CnnflowError: the data, the options or the snapshots are not usable.

    Example:
        >>> result = run(FitConfig(DataConfig("fashion")), create_run(Path("runs"), "fashion"))
        >>> result.metrics["test_accuracy"]
    """
    # config.toml says what "auto" was here, so that it repeats this run anywhere.
    config = replace(config, recipe=replace(config.recipe, precision=chosen(config.recipe.precision)))
    with folder.locked():
        if not folder.config.exists():
            write_text(folder.config, to_toml(config))
        report = _recorder(folder, on_event)
        dataset = dataset or load(config.data, on_event=report)
        splits = split(dataset, config.data, seed=config.data.split_seed)
        hashes = {name: image_hashes(images.images) for name, images in _named(splits).items()}
        _write_beginning(folder, hashes)
        model = build(
            config.model, splits.train.image_shape, len(splits.train.class_names), seed=config.seed, on_event=report
        )
        fingerprint = make_fingerprint(config, (text for texts in hashes.values() for text in texts))
        result = train(
            model,
            splits,
            config,
            mirror=dataset.mirror,
            snapshots=Snapshots(folder.state, fingerprint, anyway),
            checkpoint=lambda best: write_with(folder.model, best.save),
            should_stop=should_stop,
            on_event=report,
        )
        if result.stopped == "interrupted":
            return RunResult(folder, result.stopped, {})
        return RunResult(folder, result.stopped, _finish(config, folder, dataset, splits, model, result, report))


def resume(
    folder: RunFolder, *, anyway: bool = False, should_stop: ShouldStop = never, on_event: OnEvent = ignore
) -> RunResult:
    """Go on with the run in `folder` exactly where it stopped.

    Raises:
        RunError: the run is complete, damaged, in use, or of other versions, data or options.
    """
    if folder.complete:
        raise RunError(f"{folder.path} is complete; there is nothing to resume, `cnnflow evaluate` shows its figures")
    config = read_config(folder)
    return run(config, folder, anyway=anyway, should_stop=should_stop, on_event=on_event)


def read_config(folder: RunFolder) -> FitConfig:
    """The config of the run in `folder`; raises `RunError` where it cannot be read."""
    try:
        return from_toml(folder.config.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{folder.config} cannot be read ({error}); is {folder.path} a run folder?") from error


def _write_beginning(folder: RunFolder, hashes: Mapping[str, Sequence[str]]) -> None:
    write_json(folder.environment, describe_machine() | {"git_commit": _git_commit()})
    write_json(folder.split, hashes)


def _finish(
    config: FitConfig,
    folder: RunFolder,
    dataset: Dataset,
    splits: Splits,
    model: keras.Model,
    result: FitResult,
    on_event: OnEvent,
) -> dict[str, Any]:
    views = views_of(config.recipe.tta, splits.train.image_shape[:2], mirror=dataset.mirror)
    if config.recipe.calibrate:
        temperature = calibrate(model, splits.validation, views=views)
        on_event(Note(f"calibrated on the validation images: logits divided by {temperature:.3g}"))
    write_with(folder.model, model.save)
    write_json(folder.classes, describe_classes(dataset, splits.train, views=views))
    judged = _named(replace(splits, train=_evenly(splits.train, max(len(splits.test), _FEWEST_JUDGED))))
    some = "the" if len(judged["train"]) == len(splits.train) else f"{len(judged['train']):,}"
    on_event(Note(f"evaluating on {some} training images and on the validation and test images"))
    found = {name: _judge(model, images, views, on_event) for name, images in judged.items()}
    test, probabilities = found["test"]
    write_predictions(
        folder.predictions, probabilities, splits.test.labels, splits.test.class_names, splits.test.origins
    )
    plot_curves(result.state.history, folder.plots / "curves.png")
    plot_confusion(test.confusion, splits.test.class_names, folder.plots / "confusion.png")
    metrics = _metrics(config, dataset, splits, model, result, {name: figures for name, (figures, _) in found.items()})
    write_json(folder.metrics, metrics)
    return metrics


def _evenly(images: ImageSet, count: int) -> ImageSet:
    """At most `count` images, at even distances."""
    if len(images) <= count:
        return images
    return select(images, np.linspace(0, len(images) - 1, count).round().astype(np.int64))


def _judge(model: keras.Model, images: ImageSet, views: Sequence[View], on_event: OnEvent) -> tuple[Metrics, Any]:
    probabilities = predict(model, images.images, views=views, on_event=on_event)
    return evaluate(probabilities, images.labels, images.class_names), probabilities


def _metrics(
    config: FitConfig,
    dataset: Dataset,
    splits: Splits,
    model: keras.Model,
    result: FitResult,
    found: Mapping[str, Metrics],
) -> dict[str, Any]:
    train, validation, test = (found[name] for name in ("train", "validation", "test"))
    return {
        "dataset": dataset.name,
        "model": config.model.name,
        "preset": config.preset,
        "seed": config.seed,
        "backend": keras.backend.backend(),
        "precision": config.recipe.precision,
        "parameters": model.count_params(),
        "images": {name: len(images) for name, images in _named(splits).items()},
        "train_images_judged": int(train.confusion.sum()),
        "limit": config.data.limit,
        "epochs": len(result.state.history),
        "best_epoch": result.state.best_epoch + 1,
        "stopped": result.stopped,
        "seconds_training": round(result.state.seconds, 3),
        "images_per_second": round(result.state.images_per_second, 1),
        "snapshot_seconds": round(result.snapshot_seconds, 3),
        "train_accuracy": train.accuracy,
        "validation_accuracy": validation.accuracy,
        "test_accuracy": test.accuracy,
        "generalization_gap": train.accuracy - test.accuracy,
        "train_loss": train.loss,
        "validation_loss": validation.loss,
        "test_loss": test.loss,
        "per_class": test.to_dict()["per_class"],
        "confusion": test.to_dict()["confusion"],
        "ece": test.ece,
    }


def describe_classes(dataset: Dataset, images: ImageSet, *, views: Sequence[View]) -> dict[str, Any]:
    """The content of classes.json: all that a caller of the model must know besides the model."""
    height, width, channels = images.image_shape
    color = "gray" if channels == 1 else "rgb"
    return {
        "class_names": list(images.class_names),
        "labels_in": {language: list(names) for language, names in (dataset.labels_in or {}).items()},
        "resize": dataset.resize or {"height": height, "width": width, "fit": "stretch", "color": color},
        "mirror": dataset.mirror,
        "views": [view.to_dict() for view in views],
    }


def _named(splits: Splits) -> dict[str, ImageSet]:
    return {"train": splits.train, "validation": splits.validation, "test": splits.test}


def _recorder(folder: RunFolder, on_event: OnEvent) -> OnEvent:
    """`on_event` that also keeps history.csv and log.txt."""

    def record(event: Event) -> None:
        if isinstance(event, EpochDone):
            write_text(folder.history, _as_csv(event.history))
        elif isinstance(event, Note | Caution):
            with folder.log.open("a", encoding="utf-8") as log:
                log.write(f"{datetime.now().isoformat(timespec='seconds')} {event.message}\n")
        on_event(event)

    return record


def _as_csv(rows: Sequence[Mapping[str, float]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _git_commit() -> str | None:
    """The commit of the folder that the user works in, where that is a git checkout."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None
