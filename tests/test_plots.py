"""Plots: written whole, at every size, with any names. (How they look was looked at.)"""

import numpy as np
import pytest
from matplotlib.font_manager import fontManager
from PIL import Image

from cnnflow.errors import DataError
from cnnflow.plots import fonts
from cnnflow.plots.confusion import plot_confusion
from cnnflow.plots.curves import plot_curves
from cnnflow.plots.fonts import can_draw, lettering


def history(epochs: int, *, validation: bool = True) -> list[dict[str, float]]:
    rows = [{"epoch": i + 1, "loss": 1 / (i + 1), "accuracy": 1 - 0.5 / (i + 1), "seconds": 1.0} for i in range(epochs)]
    return [row | {"val_loss": 0.5, "val_accuracy": 0.8} for row in rows] if validation else rows


def read(path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("epochs", [1, 2, 60])
@pytest.mark.parametrize("validation", [True, False])
def test_curves_are_drawn(tmp_path, epochs, validation):
    plot_curves(history(epochs, validation=validation), tmp_path / "curves.png")
    pixels = read(tmp_path / "curves.png")
    blue, orange = (0, 114, 178), (213, 94, 0)
    assert (pixels == blue).all(axis=2).any()
    assert (pixels == orange).all(axis=2).any() == validation
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_curves_of_nothing_are_refused(tmp_path):
    with pytest.raises(DataError, match="0 epochs"):
        plot_curves([], tmp_path / "curves.png")


@pytest.mark.parametrize("classes", [1, 2, 10, 100])
def test_confusion_is_drawn(tmp_path, classes):
    confusion = np.eye(classes, dtype=np.int64) * 90
    plot_confusion(confusion, [f"name_{i}" for i in range(classes)], tmp_path / "confusion.png")
    dark_blue = (8, 48, 107)
    share = (read(tmp_path / "confusion.png") == dark_blue).all(axis=2).mean()
    assert share > 0.5 / classes * 0.3


def test_confusion_takes_classes_without_images_and_names_that_look_like_formulas(tmp_path):
    plot_confusion(np.zeros((2, 2), np.int64), ["$x^", "a\\frac{"], tmp_path / "confusion.png")
    read(tmp_path / "confusion.png")


def test_confusion_of_a_wrong_shape_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"shape \(2, 3\) for 2 classes"):
        plot_confusion(np.zeros((2, 3), np.int64), ["a", "b"], tmp_path / "confusion.png")


def test_latin_and_greek_names_need_no_other_font():
    letters = lettering(["daisy", "Löwenzahn", "λ"])
    assert letters.names == ("daisy", "Löwenzahn", "λ")
    assert letters.family == ["DejaVu Sans"]


def test_names_that_no_font_has_become_their_index(monkeypatch, tmp_path):
    monkeypatch.setattr(fonts, "CJK_FAMILIES", ())
    letters = lettering(["바지", "bag", "셔츠"])
    assert letters.names == ("class 0", "bag", "class 2")
    assert not can_draw(["바지"])
    plot_confusion(np.eye(3, dtype=np.int64), ["바지", "bag", "셔츠"], tmp_path / "confusion.png")


@pytest.mark.skipif(
    not {font.name for font in fontManager.ttflist} & set(fonts.CJK_FAMILIES), reason="no font with Korean letters here"
)
def test_korean_names_are_drawn_where_a_font_has_them(tmp_path):
    letters = lettering(["바지", "bag"])
    assert letters.names == ("바지", "bag")
    assert len(letters.family) == 2
    plot_confusion(np.eye(2, dtype=np.int64), ["바지", "bag"], tmp_path / "confusion.png")


def test_the_family_with_the_most_letters_is_chosen(monkeypatch):
    monkeypatch.setattr(fonts, "CJK_FAMILIES", ("DejaVu Serif", "DejaVu Sans Mono"))
    has = {"DejaVu Sans": set(b"abc"), "DejaVu Serif": {ord("가")}, "DejaVu Sans Mono": {ord("가"), ord("나")}}
    monkeypatch.setattr(fonts, "_letters_of", has.__getitem__)
    assert lettering(["a", "가나", "다"]) == fonts.Lettering(
        ("a", "가나", "class 2"), ["DejaVu Sans", "DejaVu Sans Mono"]
    )
