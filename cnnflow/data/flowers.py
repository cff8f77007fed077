"""The TensorFlow flowers: 3,670 photos of five kinds of flowers, of any size.

Whatever they come from, the photos end up as files in class folders in the cache, and are read from there like any
folder of pictures; so they have one set of pixels, and their origins are files that can be looked at.

Photos by many photographers, CC BY 2.0; their names are in LICENSE.txt beside the photos.
https://www.tensorflow.org/datasets/catalog/tf_flowers
"""

import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnflow.config import DataConfig
from cnnflow.data.archive import archive_files
from cnnflow.data.cache import cache_folder
from cnnflow.data.classes import check_names, keep_classes
from cnnflow.data.download import Remote, download, file_sha256
from cnnflow.data.folder import load_folder
from cnnflow.data.image_set import Dataset, ImageSet
from cnnflow.data.order import canonical_order
from cnnflow.data.places import first_found, keras_archive, not_found, tfds_data_dir, tfds_folder
from cnnflow.data.prepared import read_prepared
from cnnflow.data.shards import select
from cnnflow.errors import DataError
from cnnflow.events import Note, OnEvent, Progress, ignore

Photo = tuple[str, str, bytes]
"""A class, the name of a file, and its bytes."""

CACHED = "flowers/flower_photos"
"""The folder of class folders in the cache folder; it is there as a whole or not at all."""

_NAME = "flowers"
_TFDS_NAME = "tf_flowers"
_PHOTOS = "flower_photos"
_NOTICE = "LICENSE.txt"
_LARGEST_ARCHIVE = 500_000_000  # bytes when unpacked; the real one has 230 million


@dataclass(frozen=True)
class Release:
    """What is known of a dataset in the flowers' form before it is read.

    Attributes:
        archive: the archive of the photos.
        counts: how many photos each class has.
        names_in: the class names in other languages.
    """

    archive: Remote
    counts: Mapping[str, int]
    names_in: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names in the order of the labels: that of the alphabet, as the folders have it."""
        return tuple(sorted(self.counts))


FLOWERS = Release(
    Remote(
        # TFDS' own address of this file has no https; this is the same bucket and the same file.
        "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz",
        "flower_photos.tgz",
        228_813_984,
        "4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c",
    ),
    {"daisy": 633, "dandelion": 898, "roses": 641, "sunflowers": 699, "tulips": 799},
    {"ko": {"daisy": "데이지", "dandelion": "민들레", "roses": "장미", "sunflowers": "해바라기", "tulips": "튤립"}},
)


def load(config: DataConfig, *, on_event: OnEvent = ignore, release: Release = FLOWERS) -> Dataset:
    """The flowers: uint8 `[3670, height, width, 3]` in canonical order, brought to `config.size` (80 x 80).

    The dataset has no test split of its own. `config.data_dir` may be the official archive, an NPZ file made by
    `cnnflow prepare`, or a folder: of class folders with photos (any of the five), or one that holds such a folder
    called flower_photos, the archive, or a `tf_flowers` prepared by TFDS. It is the only place then.

    Raises:
        DataError: the photos cannot be had, or are not flowers.
        OptionError: an option has no meaning here.

    Example:
        >>> load(DataConfig("flowers", size=(80, 80))).train.image_shape
        (80, 80, 3)
    """
    check_names(config.classes)
    if config.data_dir is not None:
        dataset = _given(Path(config.data_dir).expanduser(), config, release, on_event)
    else:
        dataset = _found(config, release, on_event)
    return _finished(dataset, release)


def _given(path: Path, config: DataConfig, release: Release, on_event: OnEvent) -> Dataset:
    if not path.exists():
        raise DataError(f"no file or folder {path}; data_dir must be where the flowers are")
    if path.is_dir():
        return _given_folder(path, config, release, on_event)
    if path.suffix.lower() == ".npz":
        return read_prepared(path, config)
    return _whole(_unpacked(path, release, on_event), config, release, on_event)


def _given_folder(path: Path, config: DataConfig, release: Release, on_event: OnEvent) -> Dataset:
    archive, prepared = path / release.archive.name, tfds_folder(_TFDS_NAME, path)
    if (path / _PHOTOS).is_dir():
        return load_folder(path / _PHOTOS, config, on_event=on_event)
    if archive.is_file():
        return _whole(_unpacked(archive, release, on_event), config, release, on_event)
    if prepared is not None:
        return _whole(_written_out(prepared, release, on_event), config, release, on_event)
    return load_folder(path, config, on_event=on_event)


def _found(config: DataConfig, release: Release, on_event: OnEvent) -> Dataset:
    """The flowers from the cache or wherever they are outside cnnflow, the web last."""

    def cached() -> Path | None:
        return _photos_folder() if _photos_folder().is_dir() else None

    def prepared_by_tfds() -> Path | None:
        folder = tfds_folder(_TFDS_NAME, tfds_data_dir())
        return None if folder is None else _written_out(folder, release, on_event)

    def fetched_by_keras() -> Path | None:
        archive = keras_archive([release.archive])
        return None if archive is None else _unpacked(archive, release, on_event)

    def whole(find: Callable[[], Path | None]) -> Callable[[], Dataset | None]:
        def dataset() -> Dataset | None:
            folder = find()
            return None if folder is None else _whole(folder, config, release, on_event)

        return dataset

    found = first_found([whole(find) for find in (cached, prepared_by_tfds, fetched_by_keras)], on_event=on_event)
    return found or _whole(_from_web(release, on_event), config, release, on_event)


def _from_web(release: Release, on_event: OnEvent) -> Path:
    try:
        archive = download(release.archive, cache_folder(), on_event=on_event)
    except DataError as error:
        given = f"with {release.archive.name} or a folder of class folders ({', '.join(release.class_names)})"
        raise not_found(_NAME, error, data_dir=given, tfds_name=_TFDS_NAME) from error
    folder = _unpacked(archive, release, on_event)
    archive.unlink()  # the photos are in the cache now
    return folder


def _whole(folder: Path, config: DataConfig, release: Release, on_event: OnEvent) -> Dataset:
    """The photos in a folder of the cache; where some are missing or damaged, the folder is removed, `DataError`."""
    dataset = load_folder(folder, config, on_event=on_event)
    if any(count != release.counts.get(name) for name, count in dataset.train.counts().items()):
        shutil.rmtree(folder)
        raise DataError(f"photos in {folder} were missing or damaged, so it was removed; start again")
    return dataset


def _unpacked(archive: Path, release: Release, on_event: OnEvent) -> Path:
    """The folder in the cache with the photos of the official archive; `DataError` where it is not the official one."""
    digest = file_sha256(archive)
    if digest != release.archive.sha256:
        raise DataError(f"{archive} is damaged or not {release.archive.name} (its sha256 is {digest}); fetch it again")
    if not _photos_folder().is_dir():
        _store(_archived(archive, release), _photos_folder(), release, on_event)
    return _photos_folder()


def _archived(archive: Path, release: Release) -> Iterator[Photo]:
    for path, content in archive_files(archive, max_bytes=_LARGEST_ARCHIVE):
        if path.name == _NOTICE:
            yield "", path.name, content
        elif len(path.parts) == 3 and path.parts[1] in release.counts:
            yield path.parts[1], path.name, content


def _written_out(prepared: Path, release: Release, on_event: OnEvent) -> Path:
    """The folder in the cache with the photos that TFDS has in `prepared`, each named by its sha256."""
    from cnnflow.data.tfds import open_folder

    info = prepared / "dataset_info.json"
    identity = f"{prepared.resolve()} {info.stat().st_mtime_ns}"
    folder = cache_folder() / _NAME / f"tfds-{hashlib.sha256(identity.encode()).hexdigest()[:16]}"
    if not folder.is_dir():
        stored = open_folder(prepared)
        names = stored.class_names
        if set(names) != set(release.counts):
            raise DataError(f"{prepared} has the classes {', '.join(names)}; it is no {_TFDS_NAME}")
        on_event(Note(f"reading {prepared}"))
        records = stored.records("train")
        photos = ((names[label], f"{hashlib.sha256(content).hexdigest()}.jpg", content) for content, label in records)
        _store(photos, folder, release, on_event)
    return folder


def _store(photos: Iterator[Photo], folder: Path, release: Release, on_event: OnEvent) -> None:
    """Write photos as `folder`/<class>/<name>, so that `folder` is there as a whole or not at all."""
    temporary = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    total = sum(release.counts.values())
    try:
        for name in release.counts:
            (temporary / name).mkdir(parents=True)
        for done, (class_name, name, content) in enumerate(photos, 1):
            place = temporary / class_name if class_name else folder.parent
            (place / name).write_bytes(content)
            on_event(Progress(f"writing {folder.name}", min(done, total), total))
        with suppress(OSError):  # another process has just done the same
            temporary.rename(folder)
    except OSError as error:
        raise DataError(f"cannot write {folder}: {error.strerror or error}; choose another CNNFLOW_CACHE") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _photos_folder() -> Path:
    return cache_folder() / CACHED


def _finished(dataset: Dataset, release: Release) -> Dataset:
    """The dataset under its own name, its classes in the order of the alphabet, its images in canonical order."""
    names = [name for name in release.class_names if name in dataset.train.class_names]
    if unknown := sorted(set(dataset.train.class_names) - set(names)):
        raise DataError(
            f"{dataset.name} has a class {unknown[0]}, and flowers has {', '.join(release.class_names)}; "
            "give a folder of your own as DATA instead"
        )
    dataset = keep_classes(dataset, names)
    train, rows = _ordered(dataset.train)
    return replace(
        dataset,
        name=_NAME,
        train=train,
        validation=dataset.validation and _ordered(dataset.validation)[0],
        test=dataset.test and _ordered(dataset.test)[0],
        labels_in={code: tuple(words[name] for name in names) for code, words in release.names_in.items()},
        groups=None if dataset.groups is None else dataset.groups[rows],
    )


def _ordered(images: ImageSet) -> tuple[ImageSet, NDArray[np.int64]]:
    rows = canonical_order(images.images, images.labels)
    return select(images, rows), rows
