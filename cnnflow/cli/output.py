"""What people and programs see: results on stdout, progress and remarks on stderr."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from cnnflow.events import Caution, EpochDone, Event, Note, OnEvent, StepDone
from cnnflow.events import Progress as ProgressEvent

_SECONDS_BETWEEN_LINES = 30.0


def results() -> Console:
    """The console for results; it writes to stdout."""
    return Console(highlight=False, soft_wrap=False)


def remarks() -> Console:
    """The console for progress, notes and errors; it writes to stderr."""
    return Console(stderr=True, highlight=False)


def print_json(content: Any) -> None:
    """Write one JSON document to stdout; NaN is refused, since it is not JSON."""
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


@contextmanager
def show_events() -> Iterator[OnEvent]:
    """Give an `on_event` that draws progress bars on a terminal and writes plain lines elsewhere."""
    console = remarks()
    if console.is_terminal:
        with _bars(console) as bars:
            yield _Bars(bars)
    else:
        yield _Lines(console)


def _bars(console: Console) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[facts]}"),
        console=console,
        expand=True,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    )


class _Bars:
    """One bar for all epochs, one for the steps of an epoch, one for each other task."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._tasks: dict[str, Any] = {}

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepDone):
            self._step(event)
        elif isinstance(event, EpochDone):
            self._bars.console.print(epoch_line(event))
        elif isinstance(event, ProgressEvent):
            self._update(event.task, *in_megabytes(event))
        else:
            print_remark(self._bars.console, event)

    def _step(self, event: StepDone) -> None:
        done = event.epoch * event.steps + event.step + 1
        facts = f"loss {event.loss:.4f}  acc {event.accuracy:.4f}  {event.images_per_second:,.0f} img/s"
        self._update("training", done, event.epochs * event.steps)
        self._update(f"epoch {event.epoch + 1}/{event.epochs}", event.step + 1, event.steps, facts)

    def _update(self, name: str, done: int, total: int | None, facts: str = "") -> None:
        if name.startswith("epoch "):
            for old in [task for task in self._tasks if task.startswith("epoch ") and task != name]:
                self._bars.remove_task(self._tasks.pop(old))
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, facts=facts)
        self._bars.update(self._tasks[name], completed=done, total=total, facts=facts)
        if total is not None and done >= total:
            self._bars.remove_task(self._tasks.pop(name))


class _Lines:
    """A line an epoch, and one every half minute of anything else that takes long."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def __call__(self, event: Event) -> None:
        if isinstance(event, EpochDone):
            self._print(epoch_line(event))
        elif isinstance(event, Note | Caution):
            print_remark(self._console, event)
        elif time.monotonic() - self._last >= _SECONDS_BETWEEN_LINES:
            self._print(_progress_line(event))

    def _print(self, line: str) -> None:
        self._last = time.monotonic()
        self._console.print(line, soft_wrap=True, markup=False)


def in_megabytes(event: ProgressEvent) -> tuple[int, int | None]:
    """Done and total, in MB where the unit is bytes."""
    scale = 10**6 if event.unit == "bytes" else 1
    return event.done // scale, None if event.total is None else -(-event.total // scale)


def epoch_line(event: EpochDone) -> str:
    """What is said of an epoch that is done."""
    row = event.history[-1]
    return (
        f"epoch {row['epoch']:>3.0f}/{event.epochs}  loss {row['loss']:.4f}  accuracy {row['accuracy']:.4f}  "
        f"val_loss {row['val_loss']:.4f}  val_accuracy {row['val_accuracy']:.4f}  {row['seconds']:.0f} s"
    )


def print_remark(console: Console, event: Note | Caution) -> None:
    """Write a note or a caution as one line."""
    style, mark = ("yellow", "caution: ") if isinstance(event, Caution) else ("dim", "")
    console.print(f"{mark}{event.message}", style=style, soft_wrap=True, markup=False)


def _progress_line(event: StepDone | ProgressEvent) -> str:
    if isinstance(event, ProgressEvent):
        done, total = in_megabytes(event)
        of = "" if total is None else f" of {total}"
        return f"{event.task}: {done}{of} {'MB' if event.unit == 'bytes' else event.unit}"
    return (
        f"epoch {event.epoch + 1}/{event.epochs} step {event.step + 1}/{event.steps}  loss {event.loss:.4f}  "
        f"accuracy {event.accuracy:.4f}  {event.images_per_second:,.0f} images/s"
    )
