"""The audit of a folder: every file decoded in full and measured, before any training."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cnnflow.data.audit.classes import class_counts, class_findings
from cnnflow.data.audit.duplicates import duplicate_findings
from cnnflow.data.audit.files import file_findings, stray_findings
from cnnflow.data.audit.findings import HARD, Audit, Finding
from cnnflow.data.audit.looks import Look, look, look_findings
from cnnflow.data.decode import open_picture, report
from cnnflow.data.faults import Fault, PictureError
from cnnflow.data.likeness import Likeness, groups_of_likeness, likeness
from cnnflow.data.listing import list_folder
from cnnflow.data.split import group_digests
from cnnflow.data.threads import map_in_threads
from cnnflow.events import OnEvent, ignore


@dataclass(frozen=True, eq=False)
class _Seen:
    look: Look
    digest: bytes
    hash: int
    thumbnail: NDArray[np.uint8]


def audit(folder: Path, *, workers: int | None = None, on_event: OnEvent = ignore) -> Audit:
    """Look at every file of a folder of pictures and tell what is wrong or odd.

    Nothing is changed. Pictures are equal where all their pixels are, at full size and upright, whatever the format.

    Args:
        folder: laid out as `load_folder` takes it.
        workers: threads; None: one a core.
        on_event: receives `Progress`.

    Raises:
        DataError: it is no folder with class folders.

    Example:
        >>> audit(Path("flower_photos")).counts
        {'label conflict': 1, 'near duplicate': 22, ...}
    """
    listing = list_folder(folder)
    seen, rows, faults = [], [], []
    paths = [listing.location(file) for file in listing.files]
    for row, one in enumerate(map_in_threads(_see, paths, workers=workers, block=8)):
        if isinstance(one, Fault):
            faults.append((row, one))
        else:
            seen.append(one)
            rows.append(row)
        report(on_event, row + 1, len(paths))
    files = [listing.files[row] for row in rows]
    equal = group_digests(b"".join(one.digest for one in seen))
    alike = groups_of_likeness(_likeness(seen), equal)
    counts = class_counts(listing, files)
    findings = [
        *file_findings(listing, faults),
        *duplicate_findings(files, equal, alike),
        *class_findings(counts),
        *look_findings([file.origin for file in files], [one.look for one in seen]),
        *stray_findings(listing),
    ]
    return Audit(str(folder), len(files), counts, _ordered(findings))


def _ordered(findings: list[Finding]) -> tuple[Finding, ...]:
    """The hard ones first, and those of one kind together."""
    kinds = list(dict.fromkeys(finding.kind for finding in findings))
    return tuple(sorted(findings, key=lambda finding: (finding.severity != HARD, kinds.index(finding.kind))))


def _see(path: Path) -> _Seen | Fault:
    try:
        picture = open_picture(path)
    except PictureError as error:
        return error.fault
    return _Seen(look(picture), _digest(picture), *likeness(picture))


def _digest(picture: Image.Image) -> bytes:
    """The sha256 of the picture's size and RGB pixels, so that a grey picture equals itself saved in colour."""
    pixels = picture.convert("RGB").tobytes()
    return hashlib.sha256(b"%d x %d " % picture.size + pixels).digest()


def _likeness(seen: list[_Seen]) -> Likeness:
    thumbnails = [one.thumbnail for one in seen]
    return Likeness(
        np.array([one.hash for one in seen], np.uint64),
        np.stack(thumbnails) if thumbnails else Likeness.empty(0).thumbnails,
    )
