"""Decoding: the right pixels, limits before decoders, and nothing but a picture or a `PictureError`."""

import os
import struct
import subprocess
import sys
import time
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from drawn_pictures import encoded, scene, write
from PIL import Image

from cnnflow.data import decode as decode_module
from cnnflow.data.decode import LARGEST_FILE, decode, decode_many, open_picture
from cnnflow.data.faults import FAULTS, PictureError
from cnnflow.data.resize import Resize
from cnnflow.errors import CnnflowError

PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "flower_photos"
RULE = Resize(60, 80)


def pixels(content, rule=RULE):
    return decode(content, rule).astype(int)


def refusal(content, rule=RULE):
    with pytest.raises(PictureError) as caught:
        decode(content, rule)
    assert caught.value.fault.kind in FAULTS
    assert "\n" not in str(caught.value)
    return caught.value.fault


def chunk(name, data=b""):
    """A PNG chunk."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png_of_size(width, height):
    """A PNG of a few bytes that says that it has this size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"0" * 100)) + chunk(b"IEND")


def bmp_of_size(width, height, compression=0):
    return (
        b"BM"
        + struct.pack("<IHHI", 0, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, compression, 0, 0, 0, 0, 0)
    )


# Right pixels


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_each_format_gives_the_same_picture(kind):
    reference = np.asarray(RULE.apply(scene(1)), int)
    options = {"lossless": True} if kind == "WEBP" else {}
    result = decode(encoded(scene(1), kind, **options), RULE)
    assert (result.dtype, result.shape) == (np.uint8, (60, 80, 3))
    assert np.abs(result.astype(int) - reference).mean() < (6 if kind == "JPEG" else 0.01)


def test_a_path_and_its_bytes_give_the_same(tmp_path):
    content = encoded(scene(2))
    assert np.array_equal(decode(write(tmp_path / "blume ✿.JPG", content), RULE), decode(content, RULE))


def test_the_name_does_not_matter(tmp_path):
    assert decode(write(tmp_path / "picture.txt", encoded(scene(2), "PNG")), RULE).shape == (60, 80, 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_is_applied(kind, orientation):
    upright = scene(3, width=120, height=80)
    turn = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = upright.transpose(turn[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    content = encoded(stored, kind, exif=exif.tobytes(), **options)
    assert open_picture(content).size == (120, 80)
    assert np.abs(pixels(content) - np.asarray(RULE.apply(upright), int)).mean() < 6


def test_sideways_draft_leaves_enough_pixels():
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(scene(3, width=1600, height=400).transpose(Image.Transpose.ROTATE_90), exif=exif.tobytes())
    width, height = open_picture(content, Resize(50, 200)).size
    assert (width, height) == (400, 100)


@pytest.mark.parametrize("depth_kind", ["high", "low", "full"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(depth_kind):
    values = np.linspace(*{"high": (30000, 65535), "low": (0, 600), "full": (0, 65535)}[depth_kind], 60 * 80)
    deep = values.astype(np.uint16).reshape(60, 80)
    result = pixels(encoded(Image.fromarray(deep), "PNG"), Resize(60, 80, color="gray"))[..., 0]
    assert np.abs(result - deep / 257).max() <= 0.51


def test_sixteen_bit_colour_keeps_its_upper_bits():
    rows = b"".join(b"\0" + struct.pack(">HHH", 0x80FF, 0x4000, 0xFFFF) * 4 for _ in range(4))
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0))
    content += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")
    assert (pixels(content, Resize(4, 4)) == [0x80, 0x40, 0xFF]).all()


def test_transparency_is_put_on_white():
    layer = Image.new("RGBA", (80, 60), (255, 0, 0, 255))
    layer.paste((0, 0, 0, 0), (0, 0, 40, 60))
    layer.paste((0, 0, 255, 128), (60, 0, 80, 60))
    for kind, options in (("PNG", {}), ("WEBP", {"lossless": True, "exact": True})):
        result = pixels(encoded(layer, kind, **options))
        assert result[30, 10].tolist() == [255, 255, 255]
        assert result[30, 50].tolist() == [255, 0, 0]
        assert np.abs(result[30, 70] - [127, 127, 255]).max() <= 1


def test_grey_with_transparency_and_a_transparent_colour_are_put_on_white():
    layer = Image.new("LA", (80, 60), (100, 255))
    layer.paste((0, 0), (0, 0, 40, 60))
    assert pixels(encoded(layer, "PNG"))[30, [10, 70]].tolist() == [[255] * 3, [100] * 3]
    flat = Image.new("RGB", (80, 60), (9, 8, 7))
    flat.paste((200, 100, 50), (40, 0, 80, 60))
    result = pixels(encoded(flat, "PNG", transparency=(9, 8, 7)))
    assert result[30, [10, 70]].tolist() == [[255] * 3, [200, 100, 50]]


def test_transparent_values_of_sixteen_bits_are_put_on_white():
    for color, depth_value, clear, shown in ((0, ">H", (0x1234,), 0x80), (2, ">HHH", (0x1234,) * 3, 0x80)):
        opaque = (0x8080,) * len(clear)
        rows = b"".join(
            b"\0" + struct.pack(depth_value, *clear) * 2 + struct.pack(depth_value, *opaque) * 2 for _ in "ab"
        )
        content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 2, 16, color, 0, 0, 0))
        content += chunk(b"tRNS", struct.pack(">" + "H" * len(clear), *clear))
        content += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND")
        assert pixels(content, Resize(2, 4))[0].tolist() == [[255] * 3] * 2 + [[shown] * 3] * 2


def test_palettes_are_resolved_with_and_without_transparency():
    picture = scene(4).quantize(32)
    assert np.abs(pixels(encoded(picture, "PNG")) - np.asarray(RULE.apply(picture.convert("RGB")), int)).max() == 0
    flat = Image.new("P", (80, 60), 1)
    flat.putpalette([10, 20, 30, 40, 50, 60])
    flat.paste(0, (0, 0, 40, 60))
    result = pixels(encoded(flat, "PNG", transparency=0))
    assert result[30, [10, 70]].tolist() == [[255] * 3, [40, 50, 60]]


def test_one_bit_pictures_become_black_and_white():
    picture = Image.new("1", (80, 60), 1)
    picture.paste(0, (0, 0, 40, 60))
    for kind in ("PNG", "BMP"):
        assert pixels(encoded(picture, kind))[30, [10, 70]].tolist() == [[0] * 3, [255] * 3]


def test_cmyk_becomes_rgb():
    picture = scene(5)
    assert np.abs(pixels(encoded(picture.convert("CMYK"))) - np.asarray(RULE.apply(picture), int)).mean() < 4


def test_grey_and_colour_become_what_the_rule_says():
    grey = encoded(scene(6, grey=True))
    result = pixels(grey)
    assert result.shape == (60, 80, 3)
    assert (result == result[..., :1]).all()
    one = pixels(encoded(scene(6)), Resize(60, 80, color="gray"))
    assert one.shape == (60, 80, 1)
    assert np.abs(one[..., 0] - np.asarray(RULE.apply(scene(6)).convert("L"), int)).mean() < 2


def test_a_draft_is_as_good_as_all_pixels():
    photo = scene(7, width=1200, height=900).resize((2400, 1800), Image.Resampling.BICUBIC)
    content = encoded(photo)
    assert open_picture(content, RULE).size < photo.size
    assert np.abs(pixels(content) - np.asarray(RULE.apply(open_picture(content)), int)).mean() < 1.5


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
def test_a_draft_leaves_twice_the_pixels_that_the_rule_needs(fit):
    for size in ((2000, 500), (500, 2000), (1000, 1000), (161, 121), (4000, 200)):
        rule = Resize(60, 80, fit)
        found = open_picture(encoded(Image.new("RGB", size)), rule).size
        needed = rule.scaled_size(*size)
        assert all(f >= 2 * n or f == s for f, n, s in zip(found, needed, size, strict=True))


def test_a_phone_photo_with_a_second_picture_inside_is_one_picture():
    content = encoded(scene(8), "MPO", save_all=True, append_images=[scene(9)])
    assert b"MPF\0" in content
    assert np.abs(pixels(content) - np.asarray(RULE.apply(scene(8)), int)).mean() < 6


def test_metadata_never_reaches_a_decoder():
    exif = Image.Exif()
    exif[0x0112] = 3
    exif[0x010E] = "words " * 100
    content = encoded(scene(1), exif=exif.tobytes(), comment=b"a comment", icc_profile=b"profile " * 50)
    header = decode_module.read_header(content)
    assert header.orientation == 3
    for word in (b"words", b"comment", b"profile"):
        assert word in content
        assert word not in header.content


# Refusals


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (b"", "empty", "is empty"),
        (b"hello, this is a text", "wrong format", "is no picture; it must be JPEG, PNG, WebP or BMP"),
        (encoded(Image.new("P", (9, 9)), "GIF"), "wrong format", "is a GIF"),
        (encoded(Image.new("RGB", (9, 9)), "TIFF"), "wrong format", "is a TIFF"),
        (encoded(Image.new("RGB", (9, 9)), "PPM"), "wrong format", "is no picture"),
        (encoded(Image.new("RGB", (9, 9)), "ICO"), "wrong format", "is an icon"),
        (b"%PDF-1.7 and so on, and on", "wrong format", "is a PDF"),
        (b"\0\0\0\x20ftypheic and so on", "wrong format", "is a HEIC"),
        (png_of_size(20000, 20000), "too many pixels", "has 20000 x 20000 pixels; at most 50,000,000"),
        (bmp_of_size(10000, -10000), "too many pixels", "has 10000 x 10000 pixels"),
        (png_of_size(0, 5), "unreadable", "its size is 0 x 5"),
        (bmp_of_size(-5, 5), "unreadable", "its size is -5 x 5"),
        (bmp_of_size(3000, 3000, compression=1), "unreadable", "run-length"),
        (b"\xff\xd8\xff\xd9" + b"0" * 20, "unreadable", "it ends before its pixels begin"),
    ],
)
def test_what_is_refused_and_why(content, kind, words):
    fault = refusal(content)
    assert fault.kind == kind
    assert words in fault.reason


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_that_is_cut_off_is_called_so(kind, share):
    content = encoded(scene(1), kind)
    assert refusal(content[: int(len(content) * share)]).kind == "truncated"


def test_a_progressive_jpeg_that_is_cut_off_is_called_so():
    content = encoded(scene(1), progressive=True)
    assert decode(content, RULE).shape == (60, 80, 3)
    assert refusal(content[: len(content) * 2 // 3]).kind == "truncated"


def test_a_png_without_its_end_is_called_cut_off():
    assert refusal(encoded(scene(1), "PNG")[:-12]).kind == "truncated"


def test_a_png_with_a_wrong_checksum_is_damaged():
    content = bytearray(encoded(scene(1), "PNG"))
    content[content.index(b"IDAT") + 100] ^= 1
    assert "checksum" in refusal(bytes(content)).reason


def animation(kind):
    return encoded(scene(1), kind, save_all=True, append_images=[scene(2), scene(3)])


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_animations_are_refused(kind):
    fault = refusal(animation(kind))
    assert (fault.kind, fault.reason.split(";")[0]) == ("animated", "is an animation of 3 frames")


def test_a_huge_webp_is_refused_before_its_decoder_takes_memory():
    content = bytearray(encoded(Image.new("RGBA", (20, 20), (1, 2, 3, 4)), "WEBP"))
    at = content.index(b"VP8X")
    content[at + 12 : at + 18] = (16000).to_bytes(3, "little") * 2
    assert refusal(bytes(content)).kind == "too many pixels"


def test_a_jpeg_of_a_thousand_scans_is_refused_at_once():
    content = encoded(scene(1), progressive=True)
    first = content.rindex(b"\xff\xda")
    scan = content[first:-2]
    started = time.perf_counter()
    assert "scans" in refusal(content[:-2] + scan * 1000 + content[-2:]).reason
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xd8" + b"\xff" * 5_000_000,
        b"\xff\xd8\xff" + b"\xe1\x00\x02\xff" * 1_000_000,
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 2, 0, 0, 0))
        + chunk(b"aaAa") * 1_000_000,
        b"RIFF" + struct.pack("<I", 8_000_004) + b"WEBP" + b"junk\0\0\0\0" * 1_000_000,
    ],
    ids=["fill bytes", "empty segments", "empty PNG chunks", "empty WebP chunks"],
)
def test_a_file_of_a_million_empty_parts_is_refused_at_once(content):
    started = time.perf_counter()
    refusal(content)
    assert time.perf_counter() - started < 2


def test_a_file_of_too_many_bytes_is_refused_unread(tmp_path):
    path = write(tmp_path / "large.jpg", encoded(scene(1)))
    os.truncate(path, LARGEST_FILE + 1)
    fault = refusal(path)
    assert (fault.kind, "takes 50,000,001 bytes" in fault.reason) == ("too large", True)
    assert refusal(b"x" * (LARGEST_FILE + 1)).kind == "too large"


def test_what_is_no_file_is_refused(tmp_path):
    assert refusal(tmp_path).kind == "unreadable"
    assert "No such file" in refusal(tmp_path / "none.jpg").reason
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.jpg")
        assert "no file" in refusal(tmp_path / "pipe.jpg").reason


def test_the_message_names_the_file(tmp_path):
    with pytest.raises(CnnflowError, match=r"a\.jpg is empty; copy it again or delete it"):
        decode(write(tmp_path / "a.jpg", b""), RULE)


def test_a_bomb_takes_no_memory():
    """A PNG of 12 KB that unpacks to a gigabyte; in a process of its own, since peaks never go down."""
    script = (
        "import resource, struct, zlib\n"
        "from test_decode import png_of_size\n"
        "from cnnflow.data.decode import decode\n"
        "from cnnflow.data.faults import PictureError\n"
        "from cnnflow.data.resize import Resize\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "try:\n    decode(png_of_size(16000, 16000), Resize())\n"
        "except PictureError as error:\n    print(error.fault.kind, peak() - before)\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    *kind, kilobytes = done.stdout.split()
    assert kind == ["too", "many", "pixels"]
    assert int(kilobytes) < 20_000


# Many files


def test_many_files_come_in_order_with_the_reasons_of_those_refused(tmp_path):
    paths = [write(tmp_path / f"{number}.jpg", encoded(scene(number))) for number in range(40)]
    paths[7].write_bytes(b"")
    paths[23].write_bytes(paths[23].read_bytes()[:500])
    events = []
    results = list(decode_many(paths, RULE, workers=3, on_event=events.append))
    assert [result.path for result in results] == paths
    for number, result in enumerate(results):
        if number in (7, 23):
            assert result.image is None
            assert result.fault.kind == {7: "empty", 23: "truncated"}[number]
        else:
            assert np.array_equal(result.image, decode(paths[number], RULE))
    assert [event.done for event in events] == [32, 40]
    assert events[-1].total == 40


def test_only_a_few_pictures_are_ahead(tmp_path, monkeypatch):
    started = []
    plain = decode_module.decode
    monkeypatch.setattr(decode_module, "decode", lambda path, rule: started.append(path) or plain(path, rule))
    paths = [write(tmp_path / "one.jpg", encoded(scene(0)))] * 2000
    results = decode_many(paths, RULE, workers=2)
    next(results)
    time.sleep(0.2)
    assert len(started) <= 16 * 2 * 3
    results.close()


# Damaged files: a few here, ten thousand in the slow test


def variants(contents, count, seed):
    """Files with flipped bytes, cut off, with bytes taken out or doubled."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        content = bytearray(contents[number % len(contents)])
        kind = number // len(contents) % 4
        if kind == 0:
            for at in rng.integers(0, len(content), rng.integers(1, 30)):
                content[at] ^= int(rng.integers(1, 256))
        elif kind == 1:
            del content[int(rng.integers(0, len(content))) :]
        elif kind == 2:
            for at in rng.integers(0, min(200, len(content)), 4):  # the headers
                content[at] = int(rng.integers(0, 256))
        else:
            start = int(rng.integers(0, len(content)))
            end = min(len(content), start + int(rng.integers(1, 200)))
            content[start:end] = bytes(content[start:end]) * int(rng.integers(0, 3))
        yield bytes(content)


def assert_a_picture_or_an_error(contents, count, seed):
    outcomes = {"picture": 0, "error": 0}
    slowest = 0.0
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for content in variants(contents, count, seed):
            started = time.perf_counter()
            try:
                image = decode(content, RULE)
            except CnnflowError:
                outcomes["error"] += 1
            else:
                outcomes["picture"] += 1
                assert (image.shape, image.dtype) == ((60, 80, 3), np.uint8)
            slowest = max(slowest, time.perf_counter() - started)
    assert not said
    assert slowest < 5
    return outcomes


def drawn_files():
    deep = Image.fromarray(np.arange(60 * 80, dtype=np.uint16).reshape(60, 80) * 13)
    clear = scene(3).convert("RGBA")
    clear.putalpha(128)
    exif = Image.Exif()
    exif[0x0112] = 6
    return [
        encoded(scene(1), exif=exif.tobytes()),
        encoded(scene(2), progressive=True),
        encoded(scene(3).convert("CMYK")),
        encoded(scene(4), "PNG"),
        encoded(scene(5).quantize(64), "PNG", transparency=3),
        encoded(deep, "PNG"),
        encoded(clear, "PNG"),
        encoded(scene(6), "WEBP"),
        encoded(clear, "WEBP", lossless=True, exif=exif.tobytes()),
        encoded(scene(7), "BMP"),
        encoded(scene(8).quantize(16), "BMP"),
    ]


def test_damaged_files_give_a_picture_or_one_error():
    outcomes = assert_a_picture_or_an_error(drawn_files(), 220, seed=0)
    assert min(outcomes.values()) > 20


@pytest.mark.slow
@pytest.mark.shared_data
def test_ten_thousand_damaged_photos_give_a_picture_or_one_error():
    if not PHOTOS.is_dir():
        pytest.skip(f"the flower photos are not at {PHOTOS}")
    photos = [path.read_bytes() for path in sorted(PHOTOS.glob("*/*.jpg"))[::300]]
    pictures = [open_picture(photo) for photo in photos[:6]]
    contents = [
        *photos,
        *(encoded(p, "PNG") for p in pictures),
        *(encoded(p, "WEBP") for p in pictures),
        *drawn_files(),
    ]
    outcomes = assert_a_picture_or_an_error(contents, 10_000, seed=1)
    print(outcomes)
    assert min(outcomes.values()) > 1000


def test_no_other_decoder_is_loaded():
    """Of Pillow's forty plugins, its own start loads five; a WebP and what is no picture load no more."""
    script = (
        "import sys\n"
        "from cnnflow.data.decode import decode\n"
        "from cnnflow.data.resize import Resize\n"
        "from cnnflow.errors import CnnflowError\n"
        f"decode({encoded(scene(0, width=9, height=9), 'WEBP')!r}, Resize())\n"
        "for content in (b'MM\\0*' + bytes(100), b'%!PS-Adobe', bytes(100)):\n"
        "    try:\n        decode(content, Resize())\n"
        "    except CnnflowError: pass\n"
        "print(*sorted(m[4:-11] for m in sys.modules if m.startswith('PIL.') and m.endswith('ImagePlugin')))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert set(done.stdout.split()) <= {"Bmp", "Gif", "Jpeg", "Png", "Ppm", "WebP"}
