"""Batches as a function of position: `(seed, stream, epoch, step) -> batch`, and a stream that prepares them ahead.

A batch is the same bytes whatever ran before it, however many threads prepare it, and wherever reading starts:
its random numbers come from `numpy.random.default_rng([seed, stream, epoch, step])`, a key of fixed length.

Example:
    >>> plan = BatchPlan(len(train), batch_size=64, seed=0)
    >>> with stream(train, plan, augmentation("light", mirror=True), epochs=3, workers=2) as batches:
    ...     for batch in batches:
    ...         step(batch.images, batch.targets, batch.weights)
"""

import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cnnflow.config import one_of
from cnnflow.data.image_set import ImageSet
from cnnflow.errors import OptionError
from cnnflow.transforms.presets import Augmentation

ORDERS = ("shuffled", "sequential", "balanced")
TAILS = ("pad", "keep")
WORDS = 2**32
# The step in whose place an epoch's order is drawn; no batch can have it.
ORDER_STEP = WORDS - 1
# How often a waiting consumer wakes, so that Ctrl-C reaches it where a lock cannot be interrupted (Windows).
WAKE_SECONDS = 0.5


@dataclass(frozen=True)
class BatchPlan:
    """How a set of images becomes batches.

    Attributes:
        count: images in the set.
        batch_size: images a batch.
        seed: the run's seed, 0 to 2**32 - 1.
        stream: which of the run's independent streams of random numbers this is, 0 to 2**32 - 1.
        order: "shuffled" anew each epoch, "sequential", or "balanced": shuffled, and each class equally often
            (images of small classes come several times an epoch, and some of large classes not at all).
        tail: the last, smaller batch: "pad" fills it with other images of the epoch at weight 0, so that all
            batches have one shape; "keep" leaves it small.
    """

    count: int
    batch_size: int
    seed: int = 0
    stream: int = 0
    order: str = "shuffled"
    tail: str = "pad"

    def __post_init__(self) -> None:
        _in_range("count", self.count, 1, WORDS)
        _in_range("batch_size", self.batch_size, 1, WORDS)
        _in_range("seed", self.seed, 0, WORDS)
        _in_range("stream", self.stream, 0, WORDS)
        one_of("order", self.order, ORDERS)
        one_of("tail", self.tail, TAILS)

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return -(-self.count // self.batch_size)

    @property
    def padded(self) -> bool:
        """Whether the last batch of an epoch is filled up."""
        return self.tail == "pad" and self.count % self.batch_size != 0


@dataclass(frozen=True, eq=False)
class Batch:
    """What one training step takes.

    Attributes:
        images: uint8 `[b, height, width, channels]`.
        targets: int64 `[b]`, the classes; float32 `[b, classes]`, their shares, where the augmentation mixes images.
        weights: float32 `[b]`, what each image counts; None: all count 1.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.int64] | NDArray[np.float32]
    weights: NDArray[np.float32] | None


def epoch_order(plan: BatchPlan, epoch: int, *, labels: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """The indices of the images of `epoch`, int64 `[count]`, in the order in which batches take them.

    `labels` (int64 `[count]`) are needed for the order "balanced" alone.
    """
    _in_range("epoch", epoch, 0, WORDS)
    if plan.order == "sequential":
        return np.arange(plan.count, dtype=np.int64)
    rng = np.random.default_rng([plan.seed, plan.stream, epoch, ORDER_STEP])
    if plan.order == "shuffled":
        return rng.permutation(plan.count).astype(np.int64, copy=False)
    if labels is None:
        raise OptionError("order='balanced' without labels; pass labels=images.labels")
    return _balanced_order(labels, plan.count, rng)


def class_balance(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Sample weights that give each class the same total: float32 `[n]`, mean 1.

    An image of class k weighs n / (classes present * images of class k).
    """
    counts = np.bincount(labels, minlength=classes)
    share = len(labels) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return share[labels].astype(np.float32)


def make_batch(
    images: ImageSet,
    plan: BatchPlan,
    augmentation: Augmentation | None = None,
    *,
    epoch: int,
    step: int,
    weights: NDArray[np.float32] | None = None,
) -> Batch:
    """The batch at `step` of `epoch`, a function of its arguments alone.

    Args:
        images: the set that `plan` was made for.
        plan: the order and the size of batches.
        augmentation: what is done to the images; None: nothing.
        epoch: from 0.
        step: from 0 to `plan.steps - 1`.
        weights: float32 `[count]`, what each image counts in the loss; see `class_balance`. None: 1.

    Raises:
        OptionError: `plan` or `weights` do not fit the set, or there is no such step.
    """
    _check_fit(images, plan, weights)
    order = epoch_order(plan, epoch, labels=images.labels)
    return _batch_in_order(images, plan, augmentation, order, epoch, step, weights)


def _batch_in_order(
    images: ImageSet,
    plan: BatchPlan,
    augmentation: Augmentation | None,
    order: NDArray[np.int64],
    epoch: int,
    step: int,
    weights: NDArray[np.float32] | None,
) -> Batch:
    _in_range("step", step, 0, plan.steps)
    start = step * plan.batch_size
    places = np.arange(
        start, start + plan.batch_size if plan.tail == "pad" else min(start + plan.batch_size, plan.count)
    )
    indices = order.take(places, mode="wrap")
    pixels = images.images[indices]
    labels = images.labels[indices]
    chosen = None if weights is None else weights[indices]
    targets: NDArray[np.int64] | NDArray[np.float32] = labels
    if augmentation is not None:
        image_rng, mix_rng = np.random.default_rng([plan.seed, plan.stream, epoch, step]).spawn(2)
        if augmentation.images is not None:
            pixels = augmentation.images(pixels, image_rng)
        if augmentation.mix is not None:
            shares = np.eye(len(images.class_names), dtype=np.float32)[labels]
            if chosen is not None:
                shares *= chosen[:, None]
            pixels, shares = augmentation.mix(pixels, shares, mix_rng)
            if chosen is not None:
                chosen = shares.sum(axis=1)
                shares /= np.where(chosen == 0, np.float32(1), chosen)[:, None]
            targets = shares
    if plan.padded:
        chosen = (places < plan.count) * (np.float32(1) if chosen is None else chosen)
    return Batch(pixels, targets, None if chosen is None else chosen.astype(np.float32))


def stream(
    images: ImageSet,
    plan: BatchPlan,
    augmentation: Augmentation | None = None,
    *,
    epochs: int,
    start_epoch: int = 0,
    start_step: int = 0,
    workers: int = 1,
    weights: NDArray[np.float32] | None = None,
) -> "BatchStream":
    """The batches of epochs `start_epoch` (from step `start_step` on) to `epochs - 1`, in order, prepared ahead.

    Args:
        images: the set that `plan` was made for.
        plan: the order and the size of batches.
        augmentation: what is done to the images; None: nothing.
        epochs: where to end: the epochs of the whole run, those before `start_epoch` included.
        start_epoch: the epoch to start in.
        start_step: the step of it to start at; `plan.steps` is the start of the next one.
        workers: threads that prepare batches; 0: each is made when it is asked for.
        weights: as in `make_batch`.

    Returns:
        An iterator and context manager. An error in a thread is raised where its batch is asked for, with the
        thread's own traceback; `close()`, or the end of the `with` block, ends the threads.
    """
    _check_fit(images, plan, weights)
    _in_range("epochs", epochs, 0, WORDS)
    _in_range("start_epoch", start_epoch, 0, WORDS)
    _in_range("start_step", start_step, 0, plan.steps + 1)
    _in_range("workers", workers, 0, 257)
    orders = _Orders(plan, images.labels)

    def batch_at(position: int) -> Batch:
        epoch, step = divmod(position, plan.steps)
        return _batch_in_order(images, plan, augmentation, orders(epoch), epoch, step, weights)

    return BatchStream(batch_at, start_epoch * plan.steps + start_step, epochs * plan.steps, workers)


class BatchStream:
    """The iterator of `stream`; a context manager."""

    def __init__(self, batch_at: Callable[[int], Batch], start: int, stop: int, workers: int) -> None:
        self._shared = _Shared(batch_at, start, stop, ahead=2 * workers + 1)
        self._threads = [
            threading.Thread(target=_work, args=(self._shared,), name=f"cnnflow-batches-{i}", daemon=True)
            for i in range(workers)
        ]
        # Runs when the stream is no longer referred to, and at the exit of the interpreter at the latest.
        self._stop = weakref.finalize(self, _stop, self._shared, tuple(self._threads))
        for thread in self._threads:
            thread.start()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        shared = self._shared
        if shared.closed or shared.taken >= shared.stop:
            self.close()
            raise StopIteration
        result = shared.wait_for_next() if self._threads else _attempt(shared.batch_at, shared.taken)
        if isinstance(result, Batch):
            shared.advance()
            return result
        self.close()
        raise result

    def close(self) -> None:
        """End the threads; further batches are not given."""
        self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Shared:
    """What the threads of one stream and its consumer share, under one condition."""

    def __init__(self, batch_at: Callable[[int], Batch], start: int, stop: int, ahead: int) -> None:
        self.batch_at = batch_at
        self.claimed = self.taken = start
        self.stop = stop
        self.ahead = ahead
        self.closed = False
        self.ready: dict[int, Batch | BaseException] = {}
        self.changed = threading.Condition()

    def claim(self) -> int | None:
        """The next position to prepare, once there is room for it; None: there is no more to do."""
        with self.changed:
            while not self.closed and self.taken + self.ahead <= self.claimed < self.stop:
                self.changed.wait()
            if self.closed or self.claimed >= self.stop:
                return None
            self.claimed += 1
            return self.claimed - 1

    def put(self, position: int, result: "Batch | BaseException") -> None:
        with self.changed:
            self.ready[position] = result
            self.changed.notify_all()

    def wait_for_next(self) -> "Batch | BaseException":
        with self.changed:
            while self.taken not in self.ready:
                self.changed.wait(WAKE_SECONDS)
            return self.ready.pop(self.taken)

    def advance(self) -> None:
        with self.changed:
            self.taken += 1
            self.changed.notify_all()

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.ready.clear()
            self.changed.notify_all()


class _Orders:
    """The orders of the epochs, each drawn once while it is in use."""

    def __init__(self, plan: BatchPlan, labels: NDArray[np.int64]) -> None:
        self._plan = plan
        self._labels = labels
        self._kept: dict[int, NDArray[np.int64]] = {}
        self._lock = threading.Lock()

    def __call__(self, epoch: int) -> NDArray[np.int64]:
        with self._lock:
            if epoch not in self._kept:
                # Threads are at most a few batches apart, so at most in two epochs unless an epoch is that short.
                self._kept = {e: order for e, order in self._kept.items() if e >= epoch - 1}
                self._kept[epoch] = epoch_order(self._plan, epoch, labels=self._labels)
            return self._kept[epoch]


def _work(shared: _Shared) -> None:
    while (position := shared.claim()) is not None:
        result = _attempt(shared.batch_at, position)
        shared.put(position, result)
        if not isinstance(result, Batch):
            return


def _attempt(batch_at: Callable[[int], Batch], position: int) -> "Batch | BaseException":
    try:
        return batch_at(position)
    except StopIteration as error:
        # Raised from an iterator, it would pass for the end of the batches.
        wrapped = RuntimeError(f"StopIteration in the batch at {position}")
        wrapped.__cause__ = error
        return wrapped
    except BaseException as error:
        return error


def _stop(shared: _Shared, threads: tuple[threading.Thread, ...]) -> None:
    shared.close()
    for thread in threads:
        if thread is not threading.current_thread() and thread.ident is not None:
            thread.join()


def _balanced_order(labels: NDArray[np.int64], count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    members = [np.flatnonzero(labels == k) for k in np.unique(labels)]
    each = np.full(len(members), count // len(members))
    each[rng.permutation(len(members))[: count % len(members)]] += 1
    chosen = [_repeated(rows, times, rng) for rows, times in zip(members, each.tolist(), strict=True)]
    return rng.permutation(np.concatenate(chosen)).astype(np.int64, copy=False)


def _repeated(rows: NDArray[np.int64], times: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`times` of `rows`, each as often as any other (or once more)."""
    rounds = -(-times // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)] or [rows[:0]])[:times]


def _check_fit(images: ImageSet, plan: BatchPlan, weights: NDArray[np.float32] | None) -> None:
    if len(images) != plan.count:
        raise OptionError(
            f"a plan for {plan.count} images with {len(images)} images; make it with BatchPlan(len(images))"
        )
    if weights is not None and weights.shape != (plan.count,):
        raise OptionError(f"weights of shape {weights.shape}; they must be float32 [{plan.count}], one an image")


def _in_range(name: str, value: int, low: int, end: int) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not low <= value < end:
        raise OptionError(f"{name}={value}; it must be a whole number from {low} to {end - 1}")
