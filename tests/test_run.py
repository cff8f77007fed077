"""A run from its config to its folder, and what can be done with it afterwards."""

import csv
import dataclasses
import io
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawn_pictures import photo_folder
from PIL import Image
from rich.console import Console

from cnnflow.cli.summary import print_summary
from cnnflow.config import DataConfig, FitConfig, ModelConfig, Recipe
from cnnflow.data.sources import load
from cnnflow.errors import DataError, RunError
from cnnflow.evaluation.predictions_file import read_predictions
from cnnflow.evaluation.views import View
from cnnflow.events import Event, Note
from cnnflow.experiments.classify import classify
from cnnflow.experiments.judge import judge
from cnnflow.experiments.run import RunResult, read_config, resume, run
from cnnflow.training.run_folder import RunFolder, create_run
from cnnflow.training.snapshot import newest_snapshot
from cnnflow.training.trained import load_trained

CONFIG = FitConfig(DataConfig("fashion", limit=400), recipe=Recipe(epochs=2, keep_best=True))
PROMISED = {
    "dataset", "model", "backend", "parameters", "epochs", "seconds_training", "images_per_second", "train_accuracy",
    "validation_accuracy", "test_accuracy", "generalization_gap", "test_loss", "per_class", "ece",
}  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    return run(CONFIG, create_run(tmp_path_factory.mktemp("runs"), "fashion"))


def test_the_folder_holds_everything(done: RunResult) -> None:
    folder = done.folder
    assert read_config(folder) == CONFIG
    metrics = json.loads(folder.metrics.read_text())
    assert metrics == done.metrics
    assert set(metrics) >= PROMISED
    assert metrics["limit"] == 400
    assert metrics["train_images_judged"] == 400
    assert metrics["generalization_gap"] == metrics["train_accuracy"] - metrics["test_accuracy"]
    assert metrics["test_accuracy"] > 0.4
    with folder.history.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    splits = json.loads(folder.split.read_text())
    assert {name: len(hashes) for name, hashes in splits.items()} == {"train": 400, "validation": 400, "test": 400}
    assert not set(splits["train"]) & set(splits["validation"])
    assert json.loads(folder.environment.read_text())["backend"] == "jax"
    for name in ("curves", "confusion"):
        with Image.open(folder.plots / f"{name}.png") as picture:
            assert picture.width > 400
    assert not list(folder.path.rglob(".*"))


def test_the_predictions_are_those_of_the_test_accuracy(done: RunResult) -> None:
    found = read_predictions(done.folder.predictions)
    assert len(found.origins) == 400
    assert float(found.correct.mean()) == done.metrics["test_accuracy"]


def test_judging_it_again_gives_the_same_figures(done: RunResult) -> None:
    again = judge(done.folder)
    assert again.metrics.accuracy == done.metrics["test_accuracy"]
    assert again.metrics.loss == pytest.approx(done.metrics["test_loss"], abs=1e-6)
    assert judge(done.folder, tta="shift").images == 400


def test_the_last_snapshot_does_not_depend_on_the_process_that_wrote_it(done: RunResult) -> None:
    snapshot = newest_snapshot(done.folder.state)
    assert snapshot is not None
    assert snapshot.group("optimizer")
    assert not snapshot.group("metrics"), "a process that only finds the end has no sums of an epoch"


def test_what_is_judged_with_mirror_images_is_used_with_them(tmp_path: Path) -> None:
    recipe = Recipe(epochs=1, tta="mirror")
    result = run(FitConfig(DataConfig("fashion", limit=200), recipe=recipe), create_run(tmp_path, "mirrored"))
    assert load_trained(result.folder).views == (View(), View(mirrored=True))
    as_the_run = judge(result.folder)
    assert as_the_run.views == (View(), View(mirrored=True))
    assert as_the_run.metrics.loss == pytest.approx(result.metrics["test_loss"], abs=1e-6)
    assert judge(result.folder, tta="none").metrics.loss != pytest.approx(result.metrics["test_loss"], abs=1e-6)


def test_a_calibrated_run_keeps_a_calibrated_model(tmp_path: Path) -> None:
    data = DataConfig("fashion", limit=400)
    notes: list[Event] = []
    recipe = Recipe(epochs=1, label_smoothing=0.5, calibrate=True)
    results = [
        run(FitConfig(data, recipe=one), create_run(tmp_path, "run"), on_event=notes.append)
        for one in (recipe, dataclasses.replace(recipe, calibrate=False))
    ]
    calibrated, plain = (result.metrics for result in results)
    assert calibrated["test_accuracy"] == plain["test_accuracy"]
    assert calibrated["validation_loss"] < plain["validation_loss"]
    assert judge(results[0].folder).metrics.loss == pytest.approx(calibrated["test_loss"], abs=1e-6)
    assert [note.message for note in notes if isinstance(note, Note) and "calibrated" in note.message]


PLAIN_KERAS = """
import sys, numpy as np
try:
    import cnnflow
    raise SystemExit("cnnflow must not be importable here")
except ImportError:
    pass
import keras
model = keras.saving.load_model(sys.argv[1])
np.save(sys.argv[2], model.predict(np.load(sys.argv[3]), verbose=0))
"""


def test_the_model_loads_where_cnnflow_is_not_installed(done: RunResult, tmp_path: Path) -> None:
    images = load(CONFIG.data).test
    assert images is not None
    np.save(tmp_path / "images.npy", images.images[:20])
    code = f"import sys; sys.modules['cnnflow'] = None\n{PLAIN_KERAS}"
    arguments = [str(done.folder.model), str(tmp_path / "out.npy"), str(tmp_path / "images.npy")]
    subprocess.run(
        [sys.executable, "-I", "-c", code, *arguments], check=True, timeout=120, env={"KERAS_BACKEND": "jax"}
    )
    from cnnflow.evaluation.predictions import predict

    here = predict(load_trained(done.folder).model, images.images[:20])
    assert np.abs(np.load(tmp_path / "out.npy") - here).max() < 1e-5


def test_pictures_of_any_kind_are_classified_and_bad_ones_named(done: RunResult, tmp_path: Path) -> None:
    images = load(CONFIG.data).test
    assert images is not None
    grey = Image.fromarray(images.images[0, :, :, 0])
    grey.save(tmp_path / "grey.png")
    grey.convert("RGB").resize((280, 280)).save(tmp_path / "large.png")
    (tmp_path / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    files = [tmp_path / name for name in ("grey.png", "bad.jpg", "large.png")]
    first, bad, large = classify(load_trained(done.folder), files, top=3)
    assert len(first.top) == 3
    assert first.top[0][1] >= first.top[1][1]
    assert bad.reason
    assert not bad.top
    assert large.top[0][0] == first.top[0][0]


def test_a_complete_run_is_not_resumed_and_an_unfinished_one_has_no_model(done: RunResult, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is complete"):
        resume(done.folder)
    empty = create_run(tmp_path, "x")
    with pytest.raises(RunError, match="has no trained model yet"):
        load_trained(empty)
    with pytest.raises(RunError, match="cannot be read"):
        resume(empty)


def test_images_of_unknown_classes_are_refused(done: RunResult, tmp_path: Path) -> None:
    for name in ("apple", "pear"):
        (tmp_path / name).mkdir()
        for number in range(3):
            picture = np.random.default_rng(number).integers(0, 256, (28, 28), np.uint8)
            Image.fromarray(picture).save(tmp_path / name / f"{number}.png")
    with pytest.raises(DataError, match="the model knows no class apple, pear"):
        judge(done.folder, str(tmp_path))


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 not a model"])
def test_a_damaged_model_is_one_line(done: RunResult, tmp_path: Path, damage: bytes) -> None:
    copy = RunFolder(tmp_path)
    copy.config.write_bytes(done.folder.config.read_bytes())
    copy.classes.write_bytes(done.folder.classes.read_bytes())
    copy.model.write_bytes(damage)
    with pytest.raises(RunError, match="cannot be loaded"):
        load_trained(copy)


def test_the_seed_decides_the_weights_and_not_the_split(tmp_path: Path) -> None:
    config = FitConfig(DataConfig("fashion", limit=60), ModelConfig("dense_net"), Recipe(epochs=1), seed=5)
    first = run(config, create_run(tmp_path, "x"))
    other = run(FitConfig(config.data, config.model, config.recipe, seed=6), create_run(tmp_path, "x"))
    assert first.folder.split.read_text() == other.folder.split.read_text()
    assert first.metrics["test_loss"] != other.metrics["test_loss"]


def test_some_of_many_training_images_are_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnnflow.experiments.run._FEWEST_JUDGED", 20)
    photos = photo_folder(tmp_path / "photos", {"daisy": 40, "rose": 40})
    config = FitConfig(DataConfig(str(photos), size=(16, 16)), ModelConfig("dense_net"), Recipe(epochs=1))
    notes: list[Event] = []
    done = run(config, create_run(tmp_path, "photos"), on_event=notes.append)
    assert done.metrics["images"] == {"train": 56, "validation": 12, "test": 12}
    assert done.metrics["train_images_judged"] == 20
    assert (20 * done.metrics["train_accuracy"]).is_integer()
    said = [note.message for note in notes if isinstance(note, Note)]
    assert "evaluating on 20 training images and on the validation and test images" in said
    console = Console(file=io.StringIO(), width=80)
    print_summary(console, done.metrics, done.folder)
    assert "20 of 56 images" in console.file.getvalue()


@pytest.mark.parametrize("views", [[], [{"shift": 0.5, "mirrored": False}], [{"shift": 0}], "mirror"])
def test_damaged_views_are_refused(done: RunResult, tmp_path: Path, views: object) -> None:
    folder = RunFolder(shutil.copytree(done.folder.path, tmp_path / "copy"))
    content = json.loads(folder.classes.read_text())
    folder.classes.write_text(json.dumps(content | {"views": views}))
    with pytest.raises(RunError, match="cannot be loaded"):
        load_trained(folder)
