"""Intervals, tests and sample sizes: against worked cases and against simulated experiments."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from cnnflow.errors import DataError
from cnnflow.evaluation import statistics
from cnnflow.evaluation.statistics import (
    accuracy,
    agreement,
    difference,
    images_needed,
    mcnemar,
    seeds_needed,
)

HARDNESS, OWN, EASE = 1.5, 0.7, 1.3


def simulate(rng, *, seeds, images, better, seed_spread):
    """Answers of two ways to train, bool [seeds, images] each.

    The log-odds of an answer are: the ease of the data (and what b is better by), how hard the image is for any
    network, how hard it is for this way, and how well this seed went.
    """
    hardness = rng.normal(0, HARDNESS, images)
    answers = []
    for ease in (EASE, EASE + better):
        logit = ease + hardness + rng.normal(0, OWN, images) + rng.normal(0, seed_spread, (seeds, 1))
        answers.append(rng.random((seeds, images)) < 1 / (1 + np.exp(-logit)))
    return answers


def true_difference(*, better, seed_spread):
    """The difference in accuracy over endless images and seeds, by Gauss-Hermite quadrature."""
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    logit = np.sqrt(HARDNESS**2 + OWN**2 + seed_spread**2) * points
    right = [(weights / (1 + np.exp(-(ease + logit)))).sum() / weights.sum() for ease in (EASE, EASE + better)]
    return right[1] - right[0]


def coverage(pairs, *, method=difference, **options):
    """The share of simulated pairs whose interval has the true difference in it."""
    rng = np.random.default_rng(1)
    truth = true_difference(better=options["better"], seed_spread=options["seed_spread"])
    found = [method(*simulate(rng, **options)) for _ in range(pairs)]
    return float(np.mean([interval.low <= truth <= interval.high for interval in found]))


def pooled(correct_a, correct_b):
    """The mistake: every seed's answer as an image of its own."""
    return difference(correct_a.reshape(1, -1), correct_b.reshape(1, -1))


@pytest.mark.parametrize("better", [0.0, 0.4])
def test_few_simulated_pairs_are_covered(better):
    share = coverage(150, seeds=3, images=400, better=better, seed_spread=0.1)
    assert 0.88 <= share <= 0.995


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [1, 3, 5])
@pytest.mark.parametrize("better", [0.0, 0.3])
@pytest.mark.parametrize("seed_spread", [0.0, 0.05, 0.15])
def test_simulated_differences_are_covered_in_93_to_97_of_100(seeds, better, seed_spread):
    if seeds == 1 and seed_spread:
        pytest.skip("one seed says nothing about others, and the interval does not claim to")
    # 4,000 pairs, so that the luck of the simulation is a third of a point.
    share = coverage(4000, seeds=seeds, images=1000, better=better, seed_spread=seed_spread)
    print(f"{seeds} seeds, better by {better}, seeds spread by {seed_spread}: {share:.1%} covered")
    assert 0.93 <= share <= 0.97


@pytest.mark.slow
def test_pooled_seeds_would_cover_too_little():
    options = {"seeds": 5, "images": 1000, "better": 0.0, "seed_spread": 0.05}
    assert coverage(1000, method=pooled, **options) < 0.9
    assert 0.93 <= coverage(1000, **options) <= 0.97


def test_seeds_are_nested_and_not_pooled():
    one = simulate(np.random.default_rng(0), seeds=1, images=500, better=0.2, seed_spread=0)
    # The same answers five times are no more than once; pooled, the interval would be narrower by a factor of 2.2.
    five = [np.repeat(answers, 5, axis=0) for answers in one]
    alone, repeated = difference(*one), difference(*five)
    assert repeated.high - repeated.low == pytest.approx(alone.high - alone.low, rel=0.02)
    assert (pooled(*five).high - pooled(*five).low) < 0.6 * (alone.high - alone.low)


def test_seeds_that_differ_widen_the_interval():
    rng = np.random.default_rng(0)
    steady = simulate(rng, seeds=3, images=5000, better=0.2, seed_spread=0)
    shaky = simulate(rng, seeds=3, images=5000, better=0.2, seed_spread=0.5)
    assert difference(*shaky).high - difference(*shaky).low > 2 * (difference(*steady).high - difference(*steady).low)


def test_the_interval_is_that_of_resampled_images():
    answers = simulate(np.random.default_rng(3), seeds=1, images=2000, better=0.3, seed_spread=0)
    per_image = answers[1][0].astype(float) - answers[0][0]
    drawn = np.random.default_rng(4).integers(0, 2000, (5000, 2000))
    low, high = np.quantile(per_image[drawn].mean(axis=1), [0.025, 0.975])
    interval = difference(*answers)
    assert interval.value == pytest.approx(per_image.mean())
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=0.002)


def test_an_interval_repeats_and_depends_on_its_level():
    answers = simulate(np.random.default_rng(3), seeds=3, images=500, better=0.3, seed_spread=0.1)
    assert difference(*answers) == difference(*answers)
    wide = difference(*answers, level=0.99)
    assert wide.low < difference(*answers).low < difference(*answers).high < wide.high


def test_swapping_the_two_turns_the_difference_around():
    a, b = simulate(np.random.default_rng(5), seeds=3, images=800, better=0.3, seed_spread=0.1)
    there, back = difference(a, b), difference(b, a)
    assert there.value == -back.value
    assert (there.low, there.high) == pytest.approx((-back.high, -back.low), abs=0.003)


def test_an_obvious_difference_is_shown_and_none_is_not():
    a, b = simulate(np.random.default_rng(6), seeds=3, images=3000, better=1.5, seed_spread=0.05)
    assert difference(a, b).leaves_out_zero
    assert not difference(a, a).leaves_out_zero
    assert difference(a, a).low < 0 < difference(a, a).high


@settings(max_examples=60, deadline=None)
@given(seeds=st.integers(1, 4), images=st.integers(1, 30), chance=st.floats(0, 1), seed=st.integers(0, 1000))
def test_intervals_hold_their_value_and_keep_within_bounds(seeds, images, chance, seed):
    rng = np.random.default_rng(seed)
    a, b = (rng.random((seeds, images)) < chance for _ in range(2))
    one, two = accuracy(a), difference(a, b)
    assert 0 <= one.low <= one.value <= one.high <= 1
    assert -1 <= two.low <= two.value <= two.high <= 1


def test_accuracy_of_one_network_is_near_wilsons_interval():
    correct = np.arange(400)[None] < 360
    wilson = stats.binomtest(360, 400).proportion_ci(method="wilson")
    interval = accuracy(correct)
    assert interval.value == 0.9
    assert (interval.low, interval.high) == pytest.approx((wilson.low, wilson.high), abs=0.005)


def answers_with(both, only_a, only_b, neither):
    a = np.repeat([True, True, False, False], [both, only_a, only_b, neither])
    b = np.repeat([True, False, True, False], [both, only_a, only_b, neither])
    return a[None], b[None]


def test_mcnemar_is_exact_for_one_seed():
    result = mcnemar(*answers_with(50, 2, 10, 5))
    assert (result.only_a, result.only_b) == (2, 10)
    # Twice the chance of at most 2 heads in 12 throws: 2 * (1 + 12 + 66) / 4096.
    assert result.p_value == pytest.approx(2 * 79 / 4096)


def test_mcnemar_of_equal_answers():
    assert mcnemar(*answers_with(5, 0, 0, 5)).p_value == 1.0
    assert mcnemar(*answers_with(5, 4, 4, 5)).p_value == 1.0


def test_mcnemar_over_seeds_treats_an_image_as_a_cluster():
    a, b = answers_with(50, 20, 40, 50)
    twice = mcnemar(np.repeat(a, 2, axis=0), np.repeat(b, 2, axis=0))
    # (b - c)^2 / (b + c), the same however often the same answers are repeated.
    assert twice.p_value == pytest.approx(stats.chi2.sf(20**2 / 60, 1))
    assert (twice.only_a, twice.only_b) == (40, 80)


def test_mcnemar_rejects_in_5_of_100_where_there_is_no_difference():
    rng = np.random.default_rng(7)
    for seeds in (1, 3):
        options = {"seeds": seeds, "images": 400, "better": 0.0, "seed_spread": 0.0}
        rejected = np.mean([mcnemar(*simulate(rng, **options)).p_value < 0.05 for _ in range(500)])
        assert 0.02 <= rejected <= 0.08


def test_images_needed_is_connors_figure():
    # 20% disagreement, 5 points wanted: ((1.960 sqrt(0.2) + 0.842 sqrt(0.2 - 0.0025)) / 0.05)^2 = 625.7.
    a, b = answers_with(70_000, 10_000, 10_000, 10_000)
    assert images_needed(0.05, a, b) == pytest.approx(626, abs=1)


def test_that_many_images_do_show_the_difference_in_80_of_100():
    rng = np.random.default_rng(8)
    options = {"seeds": 1, "better": 0.5, "seed_spread": 0.0}
    wanted = true_difference(better=0.5, seed_spread=0.0)
    count = images_needed(wanted, *simulate(rng, images=100_000, **options))
    shown = np.mean([difference(*simulate(rng, images=count, **options)).leaves_out_zero for _ in range(300)])
    assert 0.72 <= shown <= 0.88


def test_seeds_needed_grows_with_their_spread():
    rng = np.random.default_rng(9)
    options = {"seeds": 5, "images": 20_000, "better": 0.0}
    assert seeds_needed(0.01, *simulate(rng, seed_spread=0.0, **options)) <= 3
    assert seeds_needed(0.01, *simulate(rng, seed_spread=0.2, **options)) > 10
    assert seeds_needed(0.01, *simulate(rng, seeds=1, images=50, better=0.0, seed_spread=0.0)) is None


def test_agreement_is_about_answers_and_not_about_being_right():
    assert agreement(np.array([[0, 1, 2, 3]]), np.array([[0, 1, 3, 2]])) == 0.5


def test_what_cannot_be_compared_is_refused():
    a = np.ones((2, 5), np.bool_)
    for function in (difference, mcnemar):
        with pytest.raises(DataError, match=r"\(2, 5\) and \(3, 5\)"):
            function(a, np.ones((3, 5), np.bool_))
    with pytest.raises(DataError, match="at least one of each"):
        accuracy(np.ones((0, 5), np.bool_))
    with pytest.raises(DataError, match="wanted difference of 0"):
        images_needed(0, a, a)


def test_bootstrap_means_have_the_spread_of_resampled_means():
    values = np.random.default_rng(0).choice([-1, -1 / 3, 0, 2 / 3, 1], 300)
    draws = statistics._bootstrap_means(values, seed=1)
    assert draws.mean() == pytest.approx(values.mean(), abs=0.002)
    assert draws.std() == pytest.approx(values.std() / np.sqrt(300), rel=0.03)
