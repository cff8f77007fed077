"""Views of a picture: a model may be shown it several times, shifted and mirrored, and its answers averaged.

Test-time augmentation. Mirror images: Krizhevsky et al. 2012, section 4.1; shifts by a pixel: airbench (Jordan 2024,
arXiv:2404.00498, section 3.5). It helps a network that was trained on pictures changed in the same way, and no other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnnflow.config import TTA, one_of
from cnnflow.errors import OptionError
from cnnflow.transforms.crop import adjust_crop

# One pixel of Fashion-MNIST's and of CIFAR-10's, eight of a photo of 224.
_SHIFT = 28


@dataclass(frozen=True)
class View:
    """A picture as a model is shown it: moved by whole pixels, its edges reflected, and then mirrored or not.

    Attributes:
        shift: where its window starts, in pixels down and to the right of the picture's corner; negative: up and left.
        mirrored: whether left and right are exchanged.
    """

    shift: int = 0
    mirrored: bool = False

    def of(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 `[n, height, width, channels]`, each image so seen."""
        if self == View():
            return images
        return adjust_crop(images, (self.shift, self.shift), mirrored=self.mirrored)

    def to_dict(self) -> dict[str, Any]:
        """The view for a JSON file."""
        return {"shift": self.shift, "mirrored": self.mirrored}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "View":
        """The view of `to_dict`; raises `OptionError` for anything else."""
        view = cls(content["shift"], content["mirrored"])
        if (type(view.shift), type(view.mirrored)) != (int, bool):
            raise OptionError(f"a view of {dict(content)}; shift must be a whole number, mirrored true or false")
        return view


PLAIN = (View(),)


def views_of(tta: str, size: Sequence[int], *, mirror: bool) -> tuple[View, ...]:
    """The views that `tta` stands for.

    - "none": the picture.
    - "mirror": the picture and its mirror image.
    - "shift": these, and both of them moved up and left, and down and right, by a 28th of a side.

    Args:
        tta: one of the names.
        size: `(height, width)` of the pictures.
        mirror: whether a picture flipped left to right still shows its class; else no view is mirrored.

    Raises:
        OptionError: an unknown name.

    Example:
        >>> views_of("mirror", (28, 28), mirror=True)
        (View(shift=0, mirrored=False), View(shift=0, mirrored=True))
    """
    one_of("tta", tta, TTA)
    step = min(max(1, min(size) // _SHIFT), min(size) - 1)
    shifts = (0, -step, step) if tta == "shift" and step else (0,)
    sides = (False, True) if tta != "none" and mirror else (False,)
    return tuple(View(shift, mirrored) for shift in shifts for mirrored in sides)
