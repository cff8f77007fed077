"""What can be wrong with a picture's file."""

from dataclasses import dataclass

from cnnflow.errors import DataError

EMPTY = "empty"
TOO_LARGE = "too large"
TOO_MANY_PIXELS = "too many pixels"
WRONG_FORMAT = "wrong format"
ANIMATED = "animated"
TRUNCATED = "truncated"
UNREADABLE = "unreadable"
OUTSIDE = "outside the folder"

FAULTS = (EMPTY, TOO_LARGE, TOO_MANY_PIXELS, WRONG_FORMAT, ANIMATED, TRUNCATED, UNREADABLE, OUTSIDE)


@dataclass(frozen=True)
class Fault:
    """Why a file is refused.

    Attributes:
        kind: one of `FAULTS`.
        reason: what is wrong and the way out, to be read after the file's name: "is empty; copy it again or delete it".
    """

    kind: str
    reason: str


class PictureError(DataError):
    """A picture's file is refused; `fault` says why, the message says it after the file's name."""

    def __init__(self, fault: Fault, name: str = "the picture") -> None:
        super().__init__(f"{name} {fault.reason}")
        self.fault = fault

    def about(self, name: str) -> "PictureError":
        """The same error with the file's `name` in its message."""
        return PictureError(self.fault, name)


def empty() -> PictureError:
    """The file has no bytes."""
    return PictureError(Fault(EMPTY, "is empty; copy it again or delete it"))


def too_large(size: int, limit: int) -> PictureError:
    """The file has more bytes than are read."""
    return PictureError(Fault(TOO_LARGE, f"takes {size:,} bytes; at most {limit:,} are read: make it smaller"))


def too_many_pixels(width: int, height: int, limit: int) -> PictureError:
    """The picture has more pixels than are decoded."""
    reason = f"has {width} x {height} pixels; at most {limit:,} are decoded: make it smaller"
    return PictureError(Fault(TOO_MANY_PIXELS, reason))


def wrong_format(kind: str | None) -> PictureError:
    """The bytes are those of another `kind` of file (None: of no known one)."""
    what = f"is {kind}" if kind else "is no picture"
    return PictureError(Fault(WRONG_FORMAT, f"{what}; it must be JPEG, PNG, WebP or BMP: convert it or delete it"))


def animated(frames: int) -> PictureError:
    """The file holds several frames."""
    return PictureError(Fault(ANIMATED, f"is an animation of {frames} frames; save the frame that is meant as a file"))


def truncated() -> PictureError:
    """The file ends too early."""
    return PictureError(Fault(TRUNCATED, "is cut off; copy it again or delete it"))


def unreadable(why: str) -> PictureError:
    """The bytes cannot be decoded, or the file cannot be opened."""
    return PictureError(Fault(UNREADABLE, f"cannot be read ({' '.join(why.split())}); repair it or delete it"))
