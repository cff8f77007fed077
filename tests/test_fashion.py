"""Fashion-MNIST comes with the package, whole and original, and is cached."""

import gzip
import hashlib
import lzma
import time
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from cnnflow.config import DataConfig
from cnnflow.data import fashion
from cnnflow.data.bundled import make_fashion
from cnnflow.data.cache import cache_folder
from cnnflow.data.image_set import Dataset
from cnnflow.data.npz import read_arrays
from cnnflow.errors import DataError, OptionError
from cnnflow.events import Caution, Event, Note

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@pytest.fixture(scope="module")
def warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds Fashion-MNIST, unpacked by the first load."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNFLOW_CACHE", str(folder))
        events: list[Event] = []
        fashion.load(DataConfig("fashion"), on_event=events.append)
    assert events == [Note(f"cached in {folder / 'fashion.npz'}")]
    return folder


@pytest.fixture
def dataset(warm_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Dataset:
    monkeypatch.setenv("CNNFLOW_CACHE", str(warm_cache))
    return fashion.load(DataConfig("fashion"))


@pytest.fixture
def unpacked_quickly(warm_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unpacking takes two seconds and has tests of its own; here it gives the arrays at once."""
    arrays = read_arrays(warm_cache / "fashion.npz")
    monkeypatch.setattr(fashion, "_unpacked", lambda bundle: arrays)


def test_all_images_are_there(dataset: Dataset) -> None:
    assert dataset.test is not None
    for images, count in ((dataset.train, 60_000), (dataset.test, 10_000)):
        images.check()
        assert images.images.shape == (count, 28, 28, 1)
        assert set(images.counts().values()) == {count // 10}
    assert dataset.train.origins[17] == "train/17"
    assert dataset.mirror


def test_pixels_are_those_of_the_original_files(dataset: Dataset) -> None:
    """The sha256 of the original IDX file, made again from what was loaded: its header is the shape, big-endian."""
    header = np.array([0x0803, 60_000, 28, 28], ">u4").tobytes()
    digest = hashlib.sha256(header + np.ascontiguousarray(dataset.train.images[:]).tobytes()).hexdigest()
    assert digest == "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"


def test_mean_and_deviation_are_the_published_ones(dataset: Dataset) -> None:
    pixels = dataset.train.images[:] / np.float32(255)
    assert pixels.mean(dtype=np.float64) == pytest.approx(0.2860, abs=5e-5)
    assert pixels.std(dtype=np.float64) == pytest.approx(0.3530, abs=5e-5)


def test_classes_have_english_and_korean_names(dataset: Dataset) -> None:
    assert dataset.labels_in is not None
    names = dict(zip(dataset.train.class_names, dataset.labels_in["ko"], strict=True))
    assert names["T-shirt/top"] == "티셔츠/탑"
    assert names["Ankle boot"] == "앵클부츠"
    assert len(set(names.values())) == 10


def test_loading_from_the_cache_takes_well_under_a_second(dataset: Dataset) -> None:
    times = []
    for _ in range(3):
        start = time.perf_counter()
        fashion.load(DataConfig("fashion"))
        times.append(time.perf_counter() - start)
    assert min(times) < 0.5


@pytest.mark.usefixtures("unpacked_quickly")
@pytest.mark.parametrize("damage", ["cut", "flipped", "other arrays"])
def test_a_damaged_cache_is_a_miss_with_one_caution(
    warm_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    content = bytearray((warm_cache / "fashion.npz").read_bytes())
    if damage == "cut":
        del content[1_000_000:]
    elif damage == "flipped":
        content[5_000_000] ^= 1
    monkeypatch.setenv("CNNFLOW_CACHE", str(tmp_path))
    if damage == "other arrays":
        np.savez(tmp_path / "fashion.npz", x_train=np.zeros(3))
    else:
        (tmp_path / "fashion.npz").write_bytes(content)
    events: list[Event] = []
    dataset = fashion.load(DataConfig("fashion"), on_event=events.append)
    cautions = [event for event in events if isinstance(event, Caution)]
    assert len(cautions) == 1
    assert "this copy in the cache is made again" in cautions[0].message
    assert "\n" not in cautions[0].message
    assert len(dataset.train) == 60_000
    assert (tmp_path / "fashion.npz").read_bytes() == (warm_cache / "fashion.npz").read_bytes()


@pytest.mark.usefixtures("unpacked_quickly")
def test_a_cache_that_cannot_be_written_costs_only_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNFLOW_CACHE", str(tmp_path / "file" / "cache"))
    events: list[Event] = []
    assert len(fashion.load(DataConfig("fashion"), on_event=events.append).train) == 60_000
    (caution,) = events
    assert isinstance(caution, Caution)
    assert "set CNNFLOW_CACHE to a folder that can be written" in caution.message


def test_the_cache_is_the_users_unless_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNFLOW_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("CNNFLOW_CACHE")
    assert cache_folder().name == "cnnflow"
    assert cache_folder().is_absolute()


@pytest.mark.parametrize("option", [{"data_dir": "/somewhere"}, {"size": (64, 64)}, {"color": "gray"}])
def test_options_without_a_meaning_here_are_refused(option: dict[str, object]) -> None:
    (name,) = option
    with pytest.raises(OptionError, match=f"^{name}=.* with fashion.*leave it out"):
        fashion.load(DataConfig("fashion", **option))  # type: ignore[arg-type]


def test_a_damaged_bundle_is_one_line_that_says_install_again() -> None:
    bundle = (files("cnnflow.data.bundled") / fashion.BUNDLE).read_bytes()
    with pytest.raises(DataError, match=r"^the bundled fashion_mnist\.xz is damaged .*; install cnnflow again$"):
        fashion._unpacked(bundle[:1000] + b"?" + bundle[1001:2_000_000])
    other = lzma.compress(b"\0" * sum(file.size for file in fashion.IDX_FILES))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte in the bundled .* has a wrong sha256"):
        fashion._unpacked(other)


def test_a_missing_bundle_is_one_line_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNNFLOW_CACHE", str(tmp_path))
    monkeypatch.setattr(fashion, "files", lambda package: tmp_path)
    with pytest.raises(DataError, match=r"^the bundled fashion_mnist\.xz cannot be read .*; install cnnflow again$"):
        fashion.load(DataConfig("fashion"))


def test_packing_is_its_own_inverse() -> None:
    file = fashion.IDX_FILES[0]
    idx = bytes(16) + np.random.default_rng(0).integers(0, 256, 3 * 28 * 28, np.uint8).tobytes()
    packed = fashion.pack(idx, file)
    assert packed != idx
    assert packed[16 + 1] == idx[16 + 28]
    assert fashion.pack(packed, file) == idx


def test_the_bundle_is_as_small_as_promised_and_has_its_licence() -> None:
    folder = files("cnnflow.data.bundled")
    assert len((folder / fashion.BUNDLE).read_bytes()) < 26_500_000
    notice = (folder / "FASHION_MNIST_LICENSE").read_text(encoding="utf-8")
    assert "Zalando SE" in notice
    assert "The above copyright notice and this permission notice shall be included" in notice


def test_the_bundle_is_not_made_of_other_files(tmp_path: Path) -> None:
    for file in fashion.IDX_FILES:
        (tmp_path / f"{file.name}.gz").write_bytes(gzip.compress(b"something else"))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte\.gz is not the original"):
        make_fashion.make(tmp_path)


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN.is_dir(), reason="needs Debian's package dataset-fashion-mnist")
def test_the_script_makes_the_bundle_again() -> None:
    made = make_fashion.make(DEBIAN)
    bundle = (files("cnnflow.data.bundled") / fashion.BUNDLE).read_bytes()
    assert lzma.decompress(made) == lzma.decompress(bundle)
