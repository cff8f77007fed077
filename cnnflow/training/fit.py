"""Training: epochs of steps from a stream of batches, with validation, rules between epochs, and snapshots."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import keras

from cnnflow.batches import Batch, BatchPlan, class_balance, stream
from cnnflow.config import Recipe
from cnnflow.data.image_set import ImageSet
from cnnflow.evaluation.metrics import evaluate
from cnnflow.evaluation.predictions import predict
from cnnflow.events import EpochDone, Note, OnEvent, ignore
from cnnflow.kernels import accelerate
from cnnflow.training.capture import Weights, capture, restore, to_numpy
from cnnflow.training.fingerprint import check_fingerprint
from cnnflow.training.objective import compile_for_training, form_targets, is_binary
from cnnflow.training.optimizer import make_optimizer, peak_learning_rate
from cnnflow.training.precision import chosen, computing_in
from cnnflow.training.saving import SECONDS_BETWEEN, SnapshotSaver
from cnnflow.training.schedule import SCHEDULES, with_warmup
from cnnflow.training.snapshot import newest_snapshot
from cnnflow.training.state import Row, TrainingState, finish_epoch, reason_to_stop
from cnnflow.training.steps import StepRules, Steps
from cnnflow.training.stopping import ShouldStop, never
from cnnflow.transforms.presets import Augmentation, augmentation


@dataclass(frozen=True)
class FitResult:
    """What a training came to.

    Attributes:
        state: the history, the best epoch, the seconds and the speed.
        stopped: "epochs", "early stopping", "time limit" or "interrupted".
        snapshot_seconds: what snapshots cost of `state.seconds`, in this process.
    """

    state: TrainingState
    stopped: str
    snapshot_seconds: float


@dataclass(frozen=True)
class Snapshots:
    """Where a training keeps its snapshots, and what must be equal for it to go on from one.

    Attributes:
        folder: holds the snapshot files.
        fingerprint: what the bits of the result depend on; see `cnnflow.training.fingerprint`.
        anyway: go on although versions, cores or flags differ.
        interval: seconds after which a snapshot is due in the middle of an epoch.
    """

    folder: Path
    fingerprint: Mapping[str, str]
    anyway: bool = False
    interval: float = SECONDS_BETWEEN


def fit(
    model: keras.Model,
    train: ImageSet,
    validation: ImageSet,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    time_limit: float | None = None,
    mirror: bool = True,
    snapshots: Snapshots | None = None,
    checkpoint: Callable[[keras.Model], None] | None = None,
    should_stop: ShouldStop = never,
    on_event: OnEvent = ignore,
) -> FitResult:
    """Train `model` in place; it stays uncompiled, so that it saves to a file that any backend loads.

    Args:
        model: takes uint8-range pixels and returns probabilities, as the factories of `cnnflow.models` do.
        train: what it learns from.
        validation: what chooses: the best epoch, when to stop, when to lower the learning rate.
        recipe: how; None: `Recipe()`, the recipe of the tutorial.
        seed: of the order of the images and of their augmentation.
        time_limit: seconds in which training ends, its learning-rate schedule run to its end.
        mirror: whether a mirrored image still shows its class.
        snapshots: where to keep snapshots, and to go on from where there are some.
        checkpoint: is called with the model after each epoch with the lowest validation loss so far.
        should_stop: is asked after every step; True stops there, with a snapshot.
        on_event: receives `StepDone`, `EpochDone` and cautions.

    Returns:
        What the training came to. The model has the weights of the last epoch, or with `recipe.keep_best` of the best.

    Raises:
        TrainingError: the loss is not finite.
        RunError: the snapshots are damaged, or of another run.

    Example:
        >>> result = fit(basic_cnn((28, 28, 1), 10), splits.train, splits.validation, Recipe(epochs=3))
        >>> result.state.history[-1]["val_accuracy"]
    """
    recipe = recipe or Recipe()
    augment = augmentation(recipe.augment, mirror=mirror)
    dense = is_dense(model, recipe, augment)
    accelerate(model)
    if recipe.precision != "float32":
        on_event(Note(f"training computes in {chosen(recipe.precision)}"))
    trainer = make_trainer(model, recipe, dense=dense)
    plan = BatchPlan(len(train), min(recipe.batch_size, len(train)), seed)
    saver = _saver(snapshots, on_event)
    start = _start(trainer, snapshots, on_event)
    training = _Training(
        model=model,
        trainer=trainer,
        validation=validation,
        recipe=recipe,
        rules=_rules(plan, recipe, time_limit),
        saver=saver,
        fingerprint=snapshots.fingerprint if snapshots else {},
        checkpoint=checkpoint,
        on_event=on_event,
        kept=start.kept,
    )
    steps = Steps(start.state, training.rules, saver, training.save, should_stop, on_event, start.sums)
    form = partial(as_keras, classes=len(train.class_names), binary=is_binary(model), dense=dense)
    batches = stream(
        train,
        plan,
        augment,
        epochs=recipe.epochs,
        start_epoch=start.state.epoch,
        start_step=start.state.step,
        weights=class_balance(train.labels, len(train.class_names)) if recipe.class_weights else None,
    )
    with batches:
        stopped = training.run(steps, lambda count: form(islice(batches, count)))
    return FitResult(steps.state, stopped, saver.seconds)


def is_dense(model: keras.Model, recipe: Recipe, augment: Augmentation) -> bool:
    """Whether the loss takes shares of all classes, as mixed images and smoothed labels need, instead of labels."""
    return not is_binary(model) and (augment.mix is not None or recipe.label_smoothing > 0)


def make_trainer(model: keras.Model, recipe: Recipe, *, dense: bool) -> keras.Model:
    """A second model over the layers of `model`, compiled in place of the one that the caller keeps and saves.

    A compiled model saved on torch names classes that other backends cannot load; `model` itself stays uncompiled.
    """
    trainer = keras.Model(model.inputs, model.outputs)
    compile_for_training(trainer, recipe, make_optimizer(recipe, trainer), dense=dense)
    return trainer


@dataclass(frozen=True, eq=False)
class _Start:
    """Where this process begins: the state, the weights kept so far, and the metrics' sums within the epoch."""

    state: TrainingState
    kept: Weights
    sums: Weights


def _saver(snapshots: Snapshots | None, on_event: OnEvent) -> SnapshotSaver:
    if snapshots is None:
        return SnapshotSaver(None, on_event)
    return SnapshotSaver(snapshots.folder, on_event, interval=snapshots.interval)


def _start(trainer: keras.Model, snapshots: Snapshots | None, on_event: OnEvent) -> _Start:
    snapshot = newest_snapshot(snapshots.folder, on_event=on_event) if snapshots else None
    if snapshots is None or snapshot is None:
        return _Start(TrainingState(), [], [])
    old = snapshot.facts["fingerprint"]
    check_fingerprint(old, snapshots.fingerprint, anyway=snapshots.anyway, on_event=on_event)
    state = restore(trainer, snapshot)
    return _Start(state, snapshot.group("kept"), snapshot.group("metrics") if state.step else [])


@dataclass(eq=False)
class _Training:
    """A training in this process: all that an epoch needs, and the weights to keep, which it changes."""

    model: keras.Model
    trainer: keras.Model
    validation: ImageSet
    recipe: Recipe
    rules: StepRules
    saver: SnapshotSaver
    fingerprint: Mapping[str, str]
    checkpoint: Callable[[keras.Model], None] | None
    on_event: OnEvent
    kept: Weights

    def run(self, steps: Steps, batches: Callable[[int], Iterator[Any]]) -> str:
        """Train until there is a reason to stop, and return it; `batches(n)` gives the next n for Keras."""
        if steps.state == TrainingState():
            self.save(self.trainer, steps.state)
        while (stopped := reason_to_stop(steps.state, self.recipe) or steps.reason_to_stop()) is None:
            self._epoch(steps, batches)
        self.save(self.trainer, steps.state)
        if stopped != "interrupted" and self.kept:
            self.model.set_weights(self.kept)
        return stopped

    def save(self, trainer: keras.Model, state: TrainingState) -> None:
        """Write a snapshot of `trainer` at `state`."""
        order = state.epoch * self.rules.steps + state.step
        self.saver.save(order, lambda: capture(trainer, state, self.kept, self.fingerprint))

    def _epoch(self, steps: Steps, batches: Callable[[int], Iterator[Any]]) -> None:
        epoch = steps.state.epoch
        left = steps.steps_left
        with computing_in(self.model, self.recipe.precision):
            logs = self.trainer.fit(
                batches(left),
                steps_per_epoch=left,
                initial_epoch=epoch,
                epochs=epoch + 1,
                shuffle=False,
                verbose=0,
                callbacks=[steps],
            )
        if steps.interrupted:
            return
        if self.recipe.ema is not None:
            # Keras has put the averages in. On JAX weights and averages now share memory, which the next compiled call
            # on the model takes over for its results: a copy parts them.
            _assign(self.trainer, [to_numpy(v) for v in self.trainer.trainable_variables])
        row = self._row(steps, logs.history)
        steps.state = finish_epoch(replace(steps.state, seconds=steps.seconds), row, self.recipe)
        self._keep(improved=steps.state.waited == 0)
        if self.recipe.ema is not None:
            _assign(self.trainer, steps.raw)
        self.on_event(EpochDone(self.recipe.epochs, steps.state.history))
        if self.saver.due_after_epoch():
            self.save(self.trainer, steps.state)

    def _row(self, steps: Steps, logs: Mapping[str, list[float]]) -> Row:
        started = steps.seconds
        found = evaluate(
            predict(self.model, self.validation.images), self.validation.labels, self.validation.class_names
        )
        steps.reserve = steps.seconds - started
        return {
            "epoch": steps.state.epoch + 1,
            "loss": float(logs["loss"][-1]),
            "accuracy": float(logs["accuracy"][-1]),
            "val_loss": found.loss,
            "val_accuracy": found.accuracy,
            "learning_rate": steps.last_rate,
            "seconds": round(steps.seconds, 3),
            "images_per_second": round(steps.state.images_per_second, 1),
        }

    def _keep(self, *, improved: bool) -> None:
        if self.recipe.keep_best and not improved:
            return
        if self.recipe.keep_best or self.recipe.ema is not None:
            self.kept = [to_numpy(variable) for variable in self.model.weights]
        if improved and self.checkpoint is not None:
            self.checkpoint(self.model)


def _assign(trainer: keras.Model, weights: Weights) -> None:
    for variable, value in zip(trainer.trainable_variables, weights, strict=True):
        variable.assign(value)


def _rules(plan: BatchPlan, recipe: Recipe, time_limit: float | None) -> StepRules:
    return StepRules(
        steps=plan.steps,
        epochs=recipe.epochs,
        batch_size=plan.batch_size,
        peak=peak_learning_rate(recipe),
        schedule=with_warmup(SCHEDULES[recipe.schedule], recipe.warmup),
        time_limit=time_limit,
        keep_raw=recipe.ema is not None,
    )


def as_keras(batches: Iterable[Batch], *, classes: int, binary: bool, dense: bool) -> Iterator[tuple[Any, ...]]:
    """Batches as the tuples that `keras.Model.fit` takes."""
    for batch in batches:
        targets = form_targets(batch.targets, classes=classes, binary=binary, dense=dense)
        yield (batch.images, targets) if batch.weights is None else (batch.images, targets, batch.weights)
