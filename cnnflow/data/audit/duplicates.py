"""Findings about pictures that are there more than once."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cnnflow.data.audit.findings import HARD, SOFT, Finding, some
from cnnflow.data.listing import PictureFile

LABEL_CONFLICT, LEAK, DUPLICATE = "label conflict", "leak", "duplicate"
NEAR_CONFLICT, NEAR_LEAK, NEAR_DUPLICATE = "near label conflict", "near leak", "near duplicate"


def duplicate_findings(
    files: Sequence[PictureFile], equal: NDArray[np.int64], alike: NDArray[np.int64]
) -> list[Finding]:
    """What is equal or nearly so among `files`.

    Args:
        files: n files that can be read.
        equal: int64 `[n]`, a group number for each; the same where all pixels are.
        alike: int64 `[n]`, the same where pictures are equal or near duplicates.
    """
    exact = [finding for rows in _groups(equal) for finding in _about_equal([files[row] for row in rows])]
    near = [_about_near([files[row] for row in rows]) for rows in _groups(alike) if len(set(equal[rows].tolist())) > 1]
    return exact + near


def _groups(numbers: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """The rows of each group of two and more, in the order of their first rows."""
    order = np.argsort(numbers, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1)
    yield from sorted((part for part in parts if len(part) > 1), key=lambda part: int(part[0]))


def _about_equal(files: list[PictureFile]) -> Iterator[Finding]:
    names = tuple(file.origin for file in files)
    classes, splits = _distinct(files)
    if len(classes) > 1:
        message = f"{some(names)} are one picture in {len(classes)} classes ({some(classes)}); delete the wrong ones"
        yield Finding(LABEL_CONFLICT, HARD, names, message)
    if len(splits) > 1:
        message = f"{some(names)} are one picture in {' and '.join(splits)}; delete it from all but one"
        yield Finding(LEAK, HARD, names, message)
    if len(classes) == len(splits) == 1:
        yield Finding(DUPLICATE, SOFT, names, f"{some(names)} are one picture; it counts {len(names)} times")


def _about_near(files: list[PictureFile]) -> Finding:
    names = tuple(file.origin for file in files)
    classes, splits = _distinct(files)
    if len(classes) > 1:
        message = f"{some(names)} look the same and are of {len(classes)} classes ({some(classes)}); look at them"
        return Finding(NEAR_CONFLICT, SOFT, names, message)
    if len(splits) > 1:
        message = f"{some(names)} look the same and are in {' and '.join(splits)}; keep them on one side"
        return Finding(NEAR_LEAK, SOFT, names, message)
    return Finding(NEAR_DUPLICATE, SOFT, names, f"{some(names)} look the same; a split keeps them on one side")


def _distinct(files: list[PictureFile]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(sorted({file.class_name for file in files})), tuple(sorted({file.split for file in files}))
