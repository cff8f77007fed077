"""Judge a trained model on its own test images, or on images that it has never met."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from cnnflow.config import DataConfig
from cnnflow.data.image_set import ImageSet
from cnnflow.data.sources import load
from cnnflow.data.split import split
from cnnflow.errors import DataError
from cnnflow.evaluation.metrics import Metrics, evaluate
from cnnflow.evaluation.predictions import predict
from cnnflow.evaluation.views import View
from cnnflow.events import OnEvent, ignore
from cnnflow.experiments.run import read_config
from cnnflow.training.run_folder import RunFolder
from cnnflow.training.trained import Trained, load_trained


@dataclass(frozen=True, eq=False)
class Judged:
    """What a model is worth on some images.

    Attributes:
        trained: the model.
        source: what the images are, for people.
        images: how many there were.
        metrics: the figures.
        views: they are for each picture averaged over these.
    """

    trained: Trained
    source: str
    images: int
    metrics: Metrics
    views: tuple[View, ...]


def judge(
    folder: RunFolder,
    source: str | None = None,
    *,
    data_dir: Path | None = None,
    tta: str | None = None,
    on_event: OnEvent = ignore,
) -> Judged:
    """Judge the model of the run in `folder`.

    Args:
        folder: a complete run.
        source: other images, as `cnnflow fit` takes them; their test split where they have one, else all of them.
            None: the run's own test images.
        data_dir: where a named dataset's files are.
        tta: the views over which each prediction is averaged, as in `Recipe`; None: as the run does.
        on_event: receives progress.

    Raises:
        DataError: the images' classes or size are not the model's.
    """
    trained = load_trained(folder)
    images, name = _own_test_images(folder) if source is None else _other_images(trained, source, data_dir, on_event)
    views = trained.views_for(tta)
    probabilities = predict(trained.model, images.images, views=views, on_event=on_event)
    return Judged(trained, name, len(images), evaluate(probabilities, images.labels, trained.class_names), views)


def _own_test_images(folder: RunFolder) -> tuple[ImageSet, str]:
    config = read_config(folder)
    dataset = load(config.data)
    return split(dataset, config.data, seed=config.data.split_seed).test, f"{dataset.name}, its test split"


def _other_images(trained: Trained, source: str, data_dir: Path | None, on_event: OnEvent) -> tuple[ImageSet, str]:
    resize = trained.resize
    config = DataConfig(
        source,
        data_dir=str(data_dir) if data_dir else None,
        size=(resize.height, resize.width),
        fit=resize.fit,
        color=resize.color,
    )
    dataset = load(config, on_event=on_event)
    chosen = dataset.test or dataset.train
    which = "its test split" if dataset.test else "all of it"
    return _relabel(chosen, trained.class_names), f"{dataset.name}, {which}"


def _relabel(images: ImageSet, class_names: tuple[str, ...]) -> ImageSet:
    """The same images with labels that count as `class_names` does; classes may be missing from the images."""
    if unknown := [name for name in images.class_names if name not in class_names]:
        raise DataError(
            f"the model knows no class {', '.join(unknown)}; it knows {', '.join(class_names)}, use images of these"
        )
    numbers = np.array([class_names.index(name) for name in images.class_names], np.int64)
    return replace(images, labels=numbers[images.labels], class_names=class_names)
