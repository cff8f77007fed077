"""One file of the web, fetched over HTTPS, whole and right or not at all.

The bytes go to a hidden partial file beside the target; a broken connection is taken up again where it broke (HTTP
Range, RFC 9110 section 14), in this process or a later one. The file appears under its name only when size and sha256
are the pinned ones.

`urllib` of the standard library does all that is needed here (streaming, Range, redirects, proxies from the
environment, certificates of the system). A dependency would bring retries and sessions that one GET has no use for,
and none of the usual ones resumes.
"""

import errno
import hashlib
import http
import http.client
import os
import re
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from cnnflow.errors import DataError
from cnnflow.events import Caution, Note, OnEvent, Progress, ignore
from cnnflow.files import fsync_folder

_CHUNK = 2**18
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_BREAKS = (OSError, http.client.HTTPException)
_BAD_RANGE = http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
_WORTH_ANOTHER_TRY = (_BAD_RANGE, 408, 429, 500, 502, 503, 504)
_NO_NETWORK = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ECONNREFUSED)


@dataclass(frozen=True)
class Remote:
    """A file of the web: its address, its name here, and the size (bytes) and sha256 that it must have."""

    url: str
    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Patience:
    """How long to try.

    Attributes:
        attempts: how often to connect before giving up; without a network the first failure is the last.
        pause: seconds before the second attempt; doubled for each further one.
        timeout: seconds without a byte after which a connection counts as broken.
    """

    attempts: int = 6
    pause: float = 1.0
    timeout: float = 30.0


def download(
    remote: Remote,
    folder: Path,
    *,
    on_event: OnEvent = ignore,
    patience: Patience = Patience(),
    http_on_loopback: bool = False,
) -> Path:
    """Fetch `remote` into `folder` and return its path; a file that is there already is checked and kept.

    Args:
        remote: what to fetch; no more than its size is ever written.
        folder: made where it is missing.
        on_event: receives `Progress` in bytes.
        patience: how long to try.
        http_on_loopback: allow plain HTTP to this machine itself, for tests.

    Raises `DataError` where the file cannot be fetched or written, or is not the right one.

    Example:
        >>> download(CIFAR10_BINARY, cache_folder())
    """
    _check_url(remote.url, http_on_loopback)
    target, partial = folder / remote.name, folder / f".{remote.name}.part"
    with _lock(folder, remote.name, on_event):
        if target.is_file() and file_sha256(target) == remote.sha256:
            return target
        opener = urllib.request.build_opener(_CheckedRedirects(http_on_loopback))
        _fetch(remote, partial, opener, on_event, patience)
        _verify(remote, partial)
        partial.replace(target)
        fsync_folder(folder)
    return target


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes as hexadecimal text."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _CheckedRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects to addresses that would be allowed themselves; Range and the other headers go along."""

    def __init__(self, http_on_loopback: bool) -> None:
        self._http_on_loopback = http_on_loopback

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> urllib.request.Request | None:
        _check_url(newurl, self._http_on_loopback)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check_url(url: str, http_on_loopback: bool) -> None:
    parts = urlsplit(url)
    local = http_on_loopback and parts.scheme == "http" and parts.hostname in _LOOPBACK
    if parts.scheme != "https" and not local:
        raise DataError(f"{url} is not fetched; only https is safe")


@contextmanager
def _lock(folder: Path, name: str, on_event: OnEvent) -> Iterator[None]:
    """Let one process at a time fetch `name` into `folder`."""
    lock = FileLock(folder / f".{name}.lock")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            on_event(Note(f"another process is fetching {name}; waiting for it"))
            lock.acquire()
    except OSError as error:
        raise _unwritable(folder, error) from error
    try:
        yield
    finally:
        lock.release()


def _fetch(
    remote: Remote, partial: Path, opener: urllib.request.OpenerDirector, on_event: OnEvent, patience: Patience
) -> None:
    begun = _size(partial)
    for attempt in range(1, patience.attempts + 1):
        try:
            _stream(remote, partial, opener, on_event, patience.timeout)
            return
        except _BREAKS as error:
            nothing_yet = _size(partial) == begun
            if attempt == patience.attempts or (nothing_yet and _is_final(error)):
                raise DataError(f"{remote.url} could not be fetched: {_reason(error)}") from error
            on_event(Caution(f"{remote.name} broke off at {_size(partial):,} bytes ({_reason(error)}); going on"))
        time.sleep(patience.pause * 2 ** (attempt - 1))


def _stream(
    remote: Remote, partial: Path, opener: urllib.request.OpenerDirector, on_event: OnEvent, timeout: float
) -> None:
    """Append to `partial` what it lacks; raises one of `_BREAKS` where the connection ends early."""
    start = _size(partial)
    if start == remote.size:
        return
    request = urllib.request.Request(remote.url, headers={"User-Agent": "cnnflow", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with _response(opener, request, timeout, partial) as response:
        start = _begin(response, partial, start)
        _check_length(remote, response, start)
        with _opened(partial, start) as file:
            _copy(remote, response, file, start, on_event)
    if _size(partial) < remote.size:
        raise ConnectionError("the connection was closed early")


def _response(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request, timeout: float, partial: Path
) -> Any:
    try:
        return opener.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == _BAD_RANGE:
            partial.unlink()  # what is there does not belong to this file
        raise


def _copy(remote: Remote, response: IO[bytes], file: IO[bytes], done: int, on_event: OnEvent) -> None:
    while chunk := response.read(_CHUNK):
        done += len(chunk)
        if done > remote.size:
            raise DataError(f"{remote.url} has more than {remote.size:,} bytes; it is not the right file")
        _write(file, chunk)
        on_event(Progress(f"fetching {remote.name}", done, remote.size, "bytes"))


def _begin(response: Any, partial: Path, asked: int) -> int:
    """Where the bytes of `response` begin: at 0 where the server does not know Range."""
    if response.status != http.HTTPStatus.PARTIAL_CONTENT:
        return 0
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    if match is None or int(match[1]) != asked:
        partial.unlink()
        raise ConnectionError("the server sent other bytes than were asked for")
    return asked


def _check_length(remote: Remote, response: Any, start: int) -> None:
    length = response.headers.get("Content-Length")
    size = None if length is None else start + int(length)
    if size is not None and size != remote.size:
        raise DataError(f"{remote.url} has {size:,} bytes, not {remote.size:,}; it is not the right file")


@contextmanager
def _opened(partial: Path, start: int) -> Iterator[IO[bytes]]:
    """`partial` for appending after `start` bytes, on the disk when the block ends."""
    try:
        file = partial.open("ab" if start else "wb", buffering=0)
    except OSError as error:
        raise _unwritable(partial, error) from error
    with file:
        yield file
        os.fsync(file.fileno())


def _write(file: IO[bytes], chunk: bytes) -> None:
    rest = memoryview(chunk)
    try:
        while rest:
            rest = rest[file.write(rest) :]
    except OSError as error:
        raise _unwritable(Path(file.name), error) from error


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(f"cannot write {path}: {error.strerror or error}; make room or choose another CNNFLOW_CACHE")


def _verify(remote: Remote, partial: Path) -> None:
    digest = file_sha256(partial)
    if digest != remote.sha256:
        partial.unlink()
        raise DataError(f"{remote.url} has sha256 {digest} where {remote.sha256} belongs; it was deleted")


def _size(partial: Path) -> int:
    return partial.stat().st_size if partial.exists() else 0


def _is_final(error: BaseException) -> bool:
    """Whether another try would fail alike: no network, a refused certificate, or no such file."""
    if isinstance(error, urllib.error.HTTPError):
        return error.code not in _WORTH_ANOTHER_TRY
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    no_network = isinstance(reason, OSError) and reason.errno in _NO_NETWORK
    return no_network or isinstance(reason, socket.gaierror | ssl.SSLCertVerificationError)


def _reason(error: BaseException) -> str:
    reason = getattr(error, "reason", error)
    return " ".join(str(reason).split()) or type(error).__name__
