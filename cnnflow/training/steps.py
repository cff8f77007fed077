"""What happens between two steps: the learning rate, the report, the snapshot, and the reasons to stop."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
from numpy.typing import NDArray

from cnnflow.errors import TrainingError
from cnnflow.events import OnEvent, StepDone
from cnnflow.training.capture import Weights, assign, to_numpy
from cnnflow.training.saving import SnapshotSaver
from cnnflow.training.schedule import Schedule
from cnnflow.training.state import TrainingState
from cnnflow.training.stopping import ShouldStop

_SECONDS_BETWEEN_REPORTS = 0.1


@dataclass(frozen=True)
class StepRules:
    """What holds for every step of a run.

    Attributes:
        steps: steps an epoch.
        epochs: epochs of the run.
        batch_size: images a step.
        peak: the highest learning rate, and `schedule` its factor by progress.
        time_limit: seconds after which training must have ended, or None.
        keep_raw: whether the weights are needed from before Keras puts their averages in at the end of an epoch.
    """

    steps: int
    epochs: int
    batch_size: int
    peak: float
    schedule: Schedule
    time_limit: float | None
    keep_raw: bool

    def progress(self, step: int, seconds: float, reserve: float) -> float:
        """How far the run is, 0 to 1, by its steps or by its time less the `reserve`, whichever is nearer its end."""
        by_steps = step / (self.steps * self.epochs)
        by_time = seconds / max(self.time_limit - reserve, 1e-9) if self.time_limit else 0.0
        return min(1.0, max(by_steps, by_time))


class Steps(keras.callbacks.Callback):
    """The one Keras callback of a training; it lives as long as the process's part of the run.

    Attributes:
        state: where the training stands, kept up to date within the epoch.
        stopped: why the epoch was left early: "interrupted" or "time limit"; None: it was not.
        reserve: seconds that validation takes, which a time limit has to leave room for.
        last_rate: the learning rate of the last step.
        raw: the weights at the end of the last epoch, before averages replaced them (with `keep_raw`).
    """

    def __init__(
        self,
        state: TrainingState,
        rules: StepRules,
        saver: SnapshotSaver,
        save: Callable[[keras.Model, TrainingState], None],
        should_stop: ShouldStop,
        on_event: OnEvent,
        metrics: Weights,
    ) -> None:
        super().__init__()
        self.state = state
        self.stopped: str | None = None
        self.raw: list[NDArray[Any]] = []
        self.reserve = 0.0
        self.last_rate = 0.0
        self._rules = rules
        self._saver = saver
        self._save = save
        self._should_stop = should_stop
        self._on_event = on_event
        self._metrics = metrics
        self._started = time.perf_counter() - state.seconds
        self._step_started = 0.0
        self._compiled = False
        self._last_logs: dict[str, Any] = {}
        self._last_report = 0.0

    @property
    def seconds(self) -> float:
        """Wall time of the training so far, earlier processes' share included."""
        return time.perf_counter() - self._started

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        # Keras has just set the running sums to zero: in the middle of an epoch they are those of the snapshot.
        if self._metrics:
            assign(self.model.metrics_variables, self._metrics, "metrics")
            self._metrics = []
        self._last_logs = {}
        self._step_started = time.perf_counter()

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        rate = self.learning_rate
        if rate != self.last_rate:
            # On JAX this hands the variables back to the model and out again, about a millisecond: only on change.
            self.model.optimizer.learning_rate = rate
            self.last_rate = rate

    @property
    def steps_left(self) -> int:
        """Steps that the epoch still has."""
        return self._rules.steps - self.state.step

    @property
    def interrupted(self) -> bool:
        """Whether the epoch was left in its middle, to be gone on with another time."""
        return self.stopped == "interrupted" and self.steps_left > 0

    @property
    def learning_rate(self) -> float:
        """The learning rate of the step that comes next."""
        done = self.state.epoch * self._rules.steps + self.state.step
        factor = self._rules.schedule(self._rules.progress(done, self.seconds, self.reserve))
        return self._rules.peak * self.state.plateau_factor * factor

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        # The step before this one is done by now, so that looking at its loss does not make this one wait.
        self._require_finite(self._last_logs)
        self._last_logs = dict(logs or {})
        self._count_step()
        self._stop_or_save()
        if time.perf_counter() - self._last_report >= _SECONDS_BETWEEN_REPORTS:
            self.report()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._require_finite(logs or {})
        if self._rules.keep_raw:
            self.raw = [to_numpy(v) for v in self.model.trainable_variables]

    def report(self) -> None:
        """Tell of the last step."""
        self._last_report = time.perf_counter()
        self._on_event(
            StepDone(
                epoch=self.state.epoch,
                epochs=self._rules.epochs,
                step=self.state.step - 1,
                steps=self._rules.steps,
                loss=float(self._last_logs["loss"]),
                accuracy=float(self._last_logs["accuracy"]),
                images_per_second=self.state.images_per_second,
            )
        )

    def _count_step(self) -> None:
        if self._compiled:
            timed = self.state.timed_seconds + time.perf_counter() - self._step_started
            images = self.state.timed_images + self._rules.batch_size
            self.state = replace(self.state, timed_seconds=timed, timed_images=images)
        else:
            # Steps are handed over and computed later: the first one lasts until the compiler's work has come back.
            float(self._last_logs["loss"])
            self._compiled = True
        self._step_started = time.perf_counter()
        self.state = replace(self.state, step=self.state.step + 1, seconds=self.seconds)

    def _stop_or_save(self) -> None:
        self.stopped = self.reason_to_stop()
        # After the last step the epoch ends, with its own snapshot, whose place in the epoch is unambiguous.
        if self.steps_left and (self.stopped == "interrupted" or self._saver.due_in_epoch()):
            self._require_finite(self._last_logs)
            # Reading `self.model` hands the variables back to the model, which on JAX is without them within an epoch.
            self._save(self.model, self.state)
            self._step_started = time.perf_counter()
        if self.stopped:
            self.model.stop_training = True

    def reason_to_stop(self) -> str | None:
        """Why no further step is made, "interrupted" or "time limit"; None: there is no reason."""
        if self._should_stop():
            return "interrupted"
        limit = self._rules.time_limit
        needed = self._seconds_a_step() + self.reserve
        return "time limit" if limit and self.seconds + needed >= limit else None

    def _seconds_a_step(self) -> float:
        speed = self.state.images_per_second
        return self._rules.batch_size / speed if speed else 0.0

    def _require_finite(self, logs: dict[str, Any]) -> None:
        if "loss" in logs and not math.isfinite(loss := float(logs["loss"])):
            raise TrainingError(
                f"the loss became {loss} in epoch {self.state.epoch + 1}, step {self.state.step}, at learning rate "
                f"{self.learning_rate:.3g}; try a lower --learning-rate, or --clip-norm 1"
            )
