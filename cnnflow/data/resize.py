"""`Resize`: how a picture of any size becomes one of the size that a model takes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from PIL import Image

from cnnflow.config import COLORS, FITS, DataConfig, one_of
from cnnflow.errors import OptionError

DEFAULT_SIDE = 80
LARGEST_SIDE = 4096


@dataclass(frozen=True)
class Resize:
    """The size, the way to it and the colours of a model's pictures; stored with the model.

    Attributes:
        height: rows of the result, 1 to 4096.
        width: columns of the result, 1 to 4096.
        fit: "stretch" changes the proportions; "pad" keeps them and fills up with black; "crop" keeps them and
            cuts the longer side at both ends.
        color: "rgb" (3 channels) or "gray" (1 channel).

    Example:
        >>> Resize(60, 80, "pad").apply(Image.new("RGB", (300, 300))).size
        (80, 60)
    """

    height: int = DEFAULT_SIDE
    width: int = DEFAULT_SIDE
    fit: str = "stretch"
    color: str = "rgb"

    def __post_init__(self) -> None:
        for name, side in (("height", self.height), ("width", self.width)):
            if type(side) is not int or not 1 <= side <= LARGEST_SIDE:
                raise OptionError(f"{name}={side!r}; it must be a whole number from 1 to {LARGEST_SIDE}, such as 80")
        one_of("fit", self.fit, FITS)
        one_of("color", self.color, COLORS)

    @classmethod
    def from_config(cls, config: DataConfig) -> "Resize":
        """The rule that `config` asks for; without a size: 80 x 80."""
        height, width = config.size or (DEFAULT_SIDE, DEFAULT_SIDE)
        return cls(height, width, config.fit, config.color)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Resize":
        """The rule that `to_dict` described; raises `OptionError` for anything else."""
        names = set(cls().to_dict())
        if set(content) != names:
            raise OptionError(f"a resize rule with {sorted(content)}; it must have exactly {sorted(names)}")
        return cls(**content)

    def to_dict(self) -> dict[str, str | int]:
        """The rule as JSON-able options."""
        return asdict(self)

    @property
    def shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of the result."""
        return self.height, self.width, len(self.mode)

    @property
    def mode(self) -> str:
        """Pillow's name of the result's mode: "RGB" or "L"."""
        return "RGB" if self.color == "rgb" else "L"

    def scaled_size(self, width: int, height: int) -> tuple[int, int]:
        """`(width, height)` that a picture of this size is scaled to as a whole, before it is cut or filled up."""
        if self.fit == "stretch":
            return self.width, self.height
        choose = min if self.fit == "pad" else max
        scale = choose(self.width / width, self.height / height)
        return max(1, round(width * scale)), max(1, round(height * scale))

    def lost(self, width: int, height: int) -> float:
        """The share that is lost of a picture of this size: what "crop" cuts away, what "pad" fills with black."""
        if self.fit == "stretch":
            return 0.0
        scaled_width, scaled_height = self.width * height, self.height * width
        return 1 - min(scaled_width, scaled_height) / max(scaled_width, scaled_height)

    def apply(self, picture: Image.Image) -> Image.Image:
        """Bring `picture` (mode "L" or "RGB", any size) to the size; its mode is kept.

        A large picture is averaged over the source pixels under each target pixel, so nothing is skipped.
        """
        if self.fit == "pad":
            return _padded(picture, self)
        box = _centre(picture.size, self.width / self.height) if self.fit == "crop" else None
        return _scaled(picture, (self.width, self.height), box)


def _scaled(
    picture: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    if picture.size == size and box is None:
        return picture
    left, upper, right, lower = box or (0, 0, *picture.size)
    shrinks = min((right - left) / size[0], (lower - upper) / size[1])
    # From twice the size on, the plain average over the pixels under each target pixel is as good and half as dear.
    method = Image.Resampling.BOX if shrinks >= 2 else Image.Resampling.BILINEAR
    return picture.resize(size, method, box=box)


def _padded(picture: Image.Image, resize: Resize) -> Image.Image:
    inner = _scaled(picture, resize.scaled_size(*picture.size))
    outer = Image.new(picture.mode, (resize.width, resize.height))
    outer.paste(inner, ((resize.width - inner.width) // 2, (resize.height - inner.height) // 2))
    return outer


def _centre(size: tuple[int, int], proportion: float) -> tuple[float, float, float, float] | None:
    """The largest box of `proportion` (width / height) in the middle of a picture; None: all of it."""
    width, height = size
    if width == height * proportion:
        return None
    inner_width, inner_height = min(width, height * proportion), min(height, width / proportion)
    left, upper = (width - inner_width) / 2, (height - inner_height) / 2
    return left, upper, left + inner_width, upper + inner_height
