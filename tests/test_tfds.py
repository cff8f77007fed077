"""Datasets that TFDS has prepared as array_record are read without TensorFlow."""

import io
import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from cnnflow.config import DataConfig
from cnnflow.data import cifar10, tfds_builders
from cnnflow.data.cifar10 import CIFAR10
from cnnflow.data.fixed import in_canonical_order
from cnnflow.data.order import canonical_order, content_sha256
from cnnflow.data.resize import Resize
from cnnflow.data.sources import load
from cnnflow.data.tfds import open_folder
from cnnflow.errors import DataError, OptionError
from cnnflow.events import Caution, Event, Note, Progress

RNG = np.random.default_rng(5)
PICTURES = RNG.integers(0, 256, (30, 9, 7, 3), np.uint8)


def file_of(pixels: np.ndarray, kind: str = "PNG") -> io.BytesIO:
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, kind)
    file.seek(0)
    return file


class TinyShapes(tfds.core.GeneratorBasedBuilder):
    """Thirty pictures of one size in two classes; preparing it needs no TensorFlow."""

    VERSION = tfds.core.Version("1.0.0")
    shape: tuple[int | None, ...] = (9, 7, 3)
    features: dict[str, Any] = {}  # noqa: RUF012 - TFDS' builders are configured by class attributes

    def _info(self) -> Any:
        described = self.features or {
            "image": tfds.features.Image(shape=self.shape),
            "label": tfds.features.ClassLabel(names=["round", "square"]),
        }
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(described))

    def _split_generators(self, dl_manager: Any) -> Any:
        return {"train": self._generate_examples(0, 20), "test": self._generate_examples(20, 30)}

    def _generate_examples(self, first: int, end: int) -> Any:
        for row in range(first, end):
            yield row, {"image": file_of(PICTURES[row]), "label": row % 2}


class TinySizes(TinyShapes):
    """The same pictures, each cut to another size, and no test split."""

    shape = (None, None, 3)

    def _split_generators(self, dl_manager: Any) -> Any:
        return {"everything": self._generate_examples(0, 30)}

    def _generate_examples(self, first: int, end: int) -> Any:
        for row in range(first, end):
            yield row, {"image": file_of(PICTURES[row, : 3 + row % 5]), "label": row % 2}


class TinyDigits(TinyShapes):
    """Grey pictures, and a test split without labels."""

    shape = (9, 7, 1)

    def _generate_examples(self, first: int, end: int) -> Any:
        for row in range(first, end):
            yield row, {"image": file_of(PICTURES[row, :, :, :1]), "label": row % 2 if first == 0 else -1}


class TinyTexts(TinyShapes):
    """No pictures."""

    features = {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(num_classes=2)}  # noqa: RUF012

    def _generate_examples(self, first: int, end: int) -> Any:
        yield from ((row, {"text": str(row), "label": 0}) for row in range(first, end))


class TinyNeedsTensorflow(TinyShapes):
    """Like most builders of TFDS: pixels are encoded by TensorFlow."""

    def _generate_examples(self, first: int, end: int) -> Any:
        yield from ((row, {"image": PICTURES[row], "label": 0}) for row in range(first, end))


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, folder in (("CNNFLOW_CACHE", "cache"), ("TFDS_DATA_DIR", "tfds"), ("KERAS_HOME", "keras")):
        monkeypatch.setenv(variable, str(tmp_path / folder))


def prepare(builder: type, data_dir: Path, **options: Any) -> Path:
    made = builder(data_dir=str(data_dir))
    with tfds_builders._quiet():
        made.download_and_prepare(**({"file_format": "array_record"} | options))
    return Path(made.data_path)


def test_pictures_of_one_size(tmp_path: Path) -> None:
    prepare(TinyShapes, tmp_path / "tfds")
    events: list[Event] = []
    dataset = load(DataConfig("tfds:tiny_shapes"), on_event=events.append)
    assert dataset.test is not None
    assert (dataset.name, dataset.mirror, dataset.resize) == ("tfds:tiny_shapes", False, None)
    assert dataset.train.class_names == ("round", "square")
    assert Progress("reading train", 20, 20) in events
    for images, first, end in ((dataset.train, 0, 20), (dataset.test, 20, 30)):
        images.check()
        order = canonical_order(PICTURES[first:end], np.arange(first, end) % 2)
        assert np.array_equal(images.images[:], PICTURES[first:end][order])
        assert np.array_equal(images.labels, (np.arange(first, end) % 2)[order])
    assert dataset.train.origins[3] == "train/3"


def test_the_second_time_comes_from_the_cache(tmp_path: Path) -> None:
    folder = prepare(TinyShapes, tmp_path / "tfds")
    first = load(DataConfig("tfds:tiny_shapes"))
    for path in folder.glob("*array_record*"):
        path.unlink()
    second = load(DataConfig("tfds:tiny_shapes"))
    assert np.array_equal(first.train.images[:], second.train.images[:])
    (cached,) = (tmp_path / "cache").iterdir()
    cached.write_bytes(b"damaged")
    events: list[Event] = []
    with pytest.raises(DataError, match="cannot read"):
        load(DataConfig("tfds:tiny_shapes"), on_event=events.append)
    assert isinstance(events[0], Caution)


def test_a_data_dir_wins(tmp_path: Path) -> None:
    prepare(TinyShapes, tmp_path / "elsewhere")
    assert len(load(DataConfig("tfds:tiny_shapes", data_dir=str(tmp_path / "elsewhere"))).train) == 20


def test_pictures_of_many_sizes_are_brought_to_one(tmp_path: Path) -> None:
    prepare(TinySizes, tmp_path / "tfds")
    dataset = load(DataConfig("tfds:tiny_sizes"))
    assert dataset.train.image_shape == (80, 80, 3)
    assert (dataset.test, len(dataset.train)) == (None, 30)
    dataset = load(DataConfig("tfds:tiny_sizes", size=(12, 10), fit="pad", color="gray"))
    assert dataset.train.image_shape == (12, 10, 1)
    assert dataset.resize == {"height": 12, "width": 10, "fit": "pad", "color": "gray"}


def test_grey_pictures_stay_grey_and_unlabelled_splits_are_left_out(tmp_path: Path) -> None:
    prepare(TinyDigits, tmp_path / "tfds")
    events: list[Event] = []
    dataset = load(DataConfig("tfds:tiny_digits"), on_event=events.append)
    assert dataset.train.image_shape == (9, 7, 1)
    assert dataset.test is None
    assert Caution("the test split of tfds:tiny_digits has no labels; it is left out") in events
    assert load(DataConfig("tfds:tiny_digits", size=(16, 16))).train.image_shape == (16, 16, 1)


def test_what_is_no_image_classification_is_refused(tmp_path: Path) -> None:
    prepare(TinyTexts, tmp_path / "tfds")
    with pytest.raises(DataError, match=r"tfds:tiny_texts has label, text; it must have one Image and one ClassLabel"):
        load(DataConfig("tfds:tiny_texts"))


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(OptionError, match=r"^no dataset 'mnits' in TFDS; did you mean tfds:mnist\?$"):
        load(DataConfig("tfds:mnits"))
    with pytest.raises(OptionError, match=r"^TFDS refuses 'mnist/nothing': [^\n]+$"):
        load(DataConfig("tfds:mnist/nothing"))


def test_a_builder_is_prepared_where_it_needs_no_tensorflow(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    builder = TinyShapes(data_dir=str(tmp_path / "tfds"))
    events: list[Event] = []
    tfds_builders._prepare(builder, "tiny_shapes", tmp_path / "tfds", events.append)
    assert events == [Note(f"TFDS prepares tiny_shapes in {tmp_path / 'tfds'}; this happens once")]
    assert capfd.readouterr() == ("", "")
    assert (
        len(open_folder(Path(builder.data_path)).images("train", open_folder(Path(builder.data_path)).one_size())[0])
        == 20
    )  # type: ignore[arg-type]


@pytest.mark.skipif("tensorflow" in sys.modules, reason="needs a process without TensorFlow")
def test_preparing_that_needs_tensorflow_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is fetched where the builder's module imports it, else when it turns out."""
    monkeypatch.setattr(tfds_builders, "find_spec", lambda name: None)
    message = r"preparing it needs TensorFlow; pip install 'cnnflow\[tensorflow\]', or run `tfds build"
    with pytest.raises(DataError, match=message):
        load(DataConfig("tfds:mnist"))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    builder = TinyNeedsTensorflow(data_dir=str(tmp_path / "tfds"))
    with pytest.raises(DataError, match=message):
        tfds_builders._prepare(builder, "tiny", tmp_path / "tfds", lambda event: None)


def test_no_network_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_address(*_: object) -> None:
        raise OSError(-2, "Name or service not known")

    monkeypatch.setattr(tfds_builders.socket, "getaddrinfo", no_address)
    monkeypatch.setattr(tfds_builders.urllib.request, "getproxies", dict)
    with pytest.raises(DataError, match="cannot be fetched: Name or service not known; prepare it where"):
        load(DataConfig("tfds:tf_flowers"))


def test_another_file_format_is_one_line(tmp_path: Path) -> None:
    folder = prepare(TinyShapes, tmp_path / "tfds")
    info = folder / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    for path in folder.glob("*array_record*"):
        path.rename(path.with_name(path.name.replace("array_record", "tfrecord")))
    with pytest.raises(DataError, match=r"not stored as array_record.*tfds build tiny_shapes --file_format=arr"):
        load(DataConfig("tfds:tiny_shapes"))


@pytest.mark.parametrize(
    "victim", ["dataset_info.json", "features.json", "tiny_shapes-train.array_record-00000-of-00001"]
)
def test_damage_is_one_line(tmp_path: Path, victim: str) -> None:
    folder = prepare(TinyShapes, tmp_path / "tfds")
    content = (folder / victim).read_bytes()
    (folder / victim).write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match=r"^cannot read [^\n]+$"):
        open_folder(folder).images("train", Resize(9, 7))


class Cifar10(TinyShapes, skip_registration=True):
    """CIFAR-10's form under CIFAR-10's name."""

    VERSION = tfds.core.Version("3.0.2")
    features = {  # noqa: RUF012
        "id": tfds.features.Text(),
        "image": tfds.features.Image(shape=(32, 32, 3)),
        "label": tfds.features.ClassLabel(names=list(CIFAR10.images.class_names)),
    }
    images = RNG.integers(0, 256, (30, 32, 32, 3), np.uint8)

    def _generate_examples(self, first: int, end: int) -> Any:
        for row in range(first, end):
            yield row, {"id": str(row), "image": file_of(self.images[row]), "label": row % 10}


def small_cifar10() -> tuple[dict[str, np.ndarray], cifar10.Release]:
    labels = (np.arange(30) % 10).astype(np.uint8)
    arrays = {
        "x_train": Cifar10.images[:20],
        "y_train": labels[:20],
        "x_test": Cifar10.images[20:],
        "y_test": labels[20:],
    }
    ordered = in_canonical_order(arrays)
    digest = content_sha256(*(ordered[name] for name in ("x_train", "y_train", "x_test", "y_test")))
    return ordered, replace(CIFAR10, images=replace(CIFAR10.images, train=20, test=10), sha256=digest)


def test_cifar10_is_read_from_what_tfds_prepared(tmp_path: Path) -> None:
    folder = prepare(Cifar10, tmp_path / "tfds")
    ordered, release = small_cifar10()
    events: list[Event] = []
    dataset = cifar10.load(DataConfig("cifar10"), release=release, on_event=events.append)
    assert np.array_equal(dataset.train.images[:], ordered["x_train"])
    assert Note(f"reading {folder}") in events
    given = cifar10.load(DataConfig("cifar10", data_dir=str(tmp_path / "tfds")), release=release)
    assert np.array_equal(given.train.images[:], ordered["x_train"])


def test_other_pictures_under_cifar10s_name_are_passed_over_unless_given(tmp_path: Path) -> None:
    prepare(Cifar10, tmp_path / "tfds")
    _, release = small_cifar10()
    release = replace(release, sha256="0" * 64, binary=replace(release.binary, url="https://127.0.0.1:9/nothing"))
    with pytest.raises(DataError, match="has images or labels that CIFAR-10 has not"):
        cifar10.load(DataConfig("cifar10", data_dir=str(tmp_path / "tfds")), release=release)
    events: list[Event] = []
    with pytest.raises(DataError, match="cifar10 is not on this machine"):
        cifar10.load(DataConfig("cifar10"), release=release, on_event=events.append)
    assert any(isinstance(event, Caution) and "passed over" in event.message for event in events)


PROGRAM = """
import sys
from cnnflow.config import DataConfig
from cnnflow.data.resize import Resize
from cnnflow.data.sources import load
dataset = load(DataConfig("tfds:tiny_shapes"))
assert len(dataset.train) == 20
print(sorted(name for name in ("tensorflow", "torch", "keras", "jax", "matplotlib") if name in sys.modules))
"""


def test_reading_never_imports_tensorflow_even_where_it_is_installed(tmp_path: Path) -> None:
    """A stand-in that fails when it is imported is what Python finds as TensorFlow."""
    prepare(TinyShapes, tmp_path / "tfds")
    (tmp_path / "path" / "tensorflow").mkdir(parents=True)
    (tmp_path / "path" / "tensorflow" / "__init__.py").write_text("raise SystemExit('TensorFlow was imported')")
    paths = os.pathsep.join([str(tmp_path / "path"), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = os.environ | {"PYTHONPATH": paths}
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment, check=False
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "[]\n", "")


def test_the_log_level_of_absl_is_what_it_was(tmp_path: Path) -> None:
    log = logging.getLogger("absl")
    before = log.level
    prepare(TinyShapes, tmp_path / "tfds")
    load(DataConfig("tfds:tiny_shapes"))
    assert log.level == before
