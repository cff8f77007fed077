"""Trials: the runs of an experiment, each in a run folder of its own inside the experiment's folder.

An experiment that was interrupted goes on by the same call: trials that are complete are read, one that was stopped is
resumed from its snapshot, the others are trained.
"""

import csv
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cnnflow.config import FitConfig
from cnnflow.data.image_set import Dataset
from cnnflow.errors import RunError
from cnnflow.evaluation.predictions_file import Predictions, read_predictions
from cnnflow.events import Note, OnEvent, Progress, ignore
from cnnflow.experiments.run import read_config, run
from cnnflow.training.run_folder import RunFolder
from cnnflow.training.stopping import ShouldStop, never


@dataclass(frozen=True)
class Trial:
    """One training of an experiment: what it is called in tables, and its options (the seed is one of them)."""

    variant: str
    config: FitConfig

    @property
    def folder_name(self) -> str:
        """The name of its run folder."""
        plain = "".join(letter if letter.isalnum() or letter in "._+=-" else "-" for letter in self.variant)
        return f"{plain}-seed{self.config.seed}"


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a trial came to, read from its run folder.

    Attributes:
        variant: what it is called in tables.
        folder: its run folder.
        config: its options.
        metrics: its metrics.json.
        history: its history.csv, a row an epoch.
        predictions: its predictions.csv.
    """

    variant: str
    folder: RunFolder
    config: FitConfig
    metrics: Mapping[str, Any]
    history: tuple[Mapping[str, float], ...]
    predictions: Predictions

    @property
    def seed(self) -> int:
        """The seed of the training."""
        return self.config.seed


def run_trials(
    trials: Sequence[Trial],
    folder: Path,
    *,
    dataset: Dataset | None = None,
    should_stop: ShouldStop = never,
    on_event: OnEvent = ignore,
) -> list[Outcome]:
    """Run the trials that are not complete yet, one after the other in this process, and return what all came to.

    Args:
        trials: what to run; no two with the same variant and seed.
        folder: the experiment's folder; each trial gets a run folder in it.
        dataset: what `load` gives for the trials' data, where the caller has it already; it is loaded once.
        should_stop: is asked after every step.
        on_event: receives what happens, and before each trial which one it is, the best so far and the time left.

    Returns:
        An outcome a trial, in their order; fewer where `should_stop` said to stop.

    Example:
        >>> outcomes = run_trials([Trial("plain", config), Trial("dropout", other)], Path("runs/study-001"))
    """
    names = [trial.folder_name for trial in trials]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise RunError(f"two trials are called {doubled[0]}; give each variant a name of its own")
    outcomes: list[Outcome] = []
    clock = _Clock(time.monotonic())
    for number, trial in enumerate(trials):
        place = RunFolder(folder / trial.folder_name)
        if not place.complete:
            if len(trials) > 1:
                on_event(Note(_announce(trial, number, len(trials), outcomes, clock.left(len(trials) - number))))
            place.path.mkdir(parents=True, exist_ok=True)
            result = run(trial.config, place, dataset=dataset, should_stop=should_stop, on_event=on_event)
            if result.stopped == "interrupted":
                return outcomes
            clock.trained += 1
        outcomes.append(read_outcome(place, trial.variant))
        _check_config(trial, outcomes[-1])
        on_event(Progress("trials", number + 1, len(trials), "trials"))
    return outcomes


def read_outcome(folder: RunFolder, variant: str | None = None) -> Outcome:
    """What the complete run in `folder` came to; raises `RunError` where a file is missing or damaged."""
    return Outcome(
        variant=variant or folder.name,
        folder=folder,
        config=read_config(folder),
        metrics=_read_metrics(folder),
        history=_read_history(folder.history),
        predictions=read_predictions(folder.predictions),
    )


def by_variant(outcomes: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """The outcomes of each variant, in the order in which variants first come."""
    found: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        found.setdefault(outcome.variant, []).append(outcome)
    return found


def mean(outcomes: Sequence[Outcome], key: str) -> float:
    """The mean over seeds of one of the figures of metrics.json."""
    return float(np.mean([outcome.metrics[key] for outcome in outcomes]))


@dataclass
class _Clock:
    """Estimates the time left from the trials that were trained in this process."""

    started: float
    trained: int = 0

    def left(self, trials: int) -> float | None:
        """Seconds for so many more trials; None before the first is done."""
        return (time.monotonic() - self.started) / self.trained * trials if self.trained else None


def _announce(trial: Trial, number: int, total: int, outcomes: Sequence[Outcome], left: float | None) -> str:
    parts = [f"trial {number + 1} of {total}: {trial.variant}, seed {trial.config.seed}"]
    if outcomes:
        best = max(outcomes, key=lambda outcome: float(outcome.metrics["validation_accuracy"]))
        accuracy = best.metrics["validation_accuracy"]
        parts.append(f"best so far {best.variant} with {accuracy:.2%} on the validation images")
    if left is not None:
        parts.append(f"about {max(1, round(left / 60))} min left")
    return "; ".join(parts)


def _check_config(trial: Trial, outcome: Outcome) -> None:
    if outcome.config != trial.config:
        raise RunError(
            f"{outcome.folder.path} was run with other options; start a new experiment, or remove that folder"
        )


def _read_metrics(folder: RunFolder) -> dict[str, Any]:
    if not folder.complete:
        raise RunError(f"{folder.path} is not complete; go on with: cnnflow fit --resume {folder.path}")
    try:
        content: dict[str, Any] = json.loads(folder.metrics.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{folder.metrics} cannot be read ({error}); train the run anew") from error
    return content


def _read_history(path: Path) -> tuple[Mapping[str, float], ...]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return tuple({key: float(value) for key, value in row.items()} for row in csv.DictReader(file))
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{path} cannot be read ({error}); train the run anew") from error
