"""All pictures of a listed folder: decoded in threads, compared, and kept for the next start."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnnflow.data import decoded_cache
from cnnflow.data.decode import block_size, open_picture, report, to_array
from cnnflow.data.decoded_cache import Pictures
from cnnflow.data.faults import Fault, PictureError
from cnnflow.data.likeness import Likeness, groups_of_likeness, likeness
from cnnflow.data.listing import Listing
from cnnflow.data.resize import Resize
from cnnflow.data.shards import LARGEST_IN_MEMORY, StoredImages
from cnnflow.data.split import group_digests
from cnnflow.data.threads import map_in_threads
from cnnflow.errors import DataError
from cnnflow.events import Caution, Note, OnEvent, ignore


@dataclass(frozen=True, eq=False)
class _Read:
    """One decoded file: its pixels, the share of it that they have lost, and what it is compared by."""

    image: NDArray[np.uint8]
    lost: float
    digest: bytes
    hash: int
    thumbnail: NDArray[np.uint8]


def read_pictures(listing: Listing, resize: Resize, *, on_event: OnEvent = ignore) -> Pictures:
    """Decode the files of `listing` to one size, or take them from the cache where no file has changed.

    What takes more than 512 MB decoded is written to the cache folder as it is decoded, and read from there.

    Raises:
        DataError: the pictures are too many for memory and the cache folder cannot be written.
    """
    place = decoded_cache.place(listing, resize)
    if (pictures := decoded_cache.load(place, resize, on_event=on_event)) is not None:
        on_event(Note(f"{listing.root.name} is unchanged: {len(pictures.rows):,} decoded pictures are in the cache"))
        return pictures
    large = len(listing.files) * int(np.prod(resize.shape)) > LARGEST_IN_MEMORY
    return (_read_to_disk if large else _read_to_memory)(listing, resize, place, on_event)


def _read_to_memory(listing: Listing, resize: Resize, place: Path, on_event: OnEvent) -> Pictures:
    images = np.empty((len(listing.files), *resize.shape), np.uint8)
    collected = _Collected(len(listing.files))
    for row, read in enumerate(_read_all(listing, resize, on_event)):
        if isinstance(read, _Read):
            images[collected.count] = read.image
        collected.add(row, read)
    pictures = collected.pictures(images[: collected.count])
    try:
        with decoded_cache.new_entry(place, resize.shape) as entry:
            for image in images[: collected.count]:
                entry.append(image)
            entry.finish(pictures)
    except (OSError, DataError) as error:
        on_event(Caution(f"the decoded pictures are not kept for the next start: {error}"))
    return pictures


def _read_to_disk(listing: Listing, resize: Resize, place: Path, on_event: OnEvent) -> Pictures:
    count = len(listing.files)
    on_event(Note(f"{count:,} pictures are too many to hold in memory; they are decoded into {place}"))
    collected = _Collected(count)
    try:
        with decoded_cache.new_entry(place, resize.shape) as entry:
            for row, read in enumerate(_read_all(listing, resize, on_event)):
                if isinstance(read, _Read):
                    entry.append(read.image)
                collected.add(row, read)
            pictures = collected.pictures(entry.images())
            entry.finish(pictures)
    except OSError as error:
        raise DataError(
            f"cannot write {place.parent} ({error.strerror}), and {count:,} pictures of {resize.height} x "
            f"{resize.width} are too many to hold in memory; set CNNFLOW_CACHE to a folder with room"
        ) from error
    return pictures


def _read_all(listing: Listing, resize: Resize, on_event: OnEvent) -> Iterator["_Read | Fault"]:
    paths = [listing.root / file.path for file in listing.files]
    results = map_in_threads(partial(_read, resize=resize), paths, block=block_size(resize))
    for done, result in enumerate(results, 1):
        yield result
        report(on_event, done, len(paths))


def _read(path: Path, resize: Resize) -> "_Read | Fault":
    try:
        picture = open_picture(path, resize)
    except PictureError as error:
        return error.fault
    image = np.ascontiguousarray(to_array(resize.apply(picture)))
    return _Read(image, resize.lost(*picture.size), hashlib.sha256(image.data).digest(), *likeness(picture))


class _Collected:
    """What is known of the pictures read so far, but for their pixels."""

    def __init__(self, files: int) -> None:
        self.count = 0
        self._rows: list[int] = []
        self._digests = bytearray()
        self._lost = 0.0
        self._likeness = Likeness.empty(files)
        self._faults: list[tuple[int, Fault]] = []

    def add(self, row: int, read: "_Read | Fault") -> None:
        """Take in what became of file `row`."""
        if isinstance(read, Fault):
            self._faults.append((row, read))
            return
        self._rows.append(row)
        self._digests += read.digest
        self._lost += read.lost
        self._likeness.hashes[self.count] = read.hash
        self._likeness.thumbnails[self.count] = read.thumbnail
        self.count += 1

    def pictures(self, images: "NDArray[np.uint8] | StoredImages") -> Pictures:
        """All of it, with the pictures compared."""
        equal = group_digests(bytes(self._digests))
        alike = groups_of_likeness(self._likeness.first(self.count), equal)
        return Pictures(
            images, np.array(self._rows, np.int64), equal, alike, tuple(self._faults), self._lost / max(1, self.count)
        )
