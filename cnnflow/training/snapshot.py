"""Snapshots: all that a run needs to go on as if it had never stopped, in one file.

A file is a line that names the format, the sha256 of the rest, and the rest: an uncompressed NPZ of the arrays, one of
them the JSON of everything that is not an array. Two generations are kept, so that a damaged newest one still
leaves the one before.
"""

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnflow.errors import RunError
from cnnflow.events import Caution, OnEvent, ignore
from cnnflow.files import write_bytes

_MAGIC = b"cnnflow snapshot 1\n"
_GENERATIONS = 2
_FACTS = "facts"

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Arrays by name, such as "trainable/3", and facts of JSON's types."""

    arrays: Arrays
    facts: dict[str, Any]

    def group(self, name: str) -> list[NDArray[Any]]:
        """The arrays "name/0", "name/1", ... in order."""
        return list(_counted(self.arrays, name))


def write_snapshot(folder: Path, snapshot: Snapshot, *, order: int) -> None:
    """Write `snapshot` into `folder` as the newest one and drop all but the two newest.

    Args:
        order: grows with the run's progress; files are sorted by it.
    Raises:
        OSError: the disk is full or the folder cannot be written; the older snapshots are untouched.
    """
    write_bytes(folder / f"snapshot-{order:012d}.bin", pack(snapshot))
    for old in snapshot_files(folder)[_GENERATIONS:]:
        old.unlink(missing_ok=True)


def newest_snapshot(folder: Path, *, on_event: OnEvent = ignore) -> Snapshot | None:
    """The newest snapshot in `folder` that is whole; None where there is no file at all.

    A damaged one is said in one line and the one before is taken.

    Raises:
        RunError: there are snapshots, and all are damaged.
    """
    files = snapshot_files(folder)
    for file in files:
        try:
            return unpack(file.read_bytes())
        except (ValueError, OSError) as error:
            on_event(Caution(f"snapshot {file.name} is damaged ({error}); trying the one before"))
    if files:
        raise RunError(f"all {len(files)} snapshots in {folder} are damaged; start the run anew with `cnnflow fit`")
    return None


def snapshot_files(folder: Path) -> list[Path]:
    """The snapshot files in `folder`, newest first."""
    return sorted(folder.glob("snapshot-*.bin"), reverse=True)


def pack(snapshot: Snapshot) -> bytes:
    """The bytes of a snapshot file."""
    buffer = io.BytesIO()
    facts = np.frombuffer(json.dumps(snapshot.facts).encode(), np.uint8)
    np.savez(buffer, allow_pickle=False, **{_FACTS: facts, **snapshot.arrays})
    payload = buffer.getbuffer()
    return b"".join((_MAGIC, hashlib.sha256(payload).digest(), payload))


def unpack(content: bytes) -> Snapshot:
    """The snapshot in the bytes of a file; raises `ValueError` with what is wrong with them."""
    if not content.startswith(_MAGIC):
        raise ValueError("it does not begin as a snapshot of this format" if content else "it is empty")
    start = len(_MAGIC) + hashlib.sha256().digest_size
    payload = memoryview(content)[start:]
    if hashlib.sha256(payload).digest() != content[len(_MAGIC) : start]:
        raise ValueError("its checksum does not match its content")
    with np.load(io.BytesIO(payload), allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return Snapshot(arrays, json.loads(arrays.pop(_FACTS).tobytes()))


def _counted(arrays: Arrays, name: str) -> Iterator[NDArray[Any]]:
    index = 0
    while f"{name}/{index}" in arrays:
        yield arrays[f"{name}/{index}"]
        index += 1
