"""Signals that end training at the end of a step."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

ShouldStop = Callable[[], bool]

_EXIT_INTERRUPTED = 130


def never() -> bool:
    """The default `should_stop`: train to the end."""
    return False


@contextmanager
def stop_on_signals(announce: Callable[[], None]) -> Iterator[ShouldStop]:
    """Within the block Ctrl-C and SIGTERM only set a flag, which the function that is given reads.

    An exception in the middle of a step would lose the model on JAX, whose step donates the old weights' memory.
    `announce` is called at the first signal. A second one ends the process at once with code 130: every file of a
    run is replaced whole, so that nothing is damaged.
    """
    asked = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            os._exit(_EXIT_INTERRUPTED)
        asked = True
        announce()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
