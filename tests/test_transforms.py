"""The transforms as a whole: their signatures, purity, and what they say to wrong options."""

import inspect
import types

import numpy as np
import pytest
from transform_cases import ADJUSTS, AMOUNTS, MIXES, NEUTRAL, RANDOMS, function, pictures

from cnnflow import transforms
from cnnflow.config import AUGMENTATIONS
from cnnflow.errors import OptionError
from cnnflow.transforms import Augmentation, augmentation, compose

KEYWORD = inspect.Parameter.KEYWORD_ONLY


def parameters(name):
    return list(inspect.signature(getattr(transforms, name)).parameters.values())


def test_there_are_the_transforms_that_were_promised():
    wanted = "shift rotation zoom shear flip_left_right flip_up_down brightness contrast saturation hue blur noise crop"
    for kind in [*wanted.split(), "cutout", "erasing", "affine"]:
        assert f"adjust_{kind}" in ADJUSTS
        assert f"random_{kind}" in RANDOMS
    assert set(NEUTRAL) == set(AMOUNTS) == set(ADJUSTS)


@pytest.mark.parametrize("name", ADJUSTS)
def test_an_adjust_takes_images_and_amounts_and_options_by_keyword(name):
    first, second, *options = parameters(name)
    assert (first.name, second.name) == ("images", "amounts")
    assert all(option.kind is KEYWORD for option in options)
    assert f"random_{name.removeprefix('adjust_')}" in RANDOMS


@pytest.mark.parametrize("name", RANDOMS)
def test_a_random_twin_takes_images_and_rng_and_options_by_keyword_with_defaults(name):
    first, second, *options = parameters(name)
    assert (first.name, second.name) == ("images", "rng")
    assert second.annotation is np.random.Generator
    assert all(option.kind is KEYWORD and option.default is not option.empty for option in options)
    assert f"adjust_{name.removeprefix('random_')}" in ADJUSTS


@pytest.mark.parametrize("name", MIXES)
def test_a_mix_takes_images_targets_and_rng(name):
    first, second, third, *options = parameters(name)
    assert (first.name, second.name, third.name) == ("images", "targets", "rng")
    assert all(option.kind is KEYWORD and option.default is not option.empty for option in options)
    assert [parameter.name for parameter in parameters(f"adjust_{name}")][:3] == ["images", "targets", "amounts"]


@pytest.mark.parametrize("name", [*ADJUSTS, *RANDOMS, *MIXES, "compose", "augmentation", "affine_maps"])
def test_everything_is_a_documented_function_with_full_annotations(name):
    function = getattr(transforms, name)
    assert isinstance(function, types.FunctionType)
    assert inspect.getdoc(function)
    signature = inspect.signature(function)
    assert signature.return_annotation is not signature.empty
    assert all(parameter.annotation is not parameter.empty for parameter in signature.parameters.values())


def test_no_module_of_the_transforms_holds_anything_that_can_change():
    modules = [value for value in vars(transforms).values() if isinstance(value, types.ModuleType)]
    assert len(modules) >= 10
    for module in modules:
        for name, value in vars(module).items():
            if not name.startswith("__"):
                assert not isinstance(value, dict | list | set | np.ndarray | np.random.Generator), (module, name)


@pytest.mark.parametrize("name", RANDOMS)
def test_random_draws_from_the_generator_alone(name):
    images = pictures((4, 12, 16, 3))
    before = np.random.get_state()[1].tolist()
    once = function(name)(images, np.random.default_rng(5))
    again = function(name)(images, np.random.default_rng(5))
    np.testing.assert_array_equal(once, again)
    assert np.random.get_state()[1].tolist() == before


def test_random_transforms_do_change_images():
    images = pictures((8, 16, 16, 3))
    options = {
        "random_affine": {"rotation": 20.0},
        "random_crop": {"padding": 4},
        "random_cutout": {"side": 8},
    }
    for name in RANDOMS:
        changed = function(name, **options.get(name, {}))(images, np.random.default_rng(0))
        assert not np.array_equal(changed, images), name


def test_compose_gives_stage_i_the_ith_child_of_the_generator():
    images = pictures((4, 12, 16, 3))
    first, second = function("random_shift"), function("random_brightness")
    children = np.random.default_rng(3).spawn(2)
    expected = second(first(images, children[0]), children[1])
    np.testing.assert_array_equal(compose(first, second)(images, np.random.default_rng(3)), expected)


def test_what_one_stage_draws_never_moves_the_numbers_of_another():
    images = pictures((4, 12, 16, 3))

    def greedy(images, rng):
        rng.random(1000)
        return images

    brighter = function("random_brightness")
    moderate = compose(lambda images, rng: images, brighter)(images, np.random.default_rng(0))
    np.testing.assert_array_equal(compose(greedy, brighter)(images, np.random.default_rng(0)), moderate)


def test_compose_of_nothing_is_the_identity():
    images = pictures((2, 4, 4, 1))
    np.testing.assert_array_equal(compose()(images, np.random.default_rng(0)), images)


@pytest.mark.parametrize("name", AUGMENTATIONS)
@pytest.mark.parametrize("shape", [(5, 28, 28, 1), (5, 32, 32, 3), (3, 8, 12, 3), (2, 1, 1, 1), (0, 8, 8, 3)])
def test_presets_keep_shape_and_type(name, shape):
    preset = augmentation(name, mirror=True)
    images = pictures(shape)
    if preset.images is not None:
        changed = preset.images(images, np.random.default_rng(0))
        assert (changed.shape, changed.dtype) == (shape, np.uint8)
    if preset.mix is not None:
        targets = np.eye(7, dtype=np.float32)[np.arange(shape[0])]
        mixed, shares = preset.mix(images, targets, np.random.default_rng(0))
        assert (mixed.shape, mixed.dtype) == (shape, np.uint8)
        assert (shares.shape, shares.dtype) == (targets.shape, np.float32)
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-6)


def test_only_strong_mixes_and_none_does_nothing():
    assert augmentation("none", mirror=True) == Augmentation(None, None)
    assert [name for name in AUGMENTATIONS if augmentation(name, mirror=True).mix] == ["strong"]


@pytest.mark.parametrize("name", ["light", "erase", "tutorial", "strong"])
def test_presets_flip_where_the_dataset_allows_it_and_nowhere_else(name):
    # White on the left half: after any small movement the left is still the lighter one, unless flipped.
    image = np.zeros((1, 32, 32, 1), np.uint8)
    image[:, :, :16] = 255
    images = np.repeat(image, 200, axis=0)

    def flipped(mirror):
        changed = augmentation(name, mirror=mirror).images(images, np.random.default_rng(0)).astype(int)
        return (changed[:, 12:20, 20:].mean(axis=(1, 2, 3)) > changed[:, 12:20, :12].mean(axis=(1, 2, 3))).mean()

    assert 0.35 < flipped(True) < 0.65
    assert flipped(False) == 0


def test_erase_moves_by_a_pixel_and_erases_in_half_of_the_pictures():
    images = np.zeros((1000, 28, 28, 1), np.uint8)
    images[:, 13:15, 13:15] = 200
    changed = augmentation("erase", mirror=True).images(images, np.random.default_rng(1))[..., 0]
    assert set(np.unique(changed)) == {0, 1, 200}  # 1 is the mean, which a rectangle is filled with
    assert 0.45 < (changed == 1).any(axis=(1, 2)).mean() < 0.55
    whole = changed[(changed == 200).sum(axis=(1, 2)) == 4]
    np.testing.assert_array_equal(np.unique(np.nonzero(whole == 200)[1]), [12, 13, 14, 15])
    np.testing.assert_array_equal(np.unique(np.nonzero(whole == 200)[2]), [12, 13, 14, 15])


def test_the_tutorial_preset_reaches_the_ranges_of_the_document():
    # A dot in the middle shows how far an image moved: at most 20% of 100 pixels, plus what zoom and rotation do
    # to it (nothing: it is the centre).
    images = np.zeros((400, 101, 101, 1), np.uint8)
    images[:, 49:52, 49:52] = 200
    changed = augmentation("tutorial", mirror=True).images(images, np.random.default_rng(1)).astype(float)[..., 0]
    mass = changed.sum(axis=(1, 2))
    rows = (changed.sum(axis=2) * np.arange(101)).sum(axis=1) / mass - 50
    columns = (changed.sum(axis=1) * np.arange(101)).sum(axis=1) / mass - 50
    for moved in (rows, columns):
        assert 19 < np.abs(moved).max() < 21
        assert abs(moved.mean()) < 2
    highest = changed.max(axis=(1, 2))
    assert 155 <= highest.min() < 175
    assert 225 < highest.max() <= 240


IMAGES = pictures((2, 8, 8, 3))
RNG = np.random.default_rng(0)
TARGETS = np.eye(2, dtype=np.float32)

WRONG = [
    (lambda: function("random_rotation")(IMAGES, RNG, rotation=-5), "rotation=-5; it must be 0 to 180"),
    (lambda: function("random_rotation")(IMAGES, RNG, rotation="30"), "rotation='30'; it must be 0 to 180"),
    (lambda: function("adjust_zoom")(IMAGES, 0), "zoom with 0; every one must be 0.05 to 20"),
    (
        lambda: function("random_zoom")(IMAGES, RNG, zoom=(0, 1.2)),
        "zoom=(0, 1.2); it must be a pair (lowest, highest), both 0.05 to 20",
    ),
    (
        lambda: function("random_zoom")(IMAGES, RNG, zoom=0),
        "zoom=0; it must be a pair (lowest, highest), both 0.05 to 20",
    ),
    (
        lambda: function("random_zoom")(IMAGES, RNG, zoom=(1.2, 0.8)),
        "zoom=(1.2, 0.8); it must be a pair (lowest, highest), both 0.05 to 20",
    ),
    (
        lambda: function("adjust_rotation")(IMAGES / 255, 30),
        "images of dtype float64; they must be uint8 with values 0 to 255",
    ),
    (lambda: function("adjust_rotation")([[1]], 30), "images of type list; they must be a NumPy array of uint8"),
    (
        lambda: function("adjust_rotation")(IMAGES[0], 30),
        "images of shape (8, 8, 3); they must be [n, height, width, channels], 1 or 3 channels",
    ),
    (
        lambda: function("adjust_rotation")(IMAGES, [1, 2, 3]),
        "amounts of shape [3]; it must be [2], an amount an image, or a single number",
    ),
    (lambda: function("adjust_rotation")(IMAGES, np.nan), "amounts with nan; every one must be finite"),
    (lambda: function("adjust_rotation")(IMAGES, "far"), "amounts of 'far'; it must be numbers, an amount an image"),
    (
        lambda: transforms.affine_maps((8, 8), zoom=(1, 0)),
        "zoom=(1, 0); every factor must be above 0, such as (1.2, 1.2) to enlarge",
    ),
    (
        lambda: function("adjust_affine")(IMAGES, [[1, 0, 1e6], [0, 1, 0]]),
        "amounts that lead 1000008 pixels off the image; at most 30000 can be",
    ),
    (lambda: function("random_shift")(IMAGES, RNG, shift=1.5), "shift=1.5; it must be 0 to 1"),
    (lambda: function("random_shift")(IMAGES, RNG, fill="nearst"), "no fill 'nearst'; did you mean nearest?"),
    (
        lambda: function("random_shift")(IMAGES, RNG, fill="constant", value=300),
        "value=300; it must be a whole number from 0 to 255",
    ),
    (lambda: function("random_shear")(IMAGES, RNG, shear=90), "shear=90; it must be 0 to 80"),
    (lambda: function("random_crop")(IMAGES, RNG, padding=8), "padding=8; it must be a whole number from 0 to 7"),
    (
        lambda: function("adjust_crop")(IMAGES, (0.5, 0)),
        "amounts of dtype float64; it must be of whole numbers, such as int64",
    ),
    (
        lambda: function("adjust_flip_left_right")(IMAGES, 1),
        "amounts of dtype int64; it must be bool, an amount an image",
    ),
    (lambda: function("random_flip_up_down")(IMAGES, RNG, probability=2), "probability=2; it must be 0 to 1"),
    (lambda: function("adjust_brightness")(IMAGES, -1), "brightness with -1; every one must be 0 to 100"),
    (
        lambda: function("random_contrast")(IMAGES, RNG, contrast=(-1, 1)),
        "contrast=(-1, 1); it must be a pair (lowest, highest), both 0 to 100",
    ),
    (lambda: function("random_hue")(IMAGES, RNG, hue=-1), "hue=-1; it must be 0 to 180"),
    (lambda: function("random_blur")(IMAGES, RNG, blur=float("inf")), "blur=inf; it must be 0 to 50"),
    (lambda: function("random_noise")(IMAGES, RNG, noise=-1), "noise=-1; it must be 0 to 255"),
    (
        lambda: function("adjust_noise")(IMAGES, np.zeros(2)),
        "noise of shape (2,) for images of (2, 8, 8, 3); the shapes must be the same",
    ),
    (
        lambda: function("adjust_erasing")(IMAGES, (0, 0, -1, 2)),
        "a rectangle of size -1; height and width must be at least 0",
    ),
    (lambda: function("random_cutout")(IMAGES, RNG, side=9), "side=9; it must be a whole number from 0 to 8"),
    (lambda: function("mixup")(IMAGES, TARGETS, RNG, alpha=0), "alpha=0; it must be 0.001 to 1000"),
    (
        lambda: function("cutmix")(IMAGES, np.array([0, 1]), RNG),
        "targets of int64 (2,); they must be float32 [2, classes]",
    ),
    (lambda: augmentation("tutoral", mirror=True), "no augmentation 'tutoral'; did you mean tutorial?"),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_option_gives_one_line_with_the_value_the_rule_and_the_way_out(call, message):
    with pytest.raises(OptionError) as caught:
        call()
    assert str(caught.value) == message
