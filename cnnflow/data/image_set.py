"""`ImageSet`: labelled pictures, and `Dataset`: the splits in which a source has them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from cnnflow.errors import DataError


class Images(Protocol):
    """uint8 `[n, height, width, channels]`: an array in memory, or a stored one that reads rows when indexed."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[np.uint8]: ...
    def __len__(self) -> int: ...
    def __getitem__(self, index: NDArray[np.int64] | slice, /) -> NDArray[np.uint8]: ...


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Pictures of one size with their labels.

    Attributes:
        images: uint8 `[n, height, width, channels]`, channels 1 (grey) or 3 (RGB), values 0 to 255.
        labels: int64 `[n]`, each an index into `class_names`.
        class_names: a name for each class.
        origins: where each picture came from: a path under the folder, or "train/17" for row 17 of a split.
    """

    images: Images
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    origins: Sequence[str]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of every picture."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    def take(self, indices: NDArray[np.int64]) -> "ImageSet":
        """The pictures at `indices` (int64 `[m]`), in that order, copied into memory."""
        return replace(
            self,
            images=self.images[indices],
            labels=self.labels[indices],
            origins=[self.origins[int(i)] for i in indices],
        )

    def counts(self) -> dict[str, int]:
        """How many pictures each class has, by class name."""
        counts = np.bincount(self.labels, minlength=len(self.class_names))
        return dict(zip(self.class_names, counts.tolist(), strict=True))

    def check(self, *, every_class: bool = True) -> "ImageSet":
        """Return self, or raise `DataError` with the value and the rule that it breaks.

        With `every_class=False` a class may have no images, as it happens in a small test split.
        """
        _check_images(self.images)
        _check_labels(self.labels, len(self.images), len(self.class_names))
        if len(set(self.class_names)) != len(self.class_names):
            raise DataError(f"class names repeat: {', '.join(self.class_names)}; each class needs a name of its own")
        if len(self.origins) != len(self.images):
            raise DataError(f"{len(self.origins)} origins for {len(self.images)} images; there must be one for each")
        if every_class and (empty := [name for name, count in self.counts().items() if count == 0]):
            raise DataError(f"no images of class {', '.join(empty)}; drop the class or add images of it")
        return self


@dataclass(frozen=True, eq=False)
class Dataset:
    """The pictures of one source, in the splits that the source has.

    Attributes:
        name: what the user called it: "fashion", or a folder.
        train: the pictures to train on (and to take the missing splits from).
        validation: the source's own validation split, or None.
        test: the source's own test split, or None.
        mirror: whether a picture flipped left to right still shows its class (clothes yes, digits no).
        labels_in: class names in other languages, by language code: `{"ko": ("티셔츠/탑", ...)}`.
        resize: how pictures were brought to size, as JSON-able options; None where the source has one size.
        groups: int64 `[len(train)]`, equal for pictures that must stay on one side of a split (duplicates); or None.
    """

    name: str
    train: ImageSet
    validation: ImageSet | None = None
    test: ImageSet | None = None
    mirror: bool = True
    labels_in: dict[str, tuple[str, ...]] | None = None
    resize: dict[str, str | int] | None = None
    groups: NDArray[np.int64] | None = None


def _check_images(images: Images) -> None:
    if images.dtype != np.uint8:
        raise DataError(f"images of dtype {images.dtype}; they must be uint8 with values 0 to 255")
    if len(images.shape) != 4:
        raise DataError(f"images of shape {images.shape}; they must be [n, height, width, channels]")
    if images.shape[3] not in (1, 3):
        raise DataError(f"images with {images.shape[3]} channels; there must be 1 (grey) or 3 (RGB)")
    if 0 in images.shape:
        raise DataError(f"images of shape {images.shape}; there must be at least one image of at least one pixel")


def _check_labels(labels: NDArray[np.int64], images: int, classes: int) -> None:
    if labels.dtype != np.int64 or labels.ndim != 1:
        raise DataError(f"labels of dtype {labels.dtype} and shape {labels.shape}; they must be int64 [n]")
    if len(labels) != images:
        raise DataError(f"{len(labels)} labels for {images} images; there must be one for each")
    if labels.min() < 0 or labels.max() >= classes:
        worst = int(labels.min()) if labels.min() < 0 else int(labels.max())
        raise DataError(f"label {worst} with {classes} classes; labels must be 0 to {classes - 1}")
