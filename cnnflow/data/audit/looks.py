"""Findings about how pictures look: too dark, too bright, blurred, of one colour, long and thin, grey among colour.

All are soft. The limits were set on the 3,670 flower photos: apart from the grey ones they single out 5 of 1,000 there,
and of 367 copies that were blurred by 2% of their width every one.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageStat

from cnnflow.data.audit.findings import SOFT, Finding

DARK, BRIGHT, BLURRED, ONE_COLOR, PROPORTIONS = "very dark", "very bright", "blurred", "one colour", "odd proportions"
GREY, COLORED = "grey among colour", "colour among grey"

_DARKEST, _BRIGHTEST = 20.0, 235.0
_FLATTEST = 8.0
_BLUNTEST = 0.1
_LONGEST = 3.0
_LEAST_CHROMA = 1.0
_MINORITY = 0.2
_SIDE = 256


@dataclass(frozen=True)
class Look:
    """How a picture looks, measured at most 256 pixels wide and high.

    Attributes:
        width: its own width in pixels.
        height: its own height in pixels.
        brightness: the mean of all values, 0 to 255.
        spread: the standard deviation of the channel that varies most.
        edges: how strong its strongest edges are (the 99th percentile of the Laplacian's absolute value) as a fraction
            of its range from dark to bright (1st to 99th percentile).
        chroma: the mean difference between its channels, 0 where it is grey.
    """

    width: int
    height: int
    brightness: float
    spread: float
    edges: float
    chroma: float


def look(picture: Image.Image) -> Look:
    """Measure a picture of mode "L" or "RGB"."""
    small = picture.copy()
    small.thumbnail((_SIDE, _SIDE), Image.Resampling.BILINEAR)
    values = ImageStat.Stat(small)
    differences = [ImageChops.difference(*pair) for pair in itertools.pairwise(small.split())]
    return Look(
        *picture.size,
        brightness=sum(values.mean) / len(values.mean),
        spread=max(values.stddev),
        edges=_edges(np.asarray(small.convert("L"), np.int16)),
        chroma=max((ImageStat.Stat(difference).mean[0] for difference in differences), default=0.0),
    )


def look_findings(names: Sequence[str], looks: Sequence[Look]) -> list[Finding]:
    """What stands out among pictures, by the `names` of their files."""
    found = [finding for name, one in zip(names, looks, strict=True) for finding in _about(name, one)]
    return found + _minority(names, looks)


def _about(name: str, one: Look) -> list[Finding]:
    found = []
    if one.spread < _FLATTEST:
        found.append((ONE_COLOR, f"is almost one colour (spread {one.spread:.1f} of 255)"))
    elif one.edges < _BLUNTEST:
        found.append((BLURRED, f"is blurred (its edges reach {one.edges:.0%} of its range)"))
    if one.brightness < _DARKEST:
        found.append((DARK, f"is very dark (mean {one.brightness:.0f} of 255)"))
    if one.brightness > _BRIGHTEST:
        found.append((BRIGHT, f"is very bright (mean {one.brightness:.0f} of 255)"))
    if max(one.width / one.height, one.height / one.width) > _LONGEST:
        found.append((PROPORTIONS, f"has odd proportions ({one.width} x {one.height})"))
    return [Finding(kind, SOFT, (name,), f"{name} {what}") for kind, what in found]


def _minority(names: Sequence[str], looks: Sequence[Look]) -> list[Finding]:
    """Grey pictures where most have colour, or the other way round."""
    if not looks:
        return []
    grey = np.array([one.chroma < _LEAST_CHROMA for one in looks], bool)
    rare = grey if grey.mean() <= 0.5 else ~grey
    if not 0 < rare.mean() <= _MINORITY:
        return []
    kind, what = (GREY, "is grey among colour pictures") if rare is grey else (COLORED, "has colour among grey ones")
    return [
        Finding(kind, SOFT, (name,), f"{name} {what}; look at it, or train with --color gray")
        for name, is_rare in zip(names, rare.tolist(), strict=True)
        if is_rare
    ]


def _edges(grey: NDArray[np.int16]) -> float:
    if min(grey.shape) < 3:
        return 1.0
    inner = grey[1:-1, 1:-1]
    laplacian = 4 * inner - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
    low, high = np.percentile(grey, (1, 99))
    return float(np.percentile(np.abs(laplacian), 99) / (high - low + 1))
