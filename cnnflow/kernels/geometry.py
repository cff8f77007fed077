"""Where the windows of a convolution or a pooling lie: sizes, padding and the slices that follow from them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from cnnflow.errors import OptionError

Padding = str | Sequence[Sequence[int]]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """The windows over an image of `input` size; every field is (vertical, horizontal), `padding` two such pairs.

    `output` is how many windows there are. A "place" is a position (row, column) in the window.
    """

    input: Pair
    kernel: Pair
    strides: Pair
    dilation: Pair
    padding: tuple[Pair, Pair]
    output: Pair

    @property
    def places(self) -> list[Pair]:
        """The positions in the window, in row-major order."""
        return [(i, j) for i in range(self.kernel[0]) for j in range(self.kernel[1])]

    @property
    def tiles(self) -> bool:
        """Whether the windows lie side by side, neither apart nor overlapping."""
        return self.kernel == self.strides and self.dilation == (1, 1)

    @property
    def reach(self) -> Pair:
        """The size of a window with its holes, where it is dilated."""
        kernel, dilation = self.kernel, self.dilation
        return dilation[0] * (kernel[0] - 1) + 1, dilation[1] * (kernel[1] - 1) + 1

    @property
    def span(self) -> Pair:
        """The size of the padded image that the windows see."""
        output, strides, reach = self.output, self.strides, self.reach
        return (output[0] - 1) * strides[0] + reach[0], (output[1] - 1) * strides[1] + reach[1]

    @property
    def edges(self) -> tuple[Pair, Pair]:
        """The padding that windows see, negative where none reaches the last rows or columns."""
        (top, _), (left, _) = self.padding
        return (top, self.span[0] - self.input[0] - top), (left, self.span[1] - self.input[1] - left)

    @property
    def transposed(self) -> "Geometry":
        """The windows of the images' gradient where the stride is 1, itself a convolution of the outputs' gradient."""
        (rows, columns), ((top, _), (left, _)) = self.reach, self.padding
        (h, w), (output_h, output_w) = self.input, self.output
        vertical, horizontal = (rows - 1 - top, h - output_h + top), (columns - 1 - left, w - output_w + left)
        return Geometry(self.output, self.kernel, (1, 1), self.dilation, (vertical, horizontal), self.input)

    def pad(self, x: Any, fill: float = 0) -> Any:
        """[n, h, w, c] -> [n, *span, c]: padded, and cut where no window reaches the last rows or columns."""
        return lax.pad(x, jnp.asarray(fill, x.dtype), ((0, 0, 0), *((*edge, 0) for edge in self.edges), (0, 0, 0)))

    def crop(self, x: Any) -> Any:
        """The transpose of `pad`: [n, *span, c] -> [n, h, w, c]."""
        edges = [(-low, -high, 0) for low, high in self.edges]
        if self.edges == ((0, 0), (0, 0)):
            return x
        return lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *edges, (0, 0, 0)))

    def window(self, padded: Any, i: int, j: int) -> Any:
        """What place (i, j) of every window sees: [n, *span, c] -> [n, *output, c]."""
        n, _, _, c = padded.shape
        (h, w), (down, right) = self.output, self.strides
        i, j = i * self.dilation[0], j * self.dilation[1]
        stop = (n, i + (h - 1) * down + 1, j + (w - 1) * right + 1, c)
        return lax.slice(padded, (0, i, j, 0), stop, (1, down, right, 1))

    def unwindow(self, part: Any, i: int, j: int) -> Any:
        """The transpose of `window`: [n, *output, c] -> [n, *span, c], zero elsewhere."""
        (h, w), (down, right), span = self.output, self.strides, self.span
        i, j = i * self.dilation[0], j * self.dilation[1]
        rows = (i, span[0] - i - (h - 1) * down - 1, down - 1)
        columns = (j, span[1] - j - (w - 1) * right - 1, right - 1)
        return lax.pad(part, jnp.zeros((), part.dtype), ((0, 0, 0), rows, columns, (0, 0, 0)))

    def convolve(self, x: Any, kernel: Any, groups: int = 1) -> Any:
        """XLA's own convolution."""
        # A window that sees nothing but padding: XLA's compiler aborts on the strided gradient (jaxlib 0.10.2).
        beyond = any(max(edge) >= reach for edge, reach in zip(self.padding, self.reach, strict=True))
        apart = beyond and self.strides != (1, 1)
        return lax.conv_general_dilated(
            self.pad(x) if apart else x,
            kernel,
            self.strides,
            "VALID" if apart else self.padding,
            rhs_dilation=self.dilation,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=groups,
        )

    def inverse_counts(self, dtype: Any) -> Any:
        """[h', w', 1]: one over the number of image elements (not padding) in each window."""
        rows, columns = (self._counts(axis) for axis in (0, 1))
        return jnp.asarray(1.0 / (rows[:, None] * columns[None, :])[:, :, None], dtype)

    def _counts(self, axis: int) -> Any:
        first = np.arange(self.output[axis]) * self.strides[axis] - self.padding[axis][0]
        taps = first[:, None] + self.dilation[axis] * np.arange(self.kernel[axis])
        return ((taps >= 0) & (taps < self.input[axis])).sum(axis=1).astype(np.float64)


def geometry(
    size: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    padding: Padding,
    dilation: Sequence[int] = (1, 1),
) -> Geometry:
    """The geometry of windows over an image of `size` (height, width).

    Raises:
        OptionError: `padding` is neither "same", "valid" nor ((top, bottom), (left, right)), or no window fits.
    """
    axes = [_axis(*values) for values in zip(size, kernel, strides, dilation, _padding_pairs(padding), strict=True)]
    pairs = ((axes[0][0], axes[0][1]), (axes[1][0], axes[1][1]))
    output = (axes[0][2], axes[1][2])
    if min(output) < 1:
        raise OptionError(f"no {tuple(kernel)} window fits an image of {tuple(size)}; use padding='same'")
    return Geometry(_pair(size), _pair(kernel), _pair(strides), _pair(dilation), pairs, output)


def _pair(values: Sequence[int]) -> Pair:
    return int(values[0]), int(values[1])


def _padding_pairs(padding: Padding) -> Sequence[Sequence[int] | str]:
    if isinstance(padding, str):
        if padding.lower() not in ("same", "valid"):
            raise OptionError(f"padding={padding!r}; it must be 'same', 'valid' or ((top, bottom), (left, right))")
        return (padding.lower(), padding.lower())
    return padding


def _axis(size: int, kernel: int, stride: int, dilation: int, padding: Sequence[int] | str) -> tuple[int, int, int]:
    """Padding before, padding after and the number of windows, along one axis."""
    reach = dilation * (kernel - 1) + 1
    if padding == "same":
        windows = -(-size // stride)
        missing = max((windows - 1) * stride + reach - size, 0)
        return missing // 2, missing - missing // 2, windows
    low, high = (0, 0) if padding == "valid" else (int(padding[0]), int(padding[1]))
    return low, high, (size + low + high - reach) // stride + 1
