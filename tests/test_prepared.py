"""Prepared NPZ files: the same dataset again, or one clear error."""

import json

import numpy as np
import pytest
from drawn_pictures import photo_folder

from cnnflow.config import DataConfig
from cnnflow.data.folder import load_folder
from cnnflow.data.image_set import Dataset, ImageSet
from cnnflow.data.npz import read_arrays, write_arrays
from cnnflow.data.prepared import read_prepared, write_prepared
from cnnflow.data.sources import load
from cnnflow.data.split import split
from cnnflow.errors import CnnflowError, DataError, OptionError

CONFIG = DataConfig("photos", size=(16, 20))
PARTS = ("train", "validation", "test")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("CNNFLOW_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def folder(tmp_path):
    return photo_folder(tmp_path / "photos", {"daisy": 20, "장미": 14})


@pytest.fixture
def file(tmp_path, folder):
    path = tmp_path / "photos.npz"
    write_prepared(path, load_folder(folder, CONFIG))
    return path


def assert_same(one: Dataset, two: Dataset):
    assert (one.name, one.mirror, one.resize, one.labels_in) == (two.name, two.mirror, two.resize, two.labels_in)
    assert np.array_equal(one.groups, two.groups)
    for name in PARTS:
        a, b = getattr(one, name), getattr(two, name)
        assert (a is None) == (b is None)
        if a is not None:
            assert (a.images.dtype, a.labels.dtype) == (b.images.dtype, b.labels.dtype) == (np.uint8, np.int64)
            assert np.array_equal(a.images, b.images)
            assert np.array_equal(a.labels, b.labels)
            assert (a.class_names, list(a.origins)) == (b.class_names, list(b.origins))


def test_it_gives_the_folder_again(file, folder):
    assert_same(read_prepared(file), load_folder(folder, CONFIG))


def test_splits_and_everything_else_survive(tmp_path):
    for number, name in enumerate(("train", "val", "test")):
        photo_folder(tmp_path / "p" / name, {"a": 5 - number, "b": 3} | ({"c": 1} if number == 0 else {}), seed=number)
    dataset = load_folder(tmp_path / "p", DataConfig("p", size=(9, 9), color="gray", fit="pad"))
    dataset = Dataset(**vars(dataset) | {"mirror": False, "labels_in": {"ko": ("가", "나")}})
    write_prepared(tmp_path / "p.npz", dataset)
    again = read_prepared(tmp_path / "p.npz")
    assert_same(again, dataset)
    assert [len(getattr(again, name)) for name in PARTS] == [9, 7, 6]


@pytest.mark.parametrize("seed", [0, 1])
def test_fit_would_see_the_same_images(file, folder, seed):
    one = split(load(DataConfig(str(folder), size=(16, 20))), CONFIG, seed=seed)
    two = split(load(DataConfig(str(file))), CONFIG, seed=seed)
    for name in PARTS:
        assert np.array_equal(getattr(one, name).images, getattr(two, name).images)
        assert np.array_equal(getattr(one, name).labels, getattr(two, name).labels)


def test_the_same_pictures_give_the_same_bytes(file, folder, tmp_path):
    write_prepared(tmp_path / "again.npz", load_folder(folder, CONFIG))
    assert (tmp_path / "again.npz").read_bytes() == file.read_bytes()


def test_any_numpy_reads_it_without_pickle(file):
    with np.load(file, allow_pickle=False) as arrays:
        assert arrays["images"].shape == (34, 16, 20, 3)
        assert arrays["class_names"].tolist() == ["daisy", "장미"]
        assert json.loads(str(arrays["about"]))["resize"] == {
            "height": 16,
            "width": 20,
            "fit": CONFIG.fit,
            "color": "rgb",
        }


def changed(file, **changes):
    """The file with some arrays replaced, or left out where the change is None."""
    arrays = read_arrays(file) | changes
    write_arrays(file, {name: array for name, array in arrays.items() if array is not None})
    return file


def about(file, **changes):
    content = json.loads(str(read_arrays(file)["about"])) | changes
    return np.array(json.dumps(content))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (lambda file: {"format_version": np.array(2)}, r"format version 2; this cnnflow reads up to 1: update it"),
        (lambda file: {"format_version": np.array([1])}, r"format version \[1\]"),
        (lambda file: {"labels": None}, r"the array labels is missing; prepare the file again"),
        (lambda file: {"sha256": None}, r"the array sha256 is missing"),
        (lambda file: {"images": np.zeros((34, 16, 20, 3), np.float32)}, r"images has dtype float32"),
        (lambda file: {"images": np.zeros((34, 16, 20), np.uint8)}, r"images has dtype uint8 and shape \(34, 16, 20\)"),
        (lambda file: {"images": np.zeros((34, 16, 20, 3), np.uint8)}, r"not those that were written \(sha256\)"),
        (lambda file: {"labels": np.zeros(34, np.int32)}, r"labels has dtype int32"),
        (lambda file: {"labels": np.zeros(33, np.int64)}, r"labels of shape \(33,\) for 34 images"),
        (lambda file: {"labels": np.full(34, 2)}, r"label 2 with 2 classes"),
        (lambda file: {"labels": np.zeros(34, np.int64)}, r"no images of class 장미"),
        (lambda file: {"class_names": np.array(["a", "a"])}, r"class names repeat"),
        (lambda file: {"split": np.array(["train"] * 33 + ["tset"])}, r"split 'tset'; it must be one of train, valid"),
        (lambda file: {"groups": np.zeros(3, np.int64)}, r"groups of shape \(3,\) for 34 training pictures"),
        (lambda file: {"about": np.array("{")}, r"about is no JSON"),
        (lambda file: {"about": np.array("[1]")}, r"about is \[1\]"),
        (lambda file: {"about": about(file, mirror="yes")}, r"about is \{"),
        (lambda file: {"about": about(file, resize={"height": 3})}, r"it must have exactly"),
        (
            lambda file: {"about": about(file, resize={"height": 9, "width": 9, "fit": "crop", "color": "rgb"})},
            r"under the resize rule",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(file, changes, message):
    with pytest.raises(DataError, match=rf"^.*photos\.npz: .*{message}"):
        read_prepared(changed(file, **changes(file)))


def test_no_damage_gives_anything_but_the_dataset_or_one_error(file, folder):
    content = file.read_bytes()
    rng = np.random.default_rng(0)
    good = load_folder(folder, CONFIG)
    outcomes = set()
    for number in range(150):
        damaged = bytearray(content)
        if number % 3:
            for at in rng.integers(0, len(damaged), 1 + number % 5):
                damaged[at] ^= int(rng.integers(1, 256))
        else:
            del damaged[int(rng.integers(0, len(damaged))) :]
        file.write_bytes(damaged)
        try:
            dataset = read_prepared(file)
        except CnnflowError as error:
            outcomes.add(type(error))
        else:
            assert np.array_equal(dataset.train.images, good.train.images)
    assert outcomes == {DataError}


def test_options_that_the_file_cannot_give_are_refused(file):
    assert len(read_prepared(file, DataConfig(str(file), size=(16, 20))).train) == 34
    for options, message in (
        ({"size": (80, 80)}, r"size 80 x 80, but the pictures in .*photos\.npz are 16 x 20; prepare the folder again"),
        ({"color": "gray"}, r"color gray, but .* was prepared with rgb"),
        ({"fit": "crop"}, r"fit crop, but .* was prepared with"),
    ):
        with pytest.raises(OptionError, match=message):
            read_prepared(file, DataConfig(str(file), **options))


def test_a_failed_write_leaves_the_old_file(file, folder, monkeypatch):
    content = file.read_bytes()
    monkeypatch.setattr(
        np.lib.format, "write_array", lambda *_, **__: (_ for _ in ()).throw(OSError(28, "No space left"))
    )
    with pytest.raises(DataError, match="No space left"):
        write_prepared(file, load_folder(folder, CONFIG))
    assert file.read_bytes() == content
    assert list(file.parent.glob(".*")) == []


# Keras's layout


def keras_file(path, **changes):
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (20, 8, 8), np.uint8),
        "y_train": np.arange(20, dtype=np.uint8) % 4,
        "x_test": rng.integers(0, 256, (8, 8, 8), np.uint8),
        "y_test": np.arange(8, dtype=np.uint8) % 4,
    } | changes
    write_arrays(path, {name: array for name, array in arrays.items() if array is not None})
    return path


def test_keras_layout(tmp_path):
    dataset = read_prepared(keras_file(tmp_path / "digits.npz"))
    assert (dataset.name, dataset.validation, dataset.groups) == ("digits", None, None)
    assert dataset.train.image_shape == (8, 8, 1)
    assert dataset.train.class_names == ("0", "1", "2", "3")
    assert dataset.test.origins[5] == "test/5"
    assert dataset.test.labels.tolist() == [0, 1, 2, 3] * 2


def test_keras_layout_with_columns_of_labels_names_and_validation(tmp_path):
    colour = np.zeros((4, 8, 8, 3), np.uint8)
    labels = np.array([[1], [7], [1], [7]])
    path = keras_file(
        tmp_path / "x.npz", x_train=colour, y_train=labels, x_test=None, y_test=None, x_val=colour, y_val=labels
    )
    dataset = read_prepared(path)
    assert dataset.test is None
    assert dataset.validation.labels.tolist() == [0, 1, 0, 1]
    assert dataset.train.class_names == ("1", "7")
    named = keras_file(path, class_names=np.array(["zero", "one", "two", "three"]))
    assert read_prepared(named).train.class_names == ("zero", "one", "two", "three")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": None}, r"it has the arrays x_test, y_test, y_train; make one with `cnnflow prepare`, or with"),
        ({"y_test": None}, r"y_test is missing; it must be whole numbers, one for each image"),
        ({"y_train": np.zeros(20, np.float32)}, r"y_train has dtype float32"),
        ({"y_train": np.zeros((20, 2), np.int64)}, r"y_train has dtype int64 and shape \(20, 2\)"),
        ({"y_test": np.full(8, 9)}, r"y_test has label 9, which y_train has not"),
        ({"y_test": np.zeros(7, np.int64)}, r"7 labels for 8 images"),
        ({"x_train": np.zeros((20, 8, 8), np.float32)}, r"images of dtype float32; they must be uint8"),
        (
            {"x_test": np.zeros((8, 8, 9), np.uint8)},
            r"test images of \(8, 9, 1\) beside training images of \(8, 8, 1\)",
        ),
        ({"x_train": np.zeros((20, 8), np.uint8)}, r"images of shape \(20, 8\)"),
        ({"class_names": np.array(["a"])}, r"class_names of shape \(1,\) for 4 classes"),
    ],
)
def test_keras_layout_refusals(tmp_path, changes, message):
    with pytest.raises(DataError, match=message):
        read_prepared(keras_file(tmp_path / "x.npz", **changes))


def test_image_sets_that_share_no_size_are_refused(tmp_path):
    images = ImageSet(np.zeros((2, 4, 4, 1), np.uint8), np.array([0, 1]), ("a", "b"), ["0", "1"])
    other = ImageSet(np.zeros((2, 5, 4, 1), np.uint8), np.array([0, 1]), ("a", "b"), ["0", "1"])
    with pytest.raises(DataError, match=r"test images of \(5, 4, 1\) beside training images of \(4, 4, 1\)"):
        write_prepared(tmp_path / "x.npz", Dataset("x", images, test=other))
