"""Views of a picture: which there are, what is in them, and what a file may say of them."""

import json

import numpy as np
import pytest

from cnnflow.errors import OptionError
from cnnflow.evaluation.views import PLAIN, View, views_of

PICTURE = np.arange(12, dtype=np.uint8).reshape(1, 3, 4, 1)


def test_what_each_name_stands_for():
    assert views_of("none", (28, 28), mirror=True) == PLAIN
    assert views_of("mirror", (28, 28), mirror=True) == (View(), View(mirrored=True))
    places = [(0, False), (0, True), (-1, False), (-1, True), (1, False), (1, True)]
    assert views_of("shift", (28, 28), mirror=True) == tuple(View(by, mirrored) for by, mirrored in places)


def test_what_must_not_be_mirrored_is_not():
    assert views_of("mirror", (28, 28), mirror=False) == PLAIN
    assert views_of("shift", (28, 28), mirror=False) == (View(), View(-1), View(1))


@pytest.mark.parametrize(("size", "step"), [((1, 9), 0), ((2, 9), 1), ((32, 32), 1), ((80, 80), 2), ((224, 300), 8)])
def test_larger_pictures_are_shifted_further(size, step):
    assert max(view.shift for view in views_of("shift", size, mirror=True)) == step


def test_a_view_is_shifted_with_its_edge_reflected_and_then_mirrored():
    assert View().of(PICTURE) is PICTURE
    assert View(mirrored=True).of(PICTURE)[0, :, :, 0].tolist() == [[3, 2, 1, 0], [7, 6, 5, 4], [11, 10, 9, 8]]
    moved = [[5, 6, 7, 7], [9, 10, 11, 11], [9, 10, 11, 11]]
    assert View(1).of(PICTURE)[0, :, :, 0].tolist() == moved
    assert View(1, mirrored=True).of(PICTURE)[0, :, :, 0].tolist() == [row[::-1] for row in moved]


def test_an_unknown_name_is_refused():
    with pytest.raises(OptionError, match="shift"):
        views_of("shfit", (28, 28), mirror=True)


def test_a_view_comes_back_from_a_file_and_nothing_else_does():
    view = View(-2, mirrored=True)
    assert View.from_dict(json.loads(json.dumps(view.to_dict()))) == view
    for damaged in ({"shift": 0.5}, {"shift": True}, {"mirrored": 1}):
        with pytest.raises(OptionError, match="whole number"):
            View.from_dict(view.to_dict() | damaged)
