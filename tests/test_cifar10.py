"""CIFAR-10 from every place that it may be in: the same images in the same order, and nothing else."""

import io
import pickle
import tarfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from cnnflow.config import DataConfig
from cnnflow.data import cifar10, places
from cnnflow.data.cifar10 import CIFAR10, Release, load
from cnnflow.data.cifar_files import BATCHES, TRAIN_BATCHES, from_batches
from cnnflow.data.download import Remote
from cnnflow.data.fixed import in_canonical_order
from cnnflow.data.image_set import Dataset
from cnnflow.data.npz import write_arrays
from cnnflow.data.order import content_sha256
from cnnflow.errors import DataError, OptionError
from cnnflow.events import Caution, Event, Note

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "cifar10"
Arrays = dict[str, np.ndarray]


def python2_pickle(images: np.ndarray, labels: np.ndarray) -> bytes:
    """A batch as Python 2 pickled it: protocol 2, byte strings, NumPy's old names, as many memo entries."""
    data = images.transpose(0, 3, 1, 2).tobytes()
    count = len(labels)
    name = b"training batch"
    out = [b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U", bytes([len(name)]), name, b"q\x03U\x06labelsq\x04]q\x05("]
    out += [b"K" + bytes([label]) for label in labels.tolist()]
    out += [
        b"eU\x04dataq\x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\t(K\x01"
    ]
    out += [b"M" + count.to_bytes(2, "little"), b"M\x00\x0c\x86cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b"]
    out += [b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T", len(data).to_bytes(4, "little"), data]
    out += [b"tbU\tfilenamesq\x0c]q\x0d("]
    out += [b"U\x05a.pngr" + (256 + i).to_bytes(4, "little") for i in range(count)]
    return b"".join([*out, b"eu."])


def binary_records(images: np.ndarray, labels: np.ndarray) -> bytes:
    pixels = images.transpose(0, 3, 1, 2).reshape(len(labels), -1)
    return np.concatenate([labels[:, None], pixels], axis=1).astype(np.uint8).tobytes()


def batches(arrays: Arrays, form: Callable[[np.ndarray, np.ndarray], bytes], suffix: str) -> dict[str, bytes]:
    parts = zip(np.split(arrays["x_train"], 5), np.split(arrays["y_train"], 5), strict=True)
    named = {f"{name}{suffix}": form(*part) for name, part in zip(TRAIN_BATCHES, parts, strict=True)}
    return named | {f"test_batch{suffix}": form(arrays["x_test"], arrays["y_test"])}


def archive(path: Path, folder: str, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def arrays() -> Arrays:
    """Sixty images, some of them twice, in no canonical order."""
    rng = np.random.default_rng(3)
    images = rng.integers(0, 256, (60, 32, 32, 3), np.uint8)
    images[7] = images[30]
    labels = np.resize(np.arange(10, dtype=np.uint8), 60)
    return {"x_train": images[:50], "y_train": labels[:50], "x_test": images[50:], "y_test": labels[50:]}


@pytest.fixture
def release(arrays: Arrays, tmp_path: Path) -> Release:
    """A small dataset in CIFAR-10's form, whose archives are made in `tmp_path / "web"`."""
    ordered = in_canonical_order(arrays)
    web = tmp_path / "web"
    binary = archive(web / "cifar-10-binary.tar.gz", "cifar-10-batches-bin", batches(arrays, binary_records, ".bin"))
    python = archive(web / "cifar-10-python.tar.gz", "cifar-10-batches-py", batches(arrays, python2_pickle, ""))
    remotes = [
        Remote(
            f"https://localhost:9/{path.name}", path.name, path.stat().st_size, sha256(path.read_bytes()).hexdigest()
        )
        for path in (binary, python)
    ]
    digest = content_sha256(*(ordered[name] for name in ("x_train", "y_train", "x_test", "y_test")))
    return Release(replace(CIFAR10.images, train=50, test=10), digest, *remotes)


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No cache, no Keras and no TFDS of this machine."""
    for variable, folder in (("CNNFLOW_CACHE", "cache"), ("TFDS_DATA_DIR", "tfds"), ("KERAS_HOME", "keras")):
        monkeypatch.setenv(variable, str(tmp_path / folder))
    monkeypatch.setenv("no_proxy", "*")


def loaded(release: Release, data_dir: Path | None, events: list[Event] | None = None) -> Dataset:
    config = DataConfig("cifar10", data_dir=None if data_dir is None else str(data_dir))
    return load(config, on_event=(events if events is not None else []).append, release=release)


def assert_right(dataset: Dataset, arrays: Arrays) -> None:
    ordered = in_canonical_order(arrays)
    assert dataset.test is not None
    for images, split in ((dataset.train, "train"), (dataset.test, "test")):
        images.check()
        assert np.array_equal(images.images[:], ordered[f"x_{split}"])
        assert np.array_equal(images.labels, ordered[f"y_{split}"])


PLACES: dict[str, Callable[[Path, Arrays], Path]] = {
    "npz": lambda path, arrays: (write_arrays(path / "any.npz", arrays), path / "any.npz")[1],
    "folder with npz": lambda path, arrays: (write_arrays(path / "cifar10.npz", arrays), path)[1],
    "binary archive": lambda path, arrays: path / "web" / "cifar-10-binary.tar.gz",
    "python archive": lambda path, arrays: path / "web" / "cifar-10-python.tar.gz",
    "folder with archives": lambda path, arrays: path / "web",
    "unpacked binary": lambda path, arrays: write_folder(path / "bin", batches(arrays, binary_records, ".bin")),
    "unpacked python": lambda path, arrays: write_folder(path / "py", batches(arrays, python2_pickle, "")),
    "folder with unpacked": lambda path, arrays: (
        write_folder(path / "x" / "cifar-10-batches-py", batches(arrays, python2_pickle, "")).parent
    ),
}


@pytest.mark.parametrize("place", PLACES)
def test_data_dir_may_be_any_of_these(place: str, release: Release, arrays: Arrays, tmp_path: Path) -> None:
    assert_right(loaded(release, PLACES[place](tmp_path, arrays)), arrays)
    assert not (tmp_path / "cache").exists()


def test_an_npz_in_another_order_and_of_keras_dtypes_is_the_same(
    release: Release, arrays: Arrays, tmp_path: Path
) -> None:
    order = np.random.default_rng(0).permutation(50)
    other = {
        **arrays,
        "x_train": arrays["x_train"][order],
        "y_train": arrays["y_train"][order].astype(np.int64)[:, None],
    }
    write_arrays(tmp_path / "a.npz", other)
    assert_right(loaded(release, tmp_path / "a.npz"), arrays)


def changed_pixel(arrays: Arrays) -> Arrays:
    images = arrays["x_test"].copy()
    images[3, 4, 5, 1] ^= 1
    return {**arrays, "x_test": images}


WRONG: dict[str, tuple[Callable[[Arrays], Arrays], str]] = {
    "one pixel": (changed_pixel, "has images or labels that CIFAR-10 has not"),
    "labels": (lambda a: {**a, "y_test": a["y_test"][::-1].copy()}, "has images or labels that CIFAR-10 has not"),
    "too few": (lambda a: {**a, "x_train": a["x_train"][:49]}, r"x_train of shape \(49, 32, 32, 3\)"),
    "missing": (lambda a: {name: a[name] for name in ("x_train", "y_train")}, "no array x_test"),
    "floats": (lambda a: {**a, "x_train": a["x_train"] / 255}, "dtype float64"),
    "label 200": (lambda a: {**a, "y_train": a["y_train"] + np.uint8(200)}, "has label 2"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_npz_is_an_error_and_never_passed_over(
    wrong: str, release: Release, arrays: Arrays, tmp_path: Path
) -> None:
    change, message = WRONG[wrong]
    write_arrays(tmp_path / "a.npz", change(arrays))
    with pytest.raises(DataError, match=message) as caught:
        loaded(release, tmp_path / "a.npz")
    assert str(tmp_path / "a.npz") in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_data_dir_is_an_error_even_with_a_good_cache(
    release: Release, arrays: Arrays, tmp_path: Path
) -> None:
    write_arrays(tmp_path / "cache" / "cifar10.npz", in_canonical_order(arrays))
    assert_right(loaded(release, None), arrays)
    for name in ("a.npz", "cifar-10-binary.tar.gz"):
        (tmp_path / name).write_bytes(b"damaged")
        with pytest.raises(DataError, match="damaged"):
            loaded(release, tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"holds no CIFAR-10; there must be cifar10\.npz"):
        loaded(release, tmp_path / "empty")
    with pytest.raises(DataError, match="no file or folder"):
        loaded(release, tmp_path / "nowhere")


def test_an_archive_packed_anew_is_not_the_official_one(release: Release, arrays: Arrays, tmp_path: Path) -> None:
    other = archive(tmp_path / "mine.tar.gz", "cifar-10-batches-bin", batches(arrays, binary_records, ".bin"))
    other.write_bytes(other.read_bytes() + b"\0")
    with pytest.raises(DataError, match=r"damaged or not cifar-10-binary\.tar\.gz or cifar-10-python\.tar\.gz"):
        loaded(release, other)


def test_an_unpacked_archive_with_a_missing_or_cut_batch(release: Release, arrays: Arrays, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "bin", batches(arrays, binary_records, ".bin"))
    content = (folder / "data_batch_3.bin").read_bytes()
    (folder / "data_batch_3.bin").write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"data_batch_3\.bin in .*bin is damaged"):
        loaded(release, folder)
    (folder / "data_batch_3.bin").unlink()
    with pytest.raises(DataError, match=r"lacks data_batch_3\.bin"):
        loaded(release, folder)


class Marker:
    """What a pickle of `Launch` would call if it were believed."""

    called = False


def launch() -> None:
    Marker.called = True


class Launch:
    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return launch, ()


def test_a_pickle_that_runs_code_is_refused_and_not_run(arrays: Arrays) -> None:
    evil = pickle.dumps({b"data": Launch(), b"labels": [0]}, protocol=3)
    with pytest.raises(DataError, match=r"is damaged \(it names .*launch, which no batch of CIFAR-10 does\)"):
        from_batches(dict.fromkeys(BATCHES, evil), "here")
    assert not Marker.called


def test_a_pickle_that_asks_for_gigabytes_is_refused(arrays: Arrays) -> None:
    batch = python2_pickle(arrays["x_test"], arrays["y_test"])
    greedy = batch.replace(b"r" + (256).to_bytes(4, "little"), b"r\xff\xff\xff\x7f")
    assert greedy != batch
    with pytest.raises(DataError, match="it counts 2147483647 objects"):
        from_batches(dict.fromkeys(BATCHES, greedy), "here")


def test_a_pickle_damaged_anywhere_is_one_line(arrays: Arrays) -> None:
    batch = bytearray(python2_pickle(arrays["x_test"][:2], arrays["y_test"][:2]))
    data = range(batch.index(b"\x89T") + 6, batch.index(b"tbU\tfilenames"))
    for place in [place for place in range(len(batch)) if place not in data]:
        for bit in (0, 3, 7):
            batch[place] ^= 1 << bit
            try:
                from_batches(dict.fromkeys(BATCHES, bytes(batch)), "here")
            except DataError as error:
                if "\n" in str(error):
                    raise AssertionError(str(error)) from error
            batch[place] ^= 1 << bit


def test_the_cache_comes_next_and_a_damaged_one_is_made_again(
    release: Release, arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "keras" / "datasets").mkdir(parents=True)
    (tmp_path / "web" / "cifar-10-python.tar.gz").rename(tmp_path / "keras" / "datasets" / "any name")
    assert_right(loaded(release, None), arrays)
    cached = tmp_path / "cache" / "cifar10.npz"
    good = cached.read_bytes()
    events: list[Event] = []
    assert_right(loaded(release, None, events), arrays)
    assert events == []
    cached.write_bytes(good[:1000])
    assert_right(loaded(release, None, events), arrays)
    assert [type(event) for event in events] == [Caution, Note, Note]
    assert cached.read_bytes() == good


def test_the_keras_cache_is_only_read_and_only_believed_with_its_hash(
    release: Release, arrays: Arrays, tmp_path: Path
) -> None:
    folder = tmp_path / "keras" / "datasets"
    folder.mkdir(parents=True)
    content = (tmp_path / "web" / "cifar-10-python.tar.gz").read_bytes()
    (folder / "cifar-10-batches-py-target_archive").write_bytes(content[:-1] + b"?")
    with pytest.raises(DataError, match="is not on this machine"):
        loaded(release, None)
    (folder / "cifar-10-batches-py.tar.gz").write_bytes(content)
    before = sorted(path.name for path in folder.iterdir())
    assert_right(loaded(release, None), arrays)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_without_a_network_one_line_names_each_way(release: Release, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        loaded(release, None)
    message = str(caught.value)
    assert "\n" not in message
    for way in (
        "--data-dir",
        "cifar10.npz",
        "cifar-10-binary.tar.gz",
        "cifar-10-python.tar.gz",
        "TFDS",
        "array_record",
    ):
        assert way in message
    for way in (str(tmp_path / "tfds"), str(tmp_path / "keras"), "cnnflow data get cifar10", str(tmp_path / "cache")):
        assert way in message


def test_the_web_comes_last_and_its_archive_does_not_stay(
    release: Release, arrays: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetched(remote: Remote, folder: Path, **_: object) -> Path:
        assert remote == release.binary
        folder.mkdir()
        return (tmp_path / "web" / remote.name).rename(folder / remote.name)

    monkeypatch.setattr(cifar10, "download", fetched)
    assert_right(loaded(release, None), arrays)
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["cifar10.npz"]


def test_the_pinned_files_are_the_published_ones() -> None:
    """Sizes and hashes as Keras (python archive) and TFDS (binary archive) pin them."""
    assert CIFAR10.python.sha256 == "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
    assert CIFAR10.binary.sha256 == "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
    assert CIFAR10.binary.size == 170_052_171
    assert CIFAR10.binary.url.startswith("https://")


def test_options_for_folders_are_refused() -> None:
    for option in ({"size": (64, 64)}, {"color": "gray"}):
        with pytest.raises(OptionError, match="leave it out"):
            load(DataConfig("cifar10", **option))  # type: ignore[arg-type]


def test_the_newest_version_of_tfds_is_taken(tmp_path: Path) -> None:
    for version in ("3.0.2", "3.0.10", "2.9.9"):
        (tmp_path / "cifar10" / version).mkdir(parents=True)
        (tmp_path / "cifar10" / version / "dataset_info.json").write_text("{}")
    newest = tmp_path / "cifar10" / "3.0.10"
    assert places.tfds_folder("cifar10", tmp_path) == newest
    assert places.tfds_folder("cifar10", tmp_path / "cifar10") == newest
    assert places.tfds_folder("cifar10", tmp_path / "cifar10" / "3.0.2") == tmp_path / "cifar10" / "3.0.2"
    assert places.tfds_folder("cifar100", tmp_path) is None


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs CIFAR-10 in ../shared/data/cifar10")
def test_real_cifar10_has_the_pinned_content(tmp_path: Path) -> None:
    """The images of the shared folder, shuffled as they are, are CIFAR-10 to the last pixel."""
    from PIL import Image

    def images(split: str) -> np.ndarray:
        mosaics = [np.asarray(Image.open(path)) for path in sorted(SHARED.glob(f"{split}-*.webp"))]
        tiles = [m.reshape(50, 32, 50, 32, 3).transpose(0, 2, 1, 3, 4).reshape(2500, 32, 32, 3) for m in mosaics]
        return np.concatenate(tiles)

    found = {f"x_{split}": images(split) for split in ("train", "test")}
    found |= {f"y_{split}": np.load(SHARED / f"{split}-labels.npy") for split in ("train", "test")}
    write_arrays(tmp_path / "cifar10.npz", found, compressed=False)
    dataset = load(DataConfig("cifar10", data_dir=str(tmp_path)))
    assert dataset.test is not None
    assert set(dataset.train.counts().values()) == {5000}
    published = [125.306918046875, 122.950394140625, 113.86538318359375]
    assert dataset.train.images[:].mean((0, 1, 2)) == pytest.approx(published, rel=1e-12)
