"""CIFAR-10: 60,000 colour pictures of ten kinds of animals and vehicles, 32 x 32.

The data are looked for in this order: `data_dir`; the cache; a folder prepared by TFDS; the Keras cache; the web.
Whatever they come from, they are put in canonical order and must then have the one sha256 of CIFAR-10.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnflow.config import DataConfig
from cnnflow.data.archive import archive_files
from cnnflow.data.cache import Arrays, cache_folder, read_cached, write_cached
from cnnflow.data.cifar_files import BATCHES, BINARY_SUFFIX, LARGEST_BATCH, TEST_BATCH, from_batches
from cnnflow.data.download import Remote, download, file_sha256
from cnnflow.data.fixed import FixedSet, in_canonical_order
from cnnflow.data.image_set import Dataset
from cnnflow.data.npz import read_arrays
from cnnflow.data.order import content_sha256
from cnnflow.data.places import first_found, keras_archive, not_found, tfds_data_dir, tfds_folder
from cnnflow.errors import DataError
from cnnflow.events import Note, OnEvent, ignore

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
KOREAN = ("비행기", "자동차", "새", "고양이", "사슴", "개", "개구리", "말", "배", "트럭")

CACHED = "cifar10.npz"
"""The file in the cache folder; the same name is looked for in a `data_dir`."""

_NAME = "cifar10"
_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_LARGEST_NPZ = 2**31  # bytes; labels of 8 bytes and images of float32 would fit
_LARGEST_ARCHIVE = 400_000_000  # bytes when unpacked; the real ones have 185 million


@dataclass(frozen=True)
class Release:
    """What is known of a dataset in CIFAR-10's form before it is read.

    Attributes:
        images: its numbers, shape and class names.
        sha256: of the four arrays in canonical order.
        binary: the archive of binary records.
        python: the archive of pickles.
    """

    images: FixedSet
    sha256: str
    binary: Remote
    python: Remote


CIFAR10 = Release(
    FixedSet(_NAME, 50_000, 10_000, (32, 32, 3), CLASS_NAMES, {"ko": KOREAN}),
    "cac8a7f09e8811334cea009f770bf0040c5a12f65bc27a54603a17d6adba36b7",
    Remote(
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
        "cifar-10-binary.tar.gz",
        170_052_171,
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
    Remote(
        "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
        "cifar-10-python.tar.gz",
        170_498_071,
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
)


def load(config: DataConfig, *, on_event: OnEvent = ignore, release: Release = CIFAR10) -> Dataset:
    """CIFAR-10: 50,000 training and 10,000 test images, uint8 `[n, 32, 32, 3]`, in canonical order.

    `config.data_dir` may be an NPZ file with x_train, y_train, x_test and y_test; one of the two official archives; or
    a folder that holds one of these, the unpacked archive, or a `cifar10` prepared by TFDS. It is the only place then.

    Raises:
        DataError: the data cannot be had, or are not CIFAR-10.
        OptionError: an option has no meaning here.

    Example:
        >>> load(DataConfig("cifar10", data_dir="cifar-10-binary.tar.gz")).train.image_shape
        (32, 32, 3)
    """
    release.images.refuse_options(config)
    if config.data_dir is not None:
        return release.images.dataset(_given(Path(config.data_dir).expanduser(), release, on_event))
    arrays = read_cached(CACHED, release.images.check, on_event=on_event)
    if arrays is None:
        arrays = _found(release, on_event)
        write_cached(CACHED, arrays, on_event=on_event)
    return release.images.dataset(arrays)


def _given(path: Path, release: Release, on_event: OnEvent) -> Arrays:
    if not path.exists():
        raise DataError(f"no file or folder {path}; data_dir must be where CIFAR-10 is")
    if path.is_dir():
        path = _in_folder(path, release)
    if path.is_dir():
        return _from_folder(path, release, on_event)
    if path.suffix.lower() == ".npz":
        return _sure(read_arrays(path, max_bytes=_LARGEST_NPZ), path, release)
    return _from_archive(path, release)


def _in_folder(folder: Path, release: Release) -> Path:
    """The file or folder in `folder` (or `folder` itself) that has the data; raises `DataError` where none has."""
    archives = [release.binary.name, release.python.name]
    files = [folder / name for name in (CACHED, *archives) if (folder / name).is_file()]
    inner = [folder, folder / "cifar-10-batches-bin", folder / "cifar-10-batches-py"]
    prepared = tfds_folder(_NAME, folder)
    candidates = [*files, *filter(_has_batches, inner), *([prepared] if prepared else [])]
    if not candidates:
        raise DataError(
            f"{folder} holds no CIFAR-10; there must be {CACHED}, {' or '.join(archives)}, the folder that one of "
            f"these unpacks to, or a {_NAME} prepared by TFDS as array_record"
        )
    return candidates[0]


def _has_batches(folder: Path) -> bool:
    return any((folder / f"{TEST_BATCH}{suffix}").is_file() for suffix in ("", BINARY_SUFFIX))


def _from_folder(folder: Path, release: Release, on_event: OnEvent) -> Arrays:
    if not _has_batches(folder):
        return _from_tfds(folder, release, on_event)
    files = [folder / f"{name}{suffix}" for name in BATCHES for suffix in ("", BINARY_SUFFIX)]
    batches = {file.name: _read_batch(file) for file in files if file.is_file()}
    return _sure(from_batches(batches, str(folder)), folder, release)


def _read_batch(file: Path) -> bytes:
    if (size := file.stat().st_size) > LARGEST_BATCH:
        raise DataError(f"{file} has {size:,} bytes; a batch of CIFAR-10 has less than {LARGEST_BATCH:,}")
    return file.read_bytes()


def _from_archive(path: Path, release: Release) -> Arrays:
    digest = file_sha256(path)
    known = {remote.sha256: remote.name for remote in (release.binary, release.python)}
    if digest not in known:
        right = " or ".join(known.values())
        raise DataError(f"{path} is damaged or not {right} (its sha256 is {digest}); fetch it again")
    names = {f"{name}{suffix}" for name in BATCHES for suffix in ("", BINARY_SUFFIX)}
    files = archive_files(path, max_bytes=_LARGEST_ARCHIVE)
    batches = {name.name: content for name, content in files if name.name in names}
    return _sure(from_batches(batches, str(path)), path, release)


def _from_tfds(folder: Path, release: Release, on_event: OnEvent) -> Arrays:
    from cnnflow.data.tfds import open_folder

    prepared = open_folder(folder)
    resize = prepared.one_size()
    if resize is None or not {"train", "test"} <= set(prepared.splits):
        raise DataError(f"{folder} is no CIFAR-10, which has train and test images of one size; prepare it again")
    arrays: Arrays = {}
    for split in ("train", "test"):
        arrays[f"x_{split}"], arrays[f"y_{split}"] = prepared.images(split, resize, on_event=on_event)
    return _sure(arrays, folder, release)


def _found(release: Release, on_event: OnEvent) -> Arrays:
    """The data from wherever they are outside cnnflow, the web last."""

    def prepared_by_tfds() -> Arrays | None:
        folder = tfds_folder(_NAME, tfds_data_dir())
        return None if folder is None else _from_tfds(_told(folder, on_event), release, on_event)

    def fetched_by_keras() -> Arrays | None:
        archive = keras_archive((release.binary, release.python))
        return None if archive is None else _from_archive(_told(archive, on_event), release)

    arrays = first_found((prepared_by_tfds, fetched_by_keras), on_event=on_event)
    return _from_web(release, on_event) if arrays is None else arrays


def _from_web(release: Release, on_event: OnEvent) -> Arrays:
    try:
        archive = download(release.binary, cache_folder(), on_event=on_event)
    except DataError as error:
        given = f"with {CACHED} (x_train, y_train, x_test, y_test), {release.binary.name} or {release.python.name}"
        raise not_found(_NAME, error, data_dir=given, tfds_name=_NAME) from error
    arrays = _from_archive(archive, release)
    archive.unlink()  # the arrays go to the cache; this makes room for them
    return arrays


def _told(path: Path, on_event: OnEvent) -> Path:
    on_event(Note(f"reading {path}"))
    return path


def _sure(arrays: Arrays, where: Path, release: Release) -> Arrays:
    """The arrays in canonical order, if they are the right ones to the last pixel; else `DataError`."""
    try:
        arrays = {name: _bytes(arrays[name]) for name in _ARRAYS if name in arrays}
        release.images.check(arrays)
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    arrays = in_canonical_order(arrays)
    if content_sha256(*(arrays[name] for name in _ARRAYS)) != release.sha256:
        raise DataError(
            f"{where} has images or labels that CIFAR-10 has not; fetch it again, or give an NPZ of your own as DATA"
        )
    return arrays


def _bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """Labels of any integer type, flat or `[n, 1]` as Keras has them, as uint8 `[n]`; images as they are."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dtype.kind in "iu" and array.size and 0 <= array.min() <= array.max() <= 255:
        return array.astype(np.uint8)
    return array
