"""The downloader against a server on this machine that breaks, lies and redirects."""

import contextlib
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from cnnflow.data.download import Patience, Remote, download
from cnnflow.errors import DataError
from cnnflow.events import Caution, Event, Note, Progress

CONTENT = np.random.default_rng(0).integers(0, 256, 1_000_000, np.uint8).tobytes()
QUICK = Patience(attempts=4, pause=0.0, timeout=5.0)


@dataclass
class Server:
    """What the server does and what it was asked.

    `breaks` has the number of bytes after which it closes the connection, one for each of the first requests.
    """

    url: str = ""
    content: bytes = CONTENT
    knows_range: bool = True
    says_length: bool = True
    breaks: list[int] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)
    redirect: str | None = None
    wrong_range: bool = False
    ranges: list[str | None] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, state)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        state.url = f"http://127.0.0.1:{httpd.server_port}"
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield state
        httpd.shutdown()
        thread.join()


def answer(handler: http.server.BaseHTTPRequestHandler, state: Server) -> None:
    asked = handler.headers.get("Range")
    state.ranges.append(asked)
    if state.failures:
        handler.send_error(state.failures.pop(0))
    elif state.redirect is not None and handler.path == "/file.bin":
        handler.send_response(302)
        handler.send_header("Location", state.redirect)
        handler.end_headers()
    else:
        send_content(handler, state, asked)


def send_content(handler: http.server.BaseHTTPRequestHandler, state: Server, asked: str | None) -> None:
    match = re.match(r"bytes=(\d+)-$", asked or "") if state.knows_range else None
    start = int(match[1]) if match else 0
    if start >= len(state.content):
        handler.send_error(416)
        return
    body = state.content[start:]
    handler.send_response(206 if match else 200)
    if match:
        first = 0 if state.wrong_range else start
        handler.send_header("Content-Range", f"bytes {first}-{len(state.content) - 1}/{len(state.content)}")
    if state.says_length:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    with contextlib.suppress(ConnectionError):
        handler.wfile.write(body[: state.breaks.pop(0)] if state.breaks else body)


def remote(server: Server, content: bytes = CONTENT) -> Remote:
    return Remote(f"{server.url}/file.bin", "file.bin", len(content), hashlib.sha256(content).hexdigest())


def fetch(wanted: Remote, folder: Path, events: list[Event] | None = None) -> Path:
    report = (events if events is not None else []).append
    return download(wanted, folder, on_event=report, patience=QUICK, http_on_loopback=True)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {".file.bin.lock"}


def test_a_file_arrives_whole_with_progress(server: Server, tmp_path: Path) -> None:
    events: list[Event] = []
    path = fetch(remote(server), tmp_path / "new" / "folder", events)
    assert path.read_bytes() == CONTENT
    assert names(path.parent) == {"file.bin"}
    done = [event.done for event in events if isinstance(event, Progress)]
    assert done == sorted(done)
    assert events[-1] == Progress("fetching file.bin", len(CONTENT), len(CONTENT), "bytes")


def test_a_file_that_is_there_is_not_fetched_again_unless_it_is_bad(server: Server, tmp_path: Path) -> None:
    path = fetch(remote(server), tmp_path)
    fetch(remote(server), tmp_path)
    assert len(server.ranges) == 1
    path.write_bytes(b"something else")
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert len(server.ranges) == 2


def test_a_broken_connection_is_resumed_where_it_broke(server: Server, tmp_path: Path) -> None:
    server.breaks = [300_000, 200_000]
    events: list[Event] = []
    assert fetch(remote(server), tmp_path, events).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=500000-"]
    cautions = [event.message for event in events if isinstance(event, Caution)]
    assert len(cautions) == 2
    assert "broke off at 300,000 bytes" in cautions[0]


def test_a_later_process_resumes_what_an_earlier_one_left(server: Server, tmp_path: Path) -> None:
    server.breaks = [100_000] * 4
    with pytest.raises(DataError, match="could not be fetched: the connection was closed early"):
        fetch(remote(server), tmp_path)
    assert names(tmp_path) == {".file.bin.part"}
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=400000-"


def test_a_server_without_range_begins_again(server: Server, tmp_path: Path) -> None:
    server.breaks, server.knows_range = [300_000], False
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"]


def test_a_server_that_sends_another_range_is_not_believed(server: Server, tmp_path: Path) -> None:
    server.breaks, server.wrong_range = [300_000], True
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", None]


def test_a_wrong_hash_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:-1] + b"?"
    with pytest.raises(DataError, match=r"^http\S+ has sha256 \w{64} where \w{64} belongs; it was deleted$"):
        fetch(remote(server), tmp_path)
    assert names(tmp_path) == set()


@pytest.mark.parametrize("says_length", [True, False])
def test_a_file_too_large_is_not_written(server: Server, tmp_path: Path, says_length: bool) -> None:
    server.content, server.says_length = CONTENT * 20, says_length
    with pytest.raises(DataError, match="it is not the right file"):
        fetch(remote(server), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= len(CONTENT)


def test_a_shorter_file_is_not_the_right_one(server: Server, tmp_path: Path) -> None:
    server.content = CONTENT[:1000]
    with pytest.raises(DataError, match=r"has 1,000 bytes, not 1,000,000; it is not the right file"):
        fetch(remote(server), tmp_path)
    assert len(server.ranges) == 1


def test_a_partial_file_of_something_else_is_dropped(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".file.bin.part").write_bytes(b"x" * 2_000_000)
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == ["bytes=2000000-", None]


def test_a_whole_partial_file_is_only_checked(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".file.bin.part").write_bytes(CONTENT)
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == []


def test_redirects_are_followed_and_keep_the_range(server: Server, tmp_path: Path) -> None:
    server.redirect, server.breaks = f"{server.url}/elsewhere.bin", [300_000]
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    assert server.ranges == [None, None, "bytes=300000-", "bytes=300000-"]


@pytest.mark.parametrize("target", ["http://example.com/file.bin", "ftp://127.0.0.1/file.bin", "file:///etc/passwd"])
def test_redirects_to_unsafe_places_are_refused(server: Server, tmp_path: Path, target: str) -> None:
    server.redirect = target
    with pytest.raises(DataError, match=r"is not fetched; only https is safe|Redirection to url .* is not allowed"):
        fetch(remote(server), tmp_path)


def test_plain_http_is_refused_even_here_unless_asked_for(server: Server, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only https is safe"):
        download(remote(server), tmp_path)
    with pytest.raises(DataError, match="only https is safe"):
        fetch(replace(remote(server), url="http://example.com/file.bin"), tmp_path)
    assert server.ranges == []


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(server: Server, tmp_path: Path) -> None:
    server.failures = [503, 500]
    assert fetch(remote(server), tmp_path).read_bytes() == CONTENT
    server.failures, server.ranges = [404], []
    with pytest.raises(DataError, match="could not be fetched: Not Found"):
        fetch(remote(server), tmp_path / "other")
    assert len(server.ranges) == 1


def test_no_server_at_all_fails_at_once(tmp_path: Path) -> None:
    wanted = Remote("http://127.0.0.1:9/file.bin", "file.bin", 10, "0" * 64)
    with pytest.raises(DataError, match=r"could not be fetched: .*refused"):
        download(wanted, tmp_path, patience=Patience(pause=60), http_on_loopback=True)


def test_a_folder_that_cannot_be_written_is_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write .*; make room or choose another CNNFLOW_CACHE"):
        fetch(remote(server), tmp_path / "file" / "cache")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_one_line(server: Server, tmp_path: Path) -> None:
    (tmp_path / ".file.bin.part").symlink_to("/dev/full")
    with pytest.raises(DataError, match=r"cannot write .*: No space left on device"):
        fetch(remote(server), tmp_path)


def test_two_processes_do_not_fetch_at_once(server: Server, tmp_path: Path) -> None:
    """The second one waits for the first one's lock, then finds the file."""
    events: list[Event] = []
    lock = FileLock(tmp_path / ".file.bin.lock")
    with lock:
        thread = threading.Thread(target=fetch, args=(remote(server), tmp_path, events))
        thread.start()
        while not events:
            pass
        (tmp_path / "file.bin").write_bytes(CONTENT)
    thread.join()
    assert events == [Note("another process is fetching file.bin; waiting for it")]
    assert server.ranges == []
