"""From a recipe to a Keras optimizer."""

from collections.abc import Callable
from typing import Any

import keras

from cnnflow.config import Recipe

_USUAL_RATES = {"sgd": 0.01, "adam": 0.001, "rmsprop": 0.001, "adamw": 0.001}
_USUAL_DECAYS = {"adamw": 0.004}


def peak_learning_rate(recipe: Recipe) -> float:
    """The recipe's learning rate, or the one that Keras gives its optimizer."""
    return recipe.learning_rate or _USUAL_RATES[recipe.optimizer]


def make_optimizer(recipe: Recipe, model: keras.Model) -> keras.optimizers.Optimizer:
    """The recipe's optimizer, built for the trainable variables of `model`.

    Weight decay is decoupled (Loshchilov and Hutter 2019, arXiv:1711.05101) and leaves out every variable of fewer
    than two axes, that is biases and the scales and offsets of normalisation.
    """
    decay = _USUAL_DECAYS.get(recipe.optimizer) if recipe.weight_decay is None else recipe.weight_decay
    options: dict[str, Any] = {
        "learning_rate": peak_learning_rate(recipe),
        "weight_decay": decay or None,
        "global_clipnorm": recipe.clip_norm,
    }
    if recipe.ema is not None:
        options |= {"use_ema": True, "ema_momentum": recipe.ema}
    optimizer = _MAKERS[recipe.optimizer](recipe, options)
    if decay:
        optimizer.exclude_from_weight_decay(var_list=[v for v in model.trainable_variables if len(v.shape) < 2])
    optimizer.build(model.trainable_variables)
    return optimizer


def _sgd(recipe: Recipe, options: dict[str, Any]) -> keras.optimizers.Optimizer:
    return keras.optimizers.SGD(momentum=recipe.momentum, nesterov=recipe.momentum > 0, **options)


_MAKERS: dict[str, Callable[[Recipe, dict[str, Any]], keras.optimizers.Optimizer]] = {
    "sgd": _sgd,
    "adam": lambda recipe, options: keras.optimizers.Adam(**options),
    "rmsprop": lambda recipe, options: keras.optimizers.RMSprop(momentum=recipe.momentum, **options),
    "adamw": lambda recipe, options: keras.optimizers.AdamW(
        **{**options, "weight_decay": options["weight_decay"] or 0.0}
    ),
}
