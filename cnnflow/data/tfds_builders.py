"""Builders of TFDS: found by name or in a folder, prepared where they are not, and kept quiet.

TFDS is imported here and nowhere else before it is needed (0.6 s). Importing it and reading array_record never import
TensorFlow; preparing does, for most datasets.
"""

import io
import logging
import socket
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cnnflow.errors import CnnflowError, DataError, OptionError
from cnnflow.events import Note, OnEvent


def builder_in(folder: Path) -> Any:
    """The `tfds.core.DatasetBuilder` of what is in `folder`; raises `DataError` where that is damaged."""
    import tensorflow_datasets as tfds

    with one_line(f"cannot read {folder}"), _quiet():
        return tfds.builder_from_directory(folder)


def builder_named(name: str, data_dir: Path, *, on_event: OnEvent) -> Any:
    """The `tfds.core.DatasetBuilder` of the dataset `name`, prepared in `data_dir` (which is done where it is not).

    Raises `OptionError` for an unknown name, `DataError` where it cannot be prepared.
    """
    import tensorflow_datasets as tfds

    try:
        with _quiet():
            builder = tfds.builder(name, data_dir=str(data_dir))
    except tfds.core.DatasetNotFoundError as error:
        near = get_close_matches(name, tfds.list_builders(with_community_datasets=False), n=1)
        hint = f"did you mean tfds:{near[0]}?" if near else "look at https://www.tensorflow.org/datasets/catalog"
        raise OptionError(f"no dataset {name!r} in TFDS; {hint}") from error
    except (ValueError, AssertionError, KeyError, TypeError) as error:
        raise OptionError(f"TFDS refuses {name!r}: {_first_line(error)}") from error
    if not builder.is_prepared():
        _prepare(builder, name, data_dir, on_event)
    return builder


def _prepare(builder: Any, name: str, data_dir: Path, on_event: OnEvent) -> None:
    if find_spec("tensorflow") is None and "tf" in vars(sys.modules[type(builder).__module__]):
        # Said before anything is downloaded: this builder's code has TensorFlow under its usual name.
        raise _needs_tensorflow(name, data_dir)
    _check_network(builder, name, data_dir)
    on_event(Note(f"TFDS prepares {name} in {data_dir}; this happens once"))
    with one_line(f"TFDS cannot prepare {name}"), _quiet():
        try:
            builder.download_and_prepare(file_format="array_record")
        except ImportError as error:
            raise _needs_tensorflow(name, data_dir) from error


def _needs_tensorflow(name: str, data_dir: Path) -> DataError:
    return DataError(
        f"tfds:{name} is not prepared in {data_dir}, and preparing it needs TensorFlow; pip install "
        f"'cnnflow[tensorflow]', or run `tfds build {name} --file_format=array_record` elsewhere and copy the folder"
    )


def _check_network(builder: Any, name: str, data_dir: Path) -> None:
    """Fail at once where no server of the dataset has an address: TFDS itself would try for minutes."""
    hosts = {urlsplit(str(url)).hostname for url in builder.url_infos or ()}
    if urllib.request.getproxies() or not hosts:
        return
    for host in hosts:
        try:
            socket.getaddrinfo(host, None)
            return
        except OSError as error:
            failure = error
    raise DataError(
        f"tfds:{name} is not prepared in {data_dir} and cannot be fetched: {failure.strerror or failure}; prepare it "
        f"where there is a network (tfds build {name} --file_format=array_record) and copy the folder"
    )


@contextmanager
def one_line(what: str) -> Iterator[None]:
    """Whatever TFDS raises in the block becomes a `DataError` that begins with `what`."""
    try:
        yield
    except CnnflowError:
        raise
    except Exception as error:
        # TFDS, its record readers and its builders raise nearly every exception there is on data that are not right.
        raise DataError(f"{what}: {_first_line(error)}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep TFDS from writing to the terminal, which it does with print, progress bars and absl's log."""
    log = logging.getLogger("absl")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        log.setLevel(level)


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__
