"""From a picture's file to pixels: the right ones, fast, and never more of them than memory takes.

A file is believed nothing: its size is checked before it is read, its format, dimensions and frames before a decoder
sees it (`cnnflow.data.formats`), and whatever a decoder raises on damaged bytes becomes a `PictureError`.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from stat import S_ISREG

import numpy as np
from numpy.typing import NDArray

# Importing these four registers them with Pillow; `Image.open` is told to use no other.
from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401

from cnnflow.data.faults import (
    Fault,
    PictureError,
    empty,
    too_large,
    too_many_pixels,
    truncated,
    unreadable,
    wrong_format,
)
from cnnflow.data.formats import Header, known, other_kind, read_header
from cnnflow.data.resize import Resize
from cnnflow.data.threads import map_in_threads
from cnnflow.events import OnEvent, Progress, ignore

LARGEST_FILE = 50_000_000
MOST_PIXELS = 50_000_000

# A JPEG decoder that halves the size on the way still leaves this many source pixels for each target pixel and side.
# It leaves at least 64 in any case, for the perceptual hash, which looks at 32.
_DRAFT_FACTOR = 2
_LEAST_SIDE = 64
_SIGNATURE_BYTES = 16
_BLOCK_BYTES = 2**20

# EXIF's orientation: what turns the stored pixels upright (Exif 2.3, 4.6.4, tag 274).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, eq=False)
class Decoded:
    """What became of one file: `image`, uint8 `[height, width, channels]`, or the `fault` for which it was refused."""

    path: Path
    image: NDArray[np.uint8] | None
    fault: Fault | None


def decode(source: Path | bytes, resize: Resize) -> NDArray[np.uint8]:
    """Decode a picture (a file, or a file's bytes) and bring it to size: uint8 `[height, width, channels]`.

    JPEG, PNG, WebP and BMP are read, told apart by content. EXIF's orientation is applied, 16-bit greys are scaled,
    palettes and transparency are put on white, CMYK becomes RGB. Colour profiles are not applied.

    Raises:
        PictureError: a `DataError` whose `fault` says why the file is refused.

    Example:
        >>> decode(Path("daisy.jpg"), Resize(80, 80)).shape
        (80, 80, 3)
    """
    return to_array(resize.apply(open_picture(source, resize)))


def decode_many(
    paths: Sequence[Path], resize: Resize, *, workers: int | None = None, on_event: OnEvent = ignore
) -> Iterator[Decoded]:
    """Decode files in threads and give them in order; a refused one gives its fault, and the others go on.

    Only a few pictures are ahead of what has been taken, so memory does not grow with the number of files.

    Args:
        paths: the files.
        resize: what they are brought to.
        workers: threads; None: one a core.
        on_event: receives `Progress`.
    """

    def one(path: Path) -> Decoded:
        try:
            return Decoded(path, decode(path, resize), None)
        except PictureError as error:
            return Decoded(path, None, error.fault)

    results = map_in_threads(one, paths, workers=workers, block=block_size(resize))
    for done, decoded in enumerate(results, 1):
        yield decoded
        report(on_event, done, len(paths))


def report(on_event: OnEvent, done: int, total: int) -> None:
    """Report `Progress` on every 32nd picture and on the last one."""
    if done % 32 == 0 or done == total:
        on_event(Progress("reading pictures", done, total))


def block_size(resize: Resize) -> int:
    """How many pictures a thread decodes at a time: several of the usual small ones, one of the largest."""
    return max(1, min(16, _BLOCK_BYTES // int(np.prod(resize.shape))))


def open_picture(source: Path | bytes, resize: Resize | None = None) -> Image.Image:
    """Decode a picture to mode "RGB" or "L", upright, in its own size.

    With `resize` the mode is what that says, and a large JPEG may come out smaller by 2, 4 or 8, yet at least
    twice the size that `resize` needs. Without, the mode is "L" only where the file is grey.

    Raises:
        PictureError: as `decode`.
    """
    if isinstance(source, bytes):
        return _picture(source, resize)
    try:
        return _picture(read_file(source), resize)
    except PictureError as error:
        raise error.about(str(source)) from error


def read_file(path: Path) -> bytes:
    """The bytes of a picture's file, if there are at most 50 MB of them and they begin like a picture."""
    try:
        with open(path, "rb", buffering=0, opener=_open_without_waiting) as file:
            status = os.fstat(file.fileno())
            if not S_ISREG(status.st_mode):
                raise unreadable("it is no file")
            if status.st_size > LARGEST_FILE:
                raise too_large(status.st_size, LARGEST_FILE)
            start = file.read(_SIGNATURE_BYTES)
            if start and not known(start):
                raise wrong_format(other_kind(start))
            return start + file.read()
    except OSError as error:
        raise unreadable(error.strerror or str(error)) from error


def _open_without_waiting(path: str, flags: int) -> int:
    # To open a named pipe would wait for a writer, maybe for ever; Windows has neither the pipes nor the flag.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def to_array(picture: Image.Image) -> NDArray[np.uint8]:
    """The pixels of a picture of mode "L" or "RGB" as uint8 `[height, width, channels]`."""
    pixels = np.asarray(picture)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _picture(content: bytes, resize: Resize | None) -> Image.Image:
    if not content:
        raise empty()
    if len(content) > LARGEST_FILE:
        raise too_large(len(content), LARGEST_FILE)
    header = read_header(content)
    if header.width * header.height > MOST_PIXELS:
        raise too_many_pixels(header.width, header.height, MOST_PIXELS)
    try:
        picture = _flat(_loaded(header, resize), header, resize.mode if resize else None)
        return picture.transpose(_UPRIGHT[header.orientation]) if header.orientation > 1 else picture
    except PictureError:
        raise
    except Exception as error:
        # Pillow's decoders raise nearly every built-in exception on damaged bytes, MemoryError among them.
        raise truncated() if "truncated" in str(error).lower() else unreadable(_why(error)) from error


def _loaded(header: Header, resize: Resize | None) -> Image.Image:
    picture = Image.open(BytesIO(header.content), formats=(header.format,))
    if picture.size != (header.width, header.height) or getattr(picture, "n_frames", 1) != 1:
        raise unreadable("its header contradicts itself")
    if resize is not None:
        picture.draft(resize.mode, _least_size(header, resize))
    picture.load()
    return picture


def _least_size(header: Header, resize: Resize) -> tuple[int, int]:
    """`(width, height)` of the stored pixels, not yet upright, that a draft must not go under."""
    sideways = header.orientation >= 5
    size = (header.height, header.width) if sideways else (header.width, header.height)
    width, height = (max(_DRAFT_FACTOR * side, _LEAST_SIDE) for side in resize.scaled_size(*size))
    return (height, width) if sideways else (width, height)


def _flat(picture: Image.Image, header: Header, mode: str | None) -> Image.Image:
    """The picture without palette, transparency, depth or inks: mode "L" or "RGB"."""
    if picture.mode.startswith("I"):
        picture = _eight_bits(picture)
    elif picture.has_transparency_data:
        picture = _on_white(picture, header)
    if mode is None:
        mode = "L" if picture.mode in ("1", "L") else "RGB"
    return picture if picture.mode == mode else picture.convert(mode)


def _eight_bits(picture: Image.Image) -> Image.Image:
    """A 16-bit grey picture scaled to 8 bits (65535 / 255 = 257); its transparent value, where it has one, is white."""
    values = np.asarray(picture).astype(np.uint32)
    grey = ((values + 128) // 257).astype(np.uint8)
    if (transparent := picture.info.get("transparency")) is not None:
        grey[values == transparent] = 255
    return Image.fromarray(grey)


def _on_white(picture: Image.Image, header: Header) -> Image.Image:
    transparent = picture.info.get("transparency")
    if header.deep and isinstance(transparent, tuple):  # 16 bits, where Pillow has kept the upper 8 of the pixels
        picture.info["transparency"] = tuple(value >> 8 for value in transparent)
    layer = picture.convert("RGBA")
    white = Image.new("RGBA", layer.size, "white")
    white.alpha_composite(layer)
    return white.convert("RGB")


def _why(error: Exception) -> str:
    return str(error)[:200] or type(error).__name__
