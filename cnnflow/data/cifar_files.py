"""The two forms in which CIFAR-10 is published: binary records, and Python 2 pickles.

Pickles can run any code, so these are not simply unpickled: the reader knows the three names of NumPy that they use,
puts plain records in their place, and refuses every other name.

Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; https://www.cs.toronto.edu/~kriz/cifar.html
"""

import io
import pickle
import pickletools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnflow.data.cache import Arrays
from cnnflow.errors import DataError

TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST_BATCH = "test_batch"
BATCHES = (*TRAIN_BATCHES, TEST_BATCH)
BINARY_SUFFIX = ".bin"
LARGEST_BATCH = 40_000_000  # bytes; the real ones have 31 million

_LARGEST_MEMO = 100_000  # a batch has some 10,000 names of files
_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32


def from_batches(batches: Mapping[str, bytes], where: str) -> Arrays:
    """The four arrays of the batch files, by name: "data_batch_1.bin" (binary) or "data_batch_1" (pickle) and so on.

    `where` is what an error calls their place. Raises `DataError` where one is missing or damaged.
    """
    suffix = BINARY_SUFFIX if TEST_BATCH + BINARY_SUFFIX in batches else ""
    read = _binary_batch if suffix else _pickled_batch
    if missing := [name for name in BATCHES if name + suffix not in batches]:
        raise DataError(f"{where} lacks {missing[0]}{suffix}; it must have data_batch_1 to 5 and test_batch")
    parts = {}
    for name in BATCHES:
        try:
            parts[name] = read(batches[name + suffix])
        except (ValueError, pickle.UnpicklingError, EOFError, TypeError, KeyError, IndexError, AttributeError) as error:
            raise DataError(f"{name}{suffix} in {where} is damaged ({error}); fetch it again") from error
    train = [parts[name] for name in TRAIN_BATCHES]
    return {
        "x_train": np.concatenate([images for images, _ in train]),
        "y_train": np.concatenate([labels for _, labels in train]),
        "x_test": parts[TEST_BATCH][0],
        "y_test": parts[TEST_BATCH][1],
    }


def _binary_batch(content: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Records of one byte for the label and 3072 for the pixels, colour by colour."""
    records = np.frombuffer(content, np.uint8).reshape(-1, 1 + _PIXELS)
    return _images(records[:, 1:]), records[:, 0].copy()


def _pickled_batch(content: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    _check_memo(content)
    batch = _BatchReader(io.BytesIO(content), encoding="bytes").load()
    data = batch[b"data"]
    if not isinstance(data, _PickledArray):
        raise ValueError("its data are no array")
    return _images(data.pixels()), np.array(batch[b"labels"], np.uint8)


def _check_memo(content: bytes) -> None:
    """Refuse a memo index that Python would take gigabytes for: one flipped bit is enough to ask for that."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "LONG_BINPUT" and int(argument or 0) > _LARGEST_MEMO:
            raise ValueError(f"it counts {argument} objects")


def _images(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels `[n, 3072]`, colour by colour, as images `[n, 32, 32, 3]`."""
    return np.ascontiguousarray(pixels.reshape(-1, *_SHAPE).transpose(0, 2, 3, 1))


class _PickledArray:
    """Stands where the pickle says `numpy.ndarray`, and keeps what it says of it."""

    def __init__(self, *_: object) -> None:
        self._state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self._state = state

    def pixels(self) -> NDArray[np.uint8]:
        """The array that was pickled, if it is uint8 `[n, 3072]`."""
        _, (rows, columns), dtype, fortran_order, content = self._state
        if not isinstance(dtype, _PickledDtype) or dtype.name != b"u1" or columns != _PIXELS or fortran_order:
            raise ValueError("its data are not uint8 [n, 3072]")
        return np.frombuffer(content, np.uint8).reshape(rows, columns)


class _PickledDtype:
    """Stands where the pickle says `numpy.dtype`."""

    def __init__(self, name: bytes = b"", *_: object) -> None:
        self.name = name

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        pass


class _BatchReader(pickle.Unpickler):
    """Knows the names that a batch of CIFAR-10 uses, and none besides."""

    def find_class(self, module: str, name: str, /) -> Any:
        known = {
            ("numpy.core.multiarray", "_reconstruct"): _PickledArray,
            ("numpy", "ndarray"): _PickledArray,
            ("numpy", "dtype"): _PickledDtype,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no batch of CIFAR-10 does")
        return known[module, name]
