"""The rules between epochs are those of Keras's callbacks."""

import json
import math

import keras
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnflow.config import Recipe
from cnnflow.training.state import TrainingState, finish_epoch, reason_to_stop

losses = st.lists(st.sampled_from([1.0, 0.9, 0.90005, 0.8, 0.8, 0.5, 1.5]), min_size=1, max_size=30)


def _run(losses: list[float], recipe: Recipe) -> TrainingState:
    state = TrainingState()
    for loss in losses:
        if reason_to_stop(state, recipe):
            break
        state = finish_epoch(state, {"val_loss": loss}, recipe)
    return state


@settings(deadline=None, max_examples=50)
@given(losses, st.integers(1, 4), st.integers(1, 4))
def test_the_rules_agree_with_Keras(losses: list[float], stop: int, reduce: int) -> None:
    recipe = Recipe(epochs=len(losses), early_stopping=stop, reduce_on_plateau=reduce)
    state = _run(losses, recipe)

    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), "mse")
    stopping = keras.callbacks.EarlyStopping(monitor="val_loss", patience=stop)
    plateau = keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=reduce)
    for callback in (stopping, plateau):
        callback.set_model(model)
        callback.on_train_begin()
    model.stop_training = False
    epochs = 0
    for epoch, loss in enumerate(losses):
        for callback in (stopping, plateau):
            callback.on_epoch_end(epoch, {"val_loss": np.float64(loss)})
        epochs += 1
        if model.stop_training:
            break
    assert len(state.history) == epochs
    assert state.plateau_factor == float(keras.ops.convert_to_numpy(model.optimizer.learning_rate.value))
    assert state.best_epoch == stopping.best_epoch


@given(losses)
def test_a_state_survives_JSON(losses: list[float]) -> None:
    state = _run(losses, Recipe(epochs=len(losses)))
    assert TrainingState.from_dict(json.loads(json.dumps(state.to_dict()))) == state
    assert TrainingState.from_dict(json.loads(json.dumps(TrainingState().to_dict()))).best_loss == math.inf
