"""What an audit finds."""

from collections import Counter
from dataclasses import dataclass

HARD, SOFT = "hard", "soft"


@dataclass(frozen=True)
class Finding:
    """Something about a folder of pictures that its owner should know.

    Attributes:
        kind: what it is, in a word or two, such as "truncated" or "leak".
        severity: "hard": it must be looked at before any training; "soft": it may be as it should be.
        files: the files or folders that it is about, under the root.
        message: one line with the files, what is wrong and the way out.
    """

    kind: str
    severity: str
    files: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class Audit:
    """All that was found in a folder of pictures.

    Attributes:
        folder: the folder.
        pictures: how many files can be used.
        classes: how many usable pictures each class has, by split and class name.
        findings: the hard ones first.
    """

    folder: str
    pictures: int
    classes: dict[str, dict[str, int]]
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[str, int]:
        """How many findings there are of each kind, hard kinds first."""
        return dict(Counter(finding.kind for finding in self.findings))

    @property
    def hard(self) -> tuple[Finding, ...]:
        """What must be looked at before any training."""
        return tuple(finding for finding in self.findings if finding.severity == HARD)


def some(names: "tuple[str, ...] | list[str]", most: int = 4) -> str:
    """The first of `names`, and how many more there are."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
