"""Stored pictures: the same as those in memory, read a few at a time."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cnnflow.data import shards
from cnnflow.data.image_set import ImageSet
from cnnflow.data.shards import SelectedImages, ShardWriter, StoredImages, checksum, rows_of, select, shard_path
from cnnflow.errors import DataError

SHAPE = (50, 3, 4, 3)


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """Seven pictures a shard."""
    monkeypatch.setattr(shards, "SHARD_BYTES", 7 * 36)


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8)


@pytest.fixture
def stored(tmp_path, images):
    with ShardWriter(tmp_path, SHAPE[1:]) as writer:
        for image in images:
            writer.append(image)
    assert writer.count == len(images)
    assert writer.checksums == [checksum(shard_path(tmp_path, number)) for number in range(8)]
    return StoredImages(tmp_path, SHAPE)


def test_it_looks_like_an_array(stored):
    assert (stored.shape, stored.dtype, len(stored)) == (SHAPE, np.uint8, 50)


@pytest.mark.parametrize(
    "index",
    [
        slice(None),
        slice(3, 20),
        slice(-5, None),
        slice(40, 1000),
        slice(None, None, -3),
        slice(9, 9),
        np.array([], np.int64),
        np.array([49, 0, 7, 6, 7, 8]),
        np.array([-1, -50]),
        np.arange(50)[::-1],
    ],
    ids=str,
)
def test_indexing_gives_what_an_array_gives(stored, images, index):
    assert np.array_equal(stored[index], images[index])
    selected = SelectedImages(stored, np.arange(49, -1, -1))
    assert np.array_equal(selected[index], images[::-1][index])
    assert selected.shape == SHAPE


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.integers(-50, 49), max_size=60))
def test_any_rows(stored, images, rows):
    index = np.array(rows, np.int64)
    assert np.array_equal(stored[index], images[index])


@pytest.mark.parametrize("rows", [[50], [-51], [0, 99]])
def test_rows_that_are_not_there(stored, rows):
    with pytest.raises(IndexError, match="of 50 pictures"):
        stored[np.array(rows)]


def test_many_threads_may_read_at_once(stored, images):
    wrong = []

    def read(seed):
        rng = np.random.default_rng(seed)
        for _ in range(200):
            rows = rng.integers(0, 50, 9)
            if not np.array_equal(stored[rows], images[rows]):
                wrong.append(rows)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_the_files_may_be_deleted_while_they_are_read(stored, images, tmp_path):
    for path in tmp_path.iterdir():
        path.unlink()
    assert np.array_equal(stored[:], images)


def test_files_that_are_missing_cut_or_too_long_are_refused(stored, tmp_path):
    path = shard_path(tmp_path, 7)
    content = path.read_bytes()
    for wrong in (content[:-1], content + b"x", b""):
        path.write_bytes(wrong)
        with pytest.raises(DataError, match=r"has \d+ bytes where 36 belong; delete its folder"):
            StoredImages(tmp_path, SHAPE)
    path.unlink()
    with pytest.raises(DataError, match="No such file"):
        StoredImages(tmp_path, SHAPE)


def test_a_file_cut_while_it_is_read_is_an_error(stored, tmp_path):
    shard_path(tmp_path, 3).write_bytes(b"")
    with pytest.raises(DataError, match="cut off"):
        stored[:]


def image_set(images):
    return ImageSet(images, np.arange(50) % 2, ("a", "b"), [f"train/{row}" for row in range(50)])


def test_a_few_rows_come_into_memory_and_many_stay_stored(stored, images, monkeypatch):
    rows = np.arange(0, 50, 2)
    few = select(image_set(stored), rows)
    assert isinstance(few.images, np.ndarray)
    monkeypatch.setattr(shards, "LARGEST_IN_MEMORY", 100)
    many = select(image_set(stored), rows)
    assert isinstance(many.images, SelectedImages)
    for found in (few, many):
        assert np.array_equal(found.images[:], images[rows])
        assert found.origins == [f"train/{row}" for row in rows]
        assert not found.labels.any()
    again = select(many, np.arange(24, -1, -1))
    assert np.array_equal(again.images[:], images[rows][::-1])


def test_rows_that_follow_one_another_are_not_copied(stored, images):
    assert np.shares_memory(rows_of(images, np.arange(5, 20)), images)
    assert np.array_equal(rows_of(images, np.array([5, 9])), images[[5, 9]])
    assert isinstance(rows_of(stored, np.arange(5)), SelectedImages)
