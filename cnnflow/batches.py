"""Batches as a function of position: `(seed, stream, epoch, step) -> batch`, and a stream that prepares them ahead.

A batch is the same bytes whatever ran before it, however many threads prepare it, and wherever reading starts:
its random numbers come from `numpy.random.default_rng([seed, stream, epoch, step])`, a key of fixed length.

Example:
    >>> plan = BatchPlan(len(train), batch_size=64, seed=0)
    >>> with stream(train, plan, augmentation("light", mirror=True), epochs=3, workers=2) as batches:
    ...     for batch in batches:
    ...         learn(batch.images, batch.targets, batch.weights)
"""

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnnflow.ahead import Ahead
from cnnflow.config import one_of
from cnnflow.data.image_set import ImageSet
from cnnflow.errors import OptionError
from cnnflow.transforms.presets import Augmentation

ORDERS = ("shuffled", "sequential", "balanced")
TAILS = ("pad", "keep")
# Each word of the key of the random numbers is below this.
WORDS = 2**32
# The step in whose place an epoch's order is drawn; no batch has it.
ORDER_STEP = WORDS - 1
MAX_WORKERS = 256

Targets = NDArray[np.int64] | NDArray[np.float32]


@dataclass(frozen=True)
class BatchPlan:
    """How a set of images becomes batches.

    Attributes:
        count: images in the set.
        batch_size: images a batch.
        seed: the run's seed, 0 to 2**32 - 1.
        stream: which of the run's independent streams of random numbers this is, 0 to 2**32 - 1.
        order: "shuffled" anew each epoch, "sequential", or "balanced": shuffled, with as many images of each class
            (those of small classes come several times an epoch, and some of large ones not at all).
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
        _whole("count", self.count, 1, ORDER_STEP)
        _whole("batch_size", self.batch_size, 1, ORDER_STEP)
        _whole("seed", self.seed, 0, WORDS)
        _whole("stream", self.stream, 0, WORDS)
        one_of("order", self.order, ORDERS)
        one_of("tail", self.tail, TAILS)

    @property
    def steps(self) -> int:
        """Batches an epoch."""
        return -(-self.count // self.batch_size)

    @property
    def padded(self) -> bool:
        """Whether the last batch of an epoch is filled up; then every batch has weights."""
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
    targets: Targets
    weights: NDArray[np.float32] | None


def epoch_order(plan: BatchPlan, epoch: int, *, labels: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """The indices of the images of `epoch` (from 0) in the order in which batches take them: int64 `[count]`.

    The order "balanced" alone needs `labels`, int64 `[count]`.
    """
    _whole("epoch", epoch, 0, WORDS)
    if plan.order == "sequential":
        return np.arange(plan.count, dtype=np.int64)
    rng = np.random.default_rng([plan.seed, plan.stream, epoch, ORDER_STEP])
    if plan.order == "shuffled":
        return rng.permutation(plan.count).astype(np.int64, copy=False)
    if labels is None or labels.shape != (plan.count,):
        shape = None if labels is None else list(labels.shape)
        raise OptionError(f"labels of shape {shape} for order='balanced'; pass those of all {plan.count} images")
    return _balanced_order(labels, rng)


def class_balance(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Weights that give each class the same total: float32 `[n]`, of mean 1.

    An image weighs `n / (k * m)`, where `k` of the `classes` have images in `labels` (int64 `[n]`), and its own `m`.
    """
    counts = np.bincount(labels, minlength=classes)
    weights = len(labels) / (np.count_nonzero(counts) * counts[labels])
    return weights.astype(np.float32)


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
        weights: float32 `[count]`, what each image counts in the loss, such as `class_balance`; None: 1.

    Raises:
        OptionError: `plan` or `weights` do not fit the set, or there is no such step.
    """
    return _Source(images, plan, augmentation, weights).batch(epoch, step)


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
) -> Ahead[Batch]:
    """The batches from `start_step` of `start_epoch` to the end of epoch `epochs - 1`, in order, prepared ahead.

    Args:
        images: the set that `plan` was made for.
        plan: the order and the size of batches.
        augmentation: what is done to the images; None: nothing.
        epochs: those of the whole run, the ones before `start_epoch` included.
        start_epoch: the epoch to start in.
        start_step: the step of it to start at; `plan.steps` is the start of the next epoch.
        workers: threads that prepare batches; 0: each is made when it is asked for. One keeps ahead of a training;
            more help where reading stored images is slow, and little with the arithmetic of small images.
        weights: as in `make_batch`.

    Returns:
        An iterator and context manager; see `Ahead` for its errors and its end.

    Raises:
        OptionError: `plan` or `weights` do not fit the set, or an option cannot be.
    """
    _whole("epochs", epochs, 0, WORDS)
    _whole("start_epoch", start_epoch, 0, WORDS)
    _whole("start_step", start_step, 0, plan.steps + 1)
    _whole("workers", workers, 0, MAX_WORKERS + 1)
    source = _Source(images, plan, augmentation, weights)
    start = start_epoch * plan.steps + start_step
    return Ahead(lambda number: source.batch(*divmod(number, plan.steps)), start, epochs * plan.steps, workers=workers)


class _Source:
    """Where batches come from; keeps the orders of the epochs in use, since drawing one takes as long as a batch."""

    def __init__(
        self,
        images: ImageSet,
        plan: BatchPlan,
        augmentation: Augmentation | None,
        weights: NDArray[np.float32] | None,
    ) -> None:
        if len(images) != plan.count:
            raise OptionError(f"a plan for {plan.count} images with {len(images)}; make it with BatchPlan(len(images))")
        if weights is not None and weights.shape != (plan.count,):
            raise OptionError(f"weights of shape {list(weights.shape)}; they must be [{plan.count}], one an image")
        self._images = images
        self._plan = plan
        self._augmentation = augmentation or Augmentation()
        self._weights = weights
        self._orders: dict[int, NDArray[np.int64]] = {}
        self._lock = threading.Lock()

    def batch(self, epoch: int, step: int) -> Batch:
        plan = self._plan
        _whole("step", step, 0, plan.steps)
        start, end = step * plan.batch_size, (step + 1) * plan.batch_size
        places = np.arange(start, end if plan.tail == "pad" else min(end, plan.count))
        # Past the end of the epoch, a padded batch goes on with the images at its start.
        chosen = self._order(epoch).take(places, mode="wrap")
        weights = None if self._weights is None else self._weights[chosen].astype(np.float32, copy=False)
        labels = self._images.labels[chosen]
        images, targets, weights = self._augmented(self._images.images[chosen], labels, weights, epoch, step)
        if plan.padded:
            real = (places < plan.count).astype(np.float32)
            weights = real if weights is None else real * weights
        return Batch(images, targets, weights)

    def _augmented(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        weights: NDArray[np.float32] | None,
        epoch: int,
        step: int,
    ) -> tuple[NDArray[np.uint8], Targets, NDArray[np.float32] | None]:
        change, mix = self._augmentation.images, self._augmentation.mix
        if change is None and mix is None:
            return images, labels, weights
        rng = np.random.default_rng([self._plan.seed, self._plan.stream, epoch, step])
        change_rng, mix_rng = rng.spawn(2)
        if change is not None:
            images = change(images, change_rng)
        if mix is None:
            return images, labels, weights
        shares = np.eye(len(self._images.class_names), dtype=np.float32)[labels]
        if weights is None:
            return *mix(images, shares, mix_rng), None
        # Weighted shares are mixed, so that each image of a pair counts by its own weight in the loss.
        images, weighted = mix(images, shares * weights[:, None], mix_rng)
        totals: NDArray[np.float32] = weighted.sum(axis=1, dtype=np.float32)
        weighted /= np.where(totals == 0, np.float32(1), totals)[:, None]
        return images, weighted, totals

    def _order(self, epoch: int) -> NDArray[np.int64]:
        with self._lock:
            if epoch not in self._orders:
                # Threads are a few batches apart, so at most in two epochs, unless an epoch is that short.
                self._orders = {other: order for other, order in self._orders.items() if other >= epoch - 1}
                self._orders[epoch] = epoch_order(self._plan, epoch, labels=self._images.labels)
            return self._orders[epoch]


def _balanced_order(labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    each = np.full(len(members), len(labels) // len(members))
    # What cannot be shared out goes to classes drawn anew each epoch.
    each[rng.permutation(len(members))[: len(labels) % len(members)]] += 1
    chosen = [_repeated(rows, times, rng) for rows, times in zip(members, each.tolist(), strict=True)]
    return rng.permutation(np.concatenate(chosen)).astype(np.int64, copy=False)


def _repeated(rows: NDArray[np.int64], times: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`times` of `rows`, in random order, none more than once oftener than another."""
    rounds = -(-times // len(rows))
    return np.concatenate([rows[:0], *(rng.permutation(rows) for _ in range(rounds))])[:times]


def _whole(name: str, value: int, low: int, end: int) -> None:
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or not low <= value < end:
        raise OptionError(f"{name}={value!r}; it must be a whole number from {low} to {end - 1}")
