"""When snapshots are written, and what happens when they cannot be."""

import time
from collections.abc import Callable
from pathlib import Path

from cnnflow.events import Caution, OnEvent
from cnnflow.training.snapshot import Snapshot, write_snapshot

SECONDS_BETWEEN = 30.0
# A snapshot waits until training has gone on for this many times as long as the last one took: at most 2% of the time.
_PATIENCE = 50
_SECONDS_BETWEEN_WARNINGS = 60.0


class SnapshotSaver:
    """Writes snapshots into one folder, seldom enough to cost under 2% of the time, and survives a full disk.

    Attributes:
        seconds: how long the writing of snapshots has taken in all.
    """

    def __init__(self, folder: Path | None, on_event: OnEvent, *, interval: float = SECONDS_BETWEEN) -> None:
        self.seconds = 0.0
        self._folder = folder
        self._on_event = on_event
        self._interval = interval
        self._last_order = -1
        self._last_cost = 0.0
        self._last_time = time.monotonic()
        self._last_warning = -_SECONDS_BETWEEN_WARNINGS

    def due_in_epoch(self) -> bool:
        """Whether it is time for a snapshot in the middle of an epoch."""
        return self._folder is not None and self._since() >= max(self._interval, _PATIENCE * self._last_cost)

    def due_after_epoch(self) -> bool:
        """Whether it is time for a snapshot at an epoch's end: always, but where epochs are shorter than 50 of them."""
        return self._folder is not None and self._since() >= min(self._interval, _PATIENCE * self._last_cost)

    def save(self, order: int, take: Callable[[], Snapshot]) -> None:
        """Write what `take` returns, unless the last one was of the same `order`.

        A disk that is full or closed is a warning (one a minute at most), not an end.
        """
        if self._folder is None or order == self._last_order:
            return
        started = time.monotonic()
        try:
            write_snapshot(self._folder, take(), order=order)
            self._last_order = order
        except OSError as error:
            self._warn(error)
        self._last_time = time.monotonic()
        self._last_cost = self._last_time - started
        self.seconds += self._last_cost

    def _since(self) -> float:
        return time.monotonic() - self._last_time

    def _warn(self, error: OSError) -> None:
        if time.monotonic() - self._last_warning >= _SECONDS_BETWEEN_WARNINGS:
            self._last_warning = time.monotonic()
            self._on_event(Caution(f"no snapshot could be written ({error}); training goes on, the older one stays"))
