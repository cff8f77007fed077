"""Places outside cnnflow where a named dataset may be already, and the words for it where it is nowhere."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from cnnflow.data.cache import cache_folder
from cnnflow.data.download import Remote, file_sha256
from cnnflow.errors import DataError
from cnnflow.events import Caution, OnEvent

T = TypeVar("T")


def tfds_data_dir() -> Path:
    """The folder where TFDS keeps what it prepared: `$TFDS_DATA_DIR`, or `~/tensorflow_datasets`."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def tfds_folder(name: str, data_dir: Path) -> Path | None:
    """The newest version of the dataset `name` that TFDS has prepared in `data_dir`, or None.

    `data_dir` may also be the folder of the dataset or of one version. TFDS itself is not imported.
    """
    for folder in (data_dir / name, data_dir):
        if folder.parent.name == name and _is_version(folder):
            return folder
        versions = [path for path in folder.glob("*") if folder.name == name and _is_version(path)]
        if versions:
            return max(versions, key=lambda path: _version(path.name))
    return None


def keras_datasets() -> Path:
    """The folder where Keras keeps the datasets that it fetched: in `$KERAS_HOME`, or in `~/.keras`."""
    return Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "datasets"


def keras_archive(remotes: Sequence[Remote]) -> Path | None:
    """A file of the Keras cache that is one of `remotes` by size and sha256, whatever its name; it is only read."""
    sizes = {remote.size for remote in remotes}
    hashes = {remote.sha256 for remote in remotes}
    files = [path for path in sorted(keras_datasets().glob("*")) if path.is_file() and path.stat().st_size in sizes]
    return next((path for path in files if file_sha256(path) in hashes), None)


def first_found(finders: Sequence[Callable[[], T | None]], *, on_event: OnEvent) -> T | None:
    """What the first of `finders` finds; one that meets damaged data is passed over with a `Caution`."""
    for find in finders:
        try:
            found = find()
        except DataError as error:
            on_event(Caution(f"passed over: {error}"))
        else:
            if found is not None:
                return found
    return None


def not_found(name: str, reason: DataError, *, data_dir: str, tfds_name: str) -> DataError:
    """The error of a dataset that is nowhere and cannot be fetched for `reason`: one line with each way to get it.

    `data_dir` says what the option of that name may be.
    """
    ways = (
        f"give --data-dir {data_dir}",
        f"prepare {tfds_name} with TFDS as array_record in {tfds_data_dir()}",
        f"let Keras fetch it into {keras_datasets()}",
        f"run `cnnflow data get {name}` where there is a network and copy its cache to {cache_folder()}",
    )
    return DataError(f"{name} is not on this machine and {reason}. Ways to get it: {'; '.join(ways)}")


def _is_version(folder: Path) -> bool:
    return (folder / "dataset_info.json").is_file()


def _version(name: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdecimal() else -1 for part in name.split("."))
