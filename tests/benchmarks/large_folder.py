"""A folder larger than memory: `python tests/benchmarks/large_folder.py [COUNT ...]` shows that memory stays flat.

For each COUNT (default: 25000 50000 100000) this program draws so many small JPEG pictures in two class folders, and
trains on them for one epoch with `cnnflow.run` in a process of its own: decoded once into the cache, split, trained,
evaluated, every file of the run folder written. The table has the time of each part and the peak of the process's
memory above what its imports take. Up to 512 MB of decoded pictures are held in memory; from there on the peak must not
grow, and it must stay under 3 GB. With `--read` the training is left out: the folder is read and its batches are made.
The pictures take about 2.5 KB each, and 19 KB decoded, in a temporary folder (TMPDIR).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.console import Console
from rich.table import Table

COUNTS = (25_000, 50_000, 100_000)
LIMIT_GB = 3.0
WIDTH, HEIGHT = 96, 72
BLOCK = 500


def main() -> None:
    """Draw, run and print the table; exit code 1 where the peak is above 3 GB."""
    parser = argparse.ArgumentParser(description="Memory and time of folders larger than memory.")
    parser.add_argument("counts", nargs="*", type=int, default=list(COUNTS))
    parser.add_argument("--read", action="store_true", help="Leave the training out.")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps((read if arguments.read else train)(arguments.child)))
        return
    rows = [measured(count, arguments.read) for count in arguments.counts]
    print_table(rows)
    sys.exit(any(row["peak_gb"] > LIMIT_GB for row in rows))


def measured(count: int, read_only: bool) -> dict[str, Any]:
    """Draw `count` pictures, run on them in another process, and delete them."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "drawn"
        draw(folder, count)
        words = [sys.executable, __file__, "--child", str(folder), *(["--read"] if read_only else [])]
        environment = os.environ | {"CNNFLOW_CACHE": str(Path(scratch) / "cache")}
        done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return {"count": count} | json.loads(done.stdout.splitlines()[-1])


def read(folder: Path) -> dict[str, Any]:
    """Read, split, and make every batch of one epoch."""
    from cnnflow.batches import BatchPlan, stream
    from cnnflow.config import DataConfig
    from cnnflow.data.sources import load
    from cnnflow.data.split import image_hashes, split
    from cnnflow.transforms.presets import augmentation

    watch = Watch()
    config = DataConfig(str(folder))
    dataset = watch.timed("read", lambda: load(config))
    parts = watch.timed("split", lambda: split(dataset, config, seed=0))
    watch.timed("hashes", lambda: image_hashes(parts.train.images))
    plan = BatchPlan(len(parts.train), 64, 0)
    with stream(parts.train, plan, augmentation("light", mirror=True), epochs=1) as batches:
        watch.timed("batches", lambda: [batch.targets.sum() for batch in batches])
    watch.timed("read again", lambda: load(config))
    return watch.result()


def train(folder: Path) -> dict[str, Any]:
    """Everything that `cnnflow fit FOLDER --epochs 1` does."""
    import cnnflow
    from cnnflow.data.sources import load

    cnnflow.build(cnnflow.ModelConfig("flower_cnn"), (80, 80, 3), 2, seed=0)  # imports Keras and starts its backend
    watch = Watch()
    data = cnnflow.DataConfig(str(folder))
    config = cnnflow.FitConfig(data, cnnflow.ModelConfig("flower_cnn"), cnnflow.Recipe(epochs=1))
    run = cnnflow.create_run(folder.parent / "runs", "large")
    dataset = watch.timed("read", lambda: load(data))
    watch.timed("fit", lambda: cnnflow.run(config, run, dataset=dataset))
    watch.timed("read again", lambda: load(data))
    return watch.result()


class Watch:
    """Times parts of a program, and knows the peak of its memory above what it took at first."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._before = status("VmRSS")

    def timed(self, name: str, part: Any) -> Any:
        """Call `part` and return what it returns."""
        started = time.perf_counter()
        result = part()
        self._seconds[name] = time.perf_counter() - started
        return result

    def result(self) -> dict[str, Any]:
        """The seconds of each part and the peak in gigabytes."""
        return {"seconds": self._seconds, "peak_gb": (status("VmHWM") - self._before) / 1e6}


def status(name: str) -> int:
    """A figure of this process in kB, as Linux gives it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def draw(folder: Path, count: int) -> None:
    """Draw `count` pictures that all differ, warm ones in one class folder and cold ones in the other."""
    for name in ("cold", "warm"):
        (folder / name).mkdir(parents=True)
    with ProcessPoolExecutor() as pool:
        list(pool.map(partial(draw_block, folder, count), range(0, count, BLOCK)))


def draw_block(folder: Path, count: int, start: int) -> None:
    """Draw the pictures from number `start` on."""
    rng = np.random.default_rng(start)
    for number in range(start, min(start + BLOCK, count)):
        pixels = rng.integers(0, 256, (9, 12, 3), np.uint8)
        warm = number % 2
        pixels[..., 0 if warm else 2] = np.maximum(pixels[..., 0 if warm else 2], 100)
        picture = Image.fromarray(pixels).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC)
        picture.save(folder / ("warm" if warm else "cold") / f"{number:06}.jpg", quality=80)


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print the seconds of each part and the peak for each count."""
    table = Table(title="pictures at 80 x 80 x 3, 19 kB each when decoded")
    table.add_column("pictures", justify="right")
    for part in rows[0]["seconds"]:
        table.add_column(f"{part} (s)", justify="right")
    table.add_column("decoded (GB)", justify="right")
    table.add_column("peak above imports (GB)", justify="right")
    for row in rows:
        seconds = [f"{value:.1f}" for value in row["seconds"].values()]
        table.add_row(f"{row['count']:,}", *seconds, f"{row['count'] * 19200 / 1e9:.2f}", f"{row['peak_gb']:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
