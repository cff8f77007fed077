"""What long work reports while it runs.

A function that takes long has one keyword `on_event`, a callable that receives these. The library never prints;
the command line turns events into progress bars and lines.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """`done` of `total` units of `task` are ready (`total` None: not known)."""

    task: str
    done: int
    total: int | None
    unit: str = "images"


@dataclass(frozen=True)
class Note:
    """Something worth one line: what was chosen and why, where a file went."""

    message: str


@dataclass(frozen=True)
class Caution:
    """Something that went differently than a user may expect, and that work goes on after."""

    message: str


@dataclass(frozen=True)
class StepDone:
    """Training has done step `step` (from 0) of the `steps` in epoch `epoch` (from 0) of `epochs`."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float
    images_per_second: float


@dataclass(frozen=True)
class EpochDone:
    """An epoch of `epochs` is done; `history` has a row for each one so far, as history.csv has."""

    epochs: int
    history: tuple[dict[str, float], ...]


Event = Progress | Note | Caution | StepDone | EpochDone
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """The default of every `on_event`: report to nobody."""
