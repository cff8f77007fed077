"""The rule that brings pictures to size."""

import json

import numpy as np
import pytest
from drawn_pictures import scene
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cnnflow.config import DataConfig
from cnnflow.data.resize import Resize
from cnnflow.errors import OptionError

FITS = ("stretch", "pad", "crop")


def halves(width=200, height=100):
    """Red on the left, green in the middle, blue on the right."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 4, 0] = 255
    pixels[:, width // 4 : width - width // 4, 1] = 255
    pixels[:, width - width // 4 :, 2] = 255
    return Image.fromarray(pixels)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 60), st.integers(1, 60), st.sampled_from(FITS))
def test_every_picture_comes_to_the_size_and_keeps_its_mode(width, height, rows, columns, fit):
    for mode in ("RGB", "L"):
        result = Resize(rows, columns, fit).apply(Image.new(mode, (width, height), "white"))
        assert (result.size, result.mode) == ((columns, rows), mode)


def test_stretch_shows_all_of_the_picture():
    pixels = np.asarray(Resize(80, 80, "stretch").apply(halves()))
    assert pixels[40, 2].tolist() == [255, 0, 0]
    assert pixels[40, 40].tolist() == [0, 255, 0]
    assert pixels[40, 77].tolist() == [0, 0, 255]


def test_pad_shows_all_of_the_picture_between_black_bars():
    pixels = np.asarray(Resize(80, 80, "pad").apply(halves()))
    assert not pixels[:20].any()
    assert not pixels[60:].any()
    assert pixels[20:60].any(axis=2).all()
    assert pixels[40, 2].tolist() == [255, 0, 0]
    assert pixels[40, 77].tolist() == [0, 0, 255]


def test_crop_shows_the_middle_undistorted():
    pixels = np.asarray(Resize(80, 80, "crop").apply(halves()))[:, 2:-2]
    assert (pixels == [0, 255, 0]).all()


def test_crop_of_a_tall_picture_shows_its_middle():
    pixels = np.asarray(Resize(80, 80, "crop").apply(halves().transpose(Image.Transpose.ROTATE_90)))[2:-2]
    assert (pixels == [0, 255, 0]).all()


@pytest.mark.parametrize("fit", FITS)
def test_a_picture_of_the_size_stays_as_it_is(fit):
    picture = scene(0, width=64, height=48)
    assert np.array_equal(np.asarray(Resize(48, 64, fit).apply(picture)), np.asarray(picture))


def test_shrinking_averages_and_skips_no_pixel():
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (400, 400), np.uint8)
    small = np.asarray(Resize(40, 40, color="gray").apply(Image.fromarray(pixels)), float)
    assert np.abs(small - pixels.reshape(40, 10, 40, 10).mean((1, 3))).max() < 25
    assert small.std() < pixels.std() / 5


@pytest.mark.parametrize(("fit", "lost"), [("stretch", 0), ("pad", 0.5), ("crop", 0.5)])
def test_what_is_lost_of_a_picture_twice_as_wide(fit, lost):
    rule = Resize(80, 80, fit)
    assert rule.lost(200, 100) == rule.lost(100, 200) == lost
    assert rule.lost(77, 77) == 0
    assert (np.asarray(rule.apply(Image.new("L", (200, 100), 255))) == 0).mean() == (lost if fit == "pad" else 0)


def test_it_survives_json():
    rule = Resize(60, 90, "crop", "gray")
    assert Resize.from_dict(json.loads(json.dumps(rule.to_dict()))) == rule


def test_shape_and_mode():
    assert (Resize(60, 90).shape, Resize(60, 90).mode) == ((60, 90, 3), "RGB")
    assert (Resize(60, 90, color="gray").shape, Resize(60, 90, color="gray").mode) == ((60, 90, 1), "L")


def test_from_config():
    assert Resize.from_config(DataConfig("photos")) == Resize(80, 80, DataConfig.fit, "rgb")
    assert Resize.from_config(DataConfig("photos", size=(30, 40), fit="pad", color="gray")) == Resize(
        30, 40, "pad", "gray"
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"height": 0}, r"height=0; it must be a whole number from 1 to 4096"),
        ({"width": 5000}, r"width=5000"),
        ({"width": 80.0}, r"width=80\.0"),
        ({"height": True}, r"height=True"),
        ({"fit": "strech"}, r"no fit 'strech'; did you mean stretch\?"),
        ({"color": "cmyk"}, r"no color 'cmyk'; choose one of rgb, gray"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Resize(**options)


@pytest.mark.parametrize("content", [{}, {"height": 80}, Resize().to_dict() | {"more": 1}])
def test_a_rule_with_other_keys_is_refused(content):
    with pytest.raises(OptionError, match="it must have exactly"):
        Resize.from_dict(content)
