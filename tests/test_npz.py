"""NPZ files: what is written is read again, and nothing of a bad one reaches memory."""

import io
import struct
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.lib import format as npy

from cnnflow.data.npz import ArrayHeader, read_arrays, read_headers, write_arrays
from cnnflow.errors import DataError

ARRAYS = {
    "images": np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4, 1),
    "labels": np.array([0, 1]),
    "class_names": np.array(["T-shirt/top", "티셔츠/탑"]),
    "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "file": np.zeros((0, 3), np.float32),
    "version": np.array(1),
}


def member(array: np.ndarray, *, dtype: str | None = None, shape: tuple[int, ...] | None = None) -> bytes:
    """The bytes of an .npy file whose header may lie."""
    out = io.BytesIO()
    described = {"descr": dtype or array.dtype.str, "fortran_order": False, "shape": shape or array.shape}
    npy.write_array_header_1_0(out, described)
    return out.getvalue() + array.tobytes()


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_come_back_as_they_were(tmp_path: Path, compressed: bool) -> None:
    write_arrays(tmp_path / "a.npz", ARRAYS, compressed=compressed)
    back = read_arrays(tmp_path / "a.npz")
    assert list(back) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert back[name].dtype == array.dtype
        assert back[name].shape == array.shape
        assert np.array_equal(back[name], array)
        assert back[name].flags.writeable
    with np.load(tmp_path / "a.npz", allow_pickle=False) as plain:
        assert np.array_equal(plain["columns"], ARRAYS["columns"])


def test_files_of_numpy_are_read(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", x=ARRAYS["images"], y=ARRAYS["columns"])
    assert np.array_equal(read_arrays(tmp_path / "a.npz")["y"], ARRAYS["columns"])


def test_equal_arrays_give_equal_files(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        write_arrays(tmp_path / name, ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_headers_say_shape_and_dtype_before_loading(tmp_path: Path) -> None:
    write_arrays(tmp_path / "a.npz", ARRAYS)
    headers = read_headers(tmp_path / "a.npz")
    assert headers["images"] == ArrayHeader(np.dtype(np.uint8), (2, 3, 4, 1), False)
    assert headers["columns"].nbytes == 48


@given(hnp.arrays(st.sampled_from(["u1", "<i8", "<f4", "?", "<U3", ">u2"]), hnp.array_shapes(min_dims=0, min_side=0)))
@settings(max_examples=50, deadline=None)
def test_any_plain_array_comes_back(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    write_arrays(path, {"x": array})
    assert read_arrays(path)["x"].tobytes() == array.tobytes()


def test_objects_are_refused_on_both_ways(tmp_path: Path) -> None:
    objects = np.array([{"a": 1}, None], dtype=object)
    with pytest.raises(DataError, match="array 'x' of dtype object"):
        write_arrays(tmp_path / "a.npz", {"x": objects})
    np.savez(tmp_path / "b.npz", x=objects)
    with pytest.raises(DataError, match=r"b\.npz: x\.npy of dtype object; only numbers"):
        read_arrays(tmp_path / "b.npz")


def test_a_bomb_is_refused_before_it_unpacks(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.npz"
    write_arrays(bomb, {"x": np.zeros(50_000_000, np.uint8)})
    assert bomb.stat().st_size < 60_000
    with pytest.raises(DataError, match=r"unpacks to 50,\d+,\d+ bytes; at most 1,000,000 are read"):
        read_arrays(bomb, max_bytes=1_000_000)


def test_a_header_that_promises_more_than_is_there_is_refused(tmp_path: Path) -> None:
    lying = member(np.zeros(10, np.uint8), shape=(10**15,))
    with pytest.raises(DataError, match="takes 1,000,000,000,000,000 bytes, but 10 are there"):
        read_arrays(zipped(tmp_path / "a.npz", {"x.npy": lying}))


def test_a_zip_directory_that_lies_about_sizes_is_refused(tmp_path: Path) -> None:
    """The directory says 1,138 bytes; the member unpacks to a thousand times that."""
    path = zipped(tmp_path / "a.npz", {"x.npy": member(np.zeros(1_000_000, np.uint8), shape=(1000,))})
    content = path.read_bytes()
    real, small = struct.pack("<I", 1_000_128), struct.pack("<I", 1128)
    assert content.count(real) == 2
    path.write_bytes(content.replace(real, small))
    with pytest.raises(DataError, match="damaged"):
        read_arrays(path)


@pytest.mark.parametrize(
    "names",
    [["../x.npy"], ["folder/x.npy"], ["x.txt"], [".npy"], ["x.npy", "x.npy"]],
    ids=lambda names: "+".join(names),
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_odd_members_are_refused(tmp_path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for name in names:
            archive.writestr(name, member(np.zeros(3)))
    with pytest.raises(DataError, match=r"an NPZ file holds NAME\.npy, each name once, and no folders"):
        read_arrays(tmp_path / "a.npz")


def test_records_and_text_beyond_unicode_are_refused(tmp_path: Path) -> None:
    records = zipped(tmp_path / "a.npz", {"x.npy": member(np.zeros(4, np.uint8), dtype="|V4", shape=(1,))})
    with pytest.raises(DataError, match="only numbers, booleans and strings"):
        read_arrays(records)
    text = zipped(tmp_path / "b.npz", {"x.npy": member(np.full(4, 255, np.uint8), dtype="<U1", shape=(1,))})
    with pytest.raises(DataError, match="code points beyond Unicode"):
        read_arrays(text)


def test_a_missing_file_and_one_that_is_no_npz(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no file .*a\.npz"):
        read_arrays(tmp_path / "a.npz")
    (tmp_path / "a.npz").write_bytes(b"GIF89a")
    with pytest.raises(DataError, match=r"^[^\n]*a\.npz is damaged or no NPZ file[^\n]*$"):
        read_arrays(tmp_path / "a.npz")
    with pytest.raises(DataError, match="no file"):
        read_arrays(tmp_path)


@pytest.mark.parametrize("compressed", [True, False])
def test_a_file_damaged_anywhere_is_an_error_or_still_right(tmp_path: Path, compressed: bool) -> None:
    """Every cut is refused; of flipped bytes, only those in unused fields of the zip may pass, and change nothing."""
    path = tmp_path / "a.npz"
    write_arrays(path, ARRAYS, compressed=compressed)
    whole = path.read_bytes()
    for length in range(0, len(whole), 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError):
            read_arrays(path)
    passed = 0
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with suppress(DataError):
            back = read_arrays(path)
            passed += 1
            assert all(np.array_equal(back[name], ARRAYS[name]) for name in back if name in ARRAYS)
    assert passed < len(range(0, len(whole), 3)) / 2


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    write_arrays(path, ARRAYS)
    before = path.read_bytes()
    with pytest.raises(DataError):
        write_arrays(path, {"good": np.zeros(3), "bad": np.array([None])})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.npz"]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write .*choose another place"):
        write_arrays(tmp_path / "file" / "a.npz", ARRAYS)
