"""Datasets by name, and the one way to load any of them.

`SOURCES` has the named ones. Beside them DATA may be `tfds:NAME`, a folder of pictures, or an `.npz` file.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from cnnflow.config import DataConfig
from cnnflow.data import cifar10, fashion, flowers
from cnnflow.data.cache import cache_folder
from cnnflow.data.classes import keep_classes
from cnnflow.data.image_set import Dataset
from cnnflow.errors import DataError, OptionError
from cnnflow.events import OnEvent, ignore

TFDS_PREFIX = "tfds:"


class Loader(Protocol):
    """Loads a dataset as a config says; what takes long is reported to `on_event`."""

    def __call__(self, config: DataConfig, *, on_event: OnEvent = ignore) -> Dataset: ...


@dataclass(frozen=True)
class Source:
    """A dataset that has a name.

    Attributes:
        name: what to call it on the command line.
        summary: one line: what is in it and how large it is.
        load: loads it.
        mirror: whether a picture flipped left to right still shows its class.
        languages: codes of the languages that it has class names in.
        cached_as: what it is called in the cache folder, where it has to be fetched first.
    """

    name: str
    summary: str
    load: Loader
    mirror: bool = True
    languages: tuple[str, ...] = ("en", "ko")
    cached_as: str | None = None

    def is_here(self) -> bool:
        """Whether it can be loaded without looking for it outside cnnflow."""
        return self.cached_as is None or (cache_folder() / self.cached_as).exists()


SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        source.name: source
        for source in (
            Source("fashion", "70,000 grey pictures of clothes, 28x28, 10 classes", fashion.load),
            Source(
                "cifar10",
                "60,000 colour pictures of animals and vehicles, 32x32, 10 classes",
                cifar10.load,
                cached_as=cifar10.CACHED,
            ),
            Source("flowers", "3,670 photos of flowers of any size, 5 classes", flowers.load, cached_as=flowers.CACHED),
        )
    }
)


def load(config: DataConfig, *, on_event: OnEvent = ignore) -> Dataset:
    """The dataset that `config.source` names, with the classes that `config.classes` keeps, in that order.

    A name of `SOURCES`, `tfds:NAME`, a folder of class folders, or an `.npz` file. A name wins over a folder that is
    called the same; write `./fashion` for the folder.

    Raises:
        OptionError: there is no such dataset or class, or an option does not fit the source.
        DataError: the data are missing or damaged.

    Example:
        >>> load(DataConfig("fashion", classes=("Bag", "Coat"))).train.counts()
        {'Bag': 6000, 'Coat': 6000}
    """
    dataset = keep_classes(_loaded(config, on_event), config.classes)
    dataset.train.check()
    return dataset


def _loaded(config: DataConfig, on_event: OnEvent) -> Dataset:
    if config.source in SOURCES:
        return SOURCES[config.source].load(config, on_event=on_event)
    if config.source.startswith(TFDS_PREFIX):
        from cnnflow.data.tfds import load_tfds

        return load_tfds(config, on_event=on_event)
    return _from_path(config, on_event)


def _from_path(config: DataConfig, on_event: OnEvent) -> Dataset:
    path = Path(config.source).expanduser()
    if not config.source or not path.exists():
        raise _unknown(config.source)
    if config.data_dir is not None:
        raise OptionError(f"data_dir={config.data_dir!r} with {config.source}, which is a path itself; leave it out")
    if path.is_dir():
        from cnnflow.data.folder import load_folder

        return load_folder(path, config, on_event=on_event)
    if path.suffix.lower() == ".npz":
        from cnnflow.data.prepared import read_prepared

        return read_prepared(path, config)
    raise DataError(f"{path} is neither a folder nor an .npz file; give a folder with one folder of pictures a class")


def _unknown(source: str) -> DataError | OptionError:
    if os.sep in source or source.lower().endswith(".npz"):
        return DataError(f"no folder or file {source}; look at the path")
    near = get_close_matches(source, SOURCES, n=1)
    choices = f"choose {', '.join(SOURCES)}, {TFDS_PREFIX}NAME, a folder of class folders or an .npz file"
    return OptionError(f"no dataset {source!r}; " + (f"did you mean {near[0]}?" if near else choices))
