"""Networks that need more than one stage: computed first weights, a head on a frozen backbone, fine-tuning."""

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from cnnflow.config import DataConfig, FitConfig, ModelConfig, Recipe
from cnnflow.data import fashion
from cnnflow.data.split import Splits
from cnnflow.events import EpochDone, Event, Note
from cnnflow.models.catalog import build
from cnnflow.training.fit import Snapshots
from cnnflow.training.stages import fine_tuning, joined, train
from cnnflow.training.state import TrainingState


def _values(model: keras.Model) -> list[bytes]:
    return [np.asarray(keras.ops.convert_to_numpy(v.value)).tobytes() for v in model.weights]


@pytest.fixture(scope="module")
def splits() -> Splits:
    images = fashion.load(DataConfig("fashion")).train
    return Splits(images.take(np.arange(96)), images.take(np.arange(96, 128)), images.take(np.arange(128, 160)))


def test_a_speed_net_starts_from_the_training_images(splits: Splits) -> None:
    config = FitConfig(DataConfig("fashion"), ModelConfig("speed_net"), Recipe(epochs=1, batch_size=32))
    model = build(config.model, (28, 28, 1), 10, seed=0)
    before = np.asarray(keras.ops.convert_to_numpy(model.get_layer("whitening").kernel.value))
    result = train(model, splits, config)
    after = np.asarray(keras.ops.convert_to_numpy(model.get_layer("whitening").kernel.value))
    assert result.stopped == "epochs"
    assert not np.array_equal(before, after)


def test_the_second_stage_is_slower_and_the_history_is_one() -> None:
    recipe = Recipe(epochs=8, learning_rate=0.01, fine_tune=0.3, fine_tune_epochs=2, fine_tune_rate=0.05)
    assert fine_tuning(recipe).epochs == 2
    assert fine_tuning(recipe).learning_rate == pytest.approx(0.0005)
    assert fine_tuning(recipe).augment == "none"
    assert fine_tuning(replace(recipe, augment="light")).augment == "light"
    assert fine_tuning(replace(recipe, fine_tune_augment="strong")).augment == "strong"
    first = TrainingState(
        epoch=1, history=({"epoch": 1, "val_loss": 0.5, "seconds": 3.0},), best_loss=0.5, best_epoch=0, seconds=3.0
    )
    second = TrainingState(
        epoch=1, history=({"epoch": 1, "val_loss": 0.4, "seconds": 2.0},), best_loss=0.4, best_epoch=0, seconds=2.0
    )
    both = joined(first, second, best_is_second=True)
    assert [(row["epoch"], row["seconds"]) for row in both.history] == [(1, 3.0), (2, 5.0)]
    assert (both.best_epoch, both.best_loss, both.seconds) == (1, 0.4, 5.0)
    kept = joined(first, second, best_is_second=False)
    assert (kept.best_epoch, kept.best_loss, kept.seconds) == (0, 0.5, 5.0)


@pytest.mark.slow
def test_head_then_top_in_one_history_and_resumed_to_the_last_bit(splits: Splits, tmp_path: Path) -> None:
    recipe = Recipe(epochs=3, batch_size=32, keep_best=True, fine_tune=0.1, fine_tune_epochs=2)
    config = FitConfig(DataConfig("fashion"), ModelConfig("efficientnet_lite0", weights="imagenet"), recipe)

    def run(folder: Path, stop_after: int) -> tuple[keras.Model, list[Event], str]:
        model = build(config.model, (28, 28, 1), 10, seed=0)
        events: list[Event] = []
        asked = iter(range(10**6))
        result = train(
            model,
            splits,
            config,
            snapshots=Snapshots(folder, {}),
            should_stop=lambda: next(asked) >= stop_after,
            on_event=events.append,
        )
        return model, events, result.stopped

    whole, events, _ = run(tmp_path / "whole", 10**6)
    rows = [event.history[-1]["epoch"] for event in events if isinstance(event, EpochDone)]
    assert rows == [1, 2, 3, 4, 5]
    notes = " ".join(event.message for event in events if isinstance(event, Note))
    assert "features are computed once" in notes
    assert "fine-tuning" in notes
    for stop_after in (5, 15):
        _, _, stopped = run(tmp_path / str(stop_after), stop_after)
        assert stopped == "interrupted"
        resumed, _, _ = run(tmp_path / str(stop_after), 10**6)
        assert _values(resumed) == _values(whole)


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "undone"), [(0.01, False), (300.0, True)])
def test_tuning_that_ruins_the_network_is_undone(splits: Splits, rate: float, undone: bool) -> None:
    recipe = Recipe(epochs=3, batch_size=32, keep_best=True, fine_tune=0.1, fine_tune_epochs=1, fine_tune_rate=rate)
    config = FitConfig(DataConfig("fashion"), ModelConfig("efficientnet_lite0", weights="imagenet"), recipe)
    head_alone = FitConfig(config.data, config.model, replace(recipe, fine_tune=None))
    weights, notes = [], []
    for one in (head_alone, config):
        model = build(one.model, (28, 28, 1), 10, seed=0)
        result = train(model, splits, one, on_event=notes.append)
        weights.append(_values(model))
    assert any("raised the validation loss" in note.message for note in notes if isinstance(note, Note)) == undone
    assert (weights[0] == weights[1]) == undone
    assert (result.state.best_epoch < 3) == undone
