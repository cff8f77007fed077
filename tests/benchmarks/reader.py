"""How fast pictures are read: `python tests/benchmarks/reader.py [FOLDER]` prints a table.

Without a folder the flower photos are read where they are (../shared/data/flower_photos beside the repository), else
600 pictures that this program draws. Every way is timed in turn, several times over; the table has the medians, and
ratios of times taken one after the other, so that a busy machine slows all of them alike.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

from cnnflow.config import DataConfig
from cnnflow.data.decode import decode, decode_many
from cnnflow.data.folder import load_folder
from cnnflow.data.listing import list_pictures
from cnnflow.data.resize import Resize
from cnnflow.data.threads import cores

SIDE = 80
ROUNDS = 7
BAR = 1.8
PHOTOS = Path(__file__).resolve().parents[3] / "shared" / "data" / "flower_photos"


def main() -> None:
    """Time each way to read the pictures and print the table."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else PHOTOS if PHOTOS.is_dir() else drawn(Path(scratch))
        paths = list_pictures(folder)
        for path in paths:  # so that no way pays for a cold disk
            path.read_bytes()
        seconds = timed(ways(folder, paths, Path(scratch)))
    print_table(folder, len(paths), seconds)


def ways(folder: Path, paths: list[Path], scratch: Path) -> dict[str, Callable[[], object]]:
    """The ways to read, by name; the first one is what the others are compared with."""
    rule = Resize(SIDE, SIDE)

    def plain() -> None:
        for path in paths:
            with Image.open(path) as picture:
                np.asarray(picture.convert("RGB").resize((SIDE, SIDE)))

    def one_thread() -> None:
        for path in paths:
            decode(path, rule)

    def threads() -> None:
        for _ in decode_many(paths, rule):
            pass

    def whole_folder() -> None:
        with tempfile.TemporaryDirectory(dir=scratch) as cache:
            os.environ["CNNFLOW_CACHE"] = cache
            load_folder(folder, DataConfig(str(folder), size=(SIDE, SIDE)))

    return {
        "plain Pillow, one thread": plain,
        "decode, one thread": one_thread,
        f"decode_many, {cores()} threads": threads,
        "load_folder: decoded, compared, cached": whole_folder,
    }


def timed(ways: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each way in each round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            seconds[name].append(time.perf_counter() - started)
    return seconds


def print_table(folder: Path, count: int, seconds: dict[str, list[float]]) -> None:
    """Print images a second, and how many times faster than the first way each one is."""
    table = Table(title=f"{count:,} pictures of {folder.name} to {SIDE} x {SIDE}, {cores()} cores, {ROUNDS} rounds")
    table.add_column("way")
    table.add_column("images/s", justify="right")
    table.add_column("times plain", justify="right")
    table.add_column("from to", justify="right")
    first = next(iter(seconds.values()))
    for name, times in seconds.items():
        ratios = sorted(plain / time for plain, time in zip(first, times, strict=True))
        spread = f"{ratios[0]:.2f} {ratios[-1]:.2f}"
        table.add_row(name, f"{count / median(times):,.0f}", f"{median(ratios):.2f}", spread)
    console = Console()
    console.print(table)
    console.print(f"bar: decode_many at least {BAR} times plain Pillow on two cores")


def drawn(folder: Path) -> Path:
    """Six hundred JPEG pictures of 320 x 240 in two class folders."""
    rng = np.random.default_rng(0)
    for number in range(600):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize((320, 240))
        path = folder / "drawn" / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse.save(path, quality=90)
    return folder / "drawn"


if __name__ == "__main__":
    main()
