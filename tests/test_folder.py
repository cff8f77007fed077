"""Folders of pictures: which files count, what is said of the others, and the cache of what was decoded."""

import json
import os
import shutil
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from drawn_pictures import encoded, photo_folder, scene, write

from cnnflow.config import DataConfig
from cnnflow.data import reading
from cnnflow.data.classes import keep_classes
from cnnflow.data.decode import decode
from cnnflow.data.folder import load_folder
from cnnflow.data.listing import list_folder, list_pictures
from cnnflow.data.resize import Resize
from cnnflow.data.split import split
from cnnflow.errors import DataError, OptionError
from cnnflow.events import Caution, Note, Progress

PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "flower_photos"
SMALL = DataConfig("photos", size=(16, 16))


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """A cache folder of the test's own."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("CNNFLOW_CACHE", str(folder))
    return folder


class Said(list):
    """Collects events."""

    def __call__(self, event):
        self.append(event)

    @property
    def cautions(self):
        return [event.message for event in self if isinstance(event, Caution)]

    @property
    def notes(self):
        return [event.message for event in self if isinstance(event, Note)]


def loaded(root, config=SMALL):
    said = Said()
    return load_folder(root, config, on_event=said), said


# Layout


def test_class_folders(tmp_path):
    dataset, said = loaded(photo_folder(tmp_path / "flowers", {"rose": 3, "daisy": 2}))
    assert (dataset.name, dataset.validation, dataset.test, dataset.mirror) == ("flowers", None, None, True)
    assert dataset.train.class_names == ("daisy", "rose")
    assert dataset.train.labels.tolist() == [0, 0, 1, 1, 1]
    assert list(dataset.train.origins) == [f"daisy/000{n}.jpg" for n in (0, 1)] + [
        f"rose/000{n}.jpg" for n in (0, 1, 2)
    ]
    assert dataset.resize == Resize(16, 16, SMALL.fit).to_dict()
    assert not said.cautions
    dataset.train.check()


def test_the_pixels_are_those_of_the_files(tmp_path):
    root = photo_folder(tmp_path, {"a": 4, "b": 3})
    dataset, _ = loaded(root)
    for image, origin in zip(dataset.train.images, dataset.train.origins, strict=True):
        assert np.array_equal(image, decode(root / origin, Resize(16, 16, SMALL.fit)))


@pytest.mark.parametrize(
    "names", [("train", "val", "test"), ("Train", "VALID", "TEST"), ("training", "validation", "testing")]
)
def test_splits_above_the_class_folders(tmp_path, names):
    for number, name in enumerate(names):
        photo_folder(tmp_path / name, {"a": 4 - number, "b": 2}, seed=number)
    dataset, said = loaded(tmp_path)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [6, 5, 4]
    assert dataset.validation.origins[0] == f"{names[1]}/a/0000.jpg"
    assert not said.cautions


@pytest.mark.parametrize(
    ("names", "there"), [(("train",), (0, 0)), (("train", "test"), (0, 1)), (("train", "val"), (1, 0))]
)
def test_any_of_the_three_splits(tmp_path, names, there):
    for number, name in enumerate(names):
        photo_folder(tmp_path / name, {"a": 2, "b": 2}, seed=number)
    dataset, _ = loaded(tmp_path)
    assert (dataset.validation is not None, dataset.test is not None) == there


def test_without_train_there_is_a_way_out(tmp_path):
    photo_folder(tmp_path / "test", {"a": 2, "b": 2})
    with pytest.raises(DataError, match=r"has no train folder beside test; add one, or give .*/test itself"):
        loaded(tmp_path)
    assert len(loaded(tmp_path / "test")[0].train) == 4


def test_a_class_may_be_called_test(tmp_path):
    dataset, _ = loaded(photo_folder(tmp_path, {"test": 2, "production": 2}))
    assert dataset.train.class_names == ("production", "test")


def test_folders_inside_a_class_belong_to_it(tmp_path):
    photo_folder(tmp_path, {"a/one/two": 2, "a": 1, "b/x": 2})
    assert loaded(tmp_path)[0].train.counts() == {"a": 3, "b": 2}


def test_any_unicode_name_and_upper_case_endings(tmp_path):
    for name in ("민들레", "Gänse blümchen", "🌼 'x' \"y\""):
        write(tmp_path / name / "Bild – 1.JPG", encoded(scene(len(name))))
        write(tmp_path / name / "사진.PNG", encoded(scene(len(name) + 50), "PNG"))
    dataset, said = loaded(tmp_path)
    assert len(dataset.train) == 6
    assert "민들레/사진.PNG" in dataset.train.origins
    assert not said.cautions


def test_one_class_written_in_two_unicode_forms_is_one_class(tmp_path):
    for number, form in enumerate(("NFC", "NFD")):
        photo_folder(
            tmp_path / ("train", "test")[number], {unicodedata.normalize(form, "rosé"): 2, "b": 2}, seed=number
        )
    dataset, said = loaded(tmp_path)
    assert dataset.train.class_names == dataset.test.class_names == ("b", unicodedata.normalize("NFC", "rosé"))
    assert not said.cautions


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux allows names that are not UTF-8")
def test_names_that_are_not_utf8_can_be_read_and_printed(tmp_path):
    root = photo_folder(tmp_path, {"a": 2, "b": 2})
    bad = os.fsdecode(os.fsencode(str(root)) + b"/a/bl\xfcte.jpg")
    Path(bad).write_bytes(encoded(scene(9)))
    dataset, _ = loaded(root)
    assert "a/bl\\xfcte.jpg" in dataset.train.origins
    json.dumps(list(dataset.train.origins)).encode("utf-8")
    assert len(loaded(root)[0].train) == 5


def test_litter_is_passed_over_in_silence(tmp_path):
    root = photo_folder(tmp_path, {"a": 2, "b": 2})
    for name in (
        ".DS_Store",
        "a/.DS_Store",
        "a/Thumbs.db",
        "a/desktop.ini",
        "__MACOSX/a/._0000.jpg",
        ".git/x",
        "b/._1.jpg",
    ):
        write(root / name, b"litter")
    dataset, said = loaded(root)
    assert len(dataset.train) == 4
    assert not said.cautions


def test_an_order_that_does_not_depend_on_the_disk(tmp_path):
    root = photo_folder(tmp_path / "one", {"b": 3, "a": 3})
    other = tmp_path / "other"
    for path in sorted(root.glob("*/*"), reverse=True):
        write(other / path.relative_to(root), path.read_bytes())
    one, two = loaded(root)[0], loaded(other)[0]
    assert list(one.train.origins) == list(two.train.origins)
    assert np.array_equal(one.train.images, two.train.images)


# Links


@pytest.fixture
def linked(tmp_path):
    root = photo_folder(tmp_path / "photos", {"a": 2, "b": 2})
    outside = photo_folder(tmp_path / "outside", {"secret": 1})
    return root, outside


def test_links_that_leave_the_folder_are_refused_and_said(linked):
    root, outside = linked
    (root / "a" / "file.jpg").symlink_to(outside / "secret" / "0000.jpg")
    (root / "a" / "folder").symlink_to(outside)
    (root / "c").symlink_to(outside / "secret")
    dataset, said = loaded(root)
    assert dataset.train.counts() == {"a": 2, "b": 2}
    assert [line.split(" is ")[0] for line in said.cautions] == [
        f"outside the folder: {name}" for name in ("a/file.jpg", "a/folder", "c")
    ]


def test_a_folder_whose_name_begins_like_the_root_is_outside(tmp_path):
    root = photo_folder(tmp_path / "photos", {"a": 2, "b": 2})
    photo_folder(tmp_path / "photos-more", {"x": 1}, seed=5)
    (root / "a" / "more.jpg").symlink_to(tmp_path / "photos-more" / "x" / "0000.jpg")
    dataset, said = loaded(root)
    assert len(dataset.train) == 4
    assert len(said.cautions) == 1


def test_links_within_the_folder_are_followed(linked):
    root, _ = linked
    write(root / "b" / "deep" / "new.jpg", encoded(scene(77)))
    (root / "a" / "again.jpg").symlink_to(root / "b" / "deep" / "new.jpg")
    listing = list_folder(root)
    assert "a/again.jpg" in [file.path for file in listing.files]
    assert not listing.refused


def test_links_in_a_circle_end(linked):
    root, _ = linked
    (root / "a" / "up").symlink_to(root)
    (root / "a" / "self").symlink_to(root / "a")
    (root / "a" / "over").symlink_to(root / "b")
    (root / "b" / "back").symlink_to(root / "a")
    listing = list_folder(root)
    assert all("is a link to a folder above itself" in fault.reason for _, fault in listing.refused)
    assert len(listing.files) < 20


def test_a_link_to_nothing_and_a_pipe_are_said(linked):
    root, _ = linked
    (root / "a" / "gone.jpg").symlink_to(root / "a" / "nothing.jpg")
    os.mkfifo(root / "a" / "pipe.jpg")
    dataset, said = loaded(root)
    assert len(dataset.train) == 4
    assert [line.split(" ")[1] for line in said.cautions] == ["a/gone.jpg", "a/pipe.jpg"]


def test_the_folder_itself_may_be_a_link(linked, tmp_path):
    root, _ = linked
    (tmp_path / "link").symlink_to(root)
    assert len(loaded(tmp_path / "link")[0].train) == 4


# What cannot be used


def test_bad_files_are_left_out_and_listed(tmp_path):
    root = photo_folder(tmp_path, {"a": 3, "b": 3})
    write(root / "a" / "empty.jpg", b"")
    write(root / "a" / "moving.jpg", encoded(scene(1).quantize(9), "GIF"))
    write(root / "b" / "cut.jpg", encoded(scene(2))[:900])
    write(root / "b" / "notes.txt", b"shot in May")
    dataset, said = loaded(root)
    assert dataset.train.counts() == {"a": 3, "b": 3}
    assert said.cautions == [
        "empty: a/empty.jpg is empty; copy it again or delete it",
        "wrong format: a/moving.jpg is a GIF; it must be JPEG, PNG, WebP or BMP: convert it or delete it",
        "truncated: b/cut.jpg is cut off; copy it again or delete it",
        "other file: b/notes.txt is no picture, by its name too; it is left out",
    ]


def test_strict_stops_at_a_bad_file_and_names_it(tmp_path):
    root = photo_folder(tmp_path, {"a": 3, "b": 3})
    strict = DataConfig("photos", size=(16, 16), strict=True)
    write(root / "b" / "notes.txt", b"shot in May")
    assert len(loaded(root, strict)[0].train) == 6
    write(root / "a" / "empty.jpg", b"")
    with pytest.raises(DataError, match=r"strict, and 1 bad file: a/empty\.jpg is empty; copy it again or delete it"):
        loaded(root, strict)


def test_five_hundred_bad_files_do_not_flood(tmp_path):
    root = photo_folder(tmp_path, {"a": 2, "b": 2})
    for number in range(500):
        write(root / "a" / f"bad{number:03}.jpg", b"")
    said = loaded(root)[1]
    assert len(said.cautions) == 51
    assert said.cautions[-1] == "empty: and 450 more; `cnnflow audit` lists all"


def test_label_conflicts_and_leaks_are_said(tmp_path):
    photo_folder(tmp_path / "train", {"a": 3, "b": 3})
    photo_folder(tmp_path / "test", {"a": 2, "b": 2}, seed=1)
    write(tmp_path / "train" / "b" / "same.png", encoded(scene(500), "PNG"))
    write(tmp_path / "train" / "a" / "same.bmp", encoded(scene(500), "BMP"))
    shutil.copy(tmp_path / "train" / "a" / "0001.jpg", tmp_path / "test" / "a" / "copy.jpg")
    said = loaded(tmp_path)[1]
    assert said.cautions == [
        "leak: train/a/0001.jpg, test/a/copy.jpg are one picture in test and train; delete it from all but one",
        "label conflict: train/a/same.bmp, train/b/same.png are one picture in 2 classes (a, b); delete the wrong ones",
    ]


def test_near_leaks_are_said_in_one_line(tmp_path):
    photo_folder(tmp_path / "train", {"a": 3, "b": 3}, width=200, height=150)
    photo_folder(tmp_path / "test", {"a": 2, "b": 2}, seed=1, width=200, height=150)
    for number in range(3):
        write(tmp_path / "test" / "a" / f"near{number}.jpg", encoded(scene(number, width=200, height=150), quality=60))
    assert loaded(tmp_path)[1].cautions == [
        "near leak: train/a/0000.jpg, test/a/near0.jpg look the same and are in test and train; keep them on one side"
        " (and 2 more; `cnnflow audit` lists all)"
    ]


def test_classes_that_differ_between_splits_are_said_and_left_out_of_the_test(tmp_path):
    photo_folder(tmp_path / "train", {"a": 3, "b": 3, "c": 3})
    photo_folder(tmp_path / "test", {"a": 2, "b": 2, "d": 2}, seed=1)
    dataset, said = loaded(tmp_path)
    assert dataset.train.class_names == dataset.test.class_names == ("a", "b", "c")
    assert dataset.test.counts() == {"a": 2, "b": 2, "c": 0}
    assert said.cautions == [
        "classes differ: test has no class folder c, which train has; add it or delete the other",
        "classes differ: train has no class folder d, which test has; add it or delete the other",
    ]


def test_an_empty_class_is_said_and_left_out(tmp_path):
    root = photo_folder(tmp_path, {"a": 2, "b": 2})
    (root / "c").mkdir()
    write(root / "d" / "bad.jpg", b"")
    dataset, said = loaded(root)
    assert dataset.train.class_names == ("a", "b")
    assert said.cautions[1:] == [
        f"empty class: class {name} has no usable picture in train; add some or delete it" for name in "cd"
    ]


def test_pictures_beside_the_class_folders_are_said(tmp_path):
    root = photo_folder(tmp_path, {"a": 2, "b": 2})
    write(root / "stray.jpg", encoded(scene(1)))
    write(root / "README.md", b"about")
    write(root / "LICENSE", b"free")
    said = loaded(root)[1]
    assert said.cautions == ["stray file: stray.jpg stands in no class folder; it is left out: move it or delete it"]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda root: None, r"no folder .*photos; give a folder"),
        (lambda root: root.mkdir(), r"has no folders of pictures; make one for each class"),
        (lambda root: write(root / "a.jpg", encoded(scene(1))), r"has no folders of pictures"),
        (lambda root: photo_folder(root, {"only": 3}), r"usable pictures to train on of 1 class; a classifier needs"),
        (
            lambda root: write(root / "a" / "x.jpg", b""),
            r"usable pictures to train on of 0 classes; a classifier needs",
        ),
    ],
)
def test_folders_that_cannot_be_used(tmp_path, build, message):
    build(tmp_path / "photos")
    with pytest.raises(DataError, match=message):
        loaded(tmp_path / "photos")


def test_the_choice_of_classes_reads_only_those(tmp_path):
    root = photo_folder(tmp_path, {"a": 2, "b": 3, "c": 2})
    write(root / "c" / "bad.jpg", b"")
    config = DataConfig("photos", size=(16, 16), classes=("b", "a"))
    dataset, said = loaded(root, config)
    assert not said.cautions
    assert keep_classes(dataset, config.classes).train.counts() == {"b": 3, "a": 2}
    with pytest.raises(OptionError, match=r"no class 'bb' in .*; did you mean b\?"):
        loaded(root, DataConfig("photos", classes=("a", "bb")))


def test_color_and_fit_reach_the_pictures(tmp_path):
    root = photo_folder(tmp_path, {"a": 2, "b": 2})
    dataset, _ = loaded(root, DataConfig("photos", size=(10, 30), color="gray", fit="pad"))
    assert dataset.train.image_shape == (10, 30, 1)
    assert not dataset.train.images[:, :, :5].any()


@pytest.mark.parametrize(
    ("fit", "words"), [("crop", "crop: 25% of the average picture is cut away"), ("pad", "25% of the average picture")]
)
def test_what_is_lost_of_the_pictures_is_said(tmp_path, fit, words):
    root = photo_folder(tmp_path, {"a": 2, "b": 2}, width=200, height=150)
    for _ in range(2):
        said = loaded(root, DataConfig("photos", size=(16, 16), fit=fit))[1]
        assert words in said.notes[-1]


def test_two_processes_may_read_one_folder(tmp_path):
    root = photo_folder(tmp_path, {"a": 3, "b": 3})
    inner = []

    def read_meanwhile(event):
        if isinstance(event, Progress) and not inner:
            inner.append(load_folder(root, SMALL))

    outer = load_folder(root, SMALL, on_event=read_meanwhile)
    assert np.array_equal(outer.train.images, inner[0].train.images)
    assert loaded(root)[1].notes


# Duplicates and splits


def test_copies_and_near_copies_stay_on_one_side_of_a_split(tmp_path):
    root = photo_folder(tmp_path, {"a": 30, "b": 30}, width=200, height=150)
    for number in range(30):
        original = scene(number, width=200, height=150)
        write(root / "a" / f"{number:04}-copy.png", encoded(original, "PNG"))
        write(root / "a" / f"{number:04}-small.webp", encoded(original.resize((160, 120)), "WEBP", quality=80))
    dataset, _ = loaded(root)
    assert len(set(dataset.groups.tolist())) == 60
    parts = split(dataset, SMALL, seed=3)
    sides = [
        {origin[2:6] for origin in part.origins if origin[0] == "a"}
        for part in (parts.train, parts.validation, parts.test)
    ]
    assert not sides[0] & sides[1]
    assert not sides[0] & sides[2]
    assert not sides[1] & sides[2]


# The cache


def test_an_unchanged_folder_is_taken_from_the_cache(tmp_path, monkeypatch):
    root = photo_folder(tmp_path, {"a": 3, "b": 3})
    write(root / "a" / "empty.jpg", b"")
    first, said = loaded(root)
    assert any(isinstance(event, Progress) for event in said)
    monkeypatch.setattr(reading, "open_picture", lambda *_: pytest.fail("a file was decoded again"))
    second, said_again = loaded(root)
    assert np.array_equal(first.train.images, second.train.images)
    assert np.array_equal(first.groups, second.groups)
    assert said_again.cautions == said.cautions
    assert said_again.notes == [f"{root.name} is unchanged: 6 decoded pictures are in the cache"]


def test_a_changed_folder_is_read_again(tmp_path):
    root = photo_folder(tmp_path, {"a": 3, "b": 3})
    loaded(root)

    def change_pixels():
        (root / "a" / "0000.jpg").write_bytes(encoded(scene(99)))

    def change_time_alone():
        os.utime(root / "a" / "0001.jpg", ns=(1, 1))

    for change in (
        change_pixels,
        change_time_alone,
        lambda: write(root / "b" / "new.jpg", encoded(scene(98))),
        lambda: (root / "b" / "new.jpg").rename(root / "b" / "other.jpg"),
        lambda: (root / "b" / "0001.jpg").unlink(),
    ):
        change()
        dataset, said = loaded(root)
        assert not said.notes
        assert np.array_equal(dataset.train.images[0], decode(root / "a" / "0000.jpg", Resize(16, 16, SMALL.fit)))
        assert loaded(root)[1].notes


def test_other_options_are_decoded_apart(tmp_path):
    root = photo_folder(tmp_path, {"a": 3, "b": 3})
    loaded(root)
    for options in ({"size": (16, 17)}, {"size": (16, 16), "fit": "crop"}, {"size": (16, 16), "color": "gray"}):
        for notes in ([], [f"{root.name} is unchanged: 6 decoded pictures are in the cache"]):
            said = loaded(root, DataConfig("photos", **options))[1]
            assert [note for note in said.notes if "unchanged" in note] == notes


def test_only_the_newest_entries_of_a_folder_are_kept(tmp_path, cache):
    root = photo_folder(tmp_path, {"a": 2, "b": 2})
    for side in range(10, 16):
        loaded(root, DataConfig("photos", size=(side, side)))
    entries = list((cache / "folders").iterdir())
    assert len(entries) == 3
    assert loaded(root, DataConfig("photos", size=(15, 15)))[1].notes


@pytest.mark.parametrize("name", ["manifest.json", "index.npz", "pixels-00000.raw"])
@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "empty"])
def test_a_damaged_entry_is_a_miss_with_one_line(tmp_path, cache, name, damage):
    root = photo_folder(tmp_path, {"a": 3, "b": 3})
    first, _ = loaded(root)
    (file,) = (cache / "folders").glob(f"*/{name}")
    content = bytearray(file.read_bytes())
    if damage == "gone":
        file.unlink()
    else:
        content[len(content) // 2] ^= 255
        file.write_bytes({"cut": content[: len(content) // 2], "flipped": content, "empty": b""}[damage])
    second, said = loaded(root)
    assert np.array_equal(first.train.images, second.train.images)
    assert not said.notes
    assert len(said.cautions) == 1
    assert "are damaged" in said.cautions[0]
    assert loaded(root)[1].notes


@pytest.mark.skipif(os.geteuid() == 0 and not sys.platform.startswith("linux"), reason="needs a folder without room")
def test_a_cache_that_cannot_be_written_costs_a_caution(tmp_path, monkeypatch):
    root = photo_folder(tmp_path / "photos", {"a": 2, "b": 2})
    blocked = write(tmp_path / "a file", b"")
    monkeypatch.setenv("CNNFLOW_CACHE", str(blocked / "cache"))
    dataset, said = loaded(root)
    assert len(dataset.train) == 4
    assert len(said.cautions) == 1
    assert "the decoded pictures are not kept for the next start" in said.cautions[0]


def test_an_interrupted_reading_leaves_nothing(tmp_path, cache):
    root = photo_folder(tmp_path, {"a": 60, "b": 60})

    def interrupt(event):
        if isinstance(event, Progress):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_folder(root, SMALL, on_event=interrupt)
    assert not list(cache.glob("folders/*"))


# Sets larger than memory


@pytest.fixture
def small_memory(monkeypatch):
    """Make 20 pictures of 16 x 16 too many for memory, and a shard hold 7."""
    from cnnflow.data import decoded_cache, shards

    for module in (reading, decoded_cache, shards):
        monkeypatch.setattr(module, "LARGEST_IN_MEMORY", 20 * 16 * 16 * 3)
    monkeypatch.setattr(shards, "SHARD_BYTES", 7 * 16 * 16 * 3)


def test_a_set_larger_than_memory_is_the_same_set(tmp_path, request):
    root = photo_folder(tmp_path, {"a": 20, "b": 20})
    write(root / "a" / "0003.jpg", b"")
    in_memory, _ = loaded(root)
    shutil.rmtree(os.environ["CNNFLOW_CACHE"])
    request.getfixturevalue("small_memory")
    for _ in range(2):  # decoded, and from the cache
        stored, said = loaded(root)
        assert not isinstance(stored.train.images, np.ndarray)
        assert np.array_equal(stored.train.images[:], in_memory.train.images)
        assert np.array_equal(stored.groups, in_memory.groups)
        assert list(stored.train.origins) == list(in_memory.train.origins)
        one, two = split(stored, SMALL, seed=0), split(in_memory, SMALL, seed=0)
        for name in ("train", "validation", "test"):
            assert np.array_equal(getattr(one, name).images[:], getattr(two, name).images)
    assert said.notes


@pytest.mark.usefixtures("small_memory")
def test_a_set_larger_than_memory_needs_a_cache(tmp_path, monkeypatch):
    root = photo_folder(tmp_path / "photos", {"a": 20, "b": 20})
    monkeypatch.setenv("CNNFLOW_CACHE", str(write(tmp_path / "a file", b"") / "cache"))
    with pytest.raises(DataError, match=r"too many to hold in memory; set CNNFLOW_CACHE to a folder with room"):
        loaded(root)


# Listing for predictions


def test_list_pictures(tmp_path):
    for name in ("b.jpg", "a/x.PNG", "a/noending", "a/notes.txt", ".hidden.jpg", "moving.gif", "Thumbs.db"):
        write(tmp_path / name, b"x")
    found = [path.relative_to(tmp_path).as_posix() for path in list_pictures(tmp_path)]
    assert found == ["a/noending", "a/x.PNG", "b.jpg", "moving.gif"]
    with pytest.raises(DataError, match="cannot be opened"):
        list_pictures(tmp_path / "nowhere")


# Real photos


@pytest.mark.shared_data
def test_the_flower_photos():
    if not PHOTOS.is_dir():
        pytest.skip(f"the flower photos are not at {PHOTOS}")
    config = DataConfig(str(PHOTOS), classes=("daisy", "dandelion"))
    dataset, said = loaded(PHOTOS, config)
    assert dataset.train.counts() == {"daisy": 633, "dandelion": 898}
    assert dataset.train.image_shape == (80, 80, 3)
    assert not said.cautions
    parts = split(dataset, config, seed=0)
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [1071, 230, 230]
