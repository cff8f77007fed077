"""Names that can be drawn: a font that has their letters, or a stand-in.

Matplotlib brings a font without Korean, Chinese or Japanese letters. Where the machine has one with them, it is used
beside matplotlib's own; where not, an undrawable name becomes "class 3" instead of a row of boxes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.font_manager import FontEntry, fontManager, get_font

DEFAULT = "DejaVu Sans"
# Sans-serif families with Korean letters first, by platform: Linux, Windows, macOS; then any others with CJK letters.
CJK_FAMILIES = (
    "Noto Sans CJK KR",
    "Noto Sans KR",
    "NanumGothic",
    "NanumBarunGothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "AppleGothic",
    "UnDotum",
    "Baekmuk Dotum",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
)


@dataclass(frozen=True)
class Lettering:
    """Names as they can be drawn, and the font families to draw them with (`fontfamily=` of matplotlib's texts)."""

    names: tuple[str, ...]
    family: list[str]


def lettering(names: Sequence[str]) -> Lettering:
    """The names with fonts that have their letters; a name that no font here has becomes "class" and its index.

    Example:
        >>> letters = lettering(["바지", "셔츠"])
        >>> axes.set_title(letters.names[0], fontfamily=letters.family, parse_math=False)
    """
    default = _letters_of(DEFAULT)
    missing = {ord(letter) for name in names for letter in name} - default
    if not missing:
        return Lettering(tuple(names), [DEFAULT])
    family = _best_family(missing)
    drawable = default | (_letters_of(family) if family else set())
    shown = (name if _has(drawable, name) else f"class {i}" for i, name in enumerate(names))
    return Lettering(tuple(shown), [DEFAULT, family] if family else [DEFAULT])


def can_draw(names: Iterable[str]) -> bool:
    """Whether every name can be drawn with the fonts of this machine."""
    names = list(names)
    return lettering(names).names == tuple(names)


def _best_family(letters: set[int]) -> str | None:
    """The installed family with the most of `letters`, the earliest of `CJK_FAMILIES` among equals."""
    installed = {font.name for font in fontManager.ttflist}
    found = [(len(letters & _letters_of(name)), name) for name in CJK_FAMILIES if name in installed]
    count, family = max(found, key=lambda pair: pair[0], default=(0, None))
    return family if count else None


def _letters_of(family: str) -> set[int]:
    """The code points that a family's regular font has."""
    fonts: list[FontEntry] = [font for font in fontManager.ttflist if font.name == family]
    regular = min(fonts, key=lambda font: (font.style != "normal", abs(_weight(font) - 400)), default=None)
    return set(get_font(regular.fname).get_charmap()) if regular else set()


def _weight(font: FontEntry) -> int:
    return font.weight if isinstance(font.weight, int) else 400


def _has(letters: set[int], name: str) -> bool:
    return all(ord(letter) in letters for letter in name)
