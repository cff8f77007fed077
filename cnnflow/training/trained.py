"""A trained model with what a caller must know to use it."""

import json
from dataclasses import dataclass
from typing import Any

import keras

from cnnflow.data.resize import Resize
from cnnflow.errors import CnnflowError, RunError
from cnnflow.evaluation.views import PLAIN, View, views_of
from cnnflow.kernels import accelerate
from cnnflow.training.run_folder import RunFolder


@dataclass(frozen=True, eq=False)
class Trained:
    """The model of a run and the content of its classes.json.

    Attributes:
        model: takes uint8-range pixels `[n, height, width, channels]`, returns probabilities.
        class_names: a name for each column of the probabilities.
        labels_in: the same in other languages, by language code.
        resize: how a picture of any size becomes one that the model takes.
        mirror: whether a picture flipped left to right still shows its class.
        views: its figures are for each picture averaged over these, as its users should then do.
    """

    model: keras.Model
    class_names: tuple[str, ...]
    labels_in: dict[str, tuple[str, ...]]
    resize: Resize
    mirror: bool = False
    views: tuple[View, ...] = PLAIN

    def views_for(self, tta: str | None) -> tuple[View, ...]:
        """The views that `tta` names, as in `Recipe`; None: those over which the model was judged."""
        if tta is None:
            return self.views
        return views_of(tta, (self.resize.height, self.resize.width), mirror=self.mirror)

    def names_in(self, language: str) -> tuple[str, ...]:
        """The class names in `language`, or in the dataset's own where it has none in that."""
        return self.labels_in.get(language, self.class_names)


def load_trained(folder: RunFolder) -> Trained:
    """The model that the run in `folder` keeps, ready to predict; nothing of the file is executed.

    Raises:
        RunError: the run is not complete, or its files are damaged.

    Example:
        >>> trained = load_trained(find_run(Path("runs"), "last"))
        >>> predict(trained.model, images)
    """
    if not folder.classes.exists():
        raise RunError(f"{folder.path} has no trained model yet; go on with: cnnflow fit --resume {folder.name}")
    try:
        content: dict[str, Any] = json.loads(folder.classes.read_text(encoding="utf-8"))
        resize = Resize.from_dict(content["resize"])
        labels_in = {language: tuple(names) for language, names in content["labels_in"].items()}
        # safe_mode: a model file that carries Python code is refused.
        views = tuple(View.from_dict(view) for view in content["views"])
        if not views:
            raise ValueError("it has no view")
        model = keras.saving.load_model(folder.model, compile=False, safe_mode=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, CnnflowError) as error:
        raise RunError(f"the model of {folder.path} cannot be loaded ({error}); train it anew") from error
    accelerate(model)
    return Trained(model, tuple(content["class_names"]), labels_in, resize, content["mirror"] is True, views)
