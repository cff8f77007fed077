"""Snapshot files: whole, checked, in two generations."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnnflow.errors import RunError
from cnnflow.events import Caution, Event
from cnnflow.training.snapshot import Snapshot, newest_snapshot, pack, snapshot_files, unpack, write_snapshot


def _snapshot(value: int) -> Snapshot:
    rng = np.random.default_rng(value)
    arrays = {
        "trainable/0": rng.normal(size=(3, 3, 1, 4)).astype(np.float32),
        "trainable/1": np.zeros((0,), np.float32),
        "non_trainable/0": np.array([1, 2**32 - 1], np.uint32),
        "optimizer/0": np.array(7, np.int64),
    }
    return Snapshot(arrays, {"state": {"epoch": value, "name": "바지"}})


def test_a_snapshot_survives_its_file_to_the_last_bit() -> None:
    before = _snapshot(3)
    after = unpack(pack(before))
    assert after.facts == before.facts
    assert set(after.arrays) == set(before.arrays)
    for name, array in before.arrays.items():
        assert after.arrays[name].dtype == array.dtype
        assert after.arrays[name].shape == array.shape
        assert after.arrays[name].tobytes() == array.tobytes()
    assert [a.shape for a in after.group("trainable")] == [(3, 3, 1, 4), (0,)]


CONTENT = pack(_snapshot(1))


@settings(deadline=None)
@given(st.integers(0, len(CONTENT) - 1))
def test_a_cut_file_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=r"empty|does not begin|checksum"):
        unpack(CONTENT[:length])


@settings(deadline=None)
@given(st.integers(0, len(CONTENT) - 1), st.integers(1, 255))
def test_a_flipped_byte_is_noticed(place: int, flip: int) -> None:
    damaged = bytearray(CONTENT)
    damaged[place] ^= flip
    with pytest.raises(ValueError, match=r"does not begin|checksum"):
        unpack(bytes(damaged))


def test_two_generations_are_kept(tmp_path: Path) -> None:
    for epoch in range(4):
        write_snapshot(tmp_path, _snapshot(epoch), order=epoch)
    assert len(snapshot_files(tmp_path)) == 2
    newest = newest_snapshot(tmp_path)
    assert newest is not None
    assert newest.facts["state"]["epoch"] == 3


@pytest.mark.parametrize("damage", [b"", CONTENT[:-1], CONTENT[:100], b"PK" + CONTENT[2:]])
def test_a_damaged_newest_one_falls_back_with_one_line(tmp_path: Path, damage: bytes) -> None:
    for epoch in range(2):
        write_snapshot(tmp_path, _snapshot(epoch), order=epoch)
    snapshot_files(tmp_path)[0].write_bytes(damage)
    events: list[Event] = []
    found = newest_snapshot(tmp_path, on_event=events.append)
    assert found is not None
    assert found.facts["state"]["epoch"] == 0
    (caution,) = events
    assert isinstance(caution, Caution)
    assert "is damaged" in caution.message


def test_all_damaged_is_an_error_and_none_at_all_is_a_start(tmp_path: Path) -> None:
    assert newest_snapshot(tmp_path) is None
    for epoch in range(2):
        write_snapshot(tmp_path, _snapshot(epoch), order=epoch)
    for file in snapshot_files(tmp_path):
        file.write_bytes(b"")
    with pytest.raises(RunError, match=r"all 2 snapshots .* are damaged"):
        newest_snapshot(tmp_path)
