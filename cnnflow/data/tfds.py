"""Datasets of TensorFlow Datasets (TFDS), read without TensorFlow.

TFDS can store what it prepares as array_record, which `as_data_source` reads with NumPy alone. Preparing is another
matter: most builders import TensorFlow for it. Pictures are taken as they are stored and decoded here, so that they
have the same limits and the same pixels as any other picture.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnflow.config import DataConfig
from cnnflow.data.cache import Arrays, read_cached, write_cached
from cnnflow.data.image_set import Dataset, ImageSet
from cnnflow.data.order import canonical_order
from cnnflow.data.places import tfds_data_dir
from cnnflow.data.resize import Resize
from cnnflow.data.tfds_builders import builder_in, builder_named, one_line
from cnnflow.data.threads import map_in_threads
from cnnflow.errors import DataError
from cnnflow.events import Caution, OnEvent, Progress, ignore

PREFIX = "tfds:"
SPLITS = ("train", "validation", "test")
_RECORDS_AT_ONCE = 256


@dataclass(frozen=True)
class Prepared:
    """A dataset of labelled pictures that TFDS has prepared.

    Attributes:
        builder: the `tfds.core.DatasetBuilder` that reads it.
        image: the name of the feature that is the picture.
        label: the name of the feature that is the class.
    """

    builder: Any
    image: str
    label: str

    @property
    def folder(self) -> Path:
        """Where it is."""
        return Path(self.builder.data_path)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class names, in the order of the labels."""
        return tuple(self.builder.info.features[self.label].names)

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have pictures, by TFDS' names."""
        return tuple(name for name, split in self.builder.info.splits.items() if split.num_examples)

    def one_size(self) -> Resize | None:
        """The size and colours that all pictures have, or None where they differ."""
        height, width, channels = self.builder.info.features[self.image].shape
        if height is None or width is None:
            return None
        return Resize(height, width, color="gray" if channels == 1 else "rgb")

    def records(self, split: str) -> Iterator[tuple[bytes, int]]:
        """The bytes of each picture's file and its label, in the order in which they are stored."""
        with one_line(f"cannot read {self.folder}"):
            source = self._source(split)
            for block in _blocks(len(source)):
                yield from self._block(source, block)

    def images(
        self, split: str, resize: Resize, *, on_event: OnEvent = ignore
    ) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The pictures of a split, decoded in threads: uint8 `[n, h, w, c]` and int64 `[n]`, in canonical order.

        Raises `DataError` for a picture that cannot be decoded.
        """
        from cnnflow.data.decode import decode

        with one_line(f"cannot read {self.folder}"):
            source = self._source(split)
            images = np.empty((len(source), *resize.shape), np.uint8)
            labels = np.empty(len(source), np.int64)

            def read(block: range) -> range:
                for row, (content, label) in zip(block, self._block(source, block), strict=True):
                    images[row], labels[row] = decode(content, resize), label
                return block

            for block in map_in_threads(read, list(_blocks(len(source))), block=1):
                on_event(Progress(f"reading {split}", block.stop, len(source)))
        order = canonical_order(images, labels)
        return images[order], labels[order]

    def _source(self, split: str) -> Any:
        import tensorflow_datasets as tfds

        try:
            return self.builder.as_data_source(split, decoders={self.image: tfds.decode.SkipDecoding()})
        except NotImplementedError as error:
            raise DataError(
                f"{self.folder} is not stored as array_record, which alone can be read without TensorFlow; delete it "
                f"and prepare it again: tfds build {self.builder.name} --file_format=array_record"
            ) from error

    def _block(self, source: Any, rows: range) -> list[tuple[bytes, int]]:
        return [(example[self.image], int(example[self.label])) for example in source.__getitems__(list(rows))]


def load_tfds(config: DataConfig, *, on_event: OnEvent = ignore) -> Dataset:
    """The image classification dataset `tfds:NAME` of TFDS, each split in canonical order.

    NAME may have a config and a version, as TFDS writes them: `tfds:cifar10_corrupted/fog_3`. It is read from
    `config.data_dir`, or else `$TFDS_DATA_DIR`, or else `~/tensorflow_datasets`, and prepared there where it is not.
    The decoded pictures are cached. It is not known whether they may be mirrored, so `mirror` is False.

    Raises:
        OptionError: TFDS has no such dataset.
        DataError: it holds no labelled pictures, or cannot be prepared or read.

    Example:
        >>> load_tfds(DataConfig("tfds:mnist")).train.image_shape
        (28, 28, 1)
    """
    data_dir = Path(config.data_dir).expanduser() if config.data_dir is not None else tfds_data_dir()
    builder = builder_named(config.source.removeprefix(PREFIX), data_dir, on_event=on_event)
    prepared = labelled_pictures(builder)
    one_size = prepared.one_size() if config.size is None else None
    arrays = _arrays(prepared, one_size or _resize(prepared, config), on_event)
    splits = {split: _image_set(split, arrays, prepared) for split in SPLITS if f"x_{split}" in arrays}
    return Dataset(
        config.source,
        splits["train"],
        splits.get("validation"),
        splits.get("test"),
        mirror=False,
        resize=None if one_size else _resize(prepared, config).to_dict(),
    )


def open_folder(folder: Path) -> Prepared:
    """The dataset of labelled pictures in `folder`, one version's folder of a TFDS data folder."""
    return labelled_pictures(builder_in(folder))


def labelled_pictures(builder: Any) -> Prepared:
    """Which features of a prepared TFDS dataset are the picture and its class; `DataError` where that is not clear."""
    import tensorflow_datasets as tfds

    features = dict(builder.info.features)
    keys = builder.info.supervised_keys
    preferred = list(keys) if isinstance(keys, tuple) and set(keys) <= set(features) else list(features)
    images = [key for key in preferred if type(features[key]) is tfds.features.Image]
    labels = [key for key in preferred if type(features[key]) is tfds.features.ClassLabel]
    if len(images) != 1 or len(labels) != 1:
        have = ", ".join(sorted(features))
        raise DataError(f"tfds:{builder.name} has {have}; it must have one Image and one ClassLabel")
    if (dtype := np.dtype(features[images[0]].np_dtype)) != np.uint8:
        raise DataError(f"tfds:{builder.name} has pictures of {dtype}; only those of uint8 are read")
    return Prepared(builder, images[0], labels[0])


def _resize(prepared: Prepared, config: DataConfig) -> Resize:
    """What `config` asks for, but grey where the pictures are."""
    rule = Resize.from_config(config)
    channels = prepared.builder.info.features[prepared.image].shape[2]
    return Resize(rule.height, rule.width, rule.fit, "gray" if channels == 1 else rule.color)


def _arrays(prepared: Prepared, resize: Resize, on_event: OnEvent) -> Arrays:
    name = _cache_name(prepared, resize)
    arrays = read_cached(name, lambda arrays: _check_arrays(arrays, resize), on_event=on_event)
    if arrays is None:
        arrays = {}
        for split, stored in _stored_splits(prepared).items():
            images, labels = prepared.images(stored, resize, on_event=on_event)
            if labels.min() < 0:
                on_event(Caution(f"the {split} split of tfds:{prepared.builder.name} has no labels; it is left out"))
            else:
                arrays |= {f"x_{split}": images, f"y_{split}": labels}
        _check_arrays(arrays, resize)
        write_cached(name, arrays, on_event=on_event)
    return arrays


def _stored_splits(prepared: Prepared) -> dict[str, str]:
    """TFDS' name of each of our splits; the only split of a dataset is the training split, whatever it is called."""
    if len(prepared.splits) == 1:
        return {"train": prepared.splits[0]}
    if "train" not in prepared.splits:
        raise DataError(
            f"tfds:{prepared.builder.name} has {', '.join(prepared.splits)}; one split must be called train"
        )
    return {split: split for split in SPLITS if split in prepared.splits}


def _check_arrays(arrays: Arrays, resize: Resize) -> None:
    for split in SPLITS:
        if split != "train" and f"x_{split}" not in arrays:
            continue
        images, labels = arrays.get(f"x_{split}"), arrays.get(f"y_{split}")
        if images is None or labels is None or images.shape != (len(labels), *resize.shape):
            size = f"{resize.height}x{resize.width}"
            raise DataError(f"the {split} split has no labelled pictures of {size}; prepare it again")


def _cache_name(prepared: Prepared, resize: Resize) -> str:
    info = prepared.folder / "dataset_info.json"
    identity = [str(prepared.folder.resolve()), info.stat().st_mtime_ns, info.read_text("utf-8"), resize.to_dict()]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()
    return f"tfds-{prepared.builder.name}-{digest[:16]}.npz"


def _image_set(split: str, arrays: Arrays, prepared: Prepared) -> ImageSet:
    images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
    return ImageSet(images, labels, prepared.class_names, [f"{split}/{row}" for row in range(len(labels))])


def _blocks(count: int) -> Iterator[range]:
    return (range(start, min(start + _RECORDS_AT_ONCE, count)) for start in range(0, count, _RECORDS_AT_ONCE))
