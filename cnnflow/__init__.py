"""cnnflow: from a dataset name or a folder of pictures to a trained, tested CNN image classifier.

The functions and classes that make up the library are named here; each is imported from its own module when it is
first used, so that importing cnnflow takes no time and loads no backend.

Example:
    >>> import cnnflow
    >>> splits = cnnflow.split(cnnflow.load(cnnflow.DataConfig("fashion")), cnnflow.DataConfig("fashion"), seed=0)
    >>> model = cnnflow.basic_cnn((28, 28, 1), 10)
    >>> result = cnnflow.fit(model, splits.train, splits.validation, cnnflow.Recipe(epochs=3))
"""

import os
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Keras reads this once, when it is imported; its own default needs TensorFlow.
os.environ.setdefault("KERAS_BACKEND", "jax")

_HOMES = {
    "errors": ["CnnflowError", "DataError", "OptionError", "RunError", "TrainingError"],
    "config": ["DataConfig", "FitConfig", "ModelConfig", "Recipe"],
    "data.image_set": ["Dataset", "ImageSet"],
    "data.sources": ["load"],
    "data.split": ["Splits", "split"],
    "batches": ["Batch", "BatchPlan", "make_batch", "stream"],
    "transforms.presets": ["augmentation"],
    "models.tutorial": ["basic_cnn", "comparison_cnn", "dense_net", "flower_cnn"],
    "models.catalog": ["build"],
    "kernels": ["accelerate", "restore"],
    "evaluation.predictions": ["predict"],
    "evaluation.metrics": ["Metrics", "evaluate"],
    "evaluation.temperature": ["calibrate"],
    "training.fit": ["FitResult", "Snapshots", "fit"],
    "training.run_folder": ["RunFolder", "create_run", "find_run"],
    "experiments.run": ["RunResult", "resume", "run"],
    "experiments.compare": ["ComparisonPlan", "compare"],
    "experiments.study": ["StudyPlan", "study"],
    "experiments.advise": ["Advice", "advise"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'cnnflow' has no attribute {name!r}")
    return getattr(import_module(f"cnnflow.{_HOME_OF[name]}"), name)


def __dir__() -> list[str]:
    return __all__
