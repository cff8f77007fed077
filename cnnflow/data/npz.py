"""NPZ files, read with suspicion and written whole.

An NPZ is a zip of `.npy` files. Nothing of one is believed before it is checked: the zip's own directory says how many
bytes each member unpacks to, each member's header says dtype and shape, and both must agree and stay under a limit
before the first byte of data is read. A member that says "object" would be unpickled, so it is refused.
"""

import math
import sys
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from cnnflow.errors import DataError
from cnnflow.files import replacing

MAX_BYTES = 8 * 2**30
"""What all arrays of a file may take in memory, unless the caller says otherwise."""

_MAX_MEMBERS = 1000
_MAX_HEADER = 10_000
_KINDS = "biufSU"
_CHUNK = 2**24
_EPOCH = (1980, 1, 1, 0, 0, 0)
# Everything that zipfile, zlib and numpy raise on bytes that are not what they should be.
_DAMAGE = (OSError, EOFError, ValueError, SyntaxError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class ArrayHeader:
    """What a member says of itself before its data are read: `dtype`, `shape`, and whether Fortran's order is used."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran_order: bool

    @property
    def nbytes(self) -> int:
        """The bytes that the array takes in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_headers(path: Path | str, *, max_bytes: int = MAX_BYTES) -> dict[str, ArrayHeader]:
    """The names, dtypes and shapes of the arrays in an NPZ file, without reading their data.

    Raises `DataError` as `read_arrays` does, except for damage in the data themselves.

    Example:
        >>> read_headers("cifar10.npz")["x_train"].shape
        (50000, 32, 32, 3)
    """
    with _opened(Path(path)) as archive:
        return {name: _checked(archive, info) for name, info in _members(archive, max_bytes).items()}


def read_arrays(path: Path | str, *, max_bytes: int = MAX_BYTES) -> dict[str, NDArray[Any]]:
    """The arrays of an NPZ file by name, each member checked before any of its data is read.

    Booleans, integers, floats and strings are read; objects, which would have to be unpickled, and records are not.
    All arrays together may take `max_bytes`. Checksums are verified.

    Raises `DataError` for a file that is missing, is no NPZ, is damaged, or would take too much memory.

    Example:
        >>> write_arrays(Path("a.npz"), {"x": np.zeros((2, 3))})
        >>> read_arrays("a.npz")["x"].shape
        (2, 3)
    """
    with _opened(Path(path)) as archive:
        members = _members(archive, max_bytes)
        headers = {name: _checked(archive, info) for name, info in members.items()}
        return {name: _data(archive, members[name], header) for name, header in headers.items()}


def write_arrays(path: Path | str, arrays: Mapping[str, NDArray[Any]], *, compressed: bool = True) -> None:
    """Write `arrays` to an NPZ file at `path`, whole or not at all; the same arrays give the same bytes.

    `compressed=False` makes a file that is several times larger and reads several times faster.

    Raises `DataError` for an array that `read_arrays` would refuse, and where the file cannot be written.
    """
    path = Path(path)
    for name, array in arrays.items():
        if array.dtype.kind not in _KINDS:
            raise DataError(f"array {name!r} of dtype {array.dtype}; an NPZ here holds numbers, booleans and strings")
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    try:
        with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", method) as archive:
            for name, array in arrays.items():
                _write_member(archive, name, array, method)
    except OSError as error:
        raise DataError(f"cannot write {path}: {error.strerror or error}; choose another place or make room") from error


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """The zip file at `path`; whatever damage shows while it is open becomes one `DataError`."""
    if not path.is_file():
        raise DataError(f"no file {path}; give the path of an .npz file")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    except PermissionError as error:
        raise DataError(f"{path} may not be read; change its permissions") from error
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} is damaged or no NPZ file ({reason}); make it or fetch it again") from error


def _members(archive: zipfile.ZipFile, max_bytes: int) -> dict[str, zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > _MAX_MEMBERS:
        raise DataError(f"{len(infos)} arrays in one file; at most {_MAX_MEMBERS} are read")
    declared = sum(info.file_size for info in infos)
    # Headers are small; what they add to the arrays' own bytes must not decide.
    if declared > max_bytes + _MAX_HEADER * len(infos):
        raise DataError(f"unpacks to {declared:,} bytes; at most {max_bytes:,} are read")
    members: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        name = info.filename.removesuffix(".npy")
        if name == info.filename or not name or "/" in name or name in members:
            raise DataError(f"member {info.filename!r}; an NPZ file holds NAME.npy, each name once, and no folders")
        members[name] = info
    return members


def _checked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> ArrayHeader:
    with archive.open(info) as file:
        header = _header(file)
        size = info.file_size - file.tell()
    if header.dtype.kind not in _KINDS:
        raise DataError(f"{info.filename} of dtype {header.dtype}; only numbers, booleans and strings are read")
    if header.nbytes != size:
        raise DataError(
            f"{info.filename} of shape {header.shape} and dtype {header.dtype} takes {header.nbytes:,} bytes, "
            f"but {size:,} are there; the file is damaged"
        )
    return header


def _header(file: IO[bytes]) -> ArrayHeader:
    version = npy.read_magic(file)
    if version == (1, 0):
        shape, fortran, dtype = npy.read_array_header_1_0(file, max_header_size=_MAX_HEADER)
    elif version == (2, 0):
        shape, fortran, dtype = npy.read_array_header_2_0(file, max_header_size=_MAX_HEADER)
    else:
        raise ValueError(f"npy version {version} is not 1.0 or 2.0")
    if any(side < 0 for side in shape):
        raise ValueError(f"shape {shape} has a negative side")
    return ArrayHeader(dtype, shape, fortran)


def _data(archive: zipfile.ZipFile, info: zipfile.ZipInfo, header: ArrayHeader) -> NDArray[Any]:
    flat = np.empty(header.nbytes, np.uint8)
    with archive.open(info) as file:
        _header(file)
        at = 0
        while chunk := file.read(_CHUNK):  # up to the end, where zipfile compares the checksum
            flat[at : at + len(chunk)] = np.frombuffer(chunk, np.uint8)
            at += len(chunk)
    if at != header.nbytes:
        raise EOFError(f"{info.filename} ends after {at:,} of {header.nbytes:,} bytes")
    if header.dtype.kind == "U":
        _check_text(info, flat.view(f"{header.dtype.byteorder}u4"))
    return np.ndarray(header.shape, header.dtype, flat.data, order="F" if header.fortran_order else "C")


def _check_text(info: zipfile.ZipInfo, code_points: NDArray[np.uint32]) -> None:
    if code_points.size and code_points.max() > sys.maxunicode:
        raise ValueError(f"{info.filename} holds code points beyond Unicode")


def _write_member(archive: zipfile.ZipFile, name: str, array: NDArray[Any], method: int) -> None:
    info = zipfile.ZipInfo(f"{name}.npy", _EPOCH)  # without a time, so that equal arrays give equal files
    info.compress_type = method
    info.external_attr = 0o644 << 16
    with archive.open(info, "w", force_zip64=True) as file:
        npy.write_array(file, np.asanyarray(array), allow_pickle=False)
