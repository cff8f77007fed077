"""The options of a run as a command to copy."""

import dataclasses
import shlex
from typing import Any

from cnnflow.config import DataConfig, FitConfig, ModelConfig, Recipe
from cnnflow.data.image_set import Dataset
from cnnflow.presets import find_preset

_SWITCHES = {
    "batch_norm": ("--batch-norm", "--no-batch-norm"),
    "class_weights": ("--class-weights", "--no-class-weights"),
    "calibrate": ("--calibrate", "--no-calibrate"),
    "keep_best": ("--keep-best", "--keep-last"),
    "strict": ("--strict", None),
}
# Options that are None for "never", which `cnnflow fit` takes as 0.
_ZERO_IS_NEVER = {"early_stopping", "reduce_on_plateau", "clip_norm", "ema", "fine_tune"}


def fit_command(config: FitConfig, dataset: Dataset) -> str:
    """The `cnnflow fit` that has these options: its preset, and what differs from that preset's choice.

    Example:
        >>> fit_command(FitConfig(DataConfig("fashion"), ModelConfig(dropout=0.3)), dataset)
        'cnnflow fit fashion --preset tutorial --dropout 0.3'
    """
    preset = find_preset(config.preset)
    choice = preset.choose(dataset)
    words = ["cnnflow", "fit", config.data.source, "--preset", config.preset]
    words += _options(config.data, choice.data(preset.data(config.data.source)))
    if config.model.name != choice.model.name:
        words += ["--model", config.model.name]
    words += _options(config.model, dataclasses.replace(choice.model, name=config.model.name))
    words += _options(config.recipe, choice.recipe)
    if config.seed:
        words += ["--seed", str(config.seed)]
    if config.time_limit is not None:
        words += ["--time-limit", f"{config.time_limit:g}s"]
    return shlex.join(words)


def _options(given: DataConfig | ModelConfig | Recipe, usual: DataConfig | ModelConfig | Recipe) -> list[str]:
    words: list[str] = []
    for field in dataclasses.fields(given):
        value = getattr(given, field.name)
        if value == getattr(usual, field.name):
            continue
        if value is not None:
            words += _option(field.name, value)
        elif field.name in _ZERO_IS_NEVER:
            words += _option(field.name, 0)
    return words


def _option(name: str, value: Any) -> list[str]:
    flag = "--" + name.replace("_", "-")
    if name in _SWITCHES:
        on, off = _SWITCHES[name]
        return [word for word in [on if value else off] if word]
    if name == "size":
        height, width = value
        return [flag, str(height) if height == width else f"{width}x{height}"]
    if isinstance(value, tuple):
        return [flag, ",".join(value)]
    return [flag, f"{value:g}" if isinstance(value, float) else str(value)]
