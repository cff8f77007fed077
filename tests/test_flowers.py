"""The flowers from every place that they may be in: the same images, groups and order."""

import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from cnnflow.config import DataConfig
from cnnflow.data import flowers, tfds_builders
from cnnflow.data.archive import archive_files
from cnnflow.data.download import Remote
from cnnflow.data.flowers import FLOWERS, Release, load
from cnnflow.data.image_set import Dataset
from cnnflow.data.prepared import write_prepared
from cnnflow.errors import DataError, OptionError
from cnnflow.events import Caution, Event, Note

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "flower_photos"
COUNTS = {"daisy": 4, "dandelion": 3, "roses": 2, "sunflowers": 2, "tulips": 3}


def photo(seed: int) -> bytes:
    """A JPEG of soft random colours, of a size of its own."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8))
    file = io.BytesIO()
    coarse.resize((100 + 7 * seed, 90), Image.Resampling.BICUBIC).save(file, "JPEG")
    return file.getvalue()


PHOTOS = {
    f"{name}/{seed}_{index}.jpg": photo(seed)
    for seed, (name, index) in enumerate((name, index) for name, count in COUNTS.items() for index in range(count))
}


class TfFlowers(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """The flowers as TFDS has them: its own order of classes and of photos, no file names."""

    VERSION = tfds.core.Version("3.0.1")
    photos = PHOTOS

    def _info(self) -> Any:
        names = ["dandelion", "daisy", "tulips", "sunflowers", "roses"]
        features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=names)}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager: Any) -> Any:
        return {"train": self._generate_examples()}

    def _generate_examples(self) -> Any:
        for path, content in self.photos.items():
            yield path, {"image": io.BytesIO(content), "label": path.split("/")[0]}


class FewerFlowers(TfFlowers, skip_registration=True):
    """One photo is missing."""

    name = "tf_flowers"
    photos = dict(list(PHOTOS.items())[1:])  # noqa: RUF012 - as TFDS has it


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, folder in (("CNNFLOW_CACHE", "cache"), ("TFDS_DATA_DIR", "tfds"), ("KERAS_HOME", "keras")):
        monkeypatch.setenv(variable, str(tmp_path / folder))
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture
def release(tmp_path: Path) -> Release:
    """Fourteen photos in the flowers' form; the archive is at `tmp_path / "web"`."""
    path = archive(tmp_path / "web" / "flower_photos.tgz", PHOTOS)
    content = path.read_bytes()
    remote = Remote("https://127.0.0.1:9/flower_photos.tgz", path.name, len(content), sha256(content).hexdigest())
    return replace(FLOWERS, archive=remote, counts=COUNTS)


def archive(path: Path, photos: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    files = {"LICENSE.txt": b"CC BY 2.0", **photos}
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"flower_photos/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def folder(root: Path, photos: dict[str, bytes]) -> Path:
    for name, content in photos.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def prepare(builder: type, data_dir: Path) -> Path:
    made = builder(data_dir=str(data_dir))
    with tfds_builders._quiet():
        made.download_and_prepare(file_format="array_record")
    return Path(made.data_path)


def loaded(release: Release, data_dir: Path | None, events: list[Event] | None = None, **options: Any) -> Dataset:
    config = DataConfig("flowers", data_dir=None if data_dir is None else str(data_dir), **options)
    return load(config, on_event=(events if events is not None else []).append, release=release)


def npz(path: Path) -> Path:
    from cnnflow.data.folder import load_folder

    photos = folder(path / "mine", PHOTOS)
    write_prepared(path / "flowers.npz", load_folder(photos, DataConfig("mine")))
    return path / "flowers.npz"


def in_keras_cache(path: Path) -> None:
    (path / "keras" / "datasets").mkdir(parents=True)
    (path / "web" / "flower_photos.tgz").rename(path / "keras" / "datasets" / "flower_photos_archive")


PLACES: dict[str, Callable[[Path], Path | None]] = {
    "class folders": lambda path: folder(path / "mine", PHOTOS),
    "a folder that holds flower_photos": lambda path: folder(path / "x" / "flower_photos", PHOTOS).parent,
    "archive": lambda path: path / "web" / "flower_photos.tgz",
    "a folder that holds the archive": lambda path: path / "web",
    "npz": npz,
    "given tfds": lambda path: (prepare(TfFlowers, path / "given"), path / "given")[1],
    "tfds": lambda path: (prepare(TfFlowers, path / "tfds"), None)[1],
    "keras cache": lambda path: in_keras_cache(path),  # type: ignore[func-returns-value]
}


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The flowers from a plain folder."""
    path = tmp_path_factory.mktemp("reference")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CNNFLOW_CACHE", str(path / "cache"))
        return loaded(replace(FLOWERS, counts=COUNTS), folder(path / "mine", PHOTOS))


@pytest.mark.parametrize("place", PLACES)
def test_any_place_gives_the_same_images_in_the_same_order(
    place: str, release: Release, reference: Dataset, tmp_path: Path
) -> None:
    dataset = loaded(release, PLACES[place](tmp_path))
    dataset.train.check()
    assert dataset.name == "flowers"
    assert dataset.train.class_names == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert dataset.train.counts() == COUNTS
    assert np.array_equal(dataset.train.images[:], reference.train.images[:])
    assert np.array_equal(dataset.train.labels, reference.train.labels)
    assert dataset.groups is not None
    assert reference.groups is not None
    assert np.array_equal(same(dataset.groups), same(reference.groups))
    assert dataset.labels_in == {"ko": ("데이지", "민들레", "장미", "해바라기", "튤립")}
    assert dataset.test is None


def same(groups: np.ndarray) -> np.ndarray:
    """Which pairs are in one group, whatever the groups are called."""
    return groups[:, None] == groups[None, :]


def test_the_order_is_not_that_of_the_folder(reference: Dataset) -> None:
    assert list(reference.train.origins) != sorted(reference.train.origins)
    assert reference.train.origins[0].endswith(".jpg")


def test_size_and_classes_are_chosen_when_loading(release: Release, tmp_path: Path) -> None:
    dataset = loaded(release, tmp_path / "web", size=(32, 40), fit="pad", color="gray", classes=("tulips", "daisy"))
    assert dataset.train.image_shape == (32, 40, 1)
    assert dataset.train.counts() == {"daisy": 4, "tulips": 3}
    with pytest.raises(OptionError, match="only the class daisy; a classifier needs at least two"):
        loaded(release, tmp_path / "web", classes=("daisy",))
    with pytest.raises(OptionError, match=r"did you mean tulips\?"):
        loaded(release, tmp_path / "web", classes=("daisy", "tulip"))


def test_the_second_time_comes_from_the_cache(release: Release, reference: Dataset, tmp_path: Path) -> None:
    in_keras_cache(tmp_path)
    loaded(release, None)
    (tmp_path / "keras" / "datasets" / "flower_photos_archive").unlink()
    dataset = loaded(release, None, size=(16, 16))
    assert dataset.train.image_shape == (16, 16, 3)
    assert (tmp_path / "cache" / "flowers" / "flower_photos" / dataset.train.origins[0]).is_file()
    assert (tmp_path / "cache" / "flowers" / "LICENSE.txt").read_text() == "CC BY 2.0"


@pytest.mark.parametrize("damage", ["missing", "cut"])
def test_a_damaged_cache_is_a_miss_with_one_caution(
    release: Release, reference: Dataset, tmp_path: Path, damage: str
) -> None:
    in_keras_cache(tmp_path)
    loaded(release, None)
    victim = next((tmp_path / "cache" / "flowers" / "flower_photos" / "roses").iterdir())
    victim.unlink() if damage == "missing" else victim.write_bytes(victim.read_bytes()[:500])
    events: list[Event] = []
    dataset = loaded(release, None, events)
    assert np.array_equal(dataset.train.images[:], reference.train.images[:])
    assert len([e for e in events if isinstance(e, Caution) and "were missing or damaged" in e.message]) == 1


def test_what_tfds_prepared_is_passed_over_where_it_is_not_whole(
    release: Release, reference: Dataset, tmp_path: Path
) -> None:
    prepare(FewerFlowers, tmp_path / "tfds")
    with pytest.raises(DataError, match="were missing or damaged"):
        loaded(release, tmp_path / "tfds")
    in_keras_cache(tmp_path)
    events: list[Event] = []
    dataset = loaded(release, None, events)
    assert np.array_equal(dataset.train.images[:], reference.train.images[:])
    assert any(isinstance(event, Caution) and "passed over" in event.message for event in events)


def test_wrong_or_damaged_data_dirs_are_errors(release: Release, tmp_path: Path) -> None:
    in_keras_cache(tmp_path)  # good data elsewhere change nothing
    (tmp_path / "flower_photos.tgz").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"is damaged or not flower_photos\.tgz \(its sha256 is"):
        loaded(release, tmp_path / "flower_photos.tgz")
    with pytest.raises(DataError, match="no file or folder"):
        loaded(release, tmp_path / "nowhere")
    (tmp_path / "bad.npz").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"bad\.npz is damaged"):
        loaded(release, tmp_path / "bad.npz")
    other = folder(tmp_path / "pets", {"cats/1.jpg": photo(1), "daisy/2.jpg": photo(2)})
    with pytest.raises(DataError, match=r"has a class cats, and flowers has daisy, .*give a folder of your own"):
        loaded(release, other)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no folders of pictures"):
        loaded(release, tmp_path / "empty")


def test_without_a_network_one_line_names_each_way(release: Release, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        loaded(release, None)
    message = str(caught.value)
    assert "\n" not in message
    for way in ("--data-dir", "flower_photos.tgz", "daisy, dandelion", "tf_flowers", "cnnflow data get flowers"):
        assert way in message
    for place in ("tfds", "keras", "cache"):
        assert str(tmp_path / place) in message


def test_the_web_comes_last_and_its_archive_does_not_stay(
    release: Release, reference: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetched(remote: Remote, folder: Path, **_: object) -> Path:
        folder.mkdir(parents=True)
        return (tmp_path / "web" / remote.name).rename(folder / remote.name)

    monkeypatch.setattr(flowers, "download", fetched)
    dataset = loaded(release, None)
    assert np.array_equal(dataset.train.images[:], reference.train.images[:])
    assert not (tmp_path / "cache" / "flower_photos.tgz").exists()


def test_a_cache_that_cannot_be_written_is_one_line(
    release: Release, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CNNFLOW_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(DataError, match=r"^cannot write [^\n]*; choose another CNNFLOW_CACHE$"):
        loaded(release, tmp_path / "web")


def tar_with(path: Path, info: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    return path


@pytest.mark.parametrize("name", ["../evil.jpg", "/etc/evil", "flower_photos/../../evil", "a\\..\\evil", "C:evil"])
def test_archive_members_outside_their_folder_are_refused(tmp_path: Path, name: str) -> None:
    info = tarfile.TarInfo(name)
    info.size = 5
    with pytest.raises(DataError, match="outside its own folder"):
        list(archive_files(tar_with(tmp_path / "a.tgz", info), max_bytes=1000))
    assert [path.name for path in tmp_path.rglob("*")] == ["a.tgz"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_archive_links_and_devices_are_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("flower_photos/daisy/1.jpg")
    info.type, info.linkname = kind, "/etc/passwd"
    with pytest.raises(DataError, match="has a link or device"):
        list(archive_files(tar_with(tmp_path / "a.tgz", info), max_bytes=1000))


def test_archive_bombs_and_damage_are_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("zeros")
    info.size = 50_000_000
    bomb = tar_with(tmp_path / "bomb.tgz", info)
    assert bomb.stat().st_size < 100_000
    with pytest.raises(DataError, match="unpacks to more than 1,000,000 bytes"):
        list(archive_files(bomb, max_bytes=1_000_000))
    whole = archive(tmp_path / "a.tgz", PHOTOS).read_bytes()
    for length in (0, 10, 1000, len(whole) // 2, len(whole) * 9 // 10):
        (tmp_path / "a.tgz").write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"a\.tgz is damaged or no \.tar\.gz archive"):
            list(archive_files(tmp_path / "a.tgz", max_bytes=10**9))


def test_the_pinned_file_is_the_published_one() -> None:
    """Size and hash as TFDS pins them, and the published numbers of photos."""
    assert FLOWERS.archive.sha256 == "4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c"
    assert FLOWERS.archive.size == 228_813_984
    assert FLOWERS.archive.url.startswith("https://")
    assert sum(FLOWERS.counts.values()) == 3670


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the flower photos in ../shared/data/flower_photos")
def test_real_photos_of_two_classes() -> None:
    config = DataConfig("flowers", data_dir=str(SHARED), classes=("daisy", "dandelion"))
    events: list[Event] = []
    dataset = load(config, on_event=events.append)
    assert dataset.train.counts() == {"daisy": 633, "dandelion": 898}
    assert not [event for event in events if isinstance(event, Note)]
