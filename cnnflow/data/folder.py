"""A folder of pictures as a `Dataset`: what can be used of it, and everything else said."""

from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnflow.config import DataConfig
from cnnflow.data.audit.classes import blocking_class_findings, class_counts
from cnnflow.data.audit.duplicates import NEAR_CONFLICT, NEAR_LEAK, duplicate_findings
from cnnflow.data.audit.files import file_findings, stray_findings
from cnnflow.data.audit.findings import HARD, Finding
from cnnflow.data.decoded_cache import Pictures
from cnnflow.data.image_set import Dataset, Images, ImageSet
from cnnflow.data.listing import TEST, TRAIN, VALIDATION, Listing, PictureFile, list_folder
from cnnflow.data.reading import read_pictures
from cnnflow.data.resize import Resize
from cnnflow.data.shards import rows_of
from cnnflow.errors import DataError, OptionError
from cnnflow.events import Caution, Note, OnEvent, ignore

_LINES_OF_A_KIND = 50
_EXAMPLES = 3


def load_folder(root: Path, config: DataConfig, *, on_event: OnEvent = ignore) -> Dataset:
    """The pictures of a folder of class folders, with or without train/, val/ and test/ above them.

    They are brought to `config.size` (80 x 80) by `config.fit` and `config.color`. Files that cannot be used are left
    out, and each is said in a `Caution`; so are pictures that stand in two classes or in two splits, and class folders
    that the splits do not share. The groups of the result hold exact and near duplicates together. With
    `config.classes`, only those folders are read; they keep the order of their names.

    Raises:
        DataError: the folder has no usable pictures of at least two classes to train on, or, with `config.strict`,
            a bad file.
        OptionError: it has no class of that name.

    Example:
        >>> load_folder(Path("flower_photos"), DataConfig("flower_photos")).train.counts()
        {'daisy': 633, 'dandelion': 898, 'roses': 641, 'sunflowers': 699, 'tulips': 799}
    """
    listing = _with_classes(list_folder(root), config.classes)
    if TRAIN not in listing.classes:
        there = next(iter(listing.classes))
        raise DataError(f"{root} has no train folder beside {there}; add one, or give {root / there} itself")
    resize = Resize.from_config(config)
    pictures = read_pictures(listing, resize, on_event=on_event)
    bad = file_findings(listing, pictures.faults)
    if config.strict and any(finding.severity == HARD for finding in bad):
        raise DataError(_strict_message(bad))
    files = [listing.files[row] for row in pictures.rows.tolist()]
    duplicates = duplicate_findings(files, pictures.equal, pictures.alike)
    classes = blocking_class_findings(class_counts(listing, files))
    _say([*bad, *stray_findings(listing)], on_event)
    if pictures.lost:
        what = "is cut away" if resize.fit == "crop" else "is filled up with black"
        on_event(Note(f"{resize.fit}: {pictures.lost:.0%} of the average picture {what}"))
    _say([finding for finding in [*duplicates, *classes] if finding.severity == HARD], on_event)
    _say_nearly(duplicates, on_event)
    return _dataset(root, files, pictures, resize)


def _with_classes(listing: Listing, names: tuple[str, ...]) -> Listing:
    """The listing with only the class folders `names` (none given: all)."""
    if not names:
        return listing
    known = sorted(set().union(*listing.classes.values()))
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(known)}"
            raise OptionError(f"no class {name!r} in {listing.root.name}; {hint}")
    return replace(
        listing,
        files=tuple(file for file in listing.files if file.class_name in names),
        classes={split: tuple(c for c in classes if c in names) for split, classes in listing.classes.items()},
    )


def _strict_message(bad: list[Finding]) -> str:
    hard = [finding.message for finding in bad if finding.severity == HARD]
    more = f"; and {len(hard) - _EXAMPLES} more" if len(hard) > _EXAMPLES else ""
    return f"strict, and {len(hard)} bad file{'' if len(hard) == 1 else 's'}: {'; '.join(hard[:_EXAMPLES])}{more}"


def _say(findings: list[Finding], on_event: OnEvent) -> None:
    """A `Caution` for each finding, up to fifty of a kind."""
    said: dict[str, int] = {}
    for finding in findings:
        said[finding.kind] = said.get(finding.kind, 0) + 1
        if said[finding.kind] <= _LINES_OF_A_KIND:
            on_event(Caution(f"{finding.kind}: {finding.message}"))
    for kind, count in said.items():
        if count > _LINES_OF_A_KIND:
            on_event(Caution(f"{kind}: and {count - _LINES_OF_A_KIND} more; `cnnflow audit` lists all"))


def _say_nearly(duplicates: list[Finding], on_event: OnEvent) -> None:
    """One `Caution` for all near label conflicts and one for all near leaks, since some are none."""
    for kind in (NEAR_CONFLICT, NEAR_LEAK):
        if found := [finding for finding in duplicates if finding.kind == kind]:
            more = f" (and {len(found) - 1} more; `cnnflow audit` lists all)" if len(found) > 1 else ""
            on_event(Caution(f"{kind}: {found[0].message}{more}"))


def _dataset(root: Path, files: list[PictureFile], pictures: Pictures, resize: Resize) -> Dataset:
    names = tuple(sorted({file.class_name for file in files if file.split == TRAIN}))
    if len(names) < 2:
        raise DataError(
            f"{root} has usable pictures to train on of {len(names)} class{'es' if not names else ''}; "
            "a classifier needs at least two folders of pictures: `cnnflow audit` says what is wrong"
        )
    train, rows = _part(TRAIN, files, names, pictures.images)
    return Dataset(
        root.resolve().name or "pictures",
        train=train,
        validation=_part(VALIDATION, files, names, pictures.images)[0] or None,
        test=_part(TEST, files, names, pictures.images)[0] or None,
        resize=resize.to_dict(),
        groups=pictures.alike[rows],
    )


def _part(
    split: str, files: list[PictureFile], names: tuple[str, ...], images: Images
) -> tuple[ImageSet, NDArray[np.int64]]:
    """The pictures of a split that are of the classes `names`, and their rows in `images`."""
    labels = {name: label for label, name in enumerate(names)}
    rows = np.array([row for row, f in enumerate(files) if f.split == split and f.class_name in labels], np.int64)
    kept = [files[row] for row in rows.tolist()]
    return ImageSet(
        rows_of(images, rows),
        np.array([labels[file.class_name] for file in kept], np.int64),
        names,
        [file.origin for file in kept],
    ), rows
