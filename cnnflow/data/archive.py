"""The files in a `.tar.gz`, read one by one and never put anywhere by the archive's own word."""

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from cnnflow.errors import DataError

_MAX_MEMBERS = 100_000
_DAMAGE = (tarfile.TarError, EOFError, zlib.error, OSError, ValueError)


def archive_files(path: Path, *, max_bytes: int) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Each file in the archive as `(its path, its bytes)`, in the archive's order.

    Folders are passed over. Raises `DataError` for a path that leaves the archive's folder, a link or a device, for
    more than `max_bytes` of files, and for damage.
    """
    total = 0
    try:
        with tarfile.open(path, "r:gz") as archive:
            for number, member in enumerate(archive):
                total += member.size
                if total > max_bytes or number >= _MAX_MEMBERS:
                    raise DataError(f"{path} unpacks to more than {max_bytes:,} bytes; it is not the right archive")
                if not member.isdir():
                    yield _checked(path, member), _content(archive, member)
    except _DAMAGE as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} is damaged or no .tar.gz archive ({reason}); fetch it again") from error


def _checked(path: Path, member: tarfile.TarInfo) -> PurePosixPath:
    name = PurePosixPath(member.name)
    if not member.isfile():
        raise DataError(f"{path} has a link or device {member.name!r}; only files and folders are read")
    if name.is_absolute() or ".." in name.parts or "\\" in member.name or ":" in member.name:
        raise DataError(f"{path} has a file {member.name!r} outside its own folder; it is not the right archive")
    return name


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    content = file.read() if file is not None else b""
    if len(content) != member.size:
        raise EOFError(f"{member.name} ends early")
    return content
