"""The options of a run: frozen dataclasses that check themselves, to and from TOML.

`FitConfig` holds everything that decides a result: where the pictures come from (`DataConfig`), the network
(`ModelConfig`), how it is trained (`Recipe`), and the seed. `config.toml` of a run folder is one of these.

Example:
    >>> config = FitConfig(data=DataConfig("fashion"), recipe=Recipe(epochs=3))
    >>> from_toml(to_toml(config)) == config
    True
"""

import dataclasses
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

import tomli_w

from cnnflow.errors import OptionError

OPTIMIZERS = ("sgd", "adam", "rmsprop", "adamw")
SCHEDULES = ("constant", "cosine", "one-cycle", "linear")
AUGMENTATIONS = ("none", "light", "erase", "tutorial", "strong")
PRECISIONS = ("float32", "mixed_bfloat16", "auto")
TTA = ("none", "mirror", "shift")
FITS = ("stretch", "pad", "crop")
COLORS = ("rgb", "gray")


@dataclass(frozen=True)
class DataConfig:
    """Where the pictures come from and how they are split.

    Attributes:
        source: a dataset name, `tfds:NAME`, a folder, or an `.npz` file.
        data_dir: where a named dataset's files are, instead of the cache and the network.
        classes: the classes to keep, in this order; none given: all.
        limit: use at most this many images of each split.
        validation: the fraction of the source's training images that becomes the validation split where it has none;
            None: 0.2 where it has a test split of its own, 0.15 where it has none.
        test: the fraction of the source's images that becomes the test split where it has none.
        size: `(height, width)` that pictures of a folder are brought to; None: 80 x 80.
        fit: how: "stretch", "pad" (with black) or "crop" (the centre).
        color: "rgb" or "gray".
        strict: stop at a bad file instead of leaving it out.
        split_seed: of the choice of images for the splits that the source lacks; apart from the run's seed, so that
            runs of several seeds are judged on the same test images.
    """

    source: str
    data_dir: str | None = None
    classes: tuple[str, ...] = ()
    limit: int | None = None
    validation: float | None = None
    test: float = 0.15
    size: tuple[int, ...] | None = None
    fit: str = "stretch"
    color: str = "rgb"
    strict: bool = False
    split_seed: int = 0

    def __post_init__(self) -> None:
        _at_least("limit", self.limit, 1)
        _share("validation", self.validation)
        _share("test", self.test)
        if self.size is not None and (len(self.size) != 2 or not all(8 <= side <= 4096 for side in self.size)):
            raise OptionError(f"size={self.size}; it must be (height, width), each 8 to 4096, such as (80, 80)")
        _seed("split_seed", self.split_seed)
        one_of("fit", self.fit, FITS)
        one_of("color", self.color, COLORS)


@dataclass(frozen=True)
class ModelConfig:
    """The network: a name of `cnnflow models`, and what is put into it against overfitting.

    Attributes:
        name: a name of `cnnflow models`.
        dropout: the fraction of units left out in training; None: as the network has it by itself.
        l1: penalty on kernels, `l1 * sum(abs(w))`.
        l2: penalty on kernels, `l2 * sum(w**2)`.
        batch_norm: normalise where the network does not do it anyway.
        weights: for a backbone: "imagenet" or a file of weights, which are then frozen under a new head; None: random.
        hidden: for a backbone: the size of a dense layer before the output layer; 0: none.
    """

    name: str = "basic_cnn"
    dropout: float | None = None
    l1: float = 0.0
    l2: float = 0.0
    batch_norm: bool = False
    weights: str | None = None
    hidden: int = 0

    def __post_init__(self) -> None:
        _at_least("hidden", self.hidden, 0)
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise OptionError(f"dropout={self.dropout}; it must be at least 0 and below 1, such as 0.3")
        _at_least("l1", self.l1, 0)
        _at_least("l2", self.l2, 0)


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    Attributes:
        epochs: how many times each training image is seen, at most.
        batch_size: images a step.
        optimizer: one of "sgd", "adam", "rmsprop", "adamw".
        learning_rate: the highest learning rate of the schedule; None: the optimizer's usual one.
        momentum: for sgd (with Nesterov's correction); 0 is plain.
        weight_decay: decoupled weight decay, from which biases and normalisation are left out; None: the optimizer's
            usual one (0.004 for adamw, none for the others).
        schedule: "constant", "cosine", "one-cycle" or "linear" (to zero).
        warmup: the fraction of all steps in which the learning rate rises from zero.
        label_smoothing: how much of a target is spread over all classes.
        clip_norm: the largest norm of a gradient; None: not clipped.
        ema: momentum of an average of the weights, which is what is kept; None: none.
        augment: "none", "light", "erase", "tutorial" or "strong".
        precision: what the layers compute in while they are trained: "float32", "mixed_bfloat16" (the weights, their
            updates and the way from the logits to the loss stay in float32), or "auto", the second where this processor
            multiplies bfloat16 numbers faster. The trained model computes in float32.
        class_weights: weigh each class by the inverse of its share.
        early_stopping: stop after this many epochs without a lower validation loss; None: never.
        reduce_on_plateau: halve the learning rate after this many such epochs; None: never.
        keep_best: keep the weights of the lowest validation loss, not the last ones.
        fine_tune: for a frozen backbone: the share of its layers, from the top, that is trained on after the head;
            None: none.
        fine_tune_epochs: how many epochs that takes, at most.
        fine_tune_rate: its learning rate, as a share of the head's.
        fine_tune_augment: its augmentation; None: the same as the head's. Without one for the head, the frozen backbone
            looks at each image once.
        tta: how the trained model is judged and used (test-time augmentation): on each picture alone ("none"), averaged
            with its mirror image where that still shows its class ("mirror"), or also with both of them shifted by a
            pixel or a few ("shift"). Training is the same.
        calibrate: divide the trained network's logits by a number found on the validation images, so that its
            probabilities can be believed; its classes stay the same.
    """

    epochs: int = 15
    batch_size: int = 64
    optimizer: str = "adam"
    learning_rate: float | None = None
    momentum: float = 0.0
    weight_decay: float | None = None
    schedule: str = "constant"
    warmup: float = 0.0
    label_smoothing: float = 0.0
    clip_norm: float | None = None
    ema: float | None = None
    augment: str = "none"
    precision: str = "float32"
    class_weights: bool = False
    early_stopping: int | None = None
    reduce_on_plateau: int | None = None
    keep_best: bool = False
    fine_tune: float | None = None
    fine_tune_epochs: int = 5
    fine_tune_rate: float = 0.05
    fine_tune_augment: str | None = None
    tta: str = "none"
    calibrate: bool = False

    def __post_init__(self) -> None:
        _at_least("epochs", self.epochs, 1)
        _at_least("batch_size", self.batch_size, 1)
        one_of("optimizer", self.optimizer, OPTIMIZERS)
        _above("learning_rate", self.learning_rate, 0)
        _fraction("momentum", self.momentum)
        _at_least("weight_decay", self.weight_decay, 0)
        one_of("schedule", self.schedule, SCHEDULES)
        _fraction("warmup", self.warmup)
        _fraction("label_smoothing", self.label_smoothing)
        _above("clip_norm", self.clip_norm, 0)
        if self.ema is not None:
            _fraction("ema", self.ema)
        one_of("augment", self.augment, AUGMENTATIONS)
        one_of("precision", self.precision, PRECISIONS)
        one_of("tta", self.tta, TTA)
        _at_least("early_stopping", self.early_stopping, 1)
        _at_least("reduce_on_plateau", self.reduce_on_plateau, 1)
        if self.fine_tune is not None and not 0 < self.fine_tune <= 1:
            raise OptionError(f"fine_tune={self.fine_tune}; it must be above 0 and at most 1, such as 0.3")
        _at_least("fine_tune_epochs", self.fine_tune_epochs, 1)
        _above("fine_tune_rate", self.fine_tune_rate, 0)
        if self.fine_tune_augment is not None:
            one_of("fine_tune_augment", self.fine_tune_augment, AUGMENTATIONS)
        if self.reduce_on_plateau is not None and self.schedule != "constant":
            raise OptionError(f"reduce_on_plateau with schedule={self.schedule!r}; only a constant one can be reduced")


@dataclass(frozen=True)
class FitConfig:
    """All that decides the result of a run."""

    data: DataConfig
    model: ModelConfig = field(default_factory=ModelConfig)
    recipe: Recipe = field(default_factory=Recipe)
    preset: str = "tutorial"
    seed: int = 0
    time_limit: float | None = None

    def __post_init__(self) -> None:
        _seed("seed", self.seed)
        _above("time_limit", self.time_limit, 0)


def to_dict(config: FitConfig) -> dict[str, Any]:
    """The options as nested dictionaries of TOML's and JSON's types; options that are None are left out."""
    return _without_none(dataclasses.asdict(config))


def from_dict(content: Mapping[str, Any]) -> FitConfig:
    """The config that `to_dict` described; raises `OptionError` for an unknown key or a wrong type."""
    config = _build(FitConfig, content, "")
    assert isinstance(config, FitConfig)
    return config


def to_toml(config: FitConfig) -> str:
    """The options as the text of a `config.toml`."""
    return tomli_w.dumps(to_dict(config))


def from_toml(text: str) -> FitConfig:
    """The config in the text of a `config.toml`; raises `OptionError` for what is not one."""
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionError(f"the config is not TOML: {error}; see the config.toml of any run for one") from error
    return from_dict(content)


def one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `OptionError` unless `value` is one of `choices`; the message names the nearest."""
    if value not in choices:
        near = get_close_matches(value, choices, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(choices)}"
        raise OptionError(f"no {name} {value!r}; {hint}")


def _build(kind: Any, content: Any, where: str) -> Any:
    if not isinstance(content, Mapping):
        raise OptionError(f"{where.rstrip('.') or 'the config'} is {content!r}; it must be a table of options")
    hints = get_type_hints(kind)
    if unknown := sorted(set(content) - set(hints)):
        one_of("option", where + unknown[0], tuple(where + name for name in hints))
    required = [f.name for f in dataclasses.fields(kind) if f.default is f.default_factory is dataclasses.MISSING]
    if missing := [name for name in required if name not in content]:
        raise OptionError(f"the config lacks {where}{missing[0]}; add it")
    return kind(**{name: _value(hints[name], value, where + name) for name, value in content.items()})


def _value(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where + ".")
    options = [h for h in get_args(hint) if h is not NoneType] if isinstance(hint, UnionType) else [hint]
    wanted = options[0]
    if getattr(wanted, "__origin__", None) is tuple:
        item = get_args(wanted)[0]
        if isinstance(value, list | tuple) and all(type(v) is item for v in value):
            return tuple(value)
    elif wanted is float and type(value) is int:
        return float(value)
    elif type(value) is wanted:
        return value
    raise OptionError(f"{where} = {value!r}; it must be of type {str(wanted).removeprefix('<class ').rstrip('>')}")


def _without_none(content: dict[str, Any]) -> dict[str, Any]:
    clean = {name: value for name, value in content.items() if value is not None}
    return {name: _without_none(value) if isinstance(value, dict) else value for name, value in clean.items()}


def _at_least(name: str, value: float | None, low: float) -> None:
    if value is not None and not (value >= low and math.isfinite(value)):
        raise OptionError(f"{name}={value}; it must be at least {low}")


def _above(name: str, value: float | None, low: float) -> None:
    if value is not None and not (value > low and math.isfinite(value)):
        raise OptionError(f"{name}={value}; it must be above {low}")


def _share(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < 1:
        raise OptionError(f"{name}={value}; it must be above 0 and below 1, such as 0.15")


def _seed(name: str, value: int) -> None:
    if not 0 <= value < 2**32:
        raise OptionError(f"{name}={value}; it must be 0 to {2**32 - 1}")


def _fraction(name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise OptionError(f"{name}={value}; it must be at least 0 and below 1")
