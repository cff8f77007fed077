"""What holds for every transform and any images (hypothesis draws them)."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transform_cases import ADJUSTS, AMOUNTS, FILLS, MIXES, NEUTRAL, OPTIONS, RANDOMS, function, pictures

from cnnflow import transforms

shapes = st.tuples(st.integers(1, 4), st.integers(1, 13), st.integers(1, 13), st.sampled_from([1, 3]))
seeds = st.integers(0, 2**32 - 1)
EXAMPLES = settings(max_examples=25, deadline=None)


def fills_of(name):
    """The options of `name` to try: each fill mode, where it has them."""
    code = getattr(transforms, name).__code__
    has_fill = "fill" in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return [{"fill": fill, "value": 99} for fill in FILLS] if has_fill else [{}]


CASES = [(name, options) for name in ADJUSTS for options in fills_of(name)]
RANDOM_CASES = [(name, options) for name in RANDOMS for options in fills_of(name)]


def with_side(name, options):
    """A cutout needs a side; 1 fits the smallest pictures."""
    return {**options, "side": 1} if name == "adjust_cutout" else options


@pytest.mark.parametrize(("name", "options"), CASES)
@EXAMPLES
@given(shape=shapes, seed=seeds)
def test_neutral_amounts_change_nothing_and_give_new_memory(name, options, shape, seed):
    images = pictures(shape, seed)
    result = function(name, **options)(images, NEUTRAL[name](images))
    np.testing.assert_array_equal(result, images)
    assert not np.shares_memory(result, images)


@pytest.mark.parametrize(("name", "options"), CASES)
@EXAMPLES
@given(shape=shapes, seed=seeds)
def test_shape_and_type_are_kept_and_the_input_is_not_written_to(name, options, shape, seed):
    images = pictures(shape, seed)
    before = images.tobytes()
    amounts = AMOUNTS[name](np.random.default_rng(seed), shape)
    result = function(name, **with_side(name, options))(images, amounts)
    assert (result.shape, result.dtype) == (images.shape, np.uint8)
    assert images.tobytes() == before


@pytest.mark.parametrize(("name", "options"), CASES)
@EXAMPLES
@given(shape=shapes, seed=seeds)
def test_one_image_alone_equals_that_image_in_a_batch(name, options, shape, seed):
    images = pictures(shape, seed)
    amounts = AMOUNTS[name](np.random.default_rng(seed), shape)
    transform = function(name, **with_side(name, options))
    together = transform(images, amounts)
    for i in range(len(images)):
        np.testing.assert_array_equal(transform(images[i : i + 1], amounts[i : i + 1])[0], together[i])


@pytest.mark.parametrize(("name", "options"), CASES)
def test_one_amount_goes_for_all_images(name, options):
    images = pictures((3, 9, 7, 3))
    amount = AMOUNTS[name](np.random.default_rng(0), images.shape)[0]
    transform = function(name, **with_side(name, options))
    if name != "adjust_noise":
        np.testing.assert_array_equal(transform(images, amount), transform(images, np.stack([amount] * 3)))


@pytest.mark.parametrize(("name", "options"), RANDOM_CASES)
@EXAMPLES
@given(shape=shapes, seed=seeds)
def test_the_same_generator_gives_the_same_images(name, options, shape, seed):
    images = pictures(shape, seed)
    results = [function(name, **options)(images, np.random.default_rng(seed)) for _ in range(2)]
    np.testing.assert_array_equal(*results)
    assert (results[0].shape, results[0].dtype) == (images.shape, np.uint8)
    assert not np.shares_memory(results[0], images)


@pytest.mark.parametrize(("name", "options"), [*CASES, *RANDOM_CASES])
def test_no_images_give_no_images(name, options):
    images = pictures((0, 8, 8, 3))
    second = np.random.default_rng(0) if name in RANDOMS else AMOUNTS[name](np.random.default_rng(0), images.shape)
    assert function(name, **with_side(name, options))(images, second).shape == images.shape


@pytest.mark.parametrize("name", ADJUSTS)
def test_images_need_not_lie_in_one_piece(name):
    images = pictures((4, 18, 11, 3))
    strided = images[::2, ::2, ::-1]
    amounts = AMOUNTS[name](np.random.default_rng(0), strided.shape)
    transform = function(name, **with_side(name, {}))
    np.testing.assert_array_equal(transform(strided, amounts), transform(np.ascontiguousarray(strided), amounts))


@pytest.mark.parametrize("name", ["adjust_flip_left_right", "adjust_flip_up_down"])
@EXAMPLES
@given(shape=shapes, seed=seeds)
def test_a_flip_twice_is_the_identity(name, shape, seed):
    images = pictures(shape, seed)
    flip = function(name)
    np.testing.assert_array_equal(flip(flip(images, True), True), images)


@EXAMPLES
@given(shape=shapes, seed=seeds)
def test_four_quarter_turns_are_the_identity_and_one_is_a_quarter_turn(shape, seed):
    images = pictures((shape[0], shape[1], shape[1], shape[3]), seed)
    turned = transforms.adjust_rotation(images, 90)
    np.testing.assert_array_equal(turned, np.rot90(images, axes=(1, 2)))
    for _ in range(3):
        turned = transforms.adjust_rotation(turned, 90)
    np.testing.assert_array_equal(turned, images)


@EXAMPLES
@given(shape=shapes, seed=seeds, fill=st.sampled_from(FILLS), data=st.data())
def test_a_shift_by_whole_pixels_is_a_crop(shape, seed, fill, data):
    images = pictures(shape, seed)
    moves = st.tuples(st.integers(-15, 15), st.integers(-15, 15))
    amounts = np.array(data.draw(st.lists(moves, min_size=shape[0], max_size=shape[0])))
    np.testing.assert_array_equal(
        transforms.adjust_shift(images, amounts, fill=fill, value=7),
        transforms.adjust_crop(images, -amounts, fill=fill, value=7),
    )


@EXAMPLES
@given(shape=shapes, seed=seeds)
def test_a_mirroring_map_is_a_flip(shape, seed):
    images = pictures(shape, seed)
    chosen = np.random.default_rng(seed).random(shape[0]) < 0.5
    flipped = transforms.adjust_flip_left_right(images, chosen)
    maps = transforms.affine_maps(shape[1:3], mirrored=chosen)
    np.testing.assert_array_equal(transforms.adjust_affine(images, maps), flipped)
    np.testing.assert_array_equal(transforms.adjust_crop(images, (0, 0), mirrored=chosen), flipped)


@EXAMPLES
@given(seed=seeds, level=st.integers(0, 255), fill=st.sampled_from(["nearest", "reflect"]))
def test_a_plain_image_stays_plain_whatever_the_geometry(seed, level, fill):
    images = np.full((3, 9, 11, 3), level, np.uint8)
    moved = transforms.random_affine(
        images, np.random.default_rng(seed), shift=1.0, rotation=180.0, zoom=(0.05, 20.0), shear=80.0, fill=fill
    )
    np.testing.assert_array_equal(moved, images)


@pytest.mark.parametrize("name", MIXES)
@EXAMPLES
@given(shape=shapes, seed=seeds)
def test_mixing_keeps_what_the_targets_sum_to(name, shape, seed):
    images = pictures(shape, seed)
    targets = np.random.default_rng(seed).dirichlet(np.ones(5), size=shape[0]).astype(np.float32)
    before = targets.copy()
    results = [function(name)(images, targets, np.random.default_rng(seed)) for _ in range(2)]
    for (mixed, shares), again in [results]:
        np.testing.assert_array_equal(mixed, again[0])
        np.testing.assert_array_equal(shares, again[1])
        assert (mixed.shape, mixed.dtype) == (images.shape, np.uint8)
        assert (shares.shape, shares.dtype) == (targets.shape, np.float32)
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(targets, before)


@EXAMPLES
@given(shape=shapes, seed=seeds)
def test_mixing_nothing_in_is_the_identity_and_everything_is_the_partner(shape, seed):
    images = pictures(shape, seed)
    n, height, width, _ = shape
    targets = np.random.default_rng(seed).dirichlet(np.ones(5), size=n).astype(np.float32)
    partners = np.random.default_rng(seed).permutation(n)
    none, everything = (0, 0, 0, 0), (0, 0, height, width)
    for mix, least, most in ((transforms.adjust_mixup, 0, 1), (transforms.adjust_cutmix, none, everything)):
        for amounts, chosen in ((least, np.arange(n)), (most, partners)):
            mixed, shares = mix(images, targets, amounts, partners=partners)
            np.testing.assert_array_equal(mixed, images[chosen])
            np.testing.assert_array_equal(shares, targets[chosen])


def test_every_transform_is_among_the_cases():
    assert set(OPTIONS) <= set(ADJUSTS) | set(RANDOMS)
    assert {name for name, _ in CASES} == set(ADJUSTS)
