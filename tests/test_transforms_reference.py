"""The transforms against others' code: SciPy, Pillow, NumPy's padding and the standard library's `colorsys`.

Tolerances are in levels (of 256). Bilinear weights here are multiples of 1/256, so a level may differ by up to 2 from
the exact value, and by 0.35 on average; the rounding to whole levels alone is 0.25 of that.
"""

import colorsys

import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import ndimage
from transform_cases import FILLS, pictures

from cnnflow import transforms

SCIPY_MODES = {"nearest": "nearest", "reflect": "reflect", "constant": "grid-constant"}
SIZES = [(32, 32, 3), (28, 28, 1), (17, 40, 3), (40, 17, 1), (1, 9, 3), (224, 200, 3)]


def matrices(count, shape, rng):
    """Affine maps that rotate, shear and scale by anything, about the centre, and shift by up to a side."""
    maps = np.zeros((count, 2, 3))
    for one in maps:
        one[:, :2] = np.eye(2) + rng.uniform(-1, 1, (2, 2))
        centre = (np.array(shape[:2]) - 1) / 2
        one[:, 2] = centre - one[:, :2] @ centre + rng.uniform(-1, 1, 2) * shape[:2]
    return maps


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("shape", SIZES)
def test_affine_maps_as_scipy_does(shape, fill):
    rng = np.random.default_rng(0)
    images = pictures((4, *shape))
    maps = matrices(4, shape, rng)
    moved = transforms.adjust_affine(images, maps, fill=fill, value=77)
    differences = []
    for image, one, result in zip(images, maps, moved, strict=True):
        for channel in range(shape[2]):
            exact = ndimage.affine_transform(
                image[..., channel].astype(float), one[:, :2], one[:, 2], order=1, mode=SCIPY_MODES[fill], cval=77
            )
            differences.append(np.abs(exact - result[..., channel]))
    assert np.max(differences) <= 2
    assert np.mean(differences) <= 0.35


def test_a_checkerboard_the_hardest_picture_stays_within_the_tolerance():
    rows, columns = np.indices((64, 64))
    board = (255 * ((rows + columns) % 2)).astype(np.uint8)
    rng = np.random.default_rng(0)
    for one in matrices(50, (64, 64), rng):
        exact = ndimage.affine_transform(board.astype(float), one[:, :2], one[:, 2], order=1, mode="grid-constant")
        result = transforms.adjust_affine(board[None, ..., None], one, fill="constant")[0, ..., 0]
        assert np.abs(exact - result).max() <= 2


def exact_by_hand(image, height_map):
    """One channel through `height_map`, a function from (row, column) to the place to read, edges repeated."""
    rows, columns = height_map(*np.indices(image.shape, dtype=float))
    return ndimage.map_coordinates(image.astype(float), [rows, columns], order=1, mode="nearest")


@pytest.mark.parametrize("shape", [(31, 44), (20, 20)])
def test_shift_rotation_zoom_and_shear_do_what_their_names_say(shape):
    image = pictures((1, *shape, 1))
    row, column = (shape[0] - 1) / 2, (shape[1] - 1) / 2
    angle, lean = np.deg2rad(25), np.tan(np.deg2rad(12))
    expected = {
        transforms.adjust_shift: ((3.25, -7.5), lambda r, c: (r - 3.25, c + 7.5)),
        # Counter-clockwise: what was to the right of the centre comes up.
        transforms.adjust_rotation: (
            25,
            lambda r, c: (
                row + np.cos(angle) * (r - row) + np.sin(angle) * (c - column),
                column - np.sin(angle) * (r - row) + np.cos(angle) * (c - column),
            ),
        ),
        transforms.adjust_zoom: (1.7, lambda r, c: (row + (r - row) / 1.7, column + (c - column) / 1.7)),
        # The upper half moves to the right, so a row above the centre reads from further left.
        transforms.adjust_shear: (12, lambda r, c: (r, column + (c - column) + lean * (r - row))),
    }
    for transform, (amount, where) in expected.items():
        result = transform(image, amount)[0, ..., 0]
        assert np.abs(result - exact_by_hand(image[0, ..., 0], where)).max() <= 2, transform.__name__


def test_height_and_width_are_zoomed_by_their_own_factors():
    image = pictures((1, 31, 44, 1))
    maps = transforms.affine_maps((31, 44), zoom=(1.5, 0.8), rotation=30)
    angle = np.deg2rad(30)

    def where(rows, columns):
        rows, columns = rows - 15, columns - 21.5
        down = np.cos(angle) * rows + np.sin(angle) * columns
        right = np.cos(angle) * columns - np.sin(angle) * rows
        return 15 + down / 1.5, 21.5 + right / 0.8

    result = transforms.adjust_affine(image, maps)[0, ..., 0]
    assert np.abs(result - exact_by_hand(image[0, ..., 0], where)).max() <= 2


def test_rotation_turns_the_way_of_pillow():
    image = np.zeros((41, 41, 3), np.uint8)
    image[5:15, 22:36] = (250, 120, 30)
    expected = np.asarray(Image.fromarray(image).rotate(20, Image.Resampling.BILINEAR)).astype(int)
    result = transforms.adjust_rotation(image[None], 20, fill="constant")[0].astype(int)
    assert np.abs(result - expected).max() <= 2


def test_the_composed_map_is_the_four_one_after_the_other():
    # A smooth picture, so that four interpolations blur it little; the middle, which no edge reaches.
    rows, columns = np.indices((64, 64))
    image = (128 + 100 * np.sin(rows / 9) * np.cos(columns / 11)).astype(np.uint8)[None, ..., None]
    maps = transforms.affine_maps((64, 64), shift=(2.5, -3.0), rotation=15, zoom=(1.2, 1.2), shear=8, mirrored=True)
    at_once = transforms.adjust_affine(image, maps).astype(int)
    stepwise = transforms.adjust_flip_left_right(image, True)
    stepwise = transforms.adjust_zoom(stepwise, 1.2)
    stepwise = transforms.adjust_shear(stepwise, 8)
    stepwise = transforms.adjust_rotation(stepwise, 15)
    stepwise = transforms.adjust_shift(stepwise, (2.5, -3.0)).astype(int)
    assert np.abs(at_once - stepwise)[:, 16:48, 16:48].max() <= 4


@pytest.mark.parametrize(("fill", "mode"), [("nearest", "edge"), ("reflect", "symmetric"), ("constant", "constant")])
@pytest.mark.parametrize("shape", [(6, 12, 10, 3), (6, 5, 9, 1)])
def test_crop_is_numpys_padding_and_a_slice(shape, fill, mode):
    images = pictures(shape)
    options = {"constant_values": 50} if fill == "constant" else {}
    amounts = np.random.default_rng(0).integers(-12, 13, (shape[0], 2))
    cropped = transforms.adjust_crop(images, amounts, fill=fill, value=50)
    for image, (down, right), result in zip(images, amounts, cropped, strict=True):
        padded = np.pad(image, ((12, 12), (12, 12), (0, 0)), mode=mode, **options)
        expected = padded[12 + down : 12 + down + shape[1], 12 + right : 12 + right + shape[2]]
        np.testing.assert_array_equal(result, expected)


def test_flips_are_numpys():
    images = pictures((5, 7, 6, 3))
    chosen = np.array([True, False, True, True, False])
    left_right = transforms.adjust_flip_left_right(images, chosen)
    up_down = transforms.adjust_flip_up_down(images, chosen)
    for i, flipped in enumerate(chosen):
        np.testing.assert_array_equal(left_right[i], images[i, :, ::-1] if flipped else images[i])
        np.testing.assert_array_equal(up_down[i], images[i, ::-1] if flipped else images[i])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("transform", "enhance"),
    [
        (transforms.adjust_brightness, ImageEnhance.Brightness),
        (transforms.adjust_contrast, ImageEnhance.Contrast),
        (transforms.adjust_saturation, ImageEnhance.Color),
    ],
)
def test_brightness_contrast_and_saturation_are_pillows(transform, enhance, channels):
    images = pictures((5, 20, 30, channels))
    factors = [0, 0.4, 1, 1.3, 2.5]
    results = transform(images, factors).astype(int)
    for image, factor, result in zip(images, factors, results, strict=True):
        picture = Image.fromarray(image[..., 0] if channels == 1 else image)
        expected = np.asarray(enhance(picture).enhance(factor)).reshape(image.shape)
        # Pillow cuts fractions off where levels are rounded here.
        assert np.abs(result - expected).max() <= 1


@pytest.mark.parametrize("degrees", [-180, -77.7, 0, 10, 120, 345])
def test_hue_turns_as_in_colorsys(degrees):
    images = pictures((1, 16, 16, 3)).copy()
    images[0, 0, :6] = [[0, 0, 0], [255, 255, 255], [9, 9, 9], [200, 100, 100], [100, 200, 200], [255, 0, 255]]
    result = transforms.adjust_hue(images, degrees)
    for pixel, turned in zip(images.reshape(-1, 3) / 255, result.reshape(-1, 3), strict=True):
        hue, saturation, value = colorsys.rgb_to_hsv(*pixel)
        expected = np.array(colorsys.hsv_to_rgb((hue + degrees / 360) % 1, saturation, value)) * 255
        assert np.abs(turned - expected).max() <= 0.51


def test_hue_by_120_degrees_makes_red_green():
    red = np.array([200, 10, 30], np.uint8).reshape(1, 1, 1, 3)
    assert transforms.adjust_hue(red, 120).ravel().tolist() == [30, 200, 10]


@pytest.mark.parametrize("shape", [(3, 20, 31, 3), (3, 4, 9, 1)])
def test_blur_is_scipys_gaussian(shape):
    images = pictures(shape)
    sigmas = [0.0, 0.8, 2.3]
    results = transforms.adjust_blur(images, sigmas)
    for image, sigma, result in zip(images, sigmas, results, strict=True):
        expected = ndimage.gaussian_filter(image.astype(float), sigma, mode="reflect", truncate=3.0, axes=(0, 1))
        assert np.abs(result - expected).max() <= 0.51


def test_noise_has_the_deviation_that_was_asked_for():
    images = np.full((200, 32, 32, 1), 128, np.uint8)
    noisy = transforms.random_noise(images, np.random.default_rng(0), noise=20.0).astype(float)
    deviations = noisy.std(axis=(1, 2, 3))
    assert 0 <= deviations.min() < 1.5
    assert 18 < deviations.max() < 21
    assert abs(noisy.mean() - 128) < 0.1


def test_noise_is_added_and_stops_at_the_ends():
    images = np.array([0, 100, 250], np.uint8).reshape(1, 1, 3, 1)
    amounts = np.array([-5, 3.4, 20]).reshape(1, 1, 3, 1)
    assert transforms.adjust_noise(images, amounts).ravel().tolist() == [0, 103, 255]


def test_erasing_fills_one_rectangle():
    images = pictures((2, 10, 12, 3))
    erased = transforms.adjust_erasing(images, [(2, 3, 4, 5), (-2, 10, 5, 9)], value=9)
    expected = images.copy()
    expected[0, 2:6, 3:8] = 9
    expected[1, 0:3, 10:12] = 9
    np.testing.assert_array_equal(erased, expected)
    mean = transforms.adjust_erasing(images, (0, 0, 1, 1))
    np.testing.assert_array_equal(mean[:, 0, 0], np.rint(images.mean(axis=(1, 2))))


def test_random_erasing_keeps_to_its_probability_area_and_aspect():
    images = np.zeros((2000, 40, 50, 1), np.uint8)
    options = {"probability": 0.4, "area": (0.1, 0.2), "aspect": (0.5, 2.0), "value": 255}
    erased = transforms.random_erasing(images, np.random.default_rng(0), **options)[..., 0] > 0
    hit = erased.any(axis=(1, 2))
    assert abs(hit.mean() - 0.4) < 0.04
    heights, widths = erased[hit].any(axis=2).sum(axis=1), erased[hit].any(axis=1).sum(axis=1)
    areas = heights * widths / 2000
    np.testing.assert_array_equal(erased[hit].sum(axis=(1, 2)), heights * widths)
    assert 0.09 <= areas.min() < 0.12
    assert 0.18 < areas.max() <= 0.215
    ratios = heights / widths
    assert 0.45 <= ratios.min() < 0.6
    assert 1.7 < ratios.max() <= 2.2
    # Each corner of the image is reached: rectangles lie anywhere.
    assert erased[:, 0, 0].any()
    assert erased[:, -1, -1].any()


def test_cutout_centres_lie_anywhere_so_that_squares_hang_over():
    images = np.zeros((500, 20, 20, 1), np.uint8)
    erased = transforms.random_cutout(images, np.random.default_rng(0), side=8, value=255)[..., 0] > 0
    sizes = erased.sum(axis=(1, 2))
    assert sizes.max() == 64
    assert sizes.min() <= 25
    # Each pixel in the middle is covered by the same share of squares: 64 of 400 centres.
    assert abs(erased[:, 8:12, 8:12].mean() - 0.16) < 0.03


def test_mixup_blends_images_and_targets_alike():
    images, targets = pictures((3, 6, 6, 3)), np.eye(3, dtype=np.float32)
    partners = np.array([2, 0, 1])
    shares = np.array([0.25, 0.5, 0.9])
    mixed, mixed_targets = transforms.adjust_mixup(images, targets, shares, partners=partners)
    for i, (partner, share) in enumerate(zip(partners, shares, strict=True)):
        expected = images[i] * (1 - share) + images[partner] * share
        assert np.abs(mixed[i] - expected).max() <= 0.51
        np.testing.assert_allclose(mixed_targets[i], targets[i] * (1 - share) + targets[partner] * share, atol=1e-6)


def test_cutmix_shares_the_targets_by_area():
    images, targets = pictures((3, 6, 8, 3)), np.eye(3, dtype=np.float32)
    partners = np.array([2, 0, 1])
    boxes = np.array([[1, 2, 4, 6], [-3, -3, 2, 2], [5, 5, 4, 4]])
    mixed, mixed_targets = transforms.adjust_cutmix(images, targets, boxes, partners=partners)
    expected = images.copy()
    expected[0, 1:4, 2:6] = images[2, 1:4, 2:6]
    expected[1, 0:2, 0:2] = images[0, 0:2, 0:2]
    np.testing.assert_array_equal(mixed, expected)
    np.testing.assert_allclose(mixed_targets, [[0.75, 0, 0.25], [4 / 48, 44 / 48, 0], [0, 0, 1]], atol=1e-6)


def test_random_cutmix_takes_the_share_of_the_pixels_that_it_changed():
    images = np.repeat(np.arange(8, dtype=np.uint8), 30 * 30).reshape(8, 30, 30, 1)
    targets = np.eye(8, dtype=np.float32)
    for seed in range(20):
        mixed, shares = transforms.cutmix(images, targets, np.random.default_rng(seed))
        for image, share in zip(mixed, shares, strict=True):
            np.testing.assert_allclose(np.bincount(image.ravel(), minlength=8) / 900, share, atol=1e-6)


def test_a_cutmix_rectangle_has_the_share_that_was_drawn_where_it_does_not_hang_over():
    images = np.repeat(np.arange(200, dtype=np.uint8), 30 * 40).reshape(200, 30, 40, 1)
    targets = np.eye(200, dtype=np.float32)
    # With so large an alpha every share is close to a half: sides of 0.707 times the image's.
    mixed, shares = transforms.cutmix(images, targets, np.random.default_rng(0), alpha=1000.0)
    pasted = (mixed != images)[..., 0]
    assert abs((1 - shares.diagonal()).max() - 0.5) < 0.04
    assert abs(pasted.any(axis=2).sum(axis=1).max() - 0.707 * 30) <= 2
    assert abs(pasted.any(axis=1).sum(axis=1).max() - 0.707 * 40) <= 2
