"""Options check themselves, and survive TOML."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnnflow.config import DataConfig, FitConfig, ModelConfig, Recipe, from_toml, to_toml
from cnnflow.errors import OptionError

recipes = st.builds(
    Recipe,
    epochs=st.integers(1, 10**6),
    batch_size=st.integers(1, 10**5),
    optimizer=st.sampled_from(["sgd", "adam", "rmsprop", "adamw"]),
    learning_rate=st.none() | st.floats(1e-9, 10),
    momentum=st.floats(0, 0.999),
    weight_decay=st.none() | st.floats(0, 1),
    schedule=st.sampled_from(["constant", "cosine", "one-cycle", "linear"]),
    ema=st.none() | st.floats(0, 0.9999),
    class_weights=st.booleans(),
    early_stopping=st.none() | st.integers(1, 100),
)
data = st.builds(
    DataConfig,
    source=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    classes=st.lists(st.text(st.characters(exclude_categories=["Cs"]))).map(tuple),
    limit=st.none() | st.integers(1, 10**9),
    size=st.none() | st.tuples(st.integers(8, 4096), st.integers(8, 4096)),
)


@given(data, recipes, st.integers(0, 2**32 - 1))
def test_toml_round_trip(data: DataConfig, recipe: Recipe, seed: int) -> None:
    config = FitConfig(data, ModelConfig("flower_cnn", dropout=0.3), recipe, "flowers", seed, 480.0)
    assert from_toml(to_toml(config)) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[dat]\n", "no option 'dat'; did you mean data"),
        ("[data]\nsource = 'x'\nlimt = 3", "no option 'data.limt'; did you mean data.limit"),
        ("[data]\n", "lacks data.source"),
        ("[data]\nsource = 3", "data.source = 3; it must be of type 'str'"),
        ("seed = 1.5\n[data]\nsource = 'x'", "seed = 1.5; it must be of type 'int'"),
        ("seed = true\n[data]\nsource = 'x'", "seed = True"),
        ("data = 3", "data is 3; it must be a table"),
        ("[data", "the config is not TOML"),
    ],
)
def test_a_bad_config_names_the_key_and_the_rule(text: str, message: str) -> None:
    with pytest.raises(OptionError) as caught:
        from_toml(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        (Recipe, {"epochs": 0}, "epochs=0; it must be at least 1"),
        (Recipe, {"batch_size": -1}, "batch_size=-1"),
        (Recipe, {"learning_rate": 0.0}, "learning_rate=0.0; it must be above 0"),
        (Recipe, {"learning_rate": float("nan")}, "learning_rate=nan"),
        (Recipe, {"optimizer": "adm"}, "no optimizer 'adm'; did you mean adam"),
        (Recipe, {"momentum": 1.0}, "momentum=1.0"),
        (Recipe, {"schedule": "cosine", "reduce_on_plateau": 3}, "only a constant one can be reduced"),
        (ModelConfig, {"dropout": 1.0}, "dropout=1.0; it must be at least 0 and below 1"),
        (DataConfig, {"source": "x", "limit": 0}, "limit=0"),
        (DataConfig, {"source": "x", "size": (80,)}, "size=(80,)"),
        (DataConfig, {"source": "x", "fit": "padd"}, "did you mean pad"),
        (FitConfig, {"data": DataConfig("x"), "seed": -1}, "seed=-1"),
        (FitConfig, {"data": DataConfig("x"), "time_limit": 0.0}, "time_limit=0.0"),
    ],
)
def test_a_bad_value_is_refused_with_the_rule(kind: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        kind(**options)
    assert message in str(caught.value)


def test_configs_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Recipe().epochs = 3  # type: ignore[misc]
