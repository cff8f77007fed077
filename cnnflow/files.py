"""Files that are written whole or not at all."""

import json
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in the folder of `path`; when the block ends well, it becomes `path`.

    The temporary file keeps the suffix of `path`, since some writers choose their format by it. Its bytes are on
    the disk (fsync) before it is renamed, and the name is on the disk (fsync of the folder) before this returns.
    When the block fails, `path` is what it was, and the temporary file is gone.

    Example:
        >>> with replacing(Path("model.keras")) as temporary:
        ...     model.save(temporary)
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}-{secrets.token_hex(4)}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    fsync_folder(path.parent)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` as indented JSON, whole or not at all; NaN and infinity are refused."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def write_with(path: Path, writer: Callable[[Path], object]) -> None:
    """Let `writer` write a file at the path that it is given, which then becomes `path`, whole or not at all."""
    with replacing(path) as temporary:
        writer(temporary)


def fsync_folder(folder: Path) -> None:
    """Put the names in `folder` on the disk, where the system can (Windows cannot open a folder)."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
