"""What can be concluded from test images about accuracies and their differences.

Answers are kept as `correct`, bool `[seeds, images]`: one row for each training of a network (a seed), one column for
each test image. The rows are nested, not pooled: the same image stands in every row, so that three seeds on 10,000
images are 10,000 observations of pictures and three of training, not 30,000 of either.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from cnnflow.errors import DataError

RESAMPLES = 10_000
# Where a count of seeds stops being worth saying.
MOST_SEEDS = 100


@dataclass(frozen=True)
class Interval:
    """A figure and the range that it is believed to be in, with confidence `level`."""

    value: float
    low: float
    high: float
    level: float = 0.95

    @property
    def leaves_out_zero(self) -> bool:
        """Whether a difference is shown."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class McNemar:
    """McNemar's test: do two networks err equally often on the same images?

    Attributes:
        only_a: answers that only the first network has right, over all seeds.
        only_b: answers that only the second has right.
        p_value: how likely a difference at least this large is if they err equally often.
    """

    only_a: int
    only_b: int
    p_value: float


def accuracy(correct: NDArray[np.bool_], *, level: float = 0.95, seed: int = 0) -> Interval:
    """The accuracy of a way to train, from bool `[seeds, images]`, with its interval.

    Example:
        >>> accuracy(np.array([[True, True, False, True]])).value
        0.75
    """
    return _interval(_checked(correct).astype(np.float64), (0.0, 1.0), level, seed)


def difference(
    correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_], *, level: float = 0.95, seed: int = 0
) -> Interval:
    """How much more accurate b is than a, with its interval; both bool `[seeds, images]` on the same images.

    The images are resampled in pairs (Efron & Tibshirani 1993, chapter 8), each with the answers of every seed.
    Three seeds are too few to resample, so their part comes from the analysis of variance of seeds x images: the
    interval is widened to the variance of both, and to Student's t for so few seeds, nearly as Satterthwaite (1946)
    does. With one seed the interval holds for these two networks; with three or more for the two ways to train them
    (with two it is somewhat too narrow). One image that only a has right and one that only b has right are added
    (Bonett & Price 2012), or few images would give too narrow an interval.

    Raises:
        DataError: the two have not the same shape.

    Example:
        >>> difference(correct_dense, correct_cnn)
        Interval(value=0.156, low=0.148, high=0.164, level=0.95)
    """
    _check_pair(correct_a, correct_b)
    return _interval(correct_b.astype(np.float64) - correct_a, (-1.0, 1.0), level, seed)


def mcnemar(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_]) -> McNemar:
    """McNemar's test on paired answers, bool `[seeds, images]`.

    Exact (binomial) for one seed; for more, the test for clustered pairs, an image being a cluster (Obuchowski 1998).
    It looks at these networks only: whether other seeds would differ alike, `difference` tells.

    Example:
        >>> mcnemar(correct_dense, correct_cnn).p_value
    """
    _check_pair(correct_a, correct_b)
    only_a, only_b = int((correct_a & ~correct_b).sum()), int((correct_b & ~correct_a).sum())
    if only_a + only_b == 0:
        return McNemar(0, 0, 1.0)
    if len(correct_a) == 1:
        return McNemar(only_a, only_b, float(stats.binomtest(only_a, only_a + only_b).pvalue))
    by_image = correct_b.sum(axis=0) - correct_a.sum(axis=0)
    spread = float((by_image**2).sum())
    statistic = float(by_image.sum()) ** 2 / spread if spread else 0.0
    return McNemar(only_a, only_b, float(stats.chi2.sf(statistic, df=1)))


def images_needed(
    wanted: float,
    correct_a: NDArray[np.bool_],
    correct_b: NDArray[np.bool_],
    *,
    power: float = 0.8,
    level: float = 0.95,
) -> int:
    """How many test images would show a difference of `wanted` (0.01: one point) between two such networks.

    Connor's formula for paired proportions (1987), with the disagreement seen here. It counts the images' part alone:
    where `seeds_needed` says more seeds, no number of images is enough without them.

    Example:
        >>> images_needed(0.01, correct_a, correct_b)
        2300
    """
    _check_pair(correct_a, correct_b)
    if not 0 < wanted < 1:
        raise DataError(f"a wanted difference of {wanted}; it must be above 0 and below 1, such as 0.01")
    by_image = correct_b.mean(axis=0) - correct_a.mean(axis=0)
    # One more image of each kind, as in the intervals; a variance below wanted squared has no room for a difference.
    spread = max((float((by_image**2).sum()) + 2) / (by_image.size + 2), wanted**2)
    at_level, at_power = float(stats.norm.ppf((1 + level) / 2)), float(stats.norm.ppf(power))
    root = (at_level * math.sqrt(spread) + at_power * math.sqrt(spread - wanted**2)) / wanted
    return math.ceil(root**2)


def seeds_needed(
    wanted: float,
    correct_a: NDArray[np.bool_],
    correct_b: NDArray[np.bool_],
    *,
    power: float = 0.8,
    level: float = 0.95,
) -> int | None:
    """How many seeds would show a difference of `wanted` on endless test images; None where one seed was run.

    Example:
        >>> seeds_needed(0.01, correct_a, correct_b)
        4
    """
    _check_pair(correct_a, correct_b)
    if len(correct_a) == 1:
        return None
    between, noise = _seed_variances(correct_b.astype(np.float64) - correct_a)
    spread = math.sqrt(max(between - noise, 0.0))
    for seeds in range(2, MOST_SEEDS):
        reach = float(stats.t.ppf((1 + level) / 2, seeds - 1) + stats.t.ppf(power, seeds - 1))
        if reach * spread / math.sqrt(seeds) <= wanted:
            return seeds
    return MOST_SEEDS


def agreement(predicted_a: NDArray[np.int64], predicted_b: NDArray[np.int64]) -> float:
    """The share of images that two networks give the same class, right or wrong; both int64 `[seeds, images]`."""
    return float((predicted_a == predicted_b).mean())


def _interval(values: NDArray[np.float64], bounds: tuple[float, float], level: float, seed: int) -> Interval:
    """The mean of `[seeds, images]` with its interval in the population of images and seeds."""
    value = float(values.mean())
    by_image = np.concatenate([values.mean(axis=0), bounds])
    draws = _bootstrap_means(by_image, seed)
    tail = (1 - level) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    centre, factor = float(by_image.mean()), _widening(values, by_image, level)
    low, high = centre + (low - centre) * factor, centre + (high - centre) * factor
    return Interval(value, max(min(float(low), value), bounds[0]), min(max(float(high), value), bounds[1]), level)


def _bootstrap_means(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """Means of samples of `values` with replacement, float64 `[RESAMPLES]`.

    Answers have few distinct values (-1, -2/3, ... 1), and a resample is decided by how often each is drawn: a
    multinomial draw of a few counts instead of thousands of images.
    """
    distinct, counts = np.unique(values.round(12), return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(values), counts / len(values), size=RESAMPLES)
    return np.asarray(drawn @ distinct / len(values), np.float64)


def _widening(values: NDArray[np.float64], by_image: NDArray[np.float64], level: float) -> float:
    """The factor from an interval of the images alone to one of images and seeds."""
    seeds = len(values)
    if seeds == 1:
        return 1.0
    image_part = float(by_image.var(ddof=1)) / len(by_image)
    between, noise = _seed_variances(values)
    # The images' part has the noise in it already. Seeds that agree more than that narrow the interval, by at most
    # half of the noise: with few seeds such agreement is mostly luck.
    variance = max(image_part + max(between - noise, -noise / 2) / seeds, image_part / 2)
    if variance == 0:
        return 1.0
    # The degrees of freedom go from those of the seeds, where all variance is theirs, to endless, where none is.
    # Satterthwaite's have the exponent 2, and cover only 92% of differences with three seeds; 1.5 covers 93 to 97%.
    share = min(between / seeds / variance, 1.0)
    freedom = (seeds - 1) / max(share, 1e-6) ** 1.5
    quantile = (1 + level) / 2
    return math.sqrt(variance / max(image_part, 1e-12)) * float(
        stats.t.ppf(quantile, freedom) / stats.norm.ppf(quantile)
    )


def _seed_variances(values: NDArray[np.float64]) -> tuple[float, float]:
    """The variance between the seeds' means, and the part of it that the noise of single answers explains.

    The mean squares of a two-way analysis of variance without replication (Searle et al. 1992, section 4.3).
    """
    seeds, images = values.shape
    means = values.mean(axis=1)
    residual = values - means[:, None] - values.mean(axis=0) + values.mean()
    noise = float((residual**2).sum()) / ((seeds - 1) * max(images - 1, 1))
    return float(means.var(ddof=1)), noise / images


def _checked(correct: NDArray[np.bool_]) -> NDArray[np.bool_]:
    if correct.ndim != 2 or 0 in correct.shape:
        raise DataError(f"answers of shape {correct.shape}; they must be [seeds, images] with at least one of each")
    return correct


def _check_pair(correct_a: NDArray[np.bool_], correct_b: NDArray[np.bool_]) -> None:
    if _checked(correct_a).shape != _checked(correct_b).shape:
        raise DataError(
            f"answers of shapes {correct_a.shape} and {correct_b.shape}; compare on the same images and seeds"
        )
