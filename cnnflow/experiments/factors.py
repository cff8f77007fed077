"""What a study can vary: each factor is a list of variants of one base recipe."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from types import MappingProxyType
from typing import Any

from cnnflow.config import AUGMENTATIONS, FitConfig, one_of
from cnnflow.errors import OptionError

_PLAIN: Mapping[str, Any] = MappingProxyType({"dropout": 0.0, "l1": 0.0, "l2": 0.0, "batch_norm": False})
# Learning rates to begin a search with, by what the variant's optimizer is; a factor of about 3 apart.
_ADAPTIVE_RATES = (3e-4, 1e-3, 3e-3)
_SGD_RATES = (0.03, 0.1, 0.3)
_MOMENTUM_RATES = (0.01, 0.03, 0.1)
# What a recipe without one of its parts has in its place.
_LEFT_OUT: Mapping[str, Any] = MappingProxyType(
    {
        "momentum": 0.0,
        "weight_decay": 0.0,
        "schedule": "constant",
        "warmup": 0.0,
        "label_smoothing": 0.0,
        "clip_norm": None,
        "ema": None,
        "augment": "none",
        "precision": "float32",
        "class_weights": False,
        "fine_tune": None,
        "fine_tune_augment": "none",
        "tta": "none",
    }
)


@dataclass(frozen=True)
class Variant:
    """A change to a base recipe.

    Attributes:
        name: what it is called in tables.
        model: options of the network that it sets.
        recipe: options of the training that it sets.
        rates: learning rates to search among; empty: the base's is kept.
    """

    name: str
    model: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    rates: tuple[float, ...] = ()

    def applied(self, base: FitConfig) -> FitConfig:
        """The base with this change."""
        return dataclasses.replace(
            base,
            model=dataclasses.replace(base.model, **self.model),
            recipe=dataclasses.replace(base.recipe, **self.recipe),
        )


def _regularization(base: FitConfig) -> list[Variant]:
    changes: dict[str, dict[str, Any]] = {
        "none": {},
        "dropout": {"dropout": 0.3},
        "batch norm": {"batch_norm": True},
        "L2": {"l2": 1e-4},
        "L1": {"l1": 1e-5},
        "all": {"dropout": 0.3, "batch_norm": True, "l2": 1e-4, "l1": 1e-5},
    }
    return [Variant(name, model={**_PLAIN, **change}) for name, change in changes.items()]


def _augmentation(base: FitConfig) -> list[Variant]:
    return [Variant(name, recipe={"augment": name}) for name in AUGMENTATIONS]


def _optimizer(base: FitConfig) -> list[Variant]:
    return [
        Variant("sgd", recipe={"optimizer": "sgd", "momentum": 0.0}, rates=_SGD_RATES),
        Variant("sgd with momentum", recipe={"optimizer": "sgd", "momentum": 0.9}, rates=_MOMENTUM_RATES),
        *(
            Variant(name, recipe={"optimizer": name, "momentum": 0.0}, rates=_ADAPTIVE_RATES)
            for name in ("adam", "rmsprop", "adamw")
        ),
    ]


def _batch_size(base: FitConfig) -> list[Variant]:
    sizes = sorted({16, 32, 64, 128, 256} | {base.recipe.batch_size})
    return [Variant(f"{size} images", recipe={"batch_size": size}) for size in sizes]


def _depth(base: FitConfig) -> list[Variant]:
    depths = {"dense_net": "no convolution", "basic_cnn": "2 convolutions", "vgg_net": "6 convolutions"}
    return [Variant(f"{text} ({name})", model={"name": name}) for name, text in depths.items()]


def _learning_rate(base: FitConfig) -> list[Variant]:
    rate = base.recipe.learning_rate
    if rate is None:
        rate = 0.01 if base.recipe.optimizer == "sgd" else 0.001
    rates = [float(f"{rate * times:.2g}") for times in (0.1, 0.3, 1, 3, 10)]
    return [Variant(f"{value:g}", recipe={"learning_rate": value}) for value in rates]


def _parts(base: FitConfig) -> list[Variant]:
    there = [name for name, without in _LEFT_OUT.items() if getattr(base.recipe, name) not in (without, None)]
    if not there:
        raise OptionError("the recipe has no parts to leave out; study those of a preset, such as --preset fast")
    left_out = [Variant(f"no {name.replace('_', ' ')}", recipe={name: _LEFT_OUT[name]}) for name in there]
    return [Variant("the whole recipe"), *left_out]


FACTORS: Mapping[str, Callable[[FitConfig], list[Variant]]] = MappingProxyType(
    {
        "regularization": _regularization,
        "augmentation": _augmentation,
        "optimizer": _optimizer,
        "batch-size": _batch_size,
        "depth": _depth,
        "learning-rate": _learning_rate,
        "parts": _parts,
    }
)


def variants_of(factor: str, base: FitConfig) -> list[Variant]:
    """The variants of a factor; the first of them, or the one that is as the base, is what others are compared with.

    Raises:
        OptionError: there is no such factor; the message names the nearest.

    Example:
        >>> [variant.name for variant in variants_of("augmentation", base)]
        ['none', 'light', 'tutorial', 'strong']
    """
    one_of("factor", factor, tuple(FACTORS))
    return FACTORS[factor](base)


def grid_of(factors: Sequence[str], base: FitConfig) -> list[Variant]:
    """Every combination of the factors' variants, "dropout + light" and so on.

    Raises:
        OptionError: two factors set the same option, such as optimizer and learning-rate.
    """
    lists = [variants_of(factor, base) for factor in factors]
    if {"optimizer", "learning-rate"} <= set(factors):
        raise OptionError("optimizer and learning-rate in a grid; each optimizer gets its own good rate already")
    return [_join(combination) for combination in product(*lists)]


def reference(variants: Sequence[Variant], base: FitConfig) -> Variant:
    """The variant that others are compared with: the one that is as the base, else the first."""
    return next((variant for variant in variants if variant.applied(base) == base), variants[0])


def _join(parts: Sequence[Variant]) -> Variant:
    return Variant(
        " + ".join(part.name for part in parts),
        model={key: value for part in parts for key, value in part.model.items()},
        recipe={key: value for part in parts for key, value in part.recipe.items()},
        rates=next((part.rates for part in parts if part.rates), ()),
    )
