"""What trials on the same test images say about each other: figures a variant, statistics a pair, and a sentence."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnflow.errors import RunError
from cnnflow.evaluation.statistics import (
    MOST_SEEDS,
    Interval,
    McNemar,
    accuracy,
    agreement,
    difference,
    images_needed,
    mcnemar,
    seeds_needed,
)
from cnnflow.experiments.trials import Outcome, by_variant, mean

# The error that is accepted for all differences of a table together.
ERROR = 0.05


@dataclass(frozen=True)
class Row:
    """The figures of one variant, means over its seeds.

    Attributes:
        variant: what it is called.
        seeds: how many trainings there were.
        parameters: the network's weights.
        multiply_adds: of one picture; None where it was not counted.
        epochs: how many were trained.
        seconds: training time.
        images_per_second: training speed without the compiler's step.
        train_accuracy: on the training images, or as many of them as there are test images, 0 to 1.
        validation_accuracy: on the validation images.
        test_accuracy: on the test images, with the 95% interval of this way to train.
        gap: training minus test accuracy.
    """

    variant: str
    seeds: int
    parameters: int
    multiply_adds: int | None
    epochs: float
    seconds: float
    images_per_second: float
    train_accuracy: float
    validation_accuracy: float
    test_accuracy: Interval
    gap: float


@dataclass(frozen=True)
class Pair:
    """How much more accurate `b` is than `a`.

    Attributes:
        a: the first variant.
        b: the second.
        difference: in test accuracy, b minus a, -1 to 1.
        mcnemar: the test on these networks' answers.
        agreement: the share of test images that both give the same class.
        per_class: the difference in recall for each class, those that differ most first.
        images_needed: test images that would show the wanted difference.
        seeds_needed: seeds that would show it; None where one was run.
        sentence: what is shown and what is not.
    """

    a: str
    b: str
    difference: Interval
    mcnemar: McNemar
    agreement: float
    per_class: dict[str, Interval]
    images_needed: int
    seeds_needed: int | None
    sentence: str


@dataclass(frozen=True)
class Comparison:
    """Variants on the same test images.

    Attributes:
        dataset: what they were trained on.
        images: how many images each split has.
        limit: what `--limit` made of each split; None: nothing.
        wanted: the difference that the sample sizes are for.
        rows: the variants' figures.
        pairs: the statistics of the pairs that were asked for.
    """

    dataset: str
    images: Mapping[str, int]
    limit: int | None
    wanted: float
    rows: tuple[Row, ...]
    pairs: tuple[Pair, ...]

    def to_dict(self) -> dict[str, Any]:
        """The comparison in JSON's types."""
        return asdict(self)


def compare_outcomes(
    outcomes: Sequence[Outcome],
    *,
    wanted: float = 0.01,
    against: str | None = None,
    multiply_adds: Mapping[str, int] | None = None,
) -> Comparison:
    """Compare the variants among `outcomes` by their answers to the same test images.

    The intervals of the pairs hold together: with three pairs each is one of 98.3% (Bonferroni), so that in 95% of
    such tables all are right.

    Args:
        outcomes: complete trials, each variant with the same number of seeds.
        wanted: the difference in accuracy that sample sizes are given for.
        against: compare all others with this variant; None: every pair.
        multiply_adds: of one picture, by variant.

    Raises:
        RunError: the trials have other test images, or variants have other numbers of seeds.

    Example:
        >>> compare_outcomes([read_outcome(dense), read_outcome(cnn)]).pairs[0].sentence
    """
    variants = by_variant(outcomes)
    check_comparable(variants)
    pairs = [(a, b) for a, b in combinations(variants, 2)]
    if against is not None:
        pairs = [(against, variant) for variant in variants if variant != against]
    level = 1 - ERROR / max(len(pairs), 1)
    first = outcomes[0].metrics
    return Comparison(
        dataset=str(first["dataset"]),
        images=first["images"],
        limit=first.get("limit"),
        wanted=wanted,
        rows=tuple(_row(name, group, (multiply_adds or {}).get(name)) for name, group in variants.items()),
        pairs=tuple(_pair(variants[a], variants[b], wanted, level) for a, b in pairs),
    )


def check_comparable(variants: Mapping[str, Sequence[Outcome]]) -> None:
    """Raise `RunError` unless all outcomes are about the same test images, and all variants have as many seeds."""
    groups = list(variants.items())
    name, first = groups[0]
    for other, group in groups:
        if len(group) != len(first):
            raise RunError(f"{name} has {len(first)} seeds and {other} {len(group)}; compare equal numbers of them")
        for outcome in group:
            here, there = outcome.predictions, first[0].predictions
            if here.origins != there.origins or here.labels != there.labels:
                raise RunError(
                    f"{outcome.folder.path} and {first[0].folder.path} were tested on different images; "
                    "train both on the same data with the same --limit and --classes"
                )


def correct(group: Sequence[Outcome]) -> NDArray[np.bool_]:
    """Which answers are right, bool `[seeds, images]`."""
    return np.stack([outcome.predictions.correct for outcome in group])


def _row(variant: str, group: Sequence[Outcome], multiply_adds: int | None) -> Row:
    return Row(
        variant=variant,
        seeds=len(group),
        parameters=int(group[0].metrics["parameters"]),
        multiply_adds=multiply_adds,
        epochs=mean(group, "epochs"),
        seconds=mean(group, "seconds_training"),
        images_per_second=mean(group, "images_per_second"),
        train_accuracy=mean(group, "train_accuracy"),
        validation_accuracy=mean(group, "validation_accuracy"),
        test_accuracy=accuracy(correct(group)),
        gap=mean(group, "generalization_gap"),
    )


def _pair(group_a: Sequence[Outcome], group_b: Sequence[Outcome], wanted: float, level: float) -> Pair:
    a, b = correct(group_a), correct(group_b)
    found = difference(a, b, level=level)
    images, seeds = images_needed(wanted, a, b), seeds_needed(wanted, a, b)
    names = group_a[0].variant, group_b[0].variant
    return Pair(
        *names,
        difference=found,
        mcnemar=mcnemar(a, b),
        agreement=_agreement(group_a, group_b),
        per_class=_per_class(a, b, group_a[0].predictions.labels),
        images_needed=images,
        seeds_needed=seeds,
        sentence=say(*names, found, shape=(a.shape[0], a.shape[1]), wanted=wanted, images=images, seeds=seeds),
    )


def _agreement(group_a: Sequence[Outcome], group_b: Sequence[Outcome]) -> float:
    names = sorted({name for outcome in (*group_a, *group_b) for name in outcome.predictions.predictions})
    number = {name: i for i, name in enumerate(names)}
    answers = [
        np.array([[number[name] for name in outcome.predictions.predictions] for outcome in group], np.int64)
        for group in (group_a, group_b)
    ]
    return agreement(*answers)


def _per_class(a: NDArray[np.bool_], b: NDArray[np.bool_], labels: Sequence[str]) -> dict[str, Interval]:
    names, numbers = np.unique(np.array(labels, object).astype(str), return_inverse=True)
    level = 1 - ERROR / len(names)
    found = {str(name): difference(a[:, numbers == i], b[:, numbers == i], level=level) for i, name in enumerate(names)}
    return dict(sorted(found.items(), key=lambda item: -abs(item[1].value)))


def say(
    a: str, b: str, found: Interval, *, shape: tuple[int, int], wanted: float, images: int, seeds: int | None
) -> str:
    """What an interval of the difference b minus a shows, in a sentence.

    Args:
        a: the first variant.
        b: the second.
        found: the difference in accuracy.
        shape: how many seeds and test images there were.
        wanted: the smallest difference that matters.
        images: the test images that would show it.
        seeds: the seeds that would.

    Example:
        >>> say("dense", "cnn", Interval(0.16, 0.152, 0.169), shape=(3, 10_000), wanted=0.01, images=9_000, seeds=2)
        'cnn is more accurate than dense, by 15.2 to 16.9 points.'
    """
    low, high = 100 * found.low, 100 * found.high
    whom = "" if shape[0] > 1 else " This holds for these two networks; other seeds may differ."
    if found.low > 0:
        return f"{b} is more accurate than {a}, by {low:.1f} to {high:.1f} points.{whom}"
    if found.high < 0:
        return f"{a} is more accurate than {b}, by {-high:.1f} to {-low:.1f} points.{whom}"
    none = f"No difference can be seen between {a} and {b} ({low:+.1f} to {high:+.1f} points)"
    if max(-found.low, found.high) < wanted:
        return f"{none}; a difference of {_points(wanted)} or more is ruled out.{whom}"
    needs = []
    if images > shape[1]:
        needs.append(f"about {_rounded(images):,} test images instead of {shape[1]:,}")
    if seeds is not None and seeds > shape[0]:
        many = f"{MOST_SEEDS} or more" if seeds >= MOST_SEEDS else f"about {seeds}"
        needs.append(f"{many} seeds instead of {shape[0]}")
    if not needs:
        return f"{none}, although a difference of {_points(wanted)} would probably have been seen.{whom}"
    return f"{none}; {' and '.join(needs)} would be needed to see a difference of {_points(wanted)}."


def _points(share: float) -> str:
    return "one point" if share == 0.01 else f"{100 * share:g} points"


def _rounded(count: int) -> int:
    """Two leading digits, upwards: a sample size is an estimate."""
    unit = int(10 ** max(len(str(count)) - 2, 0))
    return math.ceil(count / unit) * unit
