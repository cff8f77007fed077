"""Splits: which pictures train, which choose (validation) and which judge (test)."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnflow.config import DataConfig
from cnnflow.data.image_set import Dataset, Images, ImageSet
from cnnflow.data.shards import select
from cnnflow.errors import DataError, OptionError

# Beside a test split of its own, as the named datasets have, the tutorial's 20% of the training images; else 70/15/15.
VALIDATION_BESIDE_OWN_TEST = 0.2
VALIDATION_BESIDE_CUT_TEST = 0.15

# The second word of the random keys of this module: no other use of a run's seed may share it.
SPLIT_STREAM = 10
_TEST, _VALIDATION, _LIMIT = 0, 1, 2

_BYTES_AT_ONCE = 16 * 2**20


@dataclass(frozen=True, eq=False)
class Splits:
    """The three parts of a dataset; none is empty."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet


def split(dataset: Dataset, config: DataConfig, *, seed: int) -> Splits:
    """Give `dataset` the splits that it lacks, and keep at most `config.limit` images of each.

    A split of the dataset's own is used as it is. A missing one is cut from the training images: for each class
    its share, chosen by `seed`, the same one each time. Images of one group of `dataset.groups` stay on one side;
    where it has no groups, those that are equal pixel for pixel do. A class with three groups and more is in each part.

    `config.validation` and `config.test` are fractions of `dataset.train` as it came; `config.validation` None
    means 0.2 where the dataset has a test split of its own and 0.15 where it has none.

    Raises:
        DataError: there are too few images to cut from.
        OptionError: the fractions leave nothing to train on.

    Example:
        >>> parts = split(dataset, DataConfig("photos"), seed=0)
        >>> len(parts.train), len(parts.validation), len(parts.test)
        (700, 150, 150)
    """
    part = np.zeros(len(dataset.train), np.int8)
    cuts = {_TEST: config.test} if dataset.test is None else {}
    if dataset.validation is None:
        cuts[_VALIDATION] = validation_fraction(dataset, config)
    if sum(cuts.values()) >= 1:
        raise OptionError(f"validation and test take {sum(cuts.values()):.0%} of the images; leave some to train on")
    if cuts:
        groups = same_pixels(dataset.train.images) if dataset.groups is None else dataset.groups
        for number, fraction in cuts.items():
            part[_cut(dataset.train, groups, part == 0, fraction, [seed, SPLIT_STREAM, number])] = number + 1
    train = _limited(_part(dataset.train, part == 0), config.limit, seed, _LIMIT)
    validation = dataset.validation or _part(dataset.train, part == _VALIDATION + 1)
    test = dataset.test or _part(dataset.train, part == _TEST + 1)
    return Splits(
        train,
        _limited(validation, config.limit, seed, _LIMIT + 1),
        _limited(test, config.limit, seed, _LIMIT + 2),
    )


def validation_fraction(dataset: Dataset, config: DataConfig) -> float:
    """The fraction of `dataset.train` that becomes the validation split where there is none."""
    if config.validation is not None:
        return config.validation
    return VALIDATION_BESIDE_CUT_TEST if dataset.test is None else VALIDATION_BESIDE_OWN_TEST


def image_hashes(images: Images) -> list[str]:
    """The sha256 of each image's pixels as hexadecimal text; `images` is uint8 `[n, h, w, c]`, read a few at a time."""
    return [digest.hex() for digest in _digests(images)]


def same_pixels(images: Images) -> NDArray[np.int64]:
    """A group number for each image, int64 `[n]`: equal exactly where the pixels are equal."""
    return group_digests(b"".join(_digests(images)))


def group_digests(digests: bytes) -> NDArray[np.int64]:
    """A group number for each of the sha256 digests that stand one after the other: equal where they are."""
    words = np.frombuffer(digests, np.uint64).reshape(-1, 4)
    _, groups = np.unique(words, axis=0, return_inverse=True)
    return groups.astype(np.int64).reshape(-1)


def _digests(images: Images) -> Iterator[bytes]:
    step = max(1, _BYTES_AT_ONCE // max(1, int(np.prod(images.shape[1:]))))
    for start in range(0, len(images), step):
        for image in np.ascontiguousarray(images[start : start + step]):
            yield hashlib.sha256(image.data).digest()


def _cut(
    images: ImageSet, groups: NDArray[np.int64], free: NDArray[np.bool_], fraction: float, key: list[int]
) -> NDArray[np.int64]:
    """Indices of a stratified part: `fraction` of each class of `images`, taken whole groups at a time from `free`."""
    _, first, members = np.unique(groups, return_index=True, return_inverse=True)
    sizes = np.bincount(members)
    group_class = images.labels[first]  # where a group has several classes (a conflict), the first one's
    group_free = free[first]
    chosen = np.zeros(len(sizes), bool)
    for label, count in enumerate(np.bincount(images.labels, minlength=len(images.class_names))):
        candidates = np.flatnonzero(group_free & (group_class == label))
        order = np.random.default_rng([*key, label]).permutation(candidates)
        chosen[_fill(order, sizes[order], max(1, round(count * fraction)))] = True
    if not chosen.any():
        raise DataError(
            f"{len(images)} images of {len(images.class_names)} classes are too few to cut a split from; "
            "add images until a class has at least three different ones"
        )
    return np.flatnonzero(chosen[members])


def _fill(order: NDArray[np.int64], sizes: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """Groups of `order` with `wanted` images in all, as near as whole groups allow; one group is always left."""
    if len(order) < 2:
        return order[:0]
    fits = np.cumsum(sizes) <= wanted
    fits[-1] = False
    chosen, rest, rest_sizes = order[fits], order[~fits], sizes[~fits]
    missing = wanted - int(sizes[fits].sum())
    singles = rest[:-1][rest_sizes[:-1] == 1][:missing]
    if len(chosen) + len(singles) == 0:
        return rest[[int(np.argmin(rest_sizes))]]
    return np.concatenate([chosen, singles])


def _part(images: ImageSet, wanted: NDArray[np.bool_]) -> ImageSet:
    return images if wanted.all() else select(images, np.flatnonzero(wanted))


def _limited(images: ImageSet, limit: int | None, seed: int, number: int) -> ImageSet:
    """At most `limit` images, each class in its share, in their old order."""
    if limit is None or limit >= len(images):
        return images
    counts = np.bincount(images.labels, minlength=len(images.class_names))
    quotas = _quotas(counts, limit)
    chosen = [
        np.random.default_rng([seed, SPLIT_STREAM, number, label]).permutation(np.flatnonzero(images.labels == label))[
            :quota
        ]
        for label, quota in enumerate(quotas)
    ]
    return select(images, np.sort(np.concatenate(chosen)))


def _quotas(counts: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """`limit` divided like `counts`, one each first where it is enough for that; leftovers by largest remainders."""
    sure = np.minimum(counts, 1) if limit >= np.count_nonzero(counts) else np.zeros_like(counts)
    exact = (counts - sure) * ((limit - sure.sum()) / (counts - sure).sum())
    quotas: NDArray[np.int64] = sure + np.floor(exact).astype(np.int64)
    largest = np.argsort(np.floor(exact) - exact, kind="stable")
    quotas[largest[: limit - quotas.sum()]] += 1
    return quotas
