"""One `load` for every DATA, and any subset of classes from each."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cnnflow.config import DataConfig
from cnnflow.data import sources
from cnnflow.data.classes import keep_classes
from cnnflow.data.image_set import Dataset, ImageSet
from cnnflow.data.npz import write_arrays
from cnnflow.data.order import canonical_order
from cnnflow.data.sources import SOURCES, load
from cnnflow.errors import CnnflowError, DataError, OptionError
from cnnflow.events import Event


def images(labels: list[int], names: tuple[str, ...] = ("a", "b", "c")) -> ImageSet:
    pixels = np.arange(len(labels), dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
    return ImageSet(pixels, np.array(labels, np.int64), names, [f"train/{row}" for row in range(len(labels))])


@pytest.fixture
def dataset() -> Dataset:
    return Dataset(
        "letters",
        images([0, 1, 2, 2, 1, 0, 0]),
        validation=images([2, 1, 0]),
        test=images([2, 2, 0, 1]),
        labels_in={"ko": ("가", "나", "다")},
        groups=np.arange(7) * 10,
    )


def test_the_table_names_every_source() -> None:
    assert list(SOURCES) == ["fashion", "cifar10", "flowers"]
    for name, source in SOURCES.items():
        assert source.name == name
        assert source.summary
        assert source.mirror
        assert "ko" in source.languages
    with pytest.raises(TypeError):
        SOURCES["other"] = SOURCES["fashion"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("source", "error", "message"),
    [
        ("fasion", OptionError, r"^no dataset 'fasion'; did you mean fashion\?$"),
        ("cifar", OptionError, r"^no dataset 'cifar'; did you mean cifar10\?$"),
        ("xyzzy", OptionError, r"^no dataset 'xyzzy'; choose fashion, cifar10, flowers, tfds:NAME, a folder .*$"),
        ("", OptionError, "^no dataset ''; choose "),
        ("./nowhere", DataError, r"^no folder or file \./nowhere; look at the path$"),
        ("nowhere.npz", DataError, r"^no folder or file nowhere\.npz; look at the path$"),
    ],
)
def test_unknown_data_is_one_line_with_the_way_out(source: str, error: type[CnnflowError], message: str) -> None:
    with pytest.raises(error, match=message):
        load(DataConfig(source))


def test_a_name_goes_to_its_loader(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []

    def loader(config: DataConfig, *, on_event: object) -> Dataset:
        seen.extend([config, on_event])
        return dataset

    monkeypatch.setattr(sources, "SOURCES", {"letters": sources.Source("letters", "three letters", loader)})
    events: list[Event] = []
    config = DataConfig("letters", classes=("c", "a"))
    assert load(config, on_event=events.append).train.counts() == {"c": 2, "a": 3}
    assert seen == [config, events.append]


def test_a_path_that_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match=r"is neither a folder nor an \.npz file"):
        load(DataConfig(str(tmp_path / "notes.txt")))
    with pytest.raises(OptionError, match="which is a path itself; leave it out"):
        load(DataConfig(str(tmp_path), data_dir="/x"))


def test_an_npz_file_and_some_of_its_classes(tmp_path: Path) -> None:
    arrays = {"x_train": np.arange(6 * 64, dtype=np.uint8).reshape(6, 8, 8), "y_train": np.array([0, 1, 2, 0, 1, 2])}
    arrays |= {"x_test": arrays["x_train"][:3], "y_test": arrays["y_train"][:3]}
    write_arrays(tmp_path / "a.npz", arrays)
    assert load(DataConfig(str(tmp_path / "a.npz"))).train.counts() == {"0": 2, "1": 2, "2": 2}
    assert load(DataConfig(str(tmp_path / "a.npz"), classes=("2", "0"))).train.labels.tolist() == [1, 0, 1, 0]


def test_a_folder_and_some_of_its_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.setenv("CNNFLOW_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    for name in ("cat", "dog", "emu"):
        (tmp_path / "pets" / name).mkdir(parents=True)
        for index in range(2):
            Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)).save(tmp_path / "pets" / name / f"{index}.png")
    dataset = load(DataConfig(str(tmp_path / "pets"), classes=("emu", "cat"), size=(10, 10)))
    assert dataset.train.class_names == ("emu", "cat")
    assert [origin.split("/")[0] for origin in dataset.train.origins] == [
        dataset.train.class_names[label] for label in dataset.train.labels
    ]


def test_classes_are_kept_in_the_order_given(dataset: Dataset) -> None:
    kept = keep_classes(dataset, ("c", "a"))
    assert kept.validation is not None
    assert kept.test is not None
    assert kept.groups is not None
    assert kept.train.class_names == kept.test.class_names == ("c", "a")
    assert kept.train.labels.tolist() == [1, 0, 0, 1, 1]
    assert kept.train.images[:][:, 0, 0, 0].tolist() == [0, 2, 3, 5, 6]
    assert list(kept.train.origins) == [f"train/{row}" for row in (0, 2, 3, 5, 6)]
    assert kept.groups.tolist() == [0, 20, 30, 50, 60]
    assert kept.validation.labels.tolist() == [0, 1]
    assert kept.test.labels.tolist() == [0, 0, 1]
    assert kept.labels_in == {"ko": ("다", "가")}
    assert keep_classes(dataset, ()) is dataset


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a",), "^only the class a; a classifier needs at least two$"),
        (("a", "b", "a"), "^classes a, b, a; each class can be named once$"),
        (("a", "d"), "^no class 'd' in letters; it has a, b, c$"),
    ],
)
def test_wrong_classes_are_one_line(dataset: Dataset, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        keep_classes(dataset, names)


def test_the_canonical_order_depends_on_the_images_alone() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 3, (40, 1, 2, 1), np.uint8)  # few values, so that some images are equal
    labels = rng.integers(0, 2, 40)
    order = canonical_order(pixels, labels)
    assert sorted(order.tolist()) == list(range(40))
    for seed in range(5):
        shuffle = np.random.default_rng(seed).permutation(40)
        other = canonical_order(pixels[shuffle], labels[shuffle])
        assert np.array_equal(pixels[order], pixels[shuffle][other])
        assert np.array_equal(labels[order], labels[shuffle][other])


def test_importing_the_sources_imports_nothing_heavy() -> None:
    heavy = "'tensorflow', 'tensorflow_datasets', 'keras', 'jax', 'torch', 'matplotlib', 'sklearn', 'scipy'"
    program = f"import sys, cnnflow.data.sources; print([name for name in ({heavy}) if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"
