"""Weights and dropout that depend on one seed alone, for any Keras model.

Keras draws a seed for each initializer and each dropout layer that was given none, from Python's global `random`.
Here a model is described by its config, each missing seed is filled in from `seed` and the place where it is missing,
and the model is made again from that config. A layer's seed comes from its name, not its position: adding dropout or
normalisation leaves the first weights of the other layers what they were, so that such variants compare fairly.
"""

import hashlib
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras


def build_seeded(factory: Callable[[], keras.Model], seed: int) -> keras.Model:
    """The model that `factory` makes, initialised from `seed` alone; global random state stays what it was.

    Args:
        factory: returns an uncompiled model of serialisable layers with names of their own.
        seed: 0 to 2**32 - 1.
    """
    with python_random_kept():
        model = factory()
    config = fill_seeds(model.get_config(), seed)
    return type(model).from_config(config)


def fill_seeds(config: Any, seed: int, place: str = "") -> Any:
    """`config` (of a model or layer) with an integer for each `"seed": None`, from `seed` and the names above it."""
    if isinstance(config, list | tuple):
        return type(config)(fill_seeds(item, seed, place) for item in config)
    if not isinstance(config, dict):
        return config
    here = f"{place}/{config['name']}" if isinstance(config.get("name"), str) else place
    return {
        key: _seed_at(seed, here) if key == "seed" and value is None else fill_seeds(value, seed, _below(here, key))
        for key, value in config.items()
    }


def _below(place: str, key: str) -> str:
    # "config" and "layers" are only how Keras nests; an initializer's key tells a layer's two kernels apart.
    return f"{place}/{key}" if key.endswith("_initializer") else place


def _seed_at(seed: int, place: str) -> int:
    digest = hashlib.sha256(f"{seed}{place}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


@contextmanager
def python_random_kept() -> Iterator[None]:
    """Put the state of Python's global `random` back when the block ends; making Keras layers draws from it."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)
