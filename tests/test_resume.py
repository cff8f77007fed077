"""A training that stops at any step and goes on ends as if it had not stopped; leave a part out, and it does not."""

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from resume_case import without_times

from cnnflow.config import DataConfig, ModelConfig, Recipe
from cnnflow.data import fashion
from cnnflow.data.image_set import ImageSet
from cnnflow.errors import RunError, TrainingError
from cnnflow.events import Caution, EpochDone, Event
from cnnflow.models.catalog import build
from cnnflow.training import fit as fit_module
from cnnflow.training.fit import FitResult, Snapshots, fit
from cnnflow.training.snapshot import Snapshot, newest_snapshot, snapshot_files
from cnnflow.training.state import TrainingState

try:
    import resource
except ImportError:
    resource = None  # type: ignore[assignment]

RECIPE = Recipe(
    epochs=4,
    batch_size=32,
    augment="light",
    learning_rate=0.01,
    reduce_on_plateau=1,
    early_stopping=3,
    keep_best=True,
)
STEPS = 3
FINGERPRINT = {"config": "a", "data": "b", "backend": "c", "cores": "2"}


@pytest.fixture(scope="module")
def images() -> tuple[ImageSet, ImageSet]:
    """80 and 40 images of Fashion-MNIST: three steps an epoch, the last one padded.

    The labels to validate by are wrong, so that the first epoch stays the best, and every rule between epochs acts.
    """
    train = fashion.load(DataConfig("fashion")).train
    validation = train.take(np.arange(80, 120))
    return train.take(np.arange(80)), dataclasses.replace(validation, labels=(validation.labels + 3) % 10)


def _fit(images: tuple[ImageSet, ImageSet], recipe: Recipe = RECIPE, **options: Any) -> tuple[FitResult, keras.Model]:
    model = build(ModelConfig("flower_cnn", batch_norm=True), (28, 28, 1), 10, seed=3)
    return fit(model, *images, recipe, seed=7, **options), model


def _digest(result: FitResult, model: keras.Model, folder: Path) -> str:
    snapshot = newest_snapshot(folder)
    assert snapshot is not None
    parts = hashlib.sha256(json.dumps(without_times(result.state.to_dict())).encode())
    for name in sorted(snapshot.arrays):
        parts.update(snapshot.arrays[name].tobytes())
    for variable in model.weights:
        parts.update(np.asarray(keras.ops.convert_to_numpy(variable.value)).tobytes())
    return parts.hexdigest()


def _stop_after(steps: int) -> Callable[[], bool]:
    """Ask to stop after this many steps; the question is asked once before each epoch and once after each step."""
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > steps

    return should_stop


@pytest.fixture(scope="module")
def whole(images: tuple[ImageSet, ImageSet], tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("whole")
    return _digest(*_fit(images, snapshots=Snapshots(folder, FINGERPRINT)), folder)


def test_two_whole_runs_are_equal(images: tuple[ImageSet, ImageSet], whole: str, tmp_path: Path) -> None:
    assert _digest(*_fit(images, snapshots=Snapshots(tmp_path, FINGERPRINT)), tmp_path) == whole


@pytest.mark.parametrize(
    "questions", [[0, 2, 7, 12], pytest.param(list(range(4 * (STEPS + 1) - 1)), marks=pytest.mark.slow)]
)
def test_stopped_and_resumed_at_every_question_it_is_equal(
    questions: list[int], images: tuple[ImageSet, ImageSet], whole: str, tmp_path: Path
) -> None:
    places = set()
    for steps in questions:
        folder = tmp_path / str(steps)
        first, _ = _fit(images, snapshots=Snapshots(folder, FINGERPRINT), should_stop=_stop_after(steps))
        assert first.stopped == "interrupted"
        places.add((first.state.epoch, first.state.step))
        assert _digest(*_fit(images, snapshots=Snapshots(folder, FINGERPRINT)), folder) == whole, steps
    assert len(questions) < 5 or {(epoch, step) for epoch in range(4) for step in range(STEPS)} <= places


@pytest.mark.slow
def test_stopped_after_every_step_it_is_equal(images: tuple[ImageSet, ImageSet], whole: str, tmp_path: Path) -> None:
    for _ in range(40):
        result, model = _fit(images, snapshots=Snapshots(tmp_path, FINGERPRINT), should_stop=_stop_after(1))
        if result.stopped != "interrupted":
            break
    assert _digest(result, model, tmp_path) == whole


def _without(group: str, snapshot: Snapshot, trainer: keras.Model) -> Snapshot:
    """`snapshot` as if it had never held this part: the fresh model's values stand in for it."""
    arrays, facts = dict(snapshot.arrays), dict(snapshot.facts)
    fresh = {"seeds": trainer.non_trainable_variables, "optimizer": trainer.optimizer.variables}.get(group, [])
    name = {"seeds": "non_trainable"}.get(group, group)
    for index, variable in enumerate(fresh):
        value = np.array(keras.ops.convert_to_numpy(variable.value))
        if group == "optimizer" or "seed" in variable.path:
            arrays[f"{name}/{index}"] = value
    state = TrainingState.from_dict(facts["state"])
    if group == "plateau":
        state = dataclasses.replace(state, reductions=0, plateau_waited=0, plateau_best=TrainingState().plateau_best)
    if group == "best":
        state = dataclasses.replace(state, best_loss=TrainingState().best_loss)
    return Snapshot(arrays, facts | {"state": state.to_dict()})


@pytest.mark.parametrize("group", ["seeds", "optimizer", "plateau", "best", "metrics", "kept"])
def test_a_snapshot_that_lacks_a_part_is_noticed(
    group: str, images: tuple[ImageSet, ImageSet], whole: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The test of the test: each part of a snapshot matters, and the comparison sees it."""
    recipe = RECIPE
    stop = _stop_after(3 * (STEPS + 1) + 1)
    _fit(images, recipe, snapshots=Snapshots(tmp_path, FINGERPRINT), should_stop=stop)
    restore, start = fit_module.restore, fit_module._Start

    def forgetful_restore(trainer: keras.Model, snapshot: Snapshot) -> TrainingState:
        return restore(trainer, _without(group, snapshot, trainer))

    def forgetful_start(state: TrainingState, kept: Any, sums: Any) -> Any:
        return start(state, [] if group == "kept" else kept, [] if group == "metrics" else sums)

    monkeypatch.setattr(fit_module, "restore", forgetful_restore)
    monkeypatch.setattr(fit_module, "_Start", forgetful_start)
    assert _digest(*_fit(images, recipe, snapshots=Snapshots(tmp_path, FINGERPRINT)), tmp_path) != whole


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
def test_averaged_weights_and_a_schedule_resume_too(
    precision: str, images: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    recipe = Recipe(
        epochs=3,
        batch_size=32,
        optimizer="sgd",
        momentum=0.9,
        schedule="one-cycle",
        ema=0.9,
        label_smoothing=0.1,
        precision=precision,
    )
    wanted = _digest(*_fit(images, recipe, snapshots=Snapshots(tmp_path / "a", {})), tmp_path / "a")
    _fit(images, recipe, snapshots=Snapshots(tmp_path / "b", {}), should_stop=_stop_after(6))
    assert _digest(*_fit(images, recipe, snapshots=Snapshots(tmp_path / "b", {})), tmp_path / "b") == wanted


def test_another_run_is_refused_and_another_machine_needs_a_word(
    images: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    _fit(images, snapshots=Snapshots(tmp_path, FINGERPRINT), should_stop=_stop_after(2))
    with pytest.raises(RunError, match=r"data was 'b' when the run was stopped and is 'x' now"):
        _fit(images, snapshots=Snapshots(tmp_path, FINGERPRINT | {"data": "x"}, anyway=True))
    with pytest.raises(RunError, match=r"cores was '2' .* and is '4' now; .* --resume-anyway"):
        _fit(images, snapshots=Snapshots(tmp_path, FINGERPRINT | {"cores": "4"}))
    events: list[Event] = []
    result, _ = _fit(
        images, snapshots=Snapshots(tmp_path, FINGERPRINT | {"cores": "4"}, anyway=True), on_event=events.append
    )
    assert result.stopped == "epochs"
    assert any(isinstance(event, Caution) and "cores was '2'" in event.message for event in events)


def test_a_damaged_newest_snapshot_gives_the_same_end(
    images: tuple[ImageSet, ImageSet], whole: str, tmp_path: Path
) -> None:
    _fit(images, snapshots=Snapshots(tmp_path, FINGERPRINT, interval=0.0), should_stop=_stop_after(7))
    newest, _ = snapshot_files(tmp_path)
    newest.write_bytes(newest.read_bytes()[:-100])
    assert _digest(*_fit(images, snapshots=Snapshots(tmp_path, FINGERPRINT)), tmp_path) == whole


@pytest.mark.skipif(resource is None, reason="limits on a file's size are Unix's")
@pytest.mark.parametrize("fault", ["full", "closed"])
def test_a_disk_that_fills_up_or_a_folder_that_closes_is_one_warning(
    fault: str, images: tuple[ImageSet, ImageSet], whole: str, tmp_path: Path
) -> None:
    """From the second epoch on no file may pass 100 kB, or the folder is gone and cannot be made again."""
    folder = tmp_path / "state"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    events: list[Event] = []

    def break_after_first_epoch(event: Event) -> None:
        events.append(event)
        if isinstance(event, EpochDone) and len(event.history) == 1:
            if fault == "full":
                resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
            else:
                folder.rename(tmp_path / "moved")
                folder.write_text("a file where the folder was")

    snapshots = Snapshots(folder, FINGERPRINT, interval=0.0)
    try:
        result, _ = _fit(images, snapshots=snapshots, on_event=break_after_first_epoch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert result.stopped == "epochs"
    (caution,) = [event for event in events if isinstance(event, Caution)]
    assert "no snapshot could be written" in caution.message
    if fault == "closed":
        folder.unlink()
        (tmp_path / "moved").rename(folder)
    assert [path.name for path in folder.glob(".*")] == []
    assert _digest(*_fit(images, snapshots=snapshots), folder) == whole


def test_a_loss_that_is_not_finite_stops_and_leaves_the_last_good_snapshot(
    images: tuple[ImageSet, ImageSet], tmp_path: Path
) -> None:
    recipe = Recipe(epochs=3, batch_size=32, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(TrainingError, match=r"the loss became (nan|inf) in epoch 1, step \d, at learning rate 1e\+30"):
        _fit(images, recipe, snapshots=Snapshots(tmp_path, {}))
    snapshot = newest_snapshot(tmp_path)
    assert snapshot is not None
    assert all(np.isfinite(array).all() for array in snapshot.group("trainable"))


def test_a_time_limit_runs_the_schedule_to_its_end(
    images: tuple[ImageSet, ImageSet], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("cnnflow.training.steps.time", SimpleNamespace(perf_counter=lambda: 0.1 * next(ticks)))
    recipe = Recipe(epochs=100_000, batch_size=32, schedule="linear", learning_rate=0.01)
    result, _ = _fit(images, recipe, time_limit=60.0)
    assert result.stopped == "time limit"
    assert 55 < result.state.seconds < 62
    rates = [row["learning_rate"] for row in result.state.history]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 0.1 * rates[0]
