"""How far a training is, and what its rules have seen: plain values, advanced by a pure function an epoch."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from cnnflow.config import Recipe

# What Keras's ReduceLROnPlateau takes for "no lower": an improvement of less than this.
_PLATEAU_DELTA = 1e-4
_PLATEAU_FACTOR = 0.5

Row = dict[str, float]


@dataclass(frozen=True)
class TrainingState:
    """Where a training stands.

    Attributes:
        epoch: the epoch in progress, from 0; after the last one, the number of epochs.
        step: how many steps of it are done.
        history: a row for each epoch that is done.
        best_loss: the lowest validation loss, and `best_epoch` (from 0) the epoch that had it; -1: none yet.
        waited: epochs since then.
        plateau_best: the validation loss that the plateau rule compares with, and `plateau_waited` since when.
        reductions: how often the plateau rule halved the learning rate.
        seconds: wall time of the training so far, from the first step on, compilation and validation included.
        timed_seconds: of these, seconds in steps, without the first step of each process, where the compiler works.
        timed_images: the images in those steps.
    """

    epoch: int = 0
    step: int = 0
    history: tuple[Row, ...] = ()
    best_loss: float = math.inf
    best_epoch: int = -1
    waited: int = 0
    plateau_best: float = math.inf
    plateau_waited: int = 0
    reductions: int = 0
    seconds: float = 0.0
    timed_seconds: float = 0.0
    timed_images: int = 0

    @property
    def images_per_second(self) -> float:
        """Training speed without the compiler's step; 0 where there was only that one."""
        return self.timed_images / self.timed_seconds if self.timed_seconds > 0 else 0.0

    @property
    def plateau_factor(self) -> float:
        """What the plateau rule has made of the learning rate so far."""
        return float(_PLATEAU_FACTOR**self.reductions)

    def to_dict(self) -> dict[str, Any]:
        """The state in JSON's types."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "TrainingState":
        """The state that `to_dict` described."""
        return cls(**{**content, "history": tuple(content["history"])})


def finish_epoch(state: TrainingState, row: Row, recipe: Recipe) -> TrainingState:
    """The state after the epoch that `row` tells of: the rules of EarlyStopping and ReduceLROnPlateau of Keras."""
    loss = row["val_loss"]
    improved = loss < state.best_loss
    off_plateau = loss < state.plateau_best - _PLATEAU_DELTA
    plateau_waited = 0 if off_plateau else state.plateau_waited + 1
    reduce = recipe.reduce_on_plateau is not None and plateau_waited >= recipe.reduce_on_plateau
    return dataclasses.replace(
        state,
        epoch=state.epoch + 1,
        step=0,
        history=(*state.history, row),
        best_loss=loss if improved else state.best_loss,
        best_epoch=state.epoch if improved else state.best_epoch,
        waited=0 if improved else state.waited + 1,
        plateau_best=loss if off_plateau else state.plateau_best,
        plateau_waited=0 if reduce else plateau_waited,
        reductions=state.reductions + reduce,
    )


def reason_to_stop(state: TrainingState, recipe: Recipe) -> str | None:
    """Why training ends between two epochs: "epochs", "early stopping", or None where it goes on."""
    if state.epoch >= recipe.epochs:
        return "epochs"
    if recipe.early_stopping is not None and state.waited >= recipe.early_stopping:
        return "early stopping"
    return None
