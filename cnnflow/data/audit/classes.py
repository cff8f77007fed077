"""Findings about class folders: which there are in which split, and how many pictures each has."""

from collections import Counter
from collections.abc import Iterable, Mapping

from cnnflow.data.audit.findings import HARD, SOFT, Finding, some
from cnnflow.data.listing import TRAIN, Listing, PictureFile

EMPTY_CLASS, CLASSES_DIFFER, TOO_SMALL = "empty class", "classes differ", "class too small"
SMALL, UNBALANCED, ONE_CLASS = "small class", "unbalanced", "one class"

# With fewer than three, train, validation and test cannot have one each.
_FEWEST = 3
_FEW = 50
_UNBALANCED = 3.0

Counts = Mapping[str, Mapping[str, int]]


def class_counts(listing: Listing, usable: Iterable[PictureFile]) -> dict[str, dict[str, int]]:
    """How many `usable` pictures each class folder has, by split and class name, 0 for those that have none."""
    counts = Counter((file.split, file.class_name) for file in usable)
    return {split: {name: counts[split, name] for name in names} for split, names in listing.classes.items()}


def class_findings(counts: Counts) -> list[Finding]:
    """What is odd about the classes: differences between the splits, empty, small and unbalanced ones."""
    return [*_differences(counts), *_empty(counts), *_sizes(counts.get(TRAIN, {}))]


def blocking_class_findings(counts: Counts) -> list[Finding]:
    """Those that change which classes are trained or tested."""
    return [*_differences(counts), *_empty(counts)]


def _differences(counts: Counts) -> list[Finding]:
    """Class folders that one split has and another has not, each against the first split (train where it is there)."""
    found = []
    first, *others = counts
    for other in others:
        for here, there in ((first, other), (other, first)):
            if missing := tuple(sorted(set(counts[here]) - set(counts[there]))):
                message = f"{there} has no class folder {some(missing)}, which {here} has; add it or delete the other"
                found.append(Finding(CLASSES_DIFFER, HARD, missing, message))
    return found


def _empty(counts: Counts) -> list[Finding]:
    return [
        Finding(EMPTY_CLASS, HARD, (name,), f"class {name} has no usable picture in {split}; add some or delete it")
        for split, classes in counts.items()
        for name, count in classes.items()
        if count == 0
    ]


def _sizes(classes: Mapping[str, int]) -> list[Finding]:
    found = []
    filled = {name: count for name, count in classes.items() if count}
    if len(filled) == 1:
        (name,) = filled
        message = f"{name} is the only class with pictures; a classifier needs two"
        found.append(Finding(ONE_CLASS, HARD, (name,), message))
    for name, count in filled.items():
        if count < _FEWEST:
            message = f"class {name} has {count} pictures to train on; with fewer than {_FEWEST} it cannot be split"
            found.append(Finding(TOO_SMALL, HARD, (name,), message))
        elif count < _FEW:
            message = f"class {name} has {count} pictures to train on; below {_FEW} expect a poor accuracy for it"
            found.append(Finding(SMALL, SOFT, (name,), message))
    if filled and max(filled.values()) > _UNBALANCED * min(filled.values()):
        small, large = min(filled, key=lambda name: filled[name]), max(filled, key=lambda name: filled[name])
        message = f"{large} has {filled[large]} pictures and {small} {filled[small]}; weigh the classes or add pictures"
        found.append(Finding(UNBALANCED, SOFT, (small, large), message))
    return found
