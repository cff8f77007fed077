"""Work on many things in a few threads: results in order, and little done ahead."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_BLOCKS_AHEAD = 2


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def map_in_threads(
    function: Callable[[T], R], items: Sequence[T], *, workers: int | None = None, block: int = 16
) -> Iterator[R]:
    """Give `function(item)` for each of `items`, in their order, computed in `workers` threads (None: one a core).

    A thread takes `block` items at a time, and at most two blocks a thread are ready or under way. When the iterator
    is closed early or `function` raises, what has not begun is dropped.

    Example:
        >>> list(map_in_threads(len, ["a", "bc"], workers=2))
        [1, 2]
    """
    workers = workers or cores()
    blocks = (items[start : start + block] for start in range(0, len(items), block))
    pending: deque[Future[list[R]]] = deque()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="pictures")
    try:
        for part in blocks:
            pending.append(pool.submit(_each, function, part))
            if len(pending) > workers * _BLOCKS_AHEAD:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _each(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [function(item) for item in items]
