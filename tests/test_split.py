"""Splits: whole, stratified, seeded, with equal pictures on one side."""

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnflow.config import DataConfig
from cnnflow.data.image_set import Dataset, ImageSet
from cnnflow.data.split import Splits, image_hashes, same_pixels, split
from cnnflow.errors import DataError, OptionError

CONFIG = DataConfig("photos")
GOLDEN = [["train/14", "train/15"], ["train/7", "train/12"]]


def image_set(counts, *, side=4, seed=0, where="train"):
    """Pictures that are all different, `counts[i]` of class i, in mixed order."""
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    images = np.random.default_rng([seed, 1]).integers(0, 256, (len(labels), side, side, 3), np.uint8)
    names = tuple(f"class {number}" for number in range(len(counts)))
    return ImageSet(images, labels, names, [f"{where}/{row}" for row in range(len(labels))])


def origins(parts: Splits):
    return [list(part.origins) for part in (parts.train, parts.validation, parts.test)]


def test_a_source_without_splits_is_cut_70_15_15_in_each_class():
    parts = split(Dataset("photos", image_set([200, 100, 40])), CONFIG, seed=0)
    assert parts.train.counts() == {"class 0": 140, "class 1": 70, "class 2": 28}
    assert parts.validation.counts() == {"class 0": 30, "class 1": 15, "class 2": 6}
    assert parts.test.counts() == {"class 0": 30, "class 1": 15, "class 2": 6}
    assert sorted(itertools.chain(*origins(parts))) == sorted(f"train/{row}" for row in range(340))


def test_a_source_with_a_test_split_gives_a_fifth_of_its_training_images_and_keeps_its_test():
    test = image_set([5, 5], seed=9, where="test")
    parts = split(Dataset("named", image_set([100, 100]), test=test), CONFIG, seed=0)
    assert parts.test is test
    assert (len(parts.train), len(parts.validation)) == (160, 40)


def test_a_source_with_every_split_is_used_as_it_is():
    dataset = Dataset("whole", image_set([9, 9]), image_set([2, 2], seed=1), image_set([3, 3], seed=2))
    parts = split(dataset, CONFIG, seed=0)
    assert (parts.train, parts.validation, parts.test) == (dataset.train, dataset.validation, dataset.test)


def test_a_source_with_validation_only_gives_its_test():
    dataset = Dataset("half", image_set([100, 100]), validation=image_set([2, 2], seed=1))
    parts = split(dataset, CONFIG, seed=0)
    assert parts.validation is dataset.validation
    assert (len(parts.train), len(parts.test)) == (170, 30)


def test_given_fractions_are_of_all_images():
    parts = split(Dataset("photos", image_set([50, 50])), DataConfig("photos", validation=0.3, test=0.1), seed=0)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (60, 30, 10)


def test_the_seed_decides_and_nothing_else():
    dataset = Dataset("photos", image_set([50, 50]))
    assert origins(split(dataset, CONFIG, seed=3)) == origins(split(dataset, CONFIG, seed=3))
    assert origins(split(dataset, CONFIG, seed=3)) != origins(split(dataset, CONFIG, seed=4))


def test_the_choice_is_the_same_from_release_to_release():
    parts = split(Dataset("photos", image_set([8, 8])), CONFIG, seed=0)
    assert origins(parts)[1:] == GOLDEN


def test_equal_pictures_stay_on_one_side():
    images = image_set([60, 60])
    pixels = images.images.copy()
    pixels[60:] = pixels[:60]
    dataset = Dataset("doubled", ImageSet(pixels, images.labels, images.class_names, images.origins))
    for seed in range(5):
        hashes = [set(image_hashes(part.images)) for part in parts_of(split(dataset, CONFIG, seed=seed))]
        assert all(not a & b for a, b in itertools.combinations(hashes, 2))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(10, 60), st.integers(1, 30))
def test_groups_stay_on_one_side_and_nothing_is_lost(seed, count, groups):
    images = image_set([count, 2 * count])
    numbers = np.random.default_rng(seed).integers(0, groups, len(images))
    try:
        parts = split(Dataset("grouped", images, groups=numbers), CONFIG, seed=seed)
    except DataError:
        # Two of each class are cut once and then are one of each, which nothing can be cut from.
        assert len(np.unique(numbers)) < 5
        return
    group_of = dict(zip(images.origins, numbers.tolist(), strict=True))
    sides = [{group_of[origin] for origin in part} for part in origins(parts)]
    assert all(not a & b for a, b in itertools.combinations(sides, 2))
    assert sum(len(part) for part in parts_of(parts)) == len(images)


def test_pairs_change_the_shares_little():
    images = image_set([100, 100])
    parts = split(Dataset("pairs", images, groups=np.arange(200) // 2), CONFIG, seed=0)
    assert len(parts.test) in range(26, 35)
    assert len(parts.validation) in range(26, 35)


def test_a_small_class_is_in_every_part_while_it_can():
    parts = split(Dataset("small", image_set([100, 3])), CONFIG, seed=0)
    assert [part.counts()["class 1"] for part in parts_of(parts)] == [1, 1, 1]
    assert split(Dataset("one", image_set([100, 1])), CONFIG, seed=0).train.counts()["class 1"] == 1


def test_too_few_images_are_refused_with_the_way_out():
    with pytest.raises(DataError, match=r"2 images of 2 classes are too few.*add images"):
        split(Dataset("tiny", image_set([1, 1])), CONFIG, seed=0)


def test_fractions_that_leave_nothing_are_refused():
    with pytest.raises(OptionError, match=r"validation and test take 120%"):
        split(Dataset("photos", image_set([9, 9])), DataConfig("photos", validation=0.6, test=0.6), seed=0)


def test_limit_keeps_the_shares_and_the_order_of_each_part():
    parts = split(Dataset("photos", image_set([200, 100])), DataConfig("photos", limit=30), seed=0)
    for part in parts_of(parts):
        assert part.counts() == {"class 0": 20, "class 1": 10}
        rows = [int(origin.split("/")[1]) for origin in part.origins]
        assert rows == sorted(rows)


def test_limit_leaves_the_split_as_it_was_and_only_takes_from_it():
    dataset = Dataset("photos", image_set([200, 100]))
    whole, few = split(dataset, CONFIG, seed=0), split(dataset, DataConfig("photos", limit=30), seed=0)
    for few_part, part in zip(origins(few), origins(whole), strict=True):
        assert set(few_part) < set(part)


def test_limit_keeps_an_image_of_the_rarest_class():
    parts = split(Dataset("rare", image_set([1000, 4])), DataConfig("rare", limit=20), seed=0)
    assert [part.counts()["class 1"] for part in parts_of(parts)] == [1, 1, 1]


def test_limit_above_the_size_changes_nothing():
    dataset = Dataset("photos", image_set([20, 20]))
    whole, same = split(dataset, CONFIG, seed=0), split(dataset, DataConfig("photos", limit=1000), seed=0)
    assert origins(whole) == origins(same)


def test_image_hashes_are_the_sha256_of_the_pixels():
    images = image_set([3, 3]).images
    assert image_hashes(images) == [hashlib.sha256(image.tobytes()).hexdigest() for image in images]


def test_image_hashes_of_a_view_are_of_what_is_seen():
    images = image_set([3, 3]).images
    assert image_hashes(images[::2]) == image_hashes(images)[::2]


def test_same_pixels_groups_exactly_the_equal_ones():
    images = image_set([4, 0]).images
    groups = same_pixels(np.concatenate([images, images[[2]]]))
    assert groups[2] == groups[4]
    assert len(set(groups.tolist())) == 4


def parts_of(parts: Splits):
    return parts.train, parts.validation, parts.test
