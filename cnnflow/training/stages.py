"""Training in stages: what a network needs before its first step, the head of a frozen backbone, then its top.

Most networks have one stage, and this is `fit`. A model of `cnnflow.models.transfer` has up to two: the new head on the
frozen backbone, and with `recipe.fine_tune` the top of the backbone too, at a lower learning rate.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, cast

import keras

from cnnflow.config import FitConfig, Recipe
from cnnflow.data.image_set import Images, ImageSet
from cnnflow.data.split import Splits
from cnnflow.events import EpochDone, Event, Note, OnEvent, ignore
from cnnflow.kernels import accelerate
from cnnflow.models.catalog import MODELS
from cnnflow.models.transfer import features, head, unfreeze
from cnnflow.training.capture import to_numpy
from cnnflow.training.fit import FitResult, Snapshots, fit
from cnnflow.training.optimizer import peak_learning_rate
from cnnflow.training.state import Row, TrainingState
from cnnflow.training.stopping import ShouldStop, never

_IMAGES_TO_START_FROM = 5000
# The head's lowest validation loss is the lowest of many epochs, and on a few hundred images partly luck. Of 868 photos
# of two flowers that neither stage had seen, the head had 23 wrong, and after tuning it had 7.
_CLEARLY_WORSE = 1.1

Fit = Callable[..., FitResult]


def train(
    model: keras.Model,
    splits: Splits,
    config: FitConfig,
    *,
    mirror: bool = True,
    snapshots: Snapshots | None = None,
    checkpoint: Callable[[keras.Model], None] | None = None,
    should_stop: ShouldStop = never,
    on_event: OnEvent = ignore,
) -> FitResult:
    """Train `model` in place, in as many stages as it has; arguments and result are those of `fit`.

    Args:
        model: what `build(config.model, ...)` gave.
        splits: train and validation are used.
        config: the recipe, the seed and the time limit; `config.model` says whether there is a frozen backbone.
        mirror, snapshots, checkpoint, should_stop, on_event: as in `fit`.
    """
    prepare(model, splits.train, config)
    common: dict[str, Any] = {"mirror": mirror, "seed": config.seed, "should_stop": should_stop}
    if config.model.weights is None:
        return fit(
            model,
            splits.train,
            splits.validation,
            config.recipe,
            time_limit=config.time_limit,
            snapshots=snapshots,
            checkpoint=checkpoint,
            on_event=on_event,
            **common,
        )
    first = _train_head(model, splits, config, snapshots, checkpoint, common, on_event)
    if first.stopped == "interrupted" or config.recipe.fine_tune is None:
        return first
    return _fine_tune(model, splits, config, first, snapshots, checkpoint, common, on_event)


def prepare(model: keras.Model, train: ImageSet, config: FitConfig) -> None:
    """Set the first weights that are computed from the training images instead of drawn; see `speed_net`."""
    if (start := MODELS[config.model.name].start) is not None:
        start(model, train.images[:_IMAGES_TO_START_FROM])


def _train_head(
    model: keras.Model,
    splits: Splits,
    config: FitConfig,
    snapshots: Snapshots | None,
    checkpoint: Callable[[keras.Model], None] | None,
    common: Mapping[str, Any],
    on_event: OnEvent,
) -> FitResult:
    train, validation, trained = splits.train, splits.validation, model
    started = time.perf_counter()
    if config.recipe.augment == "none":
        # Without augmentation the frozen part says the same of an image every time: once is enough.
        on_event(Note("the frozen backbone's features are computed once, and the head is trained on them"))
        accelerate(model)
        train, validation = (_as_features(model, part, on_event) for part in (train, validation))
        trained = head(model)
    before_steps = time.perf_counter() - started
    result = fit(
        trained,
        train,
        validation,
        config.recipe,
        time_limit=config.time_limit,
        snapshots=snapshots,
        checkpoint=None if checkpoint is None else lambda _: checkpoint(model),
        on_event=_after((), before_steps, on_event),
        **common,
    )
    history = _later(result.state.history, 0, before_steps)
    seconds = result.state.seconds + before_steps
    return replace(result, state=replace(result.state, seconds=seconds, history=history))


def _as_features(model: keras.Model, images: ImageSet, on_event: OnEvent) -> ImageSet:
    # Features are float32 [n, d]; to batches and to the head they are what pixels are to a whole network.
    return replace(images, images=cast(Images, features(model, images.images, on_event=on_event)))


def _fine_tune(
    model: keras.Model,
    splits: Splits,
    config: FitConfig,
    first: FitResult,
    snapshots: Snapshots | None,
    checkpoint: Callable[[keras.Model], None] | None,
    common: Mapping[str, Any],
    on_event: OnEvent,
) -> FitResult:
    recipe = config.recipe
    assert recipe.fine_tune is not None
    before = [to_numpy(variable) for variable in model.weights]
    free = unfreeze(model, recipe.fine_tune)
    tuning = fine_tuning(recipe)
    on_event(Note(f"fine-tuning {free:,} weights at learning rate {peak_learning_rate(tuning):g}"))
    second = fit(
        model,
        splits.train,
        splits.validation,
        tuning,
        time_limit=None if config.time_limit is None else max(1e-3, config.time_limit - first.state.seconds),
        snapshots=None if snapshots is None else replace(snapshots, folder=snapshots.folder / "fine-tune"),
        checkpoint=checkpoint if first.state.best_epoch < 0 else None,
        on_event=_after(first.state.history, first.state.seconds, on_event),
        **common,
    )
    worse = second.state.best_loss > _CLEARLY_WORSE * first.state.best_loss
    if recipe.keep_best and worse and second.stopped != "interrupted":
        on_event(Note("fine-tuning raised the validation loss: the weights from before it are kept"))
        for variable, value in zip(model.weights, before, strict=True):
            variable.assign(value)
    return FitResult(
        joined(first.state, second.state, best_is_second=not worse),
        second.stopped,
        first.snapshot_seconds + second.snapshot_seconds,
    )


def fine_tuning(recipe: Recipe) -> Recipe:
    """The recipe of the second stage: fewer epochs, a learning rate 10 to 100 times lower, its own augmentation."""
    return replace(
        recipe,
        epochs=recipe.fine_tune_epochs,
        learning_rate=peak_learning_rate(recipe) * recipe.fine_tune_rate,
        augment=recipe.augment if recipe.fine_tune_augment is None else recipe.fine_tune_augment,
    )


def joined(first: TrainingState, second: TrainingState, *, best_is_second: bool) -> TrainingState:
    """One state for two stages, with one history; its best epoch is that of the second or of the first."""
    epochs = len(first.history)
    return dataclasses.replace(
        second,
        epoch=epochs + second.epoch,
        history=(*first.history, *_later(second.history, epochs, first.seconds)),
        best_loss=second.best_loss if best_is_second else first.best_loss,
        best_epoch=epochs + second.best_epoch if best_is_second else first.best_epoch,
        seconds=first.seconds + second.seconds,
        timed_seconds=first.timed_seconds + second.timed_seconds,
        timed_images=first.timed_images + second.timed_images,
    )


def _after(history: tuple[Row, ...], seconds: float, on_event: OnEvent) -> OnEvent:
    """`on_event` whose epochs come after those of `history`, which took so many seconds."""

    def told(event: Event) -> None:
        if isinstance(event, EpochDone):
            rows = (*history, *_later(event.history, len(history), seconds))
            event = EpochDone(event.epochs + len(history), rows)
        on_event(event)

    return told


def _later(rows: tuple[Row, ...], epochs: int, seconds: float) -> tuple[Row, ...]:
    """`rows` of a stage that began after so many epochs and seconds."""
    return tuple({**row, "epoch": row["epoch"] + epochs, "seconds": row["seconds"] + seconds} for row in rows)
