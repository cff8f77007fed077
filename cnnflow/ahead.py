"""`Ahead`: an iterator whose items are made ahead in threads, few at a time, and given in order."""

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")

# How often a waiting consumer wakes, so that Ctrl-C reaches it where a lock cannot be interrupted (Windows).
WAKE_SECONDS = 0.5
# How long `close` waits at most for items that are being made; their threads then end by themselves.
CLOSE_SECONDS = 1.0


class Ahead(Generic[Item]):
    """`make(start)`, `make(start + 1)`, ... `make(stop - 1)`, made by `workers` threads (0: when asked for).

    An error in a thread is raised where its item is asked for, with the thread's own traceback, and ends the items.
    `close()`, the end of a `with` block, or dropping the last reference ends the threads; none of them keeps the
    interpreter from exiting.

    Example:
        >>> with Ahead(lambda number: number**2, 0, 4, workers=2) as squares:
        ...     list(squares)
        [0, 1, 4, 9]
    """

    def __init__(self, make: Callable[[int], Item], start: int, stop: int, *, workers: int) -> None:
        self._inline = workers == 0
        self._shared = _Shared(make, start, stop, room=2 * workers + 1)
        self._threads = [
            threading.Thread(target=_work, args=(self._shared,), name=f"ahead-{i}", daemon=True) for i in range(workers)
        ]
        # The threads refer to what is shared, not to this object, so that it can be dropped. Nothing is waited for
        # here: the garbage collector may call this from one of the threads.
        weakref.finalize(self, self._shared.close)
        for thread in self._threads:
            thread.start()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        if self._shared.finished():
            self.close()
            raise StopIteration
        try:
            return self._shared.make_next() if self._inline else self._shared.take()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the threads; no further items are given."""
        self._shared.close()
        end = time.monotonic() + CLOSE_SECONDS
        while self._threads:
            self._threads.pop().join(max(0.0, end - time.monotonic()))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Shared(Generic[Item]):
    """What the threads and the consumer share, under one condition."""

    def __init__(self, make: Callable[[int], Item], start: int, stop: int, *, room: int) -> None:
        self.make = make
        self.stop = stop
        self.room = room
        self.claimed = self.taken = start
        self.closed = False
        self.made: dict[int, Item] = {}
        self.failed: dict[int, BaseException] = {}
        self.changed = threading.Condition()

    def finished(self) -> bool:
        return self.closed or self.taken >= self.stop

    def claim(self) -> int | None:
        """The next number to make, once there is room for its item; None: there is no more to do."""
        with self.changed:
            while not self.closed and self.taken + self.room <= self.claimed < self.stop:
                self.changed.wait()
            if self.closed or self.claimed >= self.stop:
                return None
            self.claimed += 1
            return self.claimed - 1

    def run(self, number: int) -> bool:
        """Make one item; whether that went well."""
        try:
            item = _without_stop_iteration(self.make, number)
        except BaseException as error:
            with self.changed:
                self.failed[number] = error
                self.changed.notify_all()
            return False
        with self.changed:
            # After `close` nobody asks for it.
            if not self.closed:
                self.made[number] = item
            self.changed.notify_all()
        return True

    def take(self) -> Item:
        """The next item, once it is made; raises the error that kept it from being made."""
        with self.changed:
            while self.taken not in self.made and self.taken not in self.failed:
                self.changed.wait(WAKE_SECONDS)
            if self.taken in self.failed:
                raise self.failed.pop(self.taken)
            item = self.made.pop(self.taken)
            self.taken += 1
            self.changed.notify_all()
            return item

    def make_next(self) -> Item:
        """The next item, made here and now."""
        item = _without_stop_iteration(self.make, self.taken)
        self.taken += 1
        return item

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.made.clear()
            self.changed.notify_all()


def _work(shared: _Shared[Item]) -> None:
    while (number := shared.claim()) is not None:
        if not shared.run(number):
            return


def _without_stop_iteration(make: Callable[[int], Item], number: int) -> Item:
    try:
        return make(number)
    except StopIteration as error:
        # Out of an iterator it would pass for the end of the items.
        raise RuntimeError(f"StopIteration while item {number} was made") from error
