"""The audit: every planted fault is found in its place, and clean folders are left in peace."""

import itertools
import os
import struct
import time
from collections import Counter
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from drawn_pictures import encoded, photo_folder, scene, write
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance, ImageFilter

from cnnflow.data.audit import HARD, SOFT, Audit, Finding, audit
from cnnflow.data.audit.looks import Look, look_findings
from cnnflow.data.likeness import HASH_BITS_APART, Likeness, groups_of_likeness, likeness, near_pairs
from cnnflow.errors import DataError
from cnnflow.events import Progress

PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "flower_photos"


def found(result: Audit, severity: str | None = None) -> set[tuple[str, tuple[str, ...]]]:
    return {(f.kind, f.files) for f in result.findings if severity in (None, f.severity)}


def photo(seed: int) -> Image.Image:
    return scene(seed, width=200, height=150)


def moving(kind: str) -> bytes:
    return encoded(photo(1), kind, save_all=True, append_images=[photo(2), photo(3)])


def plant(root: Path) -> dict[str, set[tuple[str, tuple[str, ...]]]]:
    """A folder of 150 good pictures with every fault in known places, and what must be found, by severity."""
    photo_folder(root / "train", {"daisy": 60, "rose": 60}, width=200, height=150)
    photo_folder(root / "test", {"daisy": 15, "rose": 15}, seed=1, width=200, height=150)
    train, test = root / "train", root / "test"
    hard, soft = set(), set()

    def bad(kind: str, name: str, content: bytes) -> None:
        write(train / name, content)
        hard.add((kind, (f"train/{name}",)))

    bad("empty", "daisy/empty.jpg", b"")
    bad("truncated", "daisy/cut.jpg", encoded(photo(900))[:3000])
    bad("truncated", "daisy/cut.png", encoded(photo(900), "PNG")[:-500])
    bad("truncated", "rose/cut.webp", encoded(photo(900), "WEBP")[:-50])
    bad("truncated", "rose/cut.bmp", encoded(photo(900), "BMP")[:-50])
    bad("unreadable", "rose/flipped.png", encoded(photo(900), "PNG").replace(b"IDAT", b"IDAQ"))
    bad("wrong format", "daisy/gif.jpg", encoded(photo(900).quantize(9), "GIF"))
    bad("wrong format", "daisy/tiff.png", encoded(photo(900), "TIFF"))
    bad("wrong format", "rose/text.jpg", b"<html>404 Not Found</html>")
    bad("wrong format", "rose/noending", b"what is this?")
    bad("animated", "rose/moving.png", moving("PNG"))
    bad("animated", "rose/moving.webp", moving("WEBP"))
    bad(
        "too many pixels",
        "rose/bomb.bmp",
        encoded(photo(1), "BMP")[:18] + struct.pack("<ii", 40000, 40000) + b"\0" * 100,
    )
    bad("too large", "rose/large.jpg", encoded(photo(901)))
    os.truncate(train / "rose/large.jpg", 50_000_001)
    (train / "rose/outside.jpg").symlink_to("/etc/hostname")
    hard.add(("outside the folder", ("train/rose/outside.jpg",)))
    (train / "rose/nothing.jpg").symlink_to(train / "rose/is-not-there.jpg")
    hard.add(("unreadable", ("train/rose/nothing.jpg",)))

    write(train / "daisy/both.png", encoded(photo(910), "PNG"))
    write(train / "rose/both.bmp", encoded(photo(910), "BMP"))
    hard.add(("label conflict", ("train/daisy/both.png", "train/rose/both.bmp")))
    write(train / "daisy/leak.png", encoded(photo(911), "PNG"))
    write(test / "daisy/leak.webp", encoded(photo(911), "WEBP", lossless=True))
    hard.add(("leak", ("train/daisy/leak.png", "test/daisy/leak.webp")))
    write(train / "daisy/twice.png", encoded(photo(912), "PNG"))
    write(train / "daisy/twice-again.bmp", encoded(photo(912), "BMP"))
    soft.add(("duplicate", ("train/daisy/twice-again.bmp", "train/daisy/twice.png")))

    for number, (first, second, kind) in enumerate(
        [
            ("train/daisy/near1.jpg", "train/daisy/near2.jpg", "near duplicate"),
            ("train/daisy/alike.jpg", "train/rose/alike.jpg", "near label conflict"),
            ("train/rose/seen.jpg", "test/rose/seen.jpg", "near leak"),
        ]
    ):
        write(root / first, encoded(photo(920 + number)))
        write(root / second, encoded(photo(920 + number).resize((160, 120)), quality=70))
        soft.add((kind, (first, second)))

    def odd(kind: str, name: str, picture: Image.Image) -> None:
        write(train / name, encoded(picture))
        soft.add((kind, (f"train/{name}",)))

    odd("very dark", "daisy/dark.jpg", photo(930).point(lambda value: value**7 / 255**6))
    odd("very bright", "daisy/bright.jpg", photo(931).point(lambda value: 255 - (255 - value) ** 7 / 255**6))
    odd("blurred", "rose/blurred.jpg", photo(932).filter(ImageFilter.GaussianBlur(6)))
    odd("one colour", "rose/plain.jpg", Image.new("RGB", (200, 150), (70, 120, 60)))
    odd("odd proportions", "rose/long.jpg", scene(933, width=700, height=150))
    odd("grey among colour", "rose/grey.jpg", photo(934).convert("L"))
    write(train / "rose/notes.txt", b"taken in May")
    soft.add(("other file", ("train/rose/notes.txt",)))
    write(root / "stray.jpg", encoded(photo(935)))
    soft.add(("stray file", ("stray.jpg",)))

    photo_folder(root, {"train/lily": 2, "train/aster": 10, "test/aster": 3, "test/lily": 3}, seed=2)
    hard.add(("class too small", ("lily",)))
    soft |= {("small class", ("aster",)), ("unbalanced", ("lily", "daisy"))}
    photo_folder(root, {"train/tulip": 60, "test/orchid": 3}, seed=3)
    (test / "nothing").mkdir()
    hard |= {("classes differ", ("tulip",)), ("classes differ", ("nothing", "orchid")), ("empty class", ("nothing",))}
    return {HARD: hard, SOFT: soft}


def test_every_planted_fault_is_found_in_its_place_and_nothing_else(tmp_path):
    planted = plant(tmp_path)
    result = audit(tmp_path)
    for severity in (HARD, SOFT):
        assert found(result, severity) == planted[severity]
    assert len(found(result)) == len(result.findings)
    for finding in result.findings:
        assert all(name in finding.message for name in finding.files)
        assert "\n" not in finding.message
    print(*(f"{kind:22}{number:3}" for kind, number in result.counts.items()), sep="\n")


def test_hard_findings_come_first_and_kinds_stay_together(tmp_path):
    plant(tmp_path)
    result = audit(tmp_path)
    severities = [finding.severity for finding in result.findings]
    assert severities == sorted(severities)
    assert len([*itertools.groupby(finding.kind for finding in result.findings)]) == len(result.counts)
    assert result.hard == tuple(finding for finding in result.findings if finding.severity == HARD)
    assert result.counts == Counter(finding.kind for finding in result.findings)


def test_the_counts_are_of_usable_pictures(tmp_path):
    root = photo_folder(tmp_path, {"a": 5, "b": 4})
    write(root / "a" / "bad.jpg", b"")
    result = audit(root)
    assert (result.pictures, result.classes) == (9, {"train": {"a": 5, "b": 4}})


def test_a_clean_folder_has_no_findings(tmp_path):
    assert audit(photo_folder(tmp_path, {"a": 50, "b": 60}, width=200, height=150)).findings == ()


def test_colour_among_grey_pictures(tmp_path):
    root = tmp_path
    for number in range(110):
        write(root / "ab"[number % 2] / f"{number}.png", encoded(photo(number).convert("L"), "PNG"))
    write(root / "a" / "colour.png", encoded(photo(500), "PNG"))
    assert found(audit(root)) == {("colour among grey", ("a/colour.png",))}


def test_half_grey_is_no_finding(tmp_path):
    for number in range(110):
        picture = photo(number).convert("L") if number % 4 < 2 else photo(number)
        write(tmp_path / "ab"[number % 2] / f"{number}.png", encoded(picture, "PNG"))
    assert audit(tmp_path).findings == ()


def test_a_folder_without_one_readable_picture(tmp_path):
    write(tmp_path / "a" / "x.jpg", b"")
    write(tmp_path / "b" / "y.jpg", b"no")
    assert {kind for kind, _ in found(audit(tmp_path))} == {"empty", "wrong format", "empty class"}


def test_one_class_alone_must_be_looked_at(tmp_path):
    assert ("one class", ("a",)) in found(audit(photo_folder(tmp_path, {"a": 60})), HARD)


def test_tiny_pictures_are_no_problem(tmp_path):
    for number in range(6):
        write(tmp_path / "ab"[number % 2] / f"{number}.png", encoded(Image.new("RGB", (1 + number % 2, 2)), "PNG"))
    assert audit(tmp_path).pictures == 6


def test_progress_is_reported(tmp_path):
    events = []
    audit(photo_folder(tmp_path, {"a": 20, "b": 20}), on_event=events.append)
    assert [(event.done, event.total) for event in events if isinstance(event, Progress)] == [(32, 40), (40, 40)]


def test_what_is_no_folder_of_class_folders_is_refused(tmp_path):
    with pytest.raises(DataError, match="has no folders of pictures"):
        audit(tmp_path)


def test_findings_are_plain_data():
    finding = Finding("empty", HARD, ("a.jpg",), "a.jpg is empty")
    assert finding == Finding("empty", HARD, ("a.jpg",), "a.jpg is empty")
    assert Audit("x", 0, {}, (finding,)).counts == {"empty": 1}
    assert look_findings([], []) == []
    assert look_findings(["a"], [Look(9, 9, 100.0, 50.0, 0.5, 9.0)]) == []


# Near duplicates


def pairs_by_hand(hashes):
    return {
        (i, j)
        for i, j in itertools.combinations(range(len(hashes)), 2)
        if 0 < (hashes[i] ^ hashes[j]).bit_count() <= HASH_BITS_APART
    }


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60))
def test_the_search_finds_exactly_the_near_pairs(seed, count):
    rng = np.random.default_rng(seed)
    hashes = [int(value) for value in rng.integers(0, 2**64, count, np.uint64)]
    for _ in range(count):
        flips = rng.choice(64, rng.integers(0, 9), replace=False)
        hashes.append(hashes[int(rng.integers(0, len(hashes)))] ^ sum(1 << int(bit) for bit in flips))
    thumbnails = rng.integers(0, 256, (len(hashes), 256), np.uint8)
    pictures = Likeness(np.array(hashes, np.uint64), thumbnails)
    expected = [set(pair) for pair in pairs_by_hand(hashes)]
    pairs = near_pairs(pictures).tolist()
    assert len(pairs) == len({tuple(pair) for pair in pairs})
    groups = groups_of_likeness(pictures, np.arange(len(hashes)))
    if np.bincount(groups, minlength=1).max() <= 20:
        assert all(hashes[i] == hashes[j] or {i, j} in expected for i, j in pairs)
        assert all(groups[i] == groups[j] for i, j in expected)
        assert all(
            groups[i] == groups[j] for i, j in itertools.combinations(range(len(hashes)), 2) if hashes[i] == hashes[j]
        )


def test_a_hundred_thousand_hashes_are_searched_in_seconds():
    rng = np.random.default_rng(0)
    hashes = rng.integers(0, 2**64, 100_000, np.uint64)
    hashes[-1] = hashes[17] ^ np.uint64(0b111)
    pictures = Likeness(hashes, rng.integers(0, 256, (100_000, 256), np.uint8))
    started = time.perf_counter()
    assert near_pairs(pictures).tolist() == [[17, 99_999]]
    assert time.perf_counter() - started < 20


def test_pictures_of_one_colour_are_not_near_duplicates():
    plain = [likeness(Image.new("RGB", (90, 90), color)) for color in ("red", "green", "blue")]
    pictures = Likeness(np.array([h for h, _ in plain], np.uint64), np.stack([t for _, t in plain]))
    assert len(near_pairs(pictures)) == 0


def test_a_large_set_of_look_alikes_is_taken_apart_by_its_thumbnails():
    rng = np.random.default_rng(0)
    hashes = np.full(40, 5, np.uint64)
    thumbnails = rng.integers(0, 256, (40, 256), np.uint8)
    thumbnails[21] = thumbnails[20] // 2 + 60
    groups = groups_of_likeness(Likeness(hashes, thumbnails), np.arange(40))
    assert groups[20] == groups[21]
    assert len(set(groups.tolist())) == 39
    few = groups_of_likeness(Likeness(hashes[:9], thumbnails[:9]), np.arange(9))
    assert len(set(few.tolist())) == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda p: Image.open(BytesIO(encoded(p, quality=50))),
        lambda p: p.resize((p.width // 2, p.height // 2)),
        lambda p: ImageEnhance.Brightness(p).enhance(0.9),
        lambda p: p.convert("L"),
    ],
    ids=["recompressed", "halved", "darker", "grey"],
)
def test_a_changed_copy_is_near(change):
    for seed in range(10):
        original = photo(seed)
        assert (likeness(original)[0] ^ likeness(change(original))[0]).bit_count() <= HASH_BITS_APART


# Real photos


@pytest.mark.shared_data
def test_the_flower_photos_raise_no_false_alarm():
    if not PHOTOS.is_dir():
        pytest.skip(f"the flower photos are not at {PHOTOS}")
    result = audit(PHOTOS)
    assert result.pictures == 3670
    (conflict,) = result.hard
    assert (conflict.kind, conflict.files) == (
        "label conflict",
        ("roses/15922772266_1167a06620.jpg", "tulips/15922772266_1167a06620.jpg"),
    )
    # It is no false alarm: the two files are equal byte for byte.
    contents = {(PHOTOS / name).read_bytes() for name in conflict.files}
    assert len(contents) == 1
    print(result.counts)
    assert len(result.findings) < 3670 * 0.04
