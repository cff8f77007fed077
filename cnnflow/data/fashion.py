"""Fashion-MNIST, all 70,000 images, which come with the package.

Xiao, Rasul and Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning Algorithms",
arXiv:1708.07747. MIT licence, see `bundled/FASHION_MNIST_LICENSE`.

The bundle is one xz file of the four original IDX files, one after the other. The pixels of each image stand column by
column instead of row by row, because xz packs them 4% smaller that way: clothes change less from top to bottom.
"""

import hashlib
import lzma
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from cnnflow.config import DataConfig
from cnnflow.data.cache import Arrays, read_cached, write_cached
from cnnflow.data.fixed import FixedSet
from cnnflow.data.image_set import Dataset
from cnnflow.errors import DataError, OptionError
from cnnflow.events import OnEvent, ignore

CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
KOREAN = ("티셔츠/탑", "바지", "풀오버", "드레스", "코트", "샌들", "셔츠", "스니커즈", "가방", "앵클부츠")
FASHION = FixedSet("fashion", 60_000, 10_000, (28, 28, 1), CLASS_NAMES, {"ko": KOREAN})

BUNDLE = "fashion_mnist.xz"
_CACHED = "fashion.npz"
_SIDE = 28


@dataclass(frozen=True)
class IdxFile:
    """One of the four original files: `name`, how many bytes its header has, how many it has in all, and its sha256."""

    name: str
    array: str
    header: int
    size: int
    sha256: str

    @property
    def holds_images(self) -> bool:
        return self.array.startswith("x")


IDX_FILES = (
    IdxFile(
        "train-images-idx3-ubyte",
        "x_train",
        16,
        16 + 60_000 * _SIDE * _SIDE,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        "y_train",
        8,
        8 + 60_000,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    IdxFile(
        "t10k-images-idx3-ubyte",
        "x_test",
        16,
        16 + 10_000 * _SIDE * _SIDE,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        "y_test",
        8,
        8 + 10_000,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)


def load(config: DataConfig, *, on_event: OnEvent = ignore) -> Dataset:
    """Fashion-MNIST: 60,000 training and 10,000 test images, uint8 `[n, 28, 28, 1]`, in their original order.

    The first call unpacks the bundle (about two seconds), checks the sha256 of each original file and keeps the
    arrays in the cache; later calls read them from there (about 0.1 s).

    Raises `OptionError` for options that have no meaning here, `DataError` where the installed bundle is damaged.

    Example:
        >>> load(DataConfig("fashion")).train.image_shape
        (28, 28, 1)
    """
    if config.data_dir is not None:
        raise OptionError(f"data_dir={config.data_dir!r} with fashion, which comes with cnnflow; leave it out")
    FASHION.refuse_options(config)
    arrays = read_cached(_CACHED, FASHION.check, on_event=on_event)
    if arrays is None:
        arrays = _unpacked(_bundle())
        write_cached(_CACHED, arrays, on_event=on_event)
    return FASHION.dataset(arrays)


def pack(idx: bytes, file: IdxFile) -> bytes:
    """The bytes that stand in the bundle for the original file `idx`: its pixels column by column.

    Transposing twice changes nothing, so this also gives the original file for the bytes in the bundle.
    """
    if not file.holds_images:
        return idx
    pixels = np.frombuffer(idx, np.uint8, offset=file.header).reshape(-1, _SIDE, _SIDE)
    return idx[: file.header] + pixels.transpose(0, 2, 1).tobytes()


def _bundle() -> bytes:
    try:
        return (files("cnnflow.data.bundled") / BUNDLE).read_bytes()
    except OSError as error:
        raise DataError(f"the bundled {BUNDLE} cannot be read ({error.strerror}); install cnnflow again") from error


def _unpacked(bundle: bytes) -> Arrays:
    try:
        content = lzma.decompress(bundle)
    except lzma.LZMAError as error:
        raise DataError(f"the bundled {BUNDLE} is damaged ({error}); install cnnflow again") from error
    arrays, at = {}, 0
    for file in IDX_FILES:
        arrays[file.array] = _array(pack(content[at : at + file.size], file), file)
        at += file.size
    return arrays


def _array(idx: bytes, file: IdxFile) -> NDArray[np.uint8]:
    digest = hashlib.sha256(idx).hexdigest()
    if digest != file.sha256:
        raise DataError(f"{file.name} in the bundled {BUNDLE} has a wrong sha256, {digest}; install cnnflow again")
    array = np.frombuffer(idx, np.uint8, offset=file.header)
    return array.reshape(-1, _SIDE, _SIDE, 1) if file.holds_images else array
