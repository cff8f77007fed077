"""What the bytes of a picture's file say before any decoder sees them: format, size, frames, orientation.

Only JPEG, PNG, WebP and BMP are known, by content. The metadata (EXIF, colour profiles, comments, embedded previews) is
left out of what goes on to the decoder: it decides nothing but the orientation, which is read here, and it is where a
decoder unpacks text, follows offsets and warns.
"""

import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from struct import error as StructError  # noqa: N812 (struct names its exception "error")
from struct import unpack_from

from cnnflow.data.faults import animated, truncated, unreadable, wrong_format

# A file of millions of empty parts, or of thousands of passes over its pixels, would keep a decoder busy for minutes.
_MOST_PARTS = 100_000
_MOST_SCANS = 64
_MOST_RUN_LENGTH = 2_000_000

_ORIENTATION = 0x0112

_OTHERS = (
    (0, b"GIF8", "a GIF"),
    (0, b"II*\0", "a TIFF"),
    (0, b"MM\0*", "a TIFF"),
    (0, b"%PDF", "a PDF"),
    (0, b"8BPS", "a Photoshop file"),
    (0, b"PK\3\4", "a ZIP archive or an office document"),
    (0, b"<svg", "an SVG drawing"),
    (0, b"<?xml", "an XML or SVG file"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"\xff\x0a", "a JPEG XL"),
    (0, b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (0, b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (4, b"ftypavif", "an AVIF"),
    (4, b"ftyphei", "a HEIC"),
    (4, b"ftypmif1", "a HEIC"),
    (4, b"ftyp", "a video"),
    (0, b"\x1a\x45\xdf\xa3", "a video"),
)


@dataclass(frozen=True)
class Header:
    """What a picture's file says of itself.

    Attributes:
        format: Pillow's name: "JPEG", "PNG", "WEBP" or "BMP".
        width: pixels in a row as they are stored.
        height: rows as they are stored.
        orientation: EXIF's 1 to 8: how the stored pixels must be turned to stand upright.
        deep: whether a channel has 16 bits.
        content: the file without its metadata, for the decoder.
    """

    format: str
    width: int
    height: int
    content: bytes
    orientation: int = 1
    deep: bool = False


def read_header(content: bytes) -> Header:
    """Read the header of a picture's file.

    Raises:
        PictureError: the bytes are not a JPEG, PNG, WebP or BMP, are cut off or damaged, or hold an animation.

    Example:
        >>> read_header(Path("daisy.jpg").read_bytes()).format
        'JPEG'
    """
    for start, signature, reader in _READERS:
        if content.startswith(signature, start):
            try:
                header = reader(content)
            except (StructError, IndexError) as error:  # a field lies behind the end
                raise truncated() from error
            if header.width < 1 or header.height < 1:
                raise unreadable(f"its size is {header.width} x {header.height}")
            return header
    raise wrong_format(other_kind(content))


def known(content: bytes) -> bool:
    """Whether the first 16 bytes of a file are those of a picture's file that is read here."""
    return any(content.startswith(signature, start) for start, signature, _ in _READERS)


def other_kind(content: bytes) -> str | None:
    """What kind of file begins with `content`, of those often met among pictures; None: some other."""
    return next((kind for start, signature, kind in _OTHERS if content.startswith(signature, start)), None)


def _jpeg(content: bytes) -> Header:
    kept, orientation, size, frame = [b"\xff\xd8"], 1, None, 0
    for marker, start, end in _jpeg_segments(content):
        if marker in _FRAMES:
            if size is not None:
                raise unreadable("it has two frame headers")
            height, width = unpack_from(">HH", content, start + 5)
            size, frame = (width, height), start
        elif marker == 0xDA:
            _check_scans(content, frame, start)
        elif marker == 0xE1 and content.startswith(b"Exif\0\0", start + 4):
            orientation = _exif_orientation(content[start + 10 : end])
        if not _is_metadata(marker):
            kept.append(content[start:end])
    if size is None:
        raise unreadable("it has no frame header")
    return Header("JPEG", *size, content=b"".join(kept), orientation=orientation)


# Start of frame: baseline, progressive and their kin; C4, C8 and CC mean other things.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_ALONE = frozenset((0x00, 0x01, *range(0xD0, 0xD9)))


def _is_metadata(marker: int) -> bool:
    """Whether decoders need no such segment; E0 (JFIF) and EE (Adobe) say how colours are stored."""
    return marker == 0xFE or (0xE0 <= marker <= 0xEF and marker not in (0xE0, 0xEE))


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """`(marker, start, end)` of each segment up to the first scan, which reaches to the end of the file."""
    at = 2
    for _ in range(_MOST_PARTS):
        at = content.find(b"\xff", at)
        if at < 0:
            raise truncated()
        marker = content[at + 1]
        if marker == 0xDA:
            yield marker, at, len(content)
            return
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2  # any number of FF bytes may stand before a marker
            continue
        if marker == 0xD9:
            raise unreadable("it ends before its pixels begin")
        length = unpack_from(">H", content, at + 2)[0]
        end = at + 2 + length
        if length < 2:
            raise unreadable("a segment is shorter than its own length")
        if end > len(content):
            raise truncated()
        yield marker, at, end
        at = end
    raise unreadable(f"it has more than {_MOST_PARTS} segments")


def _check_scans(content: bytes, frame: int, scan: int) -> None:
    """Refuse the picture with too many scans: one that holds all channels of a sequential frame is the only one."""
    sequential = content[frame + 1] in (0xC0, 0xC1)
    if sequential and content[scan + 4] == content[frame + 9]:
        return
    end = content.find(b"\xff\xd9", scan)
    scans = content.count(b"\xff\xda", scan, len(content) if end < 0 else end)
    if scans > _MOST_SCANS:
        raise unreadable(f"it has {scans} scans; at most {_MOST_SCANS} are decoded")


def _png(content: bytes) -> Header:
    kept, header = [content[:8]], None
    for name, start, end in _png_chunks(content):
        if name == b"IHDR":
            if header is not None or end - start != 25:
                raise unreadable("its header chunk is repeated or of a wrong length")
            width, height, depth = unpack_from(">IIB", content, start + 8)
            header = Header("PNG", width, height, b"", deep=depth == 16)
        elif header is None:
            raise unreadable("it does not begin with its header chunk")
        elif name == b"acTL" and (frames := unpack_from(">I", content, start + 8)[0]) > 1:
            raise animated(frames)
        elif name == b"eXIf":
            header = replace(header, orientation=_exif_orientation(content[start + 8 : end - 4]))
        if name in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            _check_crc(content, start, end)
            kept.append(content[start:end])
    if header is None:
        raise truncated()
    return replace(header, content=b"".join(kept))


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """`(name, start, end)` of each chunk, the last being IEND."""
    at = 8
    for _ in range(_MOST_PARTS):
        length, name = unpack_from(">I4s", content, at)
        end = at + 12 + length
        if end > len(content):
            raise truncated()
        yield name, at, end
        if name == b"IEND":
            return
        at = end
    raise unreadable(f"it has more than {_MOST_PARTS} chunks")


def _check_crc(content: bytes, start: int, end: int) -> None:
    if zlib.crc32(memoryview(content)[start + 4 : end - 4]) != unpack_from(">I", content, end - 4)[0]:
        raise unreadable(f"the checksum of its {content[start + 4 : start + 8].decode('ascii')} chunk is wrong")


def _webp(content: bytes) -> Header:
    frames, size, orientation = 0, None, 1
    for name, start, end in _webp_chunks(content):
        if name in _WEBP_SIZES and size is None:
            size = _WEBP_SIZES[name](content, start)
        frames += name == b"ANMF"
        if name == b"EXIF":
            orientation = _exif_orientation(content[start:end].removeprefix(b"Exif\0\0"))
    if frames > 1:
        raise animated(frames)
    if size is None:
        raise unreadable("it has no picture chunk")
    return Header("WEBP", *size, content=content, orientation=orientation)


def _webp_chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """`(name, start, end)` of each chunk's data."""
    total = unpack_from("<I", content, 4)[0] + 8
    if total > len(content):
        raise truncated()
    at = 12
    for _ in range(_MOST_PARTS):
        if at + 8 > total:
            return
        name, length = unpack_from("<4sI", content, at)
        start, end = at + 8, at + 8 + length
        if end > total:
            raise truncated()
        yield name, start, end
        at = end + length % 2
    raise unreadable(f"it has more than {_MOST_PARTS} chunks")


def _lossy_size(content: bytes, start: int) -> tuple[int, int]:
    width, height = unpack_from("<HH", content, start + 6)
    return width & 0x3FFF, height & 0x3FFF


def _lossless_size(content: bytes, start: int) -> tuple[int, int]:
    bits = unpack_from("<I", content, start + 1)[0]
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _canvas_size(content: bytes, start: int) -> tuple[int, int]:
    width, height = (int.from_bytes(content[at : at + 3], "little") + 1 for at in (start + 4, start + 7))
    return width, height


_WEBP_SIZES: dict[bytes, Callable[[bytes, int], tuple[int, int]]] = {
    b"VP8 ": _lossy_size,
    b"VP8L": _lossless_size,
    b"VP8X": _canvas_size,
}


def _bmp(content: bytes) -> Header:
    if unpack_from("<I", content, 14)[0] == 12:
        width, height = unpack_from("<HH", content, 18)
        return Header("BMP", width, height, content)
    width, height = unpack_from("<ii", content, 18)
    run_length_encoded = unpack_from("<I", content, 30)[0] in (1, 2)
    # Pillow decodes these in Python, byte by byte and pixel by pixel.
    if run_length_encoded and max(width * abs(height), len(content)) > _MOST_RUN_LENGTH:
        raise unreadable("it is a large run-length encoded BMP: save it as PNG")
    return Header("BMP", width, abs(height), content)


_READERS: tuple[tuple[int, bytes, Callable[[bytes], Header]], ...] = (
    (0, b"\xff\xd8\xff", _jpeg),
    (0, b"\x89PNG\r\n\x1a\n", _png),
    (8, b"WEBP", _webp),
    (0, b"BM", _bmp),
)


def _exif_orientation(exif: bytes) -> int:
    """The orientation in a TIFF header (Exif 2.3, 4.6.4), 1 where it is missing or makes no sense."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        at = unpack_from(order + "I", exif, 4)[0]
        for entry in range(unpack_from(order + "H", exif, at)[0]):
            tag, _, _, value = unpack_from(order + "HHIH", exif, at + 2 + 12 * entry)
            if tag == _ORIENTATION:
                return value if 1 <= value <= 8 else 1
    except StructError:
        pass
    return 1
