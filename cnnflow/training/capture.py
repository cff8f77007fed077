"""Between a model in training and a snapshot."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from cnnflow.errors import RunError
from cnnflow.training.snapshot import Snapshot
from cnnflow.training.state import TrainingState

Weights = Sequence[NDArray[Any]]


def capture(trainer: keras.Model, state: TrainingState, kept: Weights, fingerprint: Mapping[str, str]) -> Snapshot:
    """Copy everything that decides how training goes on.

    The trainable variables; the others, which hold the moving averages of BatchNorm and the random state of dropout;
    the optimizer's, which hold its moments, its step and its averages of the weights; the metrics' running sums, which
    matter in the middle of an epoch only; and the weights to keep at the end. The order of the images and their
    augmentation need nothing: they are functions of the position in `state`.
    """
    groups: dict[str, Weights] = {"kept": kept}
    for name, variables in _variables(trainer).items():
        # Between epochs the sums mean nothing, and a process that found the training at its end has none.
        if name == "metrics" and not state.step:
            continue
        groups[name] = [to_numpy(variable) for variable in variables]
    arrays = {f"{name}/{i}": array for name, group in groups.items() for i, array in enumerate(group)}
    return Snapshot(arrays, {"state": state.to_dict(), "fingerprint": dict(fingerprint)})


def restore(trainer: keras.Model, snapshot: Snapshot) -> TrainingState:
    """Put the weights and the optimizer's variables of `snapshot` into `trainer`; the metrics' come at the first step.

    Raises:
        RunError: the snapshot is of another model or optimizer.
    """
    for name in ("trainable", "non_trainable", "optimizer"):
        assign(_variables(trainer)[name], snapshot.group(name), name)
    return TrainingState.from_dict(snapshot.facts["state"])


def assign(variables: Sequence[keras.Variable], values: Weights, name: str) -> None:
    """Give each variable its value; raises `RunError` where their number, shapes or dtypes differ."""
    if len(variables) != len(values):
        raise RunError(
            f"the snapshot has {len(values)} {name} variables and the model {len(variables)}; it is another model's"
        )
    for variable, value in zip(variables, values, strict=True):
        if tuple(variable.shape) != value.shape:
            raise RunError(
                f"{name} variable {variable.path} has shape {tuple(variable.shape)} in the model and {value.shape} "
                "in the snapshot; it is another model's"
            )
        variable.assign(value)


def to_numpy(variable: keras.Variable) -> NDArray[Any]:
    """A copy of the variable's value, which later steps do not change."""
    return np.array(keras.ops.convert_to_numpy(variable.value))


def _variables(trainer: keras.Model) -> dict[str, list[keras.Variable]]:
    return {
        "trainable": trainer.trainable_variables,
        "non_trainable": trainer.non_trainable_variables,
        "optimizer": trainer.optimizer.variables,
        "metrics": trainer.metrics_variables,
    }
