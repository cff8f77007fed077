"""Pictures that are too many for memory: kept in files and read a few at a time.

A stored set is a folder with the raw bytes of its pictures in files of about one gigabyte each. They are read with
`pread` and not mapped into memory: mapped pages count as the process's own memory, and grow with what has been read.
"""

import itertools
import os
import weakref
import zlib
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from cnnflow.data.image_set import Images, ImageSet
from cnnflow.errors import DataError

# A set whose pixels take more than this is stored; up to it, it is held in memory (and copied once when it is split).
LARGEST_IN_MEMORY = 512 * 2**20
SHARD_BYTES = 2**30
_CHUNK = 2**20


class StoredImages:
    """Stored pictures, as an `Images`: indexing reads the rows asked for, and nothing stays in memory.

    Any number of threads may read at once. The files stay open, so that they may be deleted meanwhile.

    Args:
        folder: where `ShardWriter` put the pictures.
        shape: `(n, height, width, channels)`.

    Raises:
        DataError: the folder does not hold exactly the bytes of `n` such pictures.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int, int]) -> None:
        self._shape = shape
        self._row_bytes = int(np.prod(shape[1:]))
        self._rows = rows_in_shard(shape[1:])
        handles: list[int] = []
        # Closes the files when this object goes, also when this constructor fails halfway.
        weakref.finalize(self, _close, handles)
        for number, start in enumerate(range(0, shape[0], self._rows)):
            rows = min(self._rows, shape[0] - start)
            handles.append(_opened(shard_path(folder, number), rows * self._row_bytes))
        self._handles = handles

    @property
    def shape(self) -> tuple[int, ...]:
        return self._shape

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        return np.dtype(np.uint8)

    def __len__(self) -> int:
        return self._shape[0]

    def __getitem__(self, index: NDArray[np.int64] | slice, /) -> NDArray[np.uint8]:
        rows = _rows(index, len(self))
        images = np.empty((len(rows), *self._shape[1:]), np.uint8)
        ends = np.flatnonzero((np.diff(rows) != 1) | (np.diff(rows // self._rows) != 0)) + 1
        for start, end in itertools.pairwise([0, *ends.tolist(), len(rows)] if len(rows) else []):
            shard, row = divmod(int(rows[start]), self._rows)
            _read(self._handles[shard], row * self._row_bytes, images[start:end])
        return images


class SelectedImages:
    """Some rows of other `Images`, in an order of their own, read only when they are asked for."""

    def __init__(self, images: Images, rows: NDArray[np.int64]) -> None:
        self._images = images
        self._indices = rows

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self._indices), *self._images.shape[1:]

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        return self._images.dtype

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: NDArray[np.int64] | slice, /) -> NDArray[np.uint8]:
        return self._images[self._indices[index]]


def select(images: ImageSet, rows: NDArray[np.int64]) -> ImageSet:
    """The pictures at `rows` (int64 `[m]`): in memory where they are or where they are few, else still stored."""
    in_memory = isinstance(images.images, np.ndarray)
    if in_memory or len(rows) * int(np.prod(images.image_shape)) <= LARGEST_IN_MEMORY:
        return images.take(rows)
    origins = [images.origins[row] for row in rows.tolist()]
    return replace(images, images=SelectedImages(images.images, rows), labels=images.labels[rows], origins=origins)


def rows_of(images: Images, rows: NDArray[np.int64]) -> Images:
    """`images` at `rows`: stored ones stay unread, and rows in memory that follow one another are not copied."""
    if not isinstance(images, np.ndarray):
        return SelectedImages(images, rows)
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return images[rows[0] : rows[-1] + 1]
    return images[rows]


class ShardWriter:
    """Writes pictures one after the other into the shards of `folder`; a context manager.

    `count` is how many there are; `checksums` has the CRC-32 of each shard.

    Example:
        >>> with ShardWriter(folder, (80, 80, 3)) as writer:
        ...     writer.append(images)
        >>> StoredImages(folder, (writer.count, 80, 80, 3))
    """

    def __init__(self, folder: Path, image_shape: tuple[int, int, int]) -> None:
        self.count = 0
        self.checksums: list[int] = []
        self._folder = folder
        self._rows = rows_in_shard(image_shape)
        self._file: BinaryIO | None = None

    def __enter__(self) -> "ShardWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def append(self, image: NDArray[np.uint8]) -> None:
        """Add one picture, uint8 `[height, width, channels]`."""
        if self.count % self._rows == 0:
            self.close()
            self._file = shard_path(self._folder, self.count // self._rows).open("wb")
            self.checksums.append(0)
        assert self._file is not None
        pixels = np.ascontiguousarray(image).data
        self._file.write(pixels)
        self.checksums[-1] = zlib.crc32(pixels, self.checksums[-1])
        self.count += 1

    def close(self) -> None:
        """Put what was written on the disk; when a shard is full, it has been closed already."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            self._file = None


def shard_path(folder: Path, number: int) -> Path:
    """The file of shard `number` in `folder`."""
    return folder / f"pixels-{number:05}.raw"


def checksum(path: Path) -> int:
    """The CRC-32 of a file's bytes."""
    value = 0
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            value = zlib.crc32(chunk, value)
    return value


def rows_in_shard(image_shape: tuple[int, ...]) -> int:
    """How many pictures of this shape one shard holds."""
    return max(1, SHARD_BYTES // int(np.prod(image_shape)))


def _rows(index: NDArray[np.int64] | slice, count: int) -> NDArray[np.int64]:
    if isinstance(index, slice):
        return np.arange(*index.indices(count))
    if len(index) and not -count <= index.min() <= index.max() < count:
        raise IndexError(f"rows {index.min()} to {index.max()} of {count} pictures")
    return np.where(index < 0, index + count, index)


def _opened(path: Path, size: int) -> int:
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}; read the folder of pictures again") from error
    actual = os.fstat(handle).st_size
    if actual != size:
        os.close(handle)
        raise DataError(f"{path} has {actual} bytes where {size} belong; delete its folder and read the pictures again")
    return handle


def _read(handle: int, offset: int, target: NDArray[np.uint8]) -> None:
    view = target.reshape(-1).view().data
    while len(view):
        count = os.preadv(handle, [view], offset)
        if count == 0:
            raise DataError("a stored picture is cut off; read the folder of pictures again")
        view, offset = view[count:], offset + count


def _close(handles: list[int]) -> None:
    for handle in handles:
        os.close(handle)
