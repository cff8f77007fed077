"""Bilinear interpolation at one affine map an image, in integers and in chunks that fit a core's cache.

The way it goes: the three channels of a pixel become lanes of 16 bits in one uint64 (a grey pixel is a uint16 by
itself), so that one gather and one multiplication serve all of them; places are int32 with 16 bits after the point;
the four weights of a place sum to 256, so that no lane overflows. Integers also make the bytes the same on every
machine. The views of bytes below rely on little-endian order, as every platform of Keras has it.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Lanes = NDArray[np.unsignedinteger[Any]]

# One pixel, as a fixed-point place. Weights use the upper 8 of the 16 bits after the point.
ONE = 1 << 16
# Half of a weight's unit: cutting off the lower 8 bits then rounds.
ROUND = ONE >> 9
# Farther than this from an image, in pixels, a fixed-point place could overflow.
REACH = 30_000
# Pixels added before and after each side: places outside of the image read them.
BEFORE, AFTER = 1, 2
# Output pixels computed at a time: what they need then stays in a core's own cache.
CHUNK_PIXELS = 1 << 15
# 1 in each of the three lanes of a uint64.
EACH_LANE = 0x0001_0001_0001
# The four pixels around a place, as (rows, columns) after the one above and left of it.
CORNERS = ((0, 0), (0, 1), (1, 0), (1, 1))


def warp(images: NDArray[np.uint8], maps: NDArray[np.float64], fill: str, value: int) -> NDArray[np.uint8]:
    """The images `[n, height, width, channels]` at `maps` `[n, 2, 3]`, as `adjust_affine` describes it."""
    n, height, width, channels = images.shape
    rows, columns = _Places.along(maps[:, 0], height, width), _Places.along(maps[:, 1], height, width)
    moved = np.empty(images.shape, np.uint8)
    # Several whole images a chunk, or some lines of one.
    step, lines = max(1, CHUNK_PIXELS // (height * width)), max(1, CHUNK_PIXELS // width)
    buffers = _Buffers.of(min(step, n) * min(lines, height) * width, channels)
    memory = _margined(min(step, n), height, width, channels)
    for start in range(0, n, step):
        part = slice(start, start + step)
        lanes = _pack(images[part], fill, value, memory)
        for top in range(0, height, lines):
            block = slice(top, top + lines)
            result = moved[part, block].reshape(-1, channels)
            chunk = buffers.first(len(result))
            rows.write(part, block, out=chunk.rows)
            columns.write(part, block, out=chunk.columns)
            _bring_inside(chunk.rows, height, fill)
            _bring_inside(chunk.columns, width, fill)
            _weigh(chunk)
            _locate(chunk, lanes.shape)
            _blend(chunk, lanes)
            _unpack(chunk, result)
    return moved


@dataclass(frozen=True)
class _Places:
    """One coordinate of where the output pixels come from: the sum of two fixed-point parts, from `BEFORE` on."""

    by_row: NDArray[np.int32]  # [n, height]
    by_column: NDArray[np.int32]  # [n, width]

    @classmethod
    def along(cls, equations: NDArray[np.float64], height: int, width: int) -> "_Places":
        """From the rows `[n, 3]` of the maps that give this coordinate."""
        by_row = equations[:, :1] * np.arange(height) + equations[:, 2:] + BEFORE
        by_column = equations[:, 1:2] * np.arange(width)
        return cls(_fixed(by_row) + np.int32(ROUND), _fixed(by_column))

    def write(self, part: slice, block: slice, *, out: NDArray[np.int32]) -> None:
        by_row, by_column = self.by_row[part, block, None], self.by_column[part, None, :]
        np.add(by_row, by_column, out=out.reshape(*by_row.shape[:2], by_column.shape[2]))


@dataclass(frozen=True)
class _Buffers:
    """Memory for the pixels of a chunk, used again for each: fresh pages would take longer than the arithmetic."""

    rows: NDArray[np.int32]
    columns: NDArray[np.int32]
    indices: NDArray[np.intp]
    weights: NDArray[np.uint16]  # [4, pixels], in the order of CORNERS
    weight: Lanes
    levels: Lanes
    total: Lanes

    @classmethod
    def of(cls, pixels: int, channels: int) -> "_Buffers":
        lane: type[np.unsignedinteger[Any]] = np.uint16 if channels == 1 else np.uint64
        rows, columns = np.empty((2, pixels), np.int32)
        weight, levels, total = np.empty((3, pixels), lane)
        return cls(rows, columns, np.empty(pixels, np.intp), np.empty((4, pixels), np.uint16), weight, levels, total)

    def first(self, pixels: int) -> "_Buffers":
        return _Buffers(
            self.rows[:pixels],
            self.columns[:pixels],
            self.indices[:pixels],
            self.weights[:, :pixels],
            self.weight[:pixels],
            self.levels[:pixels],
            self.total[:pixels],
        )


def _fixed(places: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint(places * ONE).astype(np.int32)


def _margined(count: int, height: int, width: int, channels: int) -> Lanes:
    """Memory for the lanes of `count` images and the pixels around them, all zero."""
    sides = (count, BEFORE + height + AFTER, BEFORE + width + AFTER)
    return np.zeros(sides, np.uint16 if channels == 1 else np.uint64)


def _pack(images: NDArray[np.uint8], fill: str, value: int, memory: Lanes) -> Lanes:
    """Each pixel as one number, in the first `len(images)` of `memory`, whose upper bytes of lanes stay zero."""
    channels, lanes = images.shape[3], memory[: len(images)]
    lane_bytes = lanes.view(np.uint8).reshape(*lanes.shape, -1)[:, BEFORE:-AFTER, BEFORE:-AFTER]
    for channel in range(channels):
        lane_bytes[..., 2 * channel] = images[..., channel]
    _fill_margin(lanes, fill, value * (1 if channels == 1 else EACH_LANE))
    return lanes


def _fill_margin(lanes: Lanes, fill: str, value: int) -> None:
    """The pixels around the images: the constant, or the nearest pixel of the image."""
    columns = lanes[:, BEFORE:-AFTER]
    columns[:, :, :BEFORE] = value if fill == "constant" else columns[:, :, BEFORE : BEFORE + 1]
    columns[:, :, -AFTER:] = value if fill == "constant" else columns[:, :, -AFTER - 1 : -AFTER]
    lanes[:, :BEFORE] = value if fill == "constant" else lanes[:, BEFORE : BEFORE + 1]
    lanes[:, -AFTER:] = value if fill == "constant" else lanes[:, -AFTER - 1 : -AFTER]


def _bring_inside(places: NDArray[np.int32], side: int, fill: str) -> None:
    """Change places outside of a side of `side` pixels to where their levels are."""
    if fill == "constant":
        # Both ends lie in the margin, where two neighbours hold the constant or one weighs nothing.
        np.clip(places, 0, (BEFORE + side) * ONE, out=places)
        return
    if fill == "reflect":
        _fold(places, side)
    np.clip(places, BEFORE * ONE, (BEFORE + side - 1) * ONE, out=places)


def _fold(places: NDArray[np.int32], side: int) -> None:
    """Reflect places about the outer edges of the first and the last pixel, until none is outside."""
    # ROUND is part of each place; reflected, it would round the wrong way.
    edge, length = BEFORE * ONE - ONE // 2 + ROUND, side * ONE
    places -= edge
    while places.size and (places.min() < 0 or places.max() > length):
        np.absolute(places, out=places)
        np.subtract(length, places, out=places)
        np.absolute(places, out=places)
        np.subtract(length, places, out=places)
    places += edge


def _weigh(chunk: _Buffers) -> None:
    """The weights of the four pixels around each place: multiples of 1/256 that sum to 1."""
    here, right, below, both = chunk.weights
    np.copyto(right, chunk.columns.view(np.uint8)[1::4])
    np.copyto(below, chunk.rows.view(np.uint8)[1::4])
    np.multiply(right, below, out=both)
    both += 128
    both >>= 8
    right -= both
    below -= both
    np.subtract(256, right, out=here)
    here -= below
    here -= both


def _locate(chunk: _Buffers, shape: tuple[int, ...]) -> None:
    """The index into the lanes of the pixel above and left of each place."""
    m, height, width = shape
    rows, columns = chunk.rows, chunk.columns
    np.right_shift(rows, 16, out=rows)
    np.right_shift(columns, 16, out=columns)
    rows *= width
    rows += columns
    by_image = rows.reshape(m, -1)
    by_image += (np.arange(m, dtype=np.int32) * (height * width))[:, None]
    np.copyto(chunk.indices, rows)


def _blend(chunk: _Buffers, lanes: Lanes) -> None:
    """The weighted sum of the four pixels around each place, and a half: the result is the upper byte of a lane."""
    width, flat = lanes.shape[2], lanes.reshape(-1)
    chunk.total.fill(128 if lanes.dtype == np.uint16 else 128 * EACH_LANE)
    for (down, right), weight in zip(CORNERS, chunk.weights, strict=True):
        np.copyto(chunk.weight, weight)
        # mode="wrap" is the fastest one; every index is inside.
        flat[down * width + right :].take(chunk.indices, out=chunk.levels, mode="wrap")
        np.multiply(chunk.levels, chunk.weight, out=chunk.levels)
        np.add(chunk.total, chunk.levels, out=chunk.total)


def _unpack(chunk: _Buffers, result: NDArray[np.uint8]) -> None:
    """The upper byte of each lane, to `result` `[pixels, channels]`."""
    pixels, channels = result.shape
    lane_bytes = chunk.total.view(np.uint8).reshape(pixels, -1)
    for channel in range(channels):
        result[:, channel] = lane_bytes[:, 2 * channel + 1]
