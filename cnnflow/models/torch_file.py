"""Arrays out of a PyTorch weights file, without PyTorch and without running anything that the file says.

Such a file is a pickle: a program that may name any Python object. This reader follows it with an unpickler that
knows four names (an ordered dictionary, tensors, and the types of their numbers) and refuses every other one. Both
layouts are read: the legacy one (pickles, then the numbers, in one stream) and the zip archive of newer versions.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from cnnflow.errors import DataError

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
STORAGE_TYPES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "LongStorage": "<i8"}


@dataclass(frozen=True)
class _Storage:
    """A run of numbers that tensors are views of: its key in the file, their type and how many."""

    key: str
    dtype: str
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage, in numbers from its start."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a PyTorch state dictionary in `path`, by name.

    Raises `DataError` where the file is missing, damaged, is not such a dictionary, or names any other Python object.

    Example:
        >>> read_tensors(Path("weights.pth"))["_fc.bias"].shape
        (1000,)
    """
    try:
        with path.open("rb") as file:
            content, numbers = _read_zip(file) if zipfile.is_zipfile(file) else _read_legacy(file)
        return {name: _view(tensor, numbers) for name, tensor in content.items() if isinstance(tensor, _Tensor)}
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}; give a PyTorch weights file") from error
    except (
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        EOFError,
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        MemoryError,
        OverflowError,
    ) as error:
        raise DataError(f"{path} is not a PyTorch state dictionary, or is damaged: {error}") from error


def _read_legacy(file: BinaryIO) -> tuple[Mapping[str, Any], dict[str, NDArray[Any]]]:
    file.seek(0)
    if _unpickle(file) != LEGACY_MAGIC or _unpickle(file) != LEGACY_PROTOCOL:
        raise ValueError("it does not start as one")
    _unpickle(file)  # the sizes of the writer's integers: of no use, since all storages have sizes of their own
    storages: dict[str, _Storage] = {}
    content = _mapping(_unpickle(file, storages))
    numbers = {}
    for key in _unpickle(file):
        storage = storages[key]
        (count,) = np.frombuffer(_exactly(file, 8), "<i8")
        if count != storage.count:
            raise ValueError(f"storage {key} has {count} numbers where {storage.count} were announced")
        numbers[key] = np.frombuffer(_exactly(file, storage.count * np.dtype(storage.dtype).itemsize), storage.dtype)
    return content, numbers


def _read_zip(file: BinaryIO) -> tuple[Mapping[str, Any], dict[str, NDArray[Any]]]:
    with zipfile.ZipFile(file) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
        folder = pickled.removesuffix("data.pkl")
        storages: dict[str, _Storage] = {}
        content = _mapping(_unpickle(io.BytesIO(archive.read(pickled)), storages))
        numbers = {}
        for key, storage in storages.items():
            numbers[key] = np.frombuffer(archive.read(f"{folder}data/{key}"), storage.dtype)
            if len(numbers[key]) != storage.count:
                raise ValueError(f"storage {key} has {len(numbers[key])} numbers where {storage.count} were announced")
    return content, numbers


def _unpickle(file: BinaryIO | io.BytesIO, storages: dict[str, _Storage] | None = None) -> Any:
    return _Unpickler(file, {} if storages is None else storages).load()


class _Unpickler(pickle.Unpickler):
    """Knows the few names of a state dictionary, and refuses all others."""

    def __init__(self, file: BinaryIO | io.BytesIO, storages: dict[str, _Storage]) -> None:
        super().__init__(file)
        self._storages = storages

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if module == "torch" and name in STORAGE_TYPES:
            return STORAGE_TYPES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which has no place in a file of weights")

    def persistent_load(self, pid: Any, /) -> _Storage:
        kind, dtype, key, _device, count, *_ = pid
        if kind != "storage" or dtype not in STORAGE_TYPES.values():
            raise pickle.UnpicklingError(f"it refers to {kind!r}; only storages are known")
        return self._storages.setdefault(key, _Storage(key, dtype, count))


def _tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_about_gradients: Any
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


def _view(tensor: _Tensor, numbers: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    values = numbers[tensor.storage.key]
    if math.prod(tensor.shape) == 0:
        return np.zeros(tensor.shape, values.dtype)
    last = tensor.offset + sum((n - 1) * stride for n, stride in zip(tensor.shape, tensor.strides, strict=True))
    if any(number < 0 for number in (tensor.offset, *tensor.shape, *tensor.strides)) or last >= len(values):
        raise ValueError("a tensor reaches beyond its storage")
    steps = [stride * values.itemsize for stride in tensor.strides]
    return np.lib.stride_tricks.as_strided(values[tensor.offset :], tensor.shape, steps, writeable=False).copy()


def _mapping(content: Any) -> Mapping[str, Any]:
    if not isinstance(content, dict):
        raise ValueError("it holds no dictionary of tensors")
    return content


def _exactly(file: BinaryIO, count: int) -> bytes:
    content = file.read(count)
    if len(content) != count:
        raise EOFError("it ends early")
    return content
