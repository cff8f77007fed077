"""Keeping some classes of a dataset."""

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches

import numpy as np

from cnnflow.data.image_set import Dataset, ImageSet
from cnnflow.data.shards import select
from cnnflow.errors import OptionError


def keep_classes(dataset: Dataset, names: Sequence[str]) -> Dataset:
    """The images of the classes `names`, which become the labels 0, 1, ... in that order; no names: all, as they are.

    Images keep their order within each split.

    Raises `OptionError` for a name that is no class of the dataset (the message has the nearest), or that repeats.

    Example:
        >>> keep_classes(flowers, ["dandelion", "daisy"]).train.class_names
        ('dandelion', 'daisy')
    """
    check_names(names)
    if not names:
        return dataset
    old = [_label(name, dataset) for name in names]
    rows = _rows(dataset.train, old)
    return replace(
        dataset,
        train=_kept(dataset.train, old),
        validation=dataset.validation and _kept(dataset.validation, old),
        test=dataset.test and _kept(dataset.test, old),
        labels_in={code: tuple(all_names[i] for i in old) for code, all_names in (dataset.labels_in or {}).items()},
        groups=None if dataset.groups is None else dataset.groups[rows],
    )


def check_names(names: Sequence[str]) -> None:
    """Raise `OptionError` unless `names` are none, or two classes or more, each named once."""
    if len(names) == 1:
        raise OptionError(f"only the class {names[0]}; a classifier needs at least two")
    if len(set(names)) != len(names):
        raise OptionError(f"classes {', '.join(names)}; each class can be named once")


def _label(name: str, dataset: Dataset) -> int:
    known = dataset.train.class_names
    if name in known:
        return known.index(name)
    near = get_close_matches(name, known, n=1)
    some = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
    hint = f"did you mean {near[0]}?" if near else f"it has {some}"
    raise OptionError(f"no class {name!r} in {dataset.name}; {hint}")


def _kept(images: ImageSet, old: list[int]) -> ImageSet:
    new = np.full(len(images.class_names), -1, np.int64)
    new[old] = np.arange(len(old))
    kept = select(images, _rows(images, old))
    return replace(kept, labels=new[kept.labels], class_names=tuple(images.class_names[i] for i in old))


def _rows(images: ImageSet, old: list[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.flatnonzero(np.isin(images.labels, old))
