"""The reader of PyTorch weights: both layouts, and what it refuses.

The files are made here without PyTorch, by pickling stand-ins that carry PyTorch's names.
"""

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from contextlib import suppress

import numpy as np
import pytest

from cnnflow.errors import DataError
from cnnflow.models.torch_file import LEGACY_MAGIC, LEGACY_PROTOCOL, read_tensors


class Storage:
    def __init__(self, key, array):
        self.key, self.array = key, array


class Tensor:
    def __init__(self, storage, offset, shape, strides):
        self.parts = (storage, offset, shape, strides, False, OrderedDict())

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, self.parts


@pytest.fixture(autouse=True)
def torch_names(monkeypatch):
    """Modules that look like PyTorch to pickle, so that it writes PyTorch's names."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def rebuild(*parts):
        raise AssertionError("the reader must not import this")

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = rebuild
    for name in ("FloatStorage", "LongStorage", "CustomStorage"):
        setattr(torch, name, type(name, (), {"__module__": "torch", "__qualname__": name}))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return torch


class Pickler(pickle.Pickler):
    legacy = True

    def persistent_id(self, item):
        if not isinstance(item, Storage):
            return None
        kind = "LongStorage" if item.array.dtype == np.int64 else "FloatStorage"
        pid = ("storage", getattr(sys.modules["torch"], kind), item.key, "cpu", item.array.size)
        return (*pid, None) if self.legacy else pid


def pickled(content, legacy=True):
    buffer = io.BytesIO()
    pickler = Pickler(buffer, protocol=2)
    pickler.legacy = legacy
    pickler.dump(content)
    return buffer.getvalue()


def legacy_bytes(content, storages):
    parts = [pickle.dumps(part, protocol=2) for part in (LEGACY_MAGIC, LEGACY_PROTOCOL, {"little_endian": True})]
    parts += [pickled(content), pickle.dumps([storage.key for storage in storages], protocol=2)]
    parts += [struct.pack("<q", storage.array.size) + storage.array.tobytes() for storage in storages]
    return b"".join(parts)


def example():
    values = Storage("7", np.arange(24, dtype=np.float32))
    count = Storage("8", np.array([3], np.int64))
    content = OrderedDict(
        [
            ("whole", Tensor(values, 0, (4, 6), (6, 1))),
            ("turned", Tensor(values, 0, (6, 4), (1, 6))),
            ("part", Tensor(values, 5, (2,), (3,))),
            ("count", Tensor(count, 0, (), ())),
        ]
    )
    return content, [values, count]


def check_example(tensors):
    whole = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert np.array_equal(tensors["whole"], whole)
    assert np.array_equal(tensors["turned"], whole.T)
    assert np.array_equal(tensors["part"], [5, 8])
    assert tensors["count"] == 3
    assert tensors["whole"].dtype == np.float32


def test_legacy_layout(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(legacy_bytes(*example()))
    check_example(read_tensors(path))


def test_zip_layout(tmp_path):
    path = tmp_path / "weights.pt"
    content, storages = example()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("weights/data.pkl", pickled(content, legacy=False))
        for storage in storages:
            archive.writestr(f"weights/data/{storage.key}", storage.array.tobytes())
    check_example(read_tensors(path))


class Harm:
    def __reduce__(self):
        import os

        return os.system, ("touch harm",)


@pytest.mark.parametrize("layout", ["legacy", "zip"])
def test_other_objects_are_refused_and_nothing_runs(tmp_path, monkeypatch, layout):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "weights.pth"
    content, storages = example()
    content["harm"] = Harm()
    if layout == "legacy":
        path.write_bytes(legacy_bytes(content, storages))
    else:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("weights/data.pkl", pickled(content, legacy=False))
    with pytest.raises(DataError, match=r"it names (posix|nt)\.system"):
        read_tensors(path)
    assert not (tmp_path / "harm").exists()


def test_an_unknown_storage_type_is_refused(tmp_path, torch_names):
    path = tmp_path / "weights.pth"
    path.write_bytes(legacy_bytes({"kind": torch_names.CustomStorage}, []))
    with pytest.raises(DataError, match=r"it names torch\.CustomStorage"):
        read_tensors(path)


@pytest.mark.parametrize(
    ("offset", "shape", "strides"), [(20, (5,), (1,)), (0, (4, 6), (7, 1)), (-1, (2,), (1,)), (3, (3,), (-1,))]
)
def test_a_tensor_beyond_its_storage_is_refused(tmp_path, offset, shape, strides):
    values = Storage("7", np.arange(24, dtype=np.float32))
    path = tmp_path / "weights.pth"
    path.write_bytes(legacy_bytes({"x": Tensor(values, offset, shape, strides)}, [values]))
    with pytest.raises(DataError, match="beyond its storage"):
        read_tensors(path)


def test_every_cut_of_a_file_is_an_error(tmp_path):
    whole = legacy_bytes(*example())
    path = tmp_path / "weights.pth"
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            read_tensors(path)


def test_any_changed_byte_is_an_error_or_numbers(tmp_path):
    whole = legacy_bytes(*example())
    path = tmp_path / "weights.pth"
    rng = np.random.default_rng(0)
    for place in rng.integers(0, len(whole), 300):
        changed = bytearray(whole)
        changed[place] ^= int(rng.integers(1, 256))
        path.write_bytes(changed)
        with suppress(DataError):
            assert all(isinstance(array, np.ndarray) for array in read_tensors(path).values())


def test_a_missing_file_and_a_file_of_something_else(tmp_path):
    with pytest.raises(DataError, match="cannot read"):
        read_tensors(tmp_path / "none.pth")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(DataError, match="not a PyTorch state dictionary"):
        read_tensors(tmp_path / "text.pth")
