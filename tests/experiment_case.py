"""A stand-in for training: run folders with the files that experiments read, made in no time."""

import csv
import hashlib

import numpy as np

from cnnflow.config import DataConfig, FitConfig, ModelConfig, Recipe, to_toml
from cnnflow.data.image_set import Dataset, ImageSet
from cnnflow.evaluation.metrics import evaluate
from cnnflow.evaluation.predictions_file import write_predictions
from cnnflow.experiments.run import RunResult
from cnnflow.files import write_json, write_text

CLASSES = ("cat", "dog", "owl")
TEST_IMAGES = 600


def tiny_dataset(*, images=90, classes=CLASSES, side=8) -> Dataset:
    """Pictures with a bright bar; where it is tells the class."""

    def part(count: int, seed: int, name: str) -> ImageSet:
        rng = np.random.default_rng(seed)
        labels = np.arange(count) % len(classes)
        images = rng.integers(0, 100, (count, side, side, 1), np.uint8)
        images[np.arange(count), :, labels * side // len(classes)] += 150
        return ImageSet(images, labels, tuple(classes), [f"{name}/{i}" for i in range(count)])

    return Dataset("tiny", part(images, 0, "train"), None, part(images // 2, 1, "test"))


def make_config(name="basic_cnn", *, seed=0, epochs=3, **recipe) -> FitConfig:
    return FitConfig(DataConfig("tiny"), ModelConfig(name), Recipe(epochs=epochs, **recipe), seed=seed)


def fill_run(folder, config: FitConfig, *, accuracy: float, test_images: int = TEST_IMAGES) -> dict:
    """Write the files of a complete run whose network is right about this share of the test images."""
    folder.path.mkdir(parents=True, exist_ok=True)
    write_text(folder.config, to_toml(config))
    seed = int.from_bytes(hashlib.sha256(f"{folder.path.name}{config.seed}".encode()).digest()[:4], "little")
    rng = np.random.default_rng(seed)
    labels = np.arange(test_images) % len(CLASSES)
    shift = np.where(rng.random(test_images) < accuracy, 0, rng.integers(1, len(CLASSES), test_images))
    probabilities = np.full((test_images, len(CLASSES)), 0.2)
    probabilities[np.arange(test_images), (labels + shift) % len(CLASSES)] = 0.6
    write_predictions(folder.predictions, probabilities, labels, CLASSES, [f"test/{i}" for i in range(test_images)])
    rows = [{"epoch": i + 1, "val_accuracy": accuracy, "val_loss": 1 - accuracy, "seconds": i + 1.0} for i in range(2)]
    with folder.history.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    found = evaluate(probabilities, labels, CLASSES)
    metrics = {
        "dataset": "tiny",
        "model": config.model.name,
        "parameters": 100,
        "epochs": 2,
        "limit": None,
        "images": {"train": 72, "validation": 18, "test": test_images},
        "seconds_training": 2.0,
        "images_per_second": 50.0,
        "train_accuracy": min(1.0, accuracy + 0.1),
        "validation_accuracy": accuracy,
        "test_accuracy": found.accuracy,
        "generalization_gap": accuracy + 0.1 - found.accuracy,
    }
    write_json(folder.metrics, metrics)
    return metrics


class FakeRun:
    """Takes the place of `run`: fills the folder by a rule; `stop_after` trainings it says that it was interrupted."""

    def __init__(self, accuracy, *, stop_after: int | None = None) -> None:
        self.accuracy, self.stop_after = accuracy, stop_after
        self.trained: list[str] = []

    def __call__(self, config, folder, *, dataset=None, should_stop=None, on_event=None):
        if self.stop_after is not None and len(self.trained) >= self.stop_after:
            return RunResult(folder, "interrupted", {})
        self.trained.append(folder.path.name)
        return RunResult(folder, "epochs", fill_run(folder, config, accuracy=self.accuracy(config)))
