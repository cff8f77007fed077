"""The decoded pictures of folders, kept in the cache folder: one entry a folder, rule and state of its files."""

import hashlib
import json
import math
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import PIL
from numpy.typing import NDArray

from cnnflow.data.cache import cache_folder
from cnnflow.data.faults import Fault
from cnnflow.data.image_set import Images
from cnnflow.data.listing import Listing
from cnnflow.data.npz import read_arrays, write_arrays
from cnnflow.data.resize import Resize
from cnnflow.data.shards import LARGEST_IN_MEMORY, ShardWriter, StoredImages, checksum, shard_path
from cnnflow.errors import DataError
from cnnflow.events import Caution, OnEvent
from cnnflow.files import fsync_folder, write_json

# Counts up when the same files would decode to other pixels or groups.
_VERSION = 2
_ENTRIES_A_FOLDER = 3
_ABANDONED_AFTER = 24 * 3600


@dataclass(frozen=True, eq=False)
class Pictures:
    """The pictures of a listed folder, decoded.

    Attributes:
        images: uint8 `[n, height, width, channels]`, those that can be read, in the order of the listing.
        rows: int64 `[n]`, which file of the listing each one is.
        equal: int64 `[n]`, a group number for each; the same where all pixels are.
        alike: int64 `[n]`, a group number for each; the same where pictures are equal or near duplicates.
        faults: the files that were refused: their rows in the listing, and why.
        lost: the mean share that "crop" has cut away of a picture, or "pad" has filled with black.
    """

    images: Images
    rows: NDArray[np.int64]
    equal: NDArray[np.int64]
    alike: NDArray[np.int64]
    faults: tuple[tuple[int, Fault], ...]
    lost: float


class NewEntry:
    """An entry that is being written; `append` its pictures, then `finish` it."""

    def __init__(self, folder: Path, image_shape: tuple[int, int, int]) -> None:
        self.folder = folder
        self._writer = ShardWriter(folder, image_shape)
        self._shape = image_shape

    def append(self, image: NDArray[np.uint8]) -> None:
        """Add one picture, uint8 `[height, width, channels]`."""
        self._writer.append(image)

    def images(self) -> StoredImages:
        """The pictures so far."""
        self._writer.close()
        return StoredImages(self.folder, (self._writer.count, *self._shape))

    def finish(self, pictures: Pictures) -> None:
        """Write what is known of the pictures; from then on the entry is whole."""
        self._writer.close()
        index = {"rows": pictures.rows, "equal": pictures.equal, "alike": pictures.alike}
        write_arrays(self.folder / "index.npz", index, compressed=False)
        manifest = {
            "count": self._writer.count,
            "shape": self._shape,
            "checksums": self._writer.checksums,
            "lost": pictures.lost,
            "faults": [[row, fault.kind, fault.reason] for row, fault in pictures.faults],
        }
        write_json(self.folder / "manifest.json", manifest)


def place(listing: Listing, resize: Resize) -> Path:
    """Where the entry belongs of these files (names, sizes, times), decoded by this rule by this release of Pillow."""
    files = [(file.path, file.size, file.changed) for file in listing.files]
    key = json.dumps([_VERSION, PIL.__version__, resize.to_dict(), files])
    return cache_folder() / "folders" / f"{_hash(str(listing.root))[:12]}-{_hash(key)[:20]}"


def load(place: Path, resize: Resize, *, on_event: OnEvent) -> Pictures | None:
    """The pictures of the entry at `place`; None where there is none, or where it is damaged (one `Caution`)."""
    if not place.exists():
        return None
    try:
        pictures = _loaded(place, resize)
        os.utime(place)
    except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, DataError) as error:
        reason = " ".join(str(error).split())
        on_event(Caution(f"the cached pictures in {place} are damaged ({reason}); the folder is read again"))
        shutil.rmtree(place, ignore_errors=True)
        return None
    return pictures


@contextmanager
def new_entry(place: Path, image_shape: tuple[int, int, int]) -> Iterator[NewEntry]:
    """An entry to write; when the block ends well, it stands at `place`, and the oldest of the same folder are gone."""
    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f".{place.name}-{secrets.token_hex(4)}")
    temporary.mkdir()
    try:
        yield NewEntry(temporary, image_shape)
        _put(temporary, place)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    fsync_folder(place.parent)
    _tidy(place)


def _put(temporary: Path, place: Path) -> None:
    try:
        temporary.rename(place)
    except OSError:
        # Another process has read the same folder meanwhile, and its entry is as good.
        if not (place / "manifest.json").exists():
            raise


def _loaded(place: Path, resize: Resize) -> Pictures:
    manifest: Any = json.loads((place / "manifest.json").read_text())
    count, shape, checksums = manifest["count"], tuple(manifest["shape"]), manifest["checksums"]
    if shape != resize.shape:
        raise ValueError(f"pictures of {shape}")
    stored = StoredImages(place, (count, *resize.shape))
    if [checksum(shard_path(place, number)) for number in range(len(checksums))] != checksums:
        raise ValueError("a checksum is wrong")
    index = read_arrays(place / "index.npz")
    if any(index[name].shape != (count,) or index[name].dtype != np.int64 for name in ("rows", "equal", "alike")):
        raise ValueError("an index of the wrong length")
    small = count * int(np.prod(shape)) <= LARGEST_IN_MEMORY
    images: Images = stored[:] if small else stored
    faults = tuple((int(row), Fault(str(kind), str(reason))) for row, kind, reason in manifest["faults"])
    return Pictures(images, index["rows"], index["equal"], index["alike"], faults, float(manifest["lost"]))


def _tidy(place: Path) -> None:
    """Delete all but the newest entries of the same folder, and what a killed process has left."""
    prefix = place.name.partition("-")[0]
    entries = sorted(place.parent.glob(f"{prefix}-*"), key=_age)
    abandoned = [folder for folder in place.parent.glob(".*-*") if _age(folder) > _ABANDONED_AFTER]
    for folder in entries[_ENTRIES_A_FOLDER:] + abandoned:
        shutil.rmtree(folder, ignore_errors=True)


def _age(folder: Path) -> float:
    try:
        return time.time() - folder.stat().st_mtime
    except OSError:  # another process has deleted it
        return math.inf


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
