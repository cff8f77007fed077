"""Findings about single files: those that cannot be used, and those that stand in no class."""

from collections.abc import Iterable

from cnnflow.data.audit.findings import HARD, SOFT, Finding
from cnnflow.data.faults import WRONG_FORMAT, Fault
from cnnflow.data.listing import Listing, named_like_a_picture, printable

OTHER_FILE, STRAY = "other file", "stray file"


def file_findings(listing: Listing, faults: Iterable[tuple[int, Fault]]) -> list[Finding]:
    """One finding for each file that is refused, by its row in `listing.files` or in the listing itself."""
    refused = [(listing.files[row].path, fault) for row, fault in faults]
    return [_refused(path, fault) for path, fault in sorted([*refused, *listing.refused], key=lambda item: item[0])]


def stray_findings(listing: Listing) -> list[Finding]:
    """One finding for each file or folder beside the class folders that somebody may have meant to be used."""
    return [
        Finding(STRAY, SOFT, (name,), f"{name} stands in no class folder; it is left out: move it or delete it")
        for name in map(printable, listing.strays)
        if named_like_a_picture(name) and name.rpartition("/")[2].casefold() not in _NO_PICTURES
    ]


_NO_PICTURES = frozenset(("readme", "license", "licence", "labels", "classes", "makefile", "sha256sums", "md5sums"))


def _refused(path: str, fault: Fault) -> Finding:
    name = printable(path)
    if fault.kind == WRONG_FORMAT and not named_like_a_picture(path):
        return Finding(OTHER_FILE, SOFT, (name,), f"{name} is no picture, by its name too; it is left out")
    return Finding(fault.kind, HARD, (name,), f"{name} {fault.reason}")
