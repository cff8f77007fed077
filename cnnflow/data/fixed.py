"""Datasets of one known size: so many training and test images, each of the same shape, as four arrays.

The arrays have the names that Keras' own NPZ files use: `x_train`, `y_train`, `x_test`, `y_test`.
"""

from dataclasses import dataclass, field

import numpy as np

from cnnflow.config import DataConfig
from cnnflow.data.cache import Arrays
from cnnflow.data.image_set import Dataset, ImageSet
from cnnflow.data.order import canonical_order
from cnnflow.errors import DataError, OptionError


@dataclass(frozen=True)
class FixedSet:
    """What a dataset of one known size holds.

    Attributes:
        name: its name on the command line.
        train: how many training images there are.
        test: how many test images there are.
        image_shape: `(height, width, channels)` of each.
        class_names: in the order of the labels.
        names_in: the class names in other languages, by language code.
    """

    name: str
    train: int
    test: int
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    names_in: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def check(self, arrays: Arrays) -> None:
        """Raise `DataError` unless `arrays` has the four arrays, uint8, with the shapes of this dataset."""
        for name, shape in self._shapes().items():
            if name not in arrays:
                raise DataError(f"{self.name} has no array {name}; there must be x_train, y_train, x_test and y_test")
            array = arrays[name]
            if array.shape != shape or array.dtype != np.uint8:
                raise DataError(
                    f"{self.name} has {name} of shape {array.shape} and dtype {array.dtype}; it must be {shape}, uint8"
                )
            if name.startswith("y") and array.max() >= len(self.class_names):
                raise DataError(
                    f"{self.name} has label {array.max()} in {name}; the largest is {len(self.class_names) - 1}"
                )

    def dataset(self, arrays: Arrays) -> Dataset:
        """The checked `arrays` as a `Dataset`; the origin of an image is its split and row, such as "train/17"."""
        return Dataset(
            self.name,
            train=self._split("train", arrays),
            test=self._split("test", arrays),
            mirror=True,
            labels_in=dict(self.names_in),
        )

    def refuse_options(self, config: DataConfig) -> None:
        """Raise `OptionError` for options that these images, all of one size, have no use for."""
        height, width, _ = self.image_shape
        if config.size is not None:
            raise OptionError(f"size={config.size} with {self.name}, whose images are {height}x{width}; leave it out")
        if config.color != "rgb":
            raise OptionError(f"color={config.color!r} with {self.name}; it is for folders of pictures; leave it out")

    def _split(self, split: str, arrays: Arrays) -> ImageSet:
        labels = arrays[f"y_{split}"].astype(np.int64)
        origins = [f"{split}/{row}" for row in range(len(labels))]
        return ImageSet(arrays[f"x_{split}"], labels, self.class_names, origins)

    def _shapes(self) -> dict[str, tuple[int, ...]]:
        return {
            "x_train": (self.train, *self.image_shape),
            "y_train": (self.train,),
            "x_test": (self.test, *self.image_shape),
            "y_test": (self.test,),
        }


def in_canonical_order(arrays: Arrays) -> Arrays:
    """The same four arrays with the images of each split in canonical order (see `cnnflow.data.order`)."""
    ordered: Arrays = {}
    for split in ("train", "test"):
        images, labels = arrays[f"x_{split}"], arrays[f"y_{split}"]
        order = canonical_order(images, labels)
        ordered |= {f"x_{split}": images[order], f"y_{split}": labels[order]}
    return ordered
