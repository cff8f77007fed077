"""A good learning rate for each variant, chosen on validation images: without one a comparison means nothing."""

import dataclasses
import math
from pathlib import Path

from cnnflow.config import FitConfig
from cnnflow.data.image_set import Dataset
from cnnflow.errors import TrainingError
from cnnflow.events import Note, OnEvent, ignore
from cnnflow.experiments.factors import Variant
from cnnflow.experiments.trials import Outcome, Trial, run_trials
from cnnflow.training.stopping import ShouldStop, never

# How often a search goes on beyond the end of its list, where the best rate is the last one.
_EXTENSIONS = 2
_STEP = 3.0


def find_rate(
    variant: Variant,
    base: FitConfig,
    folder: Path,
    *,
    dataset: Dataset | None = None,
    should_stop: ShouldStop = never,
    on_event: OnEvent = ignore,
) -> float | None:
    """The learning rate of `variant.rates` with the lowest validation loss in trainings of a third of the epochs.

    Where the best is at an end of the list, the search goes on beyond it. A rate with which the loss is not finite
    counts as the worst. The trials are run folders in `folder`, so that an interrupted search goes on.

    Returns:
        The rate; None where `should_stop` said to stop.

    Example:
        >>> find_rate(Variant("sgd", recipe={"optimizer": "sgd"}, rates=(0.03, 0.1, 0.3)), base, Path("search"))
        0.1
    """
    losses: dict[float, float] = {}
    waiting = list(variant.rates)
    for _ in range(1 + _EXTENSIONS):
        for rate in waiting:
            loss = _validation_loss(variant, base, rate, folder, dataset, should_stop, on_event)
            if loss is None:
                return None
            losses[rate] = loss
        best = min(losses, key=lambda rate: (losses[rate], rate))
        waiting = _beyond(best, losses)
        if not waiting:
            break
    if math.isinf(losses[best]):
        raise TrainingError(f"{variant.name}: the loss is not finite with any learning rate from {min(losses):g} up")
    on_event(Note(f"learning rate of {variant.name}: {best:g}, of {', '.join(f'{rate:g}' for rate in sorted(losses))}"))
    return best


def _beyond(best: float, losses: dict[float, float]) -> list[float]:
    if best == min(losses):
        return [float(f"{best / _STEP:.2g}")]
    return [float(f"{best * _STEP:.2g}")] if best == max(losses) else []


def _validation_loss(
    variant: Variant,
    base: FitConfig,
    rate: float,
    folder: Path,
    dataset: Dataset | None,
    should_stop: ShouldStop,
    on_event: OnEvent,
) -> float | None:
    config = variant.applied(base)
    epochs = max(1, round(base.recipe.epochs / 3))
    recipe = dataclasses.replace(config.recipe, learning_rate=rate, epochs=epochs)
    trial = Trial(f"{variant.name} at {rate:g}", dataclasses.replace(config, recipe=recipe))
    on_event(Note(f"learning rate search: {trial.variant}, {epochs} epochs"))
    try:
        outcomes = run_trials([trial], folder, dataset=dataset, should_stop=should_stop, on_event=on_event)
    except TrainingError:
        return math.inf
    return _lowest_loss(outcomes[0]) if outcomes else None


def _lowest_loss(outcome: Outcome) -> float:
    return min(row["val_loss"] for row in outcome.history)
