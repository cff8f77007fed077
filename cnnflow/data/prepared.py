"""Prepared datasets: decoded pictures with all that is known of them in one compressed NPZ file.

`write_prepared` writes, `read_prepared` reads:

| array | what |
|---|---|
| `format_version` | int64, 1 |
| `images` | uint8 `[n, height, width, channels]`, training pictures first, then validation, then test |
| `labels` | int64 `[n]` |
| `class_names` | text `[classes]` |
| `origins` | text `[n]`, the path of each picture under its folder |
| `split` | text `[n]`: "train", "validation" or "test", as the source has them; `fit` cuts the missing ones |
| `groups` | int64 `[training pictures]`: equal for duplicates, which a split keeps on one side |
| `about` | JSON: the name, the size and resize rule, whether a mirror image keeps its class |
| `sha256` | text: the sha256 of the bytes of `images` |

NPZ files in Keras's own layout (`x_train`, `y_train`, `x_test`, `y_test`) are read as well.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnflow.config import DataConfig
from cnnflow.data.image_set import Dataset, ImageSet
from cnnflow.data.listing import SPLITS, TEST, TRAIN, VALIDATION
from cnnflow.data.npz import read_arrays, write_arrays
from cnnflow.data.resize import Resize
from cnnflow.data.shards import rows_of
from cnnflow.errors import CnnflowError, DataError, OptionError

FORMAT_VERSION = 1

Arrays = dict[str, NDArray[Any]]


def write_prepared(path: Path, dataset: Dataset) -> None:
    """Write `dataset` to `path`, whole or not at all; all its pictures are in memory meanwhile.

    Raises:
        DataError: `path` cannot be written, or the splits have pictures of different sizes.

    Example:
        >>> write_prepared(Path("flowers.npz"), load_folder(folder, config))
    """
    parts = _present(dataset)
    _check_one_size(dataset)
    images = np.concatenate([part.images[:] for part in parts.values()])
    about = {
        "name": dataset.name,
        "size": list(dataset.train.image_shape[:2]),
        "resize": dataset.resize,
        "mirror": dataset.mirror,
        "labels_in": dataset.labels_in,
    }
    arrays: Arrays = {
        "format_version": np.array(FORMAT_VERSION),
        "images": images,
        "labels": np.concatenate([part.labels for part in parts.values()]),
        "class_names": np.array(dataset.train.class_names),
        "origins": np.array([origin for part in parts.values() for origin in part.origins]),
        "split": np.repeat(list(parts), [len(part) for part in parts.values()]),
        "about": np.array(json.dumps(about, ensure_ascii=False)),
        "sha256": np.array(_sha256(images)),
    }
    if dataset.groups is not None:
        arrays["groups"] = dataset.groups
    write_arrays(path, arrays)


def read_prepared(path: Path, config: DataConfig | None = None) -> Dataset:
    """Read the dataset of an NPZ file that `write_prepared` wrote or that has Keras's layout.

    Args:
        path: the file.
        config: options that the file must fit: the size, the way to it and the colours cannot be changed any more.

    Raises:
        DataError: the file is missing, damaged, too large, or has not the arrays that it must have.
        OptionError: `config` asks for another size, fit or colour than the file has.

    Example:
        >>> read_prepared(Path("flowers.npz")).train.counts()
        {'daisy': 633, 'dandelion': 898}
    """
    arrays = read_arrays(path)
    try:
        dataset = _reader(arrays)(path, arrays)
        for split, images in _present(dataset).items():
            images.check(every_class=split == TRAIN)
        _check_one_size(dataset)
    except CnnflowError as error:
        raise DataError(f"{path}: {error}") from error
    if config is not None:
        _check_fits(path, dataset, config)
    return dataset


def _present(dataset: Dataset) -> dict[str, ImageSet]:
    """The splits that `dataset` has, by name."""
    splits = {TRAIN: dataset.train, VALIDATION: dataset.validation, TEST: dataset.test}
    return {split: images for split, images in splits.items() if images is not None}


def _check_one_size(dataset: Dataset) -> None:
    shape = dataset.train.image_shape
    for split, images in _present(dataset).items():
        if images.image_shape != shape:
            raise DataError(f"{split} images of {images.image_shape} beside training images of {shape}")


def _sha256(images: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(images).data).hexdigest()


def _reader(arrays: Arrays) -> Callable[[Path, Arrays], Dataset]:
    if "format_version" in arrays:
        return _from_prepared
    if {"x_train", "y_train"} <= set(arrays):
        return _from_keras
    raise DataError(
        f"it has the arrays {', '.join(sorted(arrays)) or '(none)'}; "
        "make one with `cnnflow prepare`, or with x_train, y_train, x_test and y_test"
    )


# For each array: NumPy's kind of its dtype, its item size (0: any) and its dimensions.
_ARRAYS = {
    "images": ("u", 1, 4),
    "labels": ("i", 8, 1),
    "class_names": ("U", 0, 1),
    "origins": ("U", 0, 1),
    "split": ("U", 0, 1),
    "about": ("U", 0, 0),
    "sha256": ("U", 0, 0),
}


def _from_prepared(path: Path, arrays: Arrays) -> Dataset:
    version = arrays["format_version"]
    if version.shape != () or version.dtype.kind != "i" or not 1 <= int(version) <= FORMAT_VERSION:
        raise DataError(f"format version {version}; this cnnflow reads up to {FORMAT_VERSION}: update it")
    for name, wanted in _ARRAYS.items():
        if name not in arrays:
            raise DataError(f"the array {name} is missing; prepare the file again")
        array = arrays[name]
        if (array.dtype.kind, wanted[1] and array.dtype.itemsize, array.ndim) != wanted:
            raise DataError(f"{name} has dtype {array.dtype} and shape {array.shape}; prepare the file again")
    if _sha256(arrays["images"]) != str(arrays["sha256"]):
        raise DataError("its pictures are not those that were written (sha256); prepare the file again")
    return _assembled(arrays, _about(arrays))


def _about(arrays: Arrays) -> dict[str, Any]:
    """The checked content of `about`."""
    wanted = {"name": str, "mirror": bool, "resize": dict | None, "labels_in": dict | None}
    try:
        about = json.loads(str(arrays["about"]))
    except json.JSONDecodeError as error:
        raise DataError("about is no JSON; prepare the file again") from error
    if not isinstance(about, dict) or any(not isinstance(about.get(name), kind) for name, kind in wanted.items()):
        raise DataError(f"about is {about!r:.100}; prepare the file again")
    if about["resize"] is not None and Resize.from_dict(about["resize"]).shape != arrays["images"].shape[1:]:
        raise DataError(f"images of shape {arrays['images'].shape} under the resize rule {about['resize']}")
    return about


def _assembled(arrays: Arrays, about: dict[str, Any]) -> Dataset:
    count, splits = len(arrays["images"]), arrays["split"]
    for name in ("labels", "origins", "split"):
        if len(arrays[name]) != count:
            raise DataError(f"{name} of shape {arrays[name].shape} for {count} images; prepare the file again")
    if unknown := set(splits.tolist()) - set(SPLITS):
        raise DataError(f"split {min(unknown)!r}; it must be one of {', '.join(SPLITS)}")
    class_names = tuple(arrays["class_names"].tolist())
    parts = {}
    for split in SPLITS:
        rows = np.flatnonzero(splits == split)
        origins = arrays["origins"][rows].tolist()
        parts[split] = ImageSet(rows_of(arrays["images"], rows), arrays["labels"][rows], class_names, origins)
    groups = arrays.get("groups")
    if groups is not None and (groups.dtype != np.int64 or groups.shape != (len(parts[TRAIN]),)):
        raise DataError(f"groups of shape {groups.shape} for {len(parts[TRAIN])} training pictures")
    return Dataset(
        about["name"],
        train=parts[TRAIN],
        validation=parts[VALIDATION] or None,
        test=parts[TEST] or None,
        mirror=about["mirror"],
        labels_in=about["labels_in"] and {code: tuple(names) for code, names in about["labels_in"].items()},
        resize=about["resize"],
        groups=groups,
    )


def _from_keras(path: Path, arrays: Arrays) -> Dataset:
    values = np.unique(_keras_labels("y_train", arrays))
    names = arrays.get("class_names", values.astype(str))
    if names.ndim != 1 or names.dtype.kind != "U" or len(names) < len(values):
        raise DataError(f"class_names of shape {names.shape} for {len(values)} classes; there must be one for each")
    if len(names) > len(values):  # a class without training pictures
        values = np.arange(len(names))
    parts = {}
    for split, ending in ((TRAIN, "train"), (VALIDATION, "val"), (TEST, "test")):
        if f"x_{ending}" in arrays:
            parts[split] = _keras_part(ending, arrays, values, tuple(names.tolist()))
    return Dataset(path.stem, parts[TRAIN], parts.get(VALIDATION), parts.get(TEST))


def _keras_labels(name: str, arrays: Arrays) -> NDArray[np.int64]:
    labels = arrays.get(name)
    if labels is None or labels.dtype.kind not in "iu" or labels.size != len(labels):
        what = "is missing" if labels is None else f"has dtype {labels.dtype} and shape {labels.shape}"
        raise DataError(f"{name} {what}; it must be whole numbers, one for each image")
    return labels.reshape(-1).astype(np.int64)


def _keras_part(ending: str, arrays: Arrays, values: NDArray[np.int64], names: tuple[str, ...]) -> ImageSet:
    images, labels = arrays[f"x_{ending}"], _keras_labels(f"y_{ending}", arrays)
    if images.ndim == 3:
        images = images[..., None]
    if unknown := set(labels.tolist()) - set(values.tolist()):
        raise DataError(f"y_{ending} has label {min(unknown)}, which y_train has not; leave those images out")
    origins = [f"{ending}/{row}" for row in range(len(images))]
    return ImageSet(images, np.searchsorted(values, labels).astype(np.int64), names, origins)


def _check_fits(path: Path, dataset: Dataset, config: DataConfig) -> None:
    height, width, channels = dataset.train.image_shape
    if config.size is not None and config.size != (height, width):
        wanted = " x ".join(map(str, config.size))
        raise OptionError(f"size {wanted}, but the pictures in {path} are {height} x {width}; prepare the folder again")
    defaults = DataConfig(config.source)
    there = dataset.resize or {"color": "rgb" if channels == 3 else "gray", "fit": config.fit}
    for name, wanted, default in (("color", config.color, defaults.color), ("fit", config.fit, defaults.fit)):
        if wanted not in (default, there[name]):
            raise OptionError(f"{name} {wanted}, but {path} was prepared with {there[name]}; prepare the folder again")
