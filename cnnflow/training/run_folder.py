"""Run folders: where a run keeps its files, how they are numbered and found, and who may write to one."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from filelock import FileLock, Timeout

from cnnflow.errors import OptionError, RunError
from cnnflow.files import fsync_folder

_NAME = re.compile(r"[\w.+-]+")
_TEMPORARY = re.compile(r"\..+-[0-9a-f]{8}(\.\w+)?")


@dataclass(frozen=True)
class RunFolder:
    """The files of one run; see the README for what each one holds."""

    path: Path

    @property
    def name(self) -> str:
        """The folder's own name, such as "fashion-basic_cnn-001"."""
        return self.path.name

    @property
    def config(self) -> Path:
        """Every option, resolved."""
        return self.path / "config.toml"

    @property
    def environment(self) -> Path:
        """Versions, backend, device, cores, git commit."""
        return self.path / "environment.json"

    @property
    def split(self) -> Path:
        """Which images were train, validation and test, by the sha256 of their pixels."""
        return self.path / "split.json"

    @property
    def history(self) -> Path:
        """A row an epoch."""
        return self.path / "history.csv"

    @property
    def log(self) -> Path:
        """What was said during the run."""
        return self.path / "log.txt"

    @property
    def model(self) -> Path:
        """The model that the run keeps."""
        return self.path / "model.keras"

    @property
    def classes(self) -> Path:
        """What a caller of the model must know: class names, input size, resize rule."""
        return self.path / "classes.json"

    @property
    def metrics(self) -> Path:
        """The figures of the run; written last, so that a run that has it is complete."""
        return self.path / "metrics.json"

    @property
    def predictions(self) -> Path:
        """A row a test image."""
        return self.path / "predictions.csv"

    @property
    def state(self) -> Path:
        """The newest snapshots."""
        return self.path / "state"

    @property
    def plots(self) -> Path:
        """Pictures."""
        return self.path / "plots"

    @property
    def complete(self) -> bool:
        """Whether the run has ended."""
        return self.metrics.exists()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process alone; the lock goes with the process, however that ends.

        Raises:
            RunError: another process holds it.
        """
        self.state.mkdir(exist_ok=True)
        lock = FileLock(self.state / "lock")
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise RunError(f"{self.path} is in use by another process; wait for it, or start a new run") from None
        try:
            self._remove_temporaries()
            yield
        finally:
            lock.release()

    def _remove_temporaries(self) -> None:
        """Remove what a killed process was writing."""
        for folder in (self.path, self.state, self.plots):
            for file in folder.glob(".*"):
                if _TEMPORARY.fullmatch(file.name) and file.is_file():
                    file.unlink()


def create_run(runs: Path, stem: str, *, name: str | None = None) -> RunFolder:
    """Make a new folder in `runs`, called `name`, or `stem` with the next free number.

    Two processes that start together never get the same folder: making it is what claims it.

    Raises:
        OptionError: `name` is not a plain file name.
        RunError: there is a folder of that name.
    """
    runs.mkdir(parents=True, exist_ok=True)
    if name is not None:
        if not _NAME.fullmatch(name) or name.startswith(".") or name == "last":
            raise OptionError(f"run name {name!r}; use letters, digits, '-', '_', '+' and '.', and not 'last'")
        return _claim(runs / name) or _already_there(runs / name)
    clean = re.sub(r"[^\w.+-]+", "-", stem).strip("-.") or "run"
    number = 1 + max((int(found[1]) for found in _numbered(runs, clean)), default=0)
    while (run := _claim(runs / f"{clean}-{number:03d}")) is None:
        number += 1
    return run


def discard_unstarted(run: RunFolder) -> None:
    """Remove a run in which training never began: wrong options showed themselves before the first snapshot."""
    if not any(run.state.glob("snapshot-*.bin")):
        shutil.rmtree(run.path, ignore_errors=True)


def find_run(runs: Path, name: str) -> RunFolder:
    """The run called `name` in `runs`: a path of a run folder, its name, or "last" for the newest.

    Raises:
        RunError: there is no such run; the message names the nearest.
    """
    if name == "last":
        return _newest(runs)
    for path in (Path(name), runs / name):
        if (path / "config.toml").is_file():
            return RunFolder(path)
    near = get_close_matches(name, [run.name for run in list_runs(runs)], n=1)
    hint = f"did you mean {near[0]}?" if near else f"`last` is the newest of those in {runs}"
    raise RunError(f"no run {name!r} in {runs}; {hint}")


def list_runs(runs: Path) -> list[RunFolder]:
    """The runs in `runs`, oldest first."""
    configs = sorted(runs.glob("*/config.toml"), key=lambda config: (config.stat().st_mtime_ns, config))
    return [RunFolder(config.parent) for config in configs]


def _newest(runs: Path) -> RunFolder:
    if found := list_runs(runs):
        return found[-1]
    raise RunError(f"there is no run in {runs} yet; make one with `cnnflow fit fashion`")


def _claim(path: Path) -> RunFolder | None:
    try:
        path.mkdir()
    except FileExistsError:
        return None
    fsync_folder(path.parent)
    return RunFolder(path)


def _already_there(path: Path) -> RunFolder:
    raise RunError(f"there is a run {path} already; choose another --name, or go on with --resume {path.name}")


def _numbered(runs: Path, stem: str) -> Iterator[re.Match[str]]:
    pattern = re.compile(re.escape(stem) + r"-(\d+)")
    for path in runs.iterdir():
        if found := pattern.fullmatch(path.name):
            yield found
