"""The learning-rate range test: raise the rate step by step and see where the loss falls fastest and where it explodes.

Smith, "Cyclical Learning Rates for Training Neural Networks" (2017), arXiv:1506.01186, section 3.3.
"""

from dataclasses import dataclass
from functools import partial
from itertools import islice

import keras
import numpy as np
from numpy.typing import NDArray

from cnnflow.batches import BatchPlan, stream
from cnnflow.config import Recipe
from cnnflow.data.image_set import ImageSet
from cnnflow.errors import TrainingError
from cnnflow.events import OnEvent, Progress, ignore
from cnnflow.kernels import accelerate
from cnnflow.training.capture import to_numpy
from cnnflow.training.fit import as_keras, is_dense, make_trainer
from cnnflow.training.objective import is_binary
from cnnflow.training.precision import computing_in
from cnnflow.transforms.presets import augmentation

LOWEST, HIGHEST = 1e-6, 10.0
STEPS = 120
# The loss is averaged as Adam averages gradients; the test ends where that is this many times its lowest value.
_MOMENTUM = 0.9
_EXPLODED = 4.0
# The last step before the loss turns up is too high a rate to train with; a tenth of it is the usual advice.
_SAFETY = 0.1


@dataclass(frozen=True, eq=False)
class LearningRates:
    """What the range test found.

    Attributes:
        rates: float64 `[n]`, growing.
        losses: float64 `[n]`, the smoothed loss after the step with each rate.
        suggestion: a tenth of the rate at which the loss was lowest.
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    suggestion: float


def find_learning_rate(
    model: keras.Model,
    train: ImageSet,
    recipe: Recipe,
    *,
    seed: int = 0,
    mirror: bool = True,
    on_event: OnEvent = ignore,
) -> LearningRates:
    """Train `model` for at most 120 steps with rates from 1e-6 to 10, and give it its old weights back.

    Args:
        model: an uncompiled network; untouched afterwards, its random state included.
        train: what the steps see.
        recipe: batch size, optimizer, augmentation and loss.
        seed: of the order and the augmentation.
        mirror: whether a mirrored image still shows its class.
        on_event: receives progress.

    Raises:
        TrainingError: the loss is not finite at the lowest rates.

    Example:
        >>> find_learning_rate(model, splits.train, Recipe(optimizer="sgd", momentum=0.9)).suggestion
    """
    before = [to_numpy(variable) for variable in model.variables]
    try:
        losses = _losses(model, train, recipe, seed, mirror, on_event)
    finally:
        for variable, value in zip(model.variables, before, strict=True):
            variable.assign(value)
    rates = _rates()[: len(losses)]
    lowest = int(np.argmin(losses))
    return LearningRates(rates, losses, float(f"{_SAFETY * rates[lowest]:.2g}"))


def _rates() -> NDArray[np.float64]:
    return np.geomspace(LOWEST, HIGHEST, STEPS)


def _losses(
    model: keras.Model, train: ImageSet, recipe: Recipe, seed: int, mirror: bool, on_event: OnEvent
) -> NDArray[np.float64]:
    accelerate(model)
    augment = augmentation(recipe.augment, mirror=mirror)
    dense = is_dense(model, recipe, augment)
    trainer = make_trainer(model, recipe, dense=dense)
    plan = BatchPlan(len(train), min(recipe.batch_size, len(train)), seed)
    form = partial(as_keras, classes=len(train.class_names), binary=is_binary(model), dense=dense)
    losses: list[float] = []
    average = 0.0
    # A padded batch counts its filling in the mean of the loss, which would dip at each epoch's end: it is left out.
    full = plan.count // plan.batch_size
    epochs = -(-STEPS // full)
    with computing_in(model, recipe.precision), stream(train, plan, augment, epochs=epochs) as batches:
        whole = (batch for number, batch in enumerate(batches) if number % plan.steps < full)
        for step, (rate, batch) in enumerate(zip(_rates(), form(islice(whole, STEPS)), strict=True)):
            trainer.optimizer.learning_rate = float(rate)
            trainer.reset_metrics()
            loss = float(trainer.train_on_batch(*batch, return_dict=True)["loss"])
            average = _MOMENTUM * average + (1 - _MOMENTUM) * loss
            smooth = average / (1 - _MOMENTUM ** (step + 1))
            if not np.isfinite(smooth) or (losses and smooth > _EXPLODED * min(losses)):
                break
            losses.append(smooth)
            on_event(Progress("learning-rate test", step + 1, STEPS, "steps"))
    if not losses:
        raise TrainingError(f"the loss is not finite at learning rate {LOWEST}; check the data with `cnnflow audit`")
    return np.array(losses)
