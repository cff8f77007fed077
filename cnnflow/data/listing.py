"""Which files of a folder are pictures of which class, by their places alone; nothing is opened."""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cnnflow.data.faults import OUTSIDE, UNREADABLE, Fault
from cnnflow.errors import DataError

TRAIN, VALIDATION, TEST = "train", "validation", "test"
SPLITS = (TRAIN, VALIDATION, TEST)

_SPLIT_NAMES = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VALIDATION,
    "valid": VALIDATION,
    "validation": VALIDATION,
    "test": TEST,
    "testing": TEST,
}
_LITTER = frozenset(
    ("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin", "lost+found")
)
_PICTURE_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif", "tif", "tiff", "heic", "heif", "avif"),
        *("jxl", "jp2", "svg", "ico", "psd", "raw"),
    )
)


@dataclass(frozen=True, slots=True)
class PictureFile:
    """One file of a class folder.

    Attributes:
        path: where it is under the root, with "/".
        split: "train", "validation" or "test"; "train" where the folder has no splits.
        class_name: the name of its class folder (Unicode NFC).
        size: bytes.
        changed: when it was last written, in nanoseconds.
    """

    path: str
    split: str
    class_name: str
    size: int
    changed: int

    @property
    def origin(self) -> str:
        """The path as text that can be printed, also where the name is not UTF-8."""
        return printable(self.path)


@dataclass(frozen=True)
class Listing:
    """The files of a folder of pictures.

    Attributes:
        root: the folder, absolute, with links resolved.
        files: by split (train, validation, test), class name and path.
        classes: the class folders of each split that is there, sorted by name, empty ones too.
        has_splits: whether train/, val/ or test/ stand above the class folders.
        refused: what was not followed or opened, by its path: links, folders without permission.
        strays: files that stand in no class folder.
    """

    root: Path
    files: tuple[PictureFile, ...]
    classes: dict[str, tuple[str, ...]]
    has_splits: bool
    refused: tuple[tuple[str, Fault], ...]
    strays: tuple[str, ...]

    def location(self, file: PictureFile) -> Path:
        """Where `file` is."""
        return self.root / file.path


@dataclass(frozen=True)
class _Entry:
    path: str
    is_folder: bool
    size: int
    changed: int
    chain: tuple[str, ...]  # the real folders on the way here, so that links cannot lead in a circle
    fault: Fault | None = None

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def list_folder(folder: Path) -> Listing:
    """List `folder`, laid out as ROOT/<class>/... or ROOT/train|val|test/<class>/..., with any depth below a class.

    Hidden files and the litter of operating systems are passed over. Links are followed where they stay in the folder.

    Raises:
        DataError: it is no folder, cannot be read, or has no class folders.

    Example:
        >>> list_folder(Path("flower_photos")).classes
        {'train': ('daisy', 'dandelion', 'roses', 'sunflowers', 'tulips')}
    """
    if not folder.is_dir():
        raise DataError(f"no folder {folder}; give a folder with one folder of pictures for each class")
    walk = _Walk(Path(os.path.realpath(folder)))
    top = walk.entries(_top(walk.root))
    if walk.refused and not top:
        raise DataError(f"{folder} {walk.refused[0][1].reason}")
    split_of = _split_folders(walk, top)
    if split_of:
        walk.strays += [entry.path for entry in top if entry.path not in split_of]
        parents = [(split_of[entry.path], walk.entries(entry)) for entry in top if entry.path in split_of]
    else:
        parents = [(TRAIN, top)]
    classes: dict[str, set[str]] = {split: set() for split, _ in parents}
    files: list[PictureFile] = []
    for split, entries in parents:
        for name, inside in _class_folders(walk, entries):
            classes[split].add(name)
            files += [PictureFile(file.path, split, name, file.size, file.changed) for file in inside]
    if not any(classes.values()):
        raise DataError(f"{folder} has no folders of pictures; make one for each class, such as {folder}/daisy")
    return Listing(
        walk.root,
        tuple(sorted(files, key=lambda file: (SPLITS.index(file.split), file.class_name, file.path))),
        {split: tuple(sorted(classes[split])) for split in SPLITS if split in classes},
        bool(split_of),
        tuple(walk.refused),
        tuple(sorted(walk.strays)),
    )


def _class_folders(walk: "_Walk", entries: Sequence[_Entry]) -> Iterator[tuple[str, Iterator[_Entry]]]:
    """The name of each class folder among `entries`, and its files; what is no folder is a stray."""
    for entry in entries:
        if entry.is_folder:
            yield printable(unicodedata.normalize("NFC", entry.name)), walk.files(entry)
        else:
            walk.strays.append(entry.path)


def list_pictures(folder: Path) -> list[Path]:
    """The files under `folder`, at any depth, that are named like a picture or have no ending, sorted by path.

    Hidden files, litter, and links that leave the folder are left out.

    Raises:
        DataError: `folder` cannot be opened.

    Example:
        >>> list_pictures(Path("photos"))[:2]
        [PosixPath('photos/a.jpg'), PosixPath('photos/holiday/b.PNG')]
    """
    walk = _Walk(Path(os.path.realpath(folder)))
    files = [entry.path for entry in walk.files(_top(walk.root)) if named_like_a_picture(entry.path)]
    if walk.refused and walk.refused[0][0] == "":
        raise DataError(f"{folder} {walk.refused[0][1].reason}")
    return [folder / path for path in sorted(files)]


def printable(path: str) -> str:
    """A file name as text that can be written as UTF-8; bytes that are not UTF-8 become \\xNN."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def named_like_a_picture(path: str) -> bool:
    """Whether a file's name says that it is a picture, of whatever format, or says nothing."""
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 (faster than a Path for each of 100,000 names)
    return suffix in _PICTURE_SUFFIXES or not suffix


def _split_folders(walk: "_Walk", top: Sequence[_Entry]) -> dict[str, str]:
    """The top folders that are splits, by path: those of a split's name with folders in them; {}: there are none."""
    named = [entry for entry in top if entry.is_folder and entry.name.casefold() in _SPLIT_NAMES]
    return {
        entry.path: _SPLIT_NAMES[entry.name.casefold()]
        for entry in named
        if any(inner.is_folder for inner in walk.peek(entry))
    }


def _top(root: Path) -> _Entry:
    return _Entry("", True, 0, 0, (str(root),))


class _Walk:
    """The way through one folder, and what was refused on it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.refused: list[tuple[str, Fault]] = []
        self.strays: list[str] = []

    def files(self, folder: _Entry) -> Iterator[_Entry]:
        """The files under `folder` at any depth."""
        waiting = [folder]
        while waiting:
            for entry in self.entries(waiting.pop()):
                if entry.is_folder:
                    waiting.append(entry)
                else:
                    yield entry

    def entries(self, folder: _Entry) -> list[_Entry]:
        """What stands in `folder`, without litter; what is refused is noted."""
        found = self.peek(folder)
        self.refused += [(entry.path, entry.fault) for entry in found if entry.fault]
        return [entry for entry in found if not entry.fault]

    def peek(self, folder: _Entry) -> list[_Entry]:
        """What stands in `folder`, without litter, the refused with their fault."""
        try:
            with os.scandir(self.root / folder.path) as inside:
                found = [self._entry(item, folder) for item in inside if not _is_litter(item.name)]
        except OSError as error:
            return [_refused(folder.path, UNREADABLE, f"cannot be opened ({error.strerror}); change its permissions")]
        return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.path)

    def _entry(self, item: "os.DirEntry[str]", folder: _Entry) -> _Entry | None:
        path = f"{folder.path}/{item.name}" if folder.path else item.name
        real = str(Path(folder.chain[-1], item.name))
        if item.is_symlink():
            real = os.path.realpath(real)
            if not (real + os.sep).startswith(str(self.root) + os.sep):
                return _refused(path, OUTSIDE, "is a link that leaves the folder; copy its target here or delete it")
            if real in folder.chain:
                return _refused(path, OUTSIDE, "is a link to a folder above itself; delete it")
        try:
            status = item.stat()
        except OSError as error:
            return _refused(path, UNREADABLE, f"cannot be read ({error.strerror}); repair it or delete it")
        if item.is_dir():
            return _Entry(path, True, 0, 0, (*folder.chain, real))
        if not item.is_file():
            return _refused(path, UNREADABLE, "is no file; delete it")
        return _Entry(path, False, status.st_size, status.st_mtime_ns, ())


def _refused(path: str, kind: str, reason: str) -> _Entry:
    return _Entry(path, False, 0, 0, (), Fault(kind, reason))


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _LITTER
