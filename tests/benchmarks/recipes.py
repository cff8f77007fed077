"""Accuracy against seconds: a preset, the plain recipe of a first lesson, and the preset's recipe in plain PyTorch.

    python tests/benchmarks/recipes.py                     all rows
    python tests/benchmarks/recipes.py fashion flowers     some; --seed 1
    python tests/benchmarks/recipes.py --out FOLDER        keeps runs, curves and plots there; a curve that is there
                                                           already is not measured again

One training after the other, each in a process of its own, compilation included. Test images are looked at once, in the
end. `cifar10` and the flowers need their data: in the cache, or with --cifar10 and --flowers where it is.
PyTorch is run by CNNFLOW_TORCH_PYTHON (default: this interpreter).
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt

TORCH = Path(__file__).with_name("_recipes_torch.py")
POINTS = 8


@dataclass(frozen=True)
class Row:
    """What is trained: `cnnflow fit DATA --preset PRESET OPTIONS`, and the preset that stands for a first lesson."""

    data: tuple[str, ...]
    preset: str
    plain: str
    minutes: float
    bar: float
    options: tuple[str, ...] = ()


TWO = ("flowers", "--classes", "daisy,dandelion")
ROWS = {
    "fashion": Row(("fashion",), "fast", "tutorial", 3, 0.93),
    "fashion-best": Row(("fashion",), "best", "tutorial", 60, 0.95),
    "cifar10": Row(("cifar10",), "fast", "tutorial", 8, 0.90, ("--time-limit", "8m")),
    "flowers": Row(TWO, "fast", "flowers", 5, 0.93),
    "flowers-transfer": Row(TWO, "transfer", "flowers", 5, 0.97),
    "five-transfer": Row(("flowers",), "transfer", "flowers", 10, 0.93),
}


@dataclass(frozen=True)
class Curve:
    """One training: seconds and validation accuracy after each epoch, and what it came to."""

    name: str
    seconds: Sequence[float]
    accuracies: Sequence[float]
    total: float
    test: float


def fit(preset: str, words: Sequence[str], seed: int, runs: Path) -> Curve:
    """`cnnflow fit` in a process of its own."""
    options = ["--preset", preset, "--seed", str(seed), "--runs", str(runs), "--json"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "cnnflow", "fit", *words, *options], stdout=subprocess.PIPE, text=True, check=True
    )
    metrics = json.loads(done.stdout)
    with (Path(metrics["run"]) / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    seconds = tuple(float(row["seconds"]) for row in rows)
    accuracies = tuple(float(row["val_accuracy"]) for row in rows)
    return Curve(f"preset {preset}", seconds, accuracies, metrics["seconds_training"], metrics["test_accuracy"])


def torch(runs: Path) -> Curve:
    """The config of the latest run in the folder, in plain PyTorch."""
    config = max(runs.glob("*/config.toml"))
    python = os.environ.get("CNNFLOW_TORCH_PYTHON", sys.executable)
    done = subprocess.run([python, str(TORCH), str(config)], stdout=subprocess.PIPE, text=True, check=True)
    *epochs, last = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    seconds = tuple(epoch["seconds"] for epoch in epochs)
    accuracies = tuple(epoch["val_accuracy"] for epoch in epochs)
    return Curve("plain PyTorch", seconds, accuracies, last["seconds"], last["test_accuracy"])


def measure(row: Row, words: Sequence[str], seed: int, folder: Path) -> list[Curve]:
    runs, plain = folder / "preset", folder / "plain"
    return [
        kept(folder / "preset.json", lambda: fit(row.preset, [*row.data, *words, *row.options], seed, runs)),
        kept(folder / "torch.json", lambda: torch(runs)),
        kept(folder / "plain.json", lambda: fit(row.plain, [*row.data, *words], seed, plain)),
    ]


def kept(path: Path, measured: Callable[[], Curve]) -> Curve:
    """The curve in the file, which is measured and written first where it is not there."""
    if not path.exists():
        path.write_text(json.dumps(asdict(measured())), encoding="utf-8")
    return Curve(**json.loads(path.read_text(encoding="utf-8")))


def table(name: str, row: Row, curves: Sequence[Curve]) -> None:
    command = " ".join(["cnnflow fit", *row.data, "--preset", row.preset, *row.options])
    print(f"\n{name}: {command}   (to reach: {row.bar} on test images in {row.minutes:g} min)")
    for curve in curves:
        step = max(1, -(-len(curve.seconds) // POINTS))
        shown = list(zip(curve.seconds, curve.accuracies, strict=True))[::-1][::step][::-1]
        points = "  ".join(f"{seconds:.0f} s {accuracy:.3f}" for seconds, accuracy in shown)
        print(
            f"  {curve.name:16s} test {curve.test:.4f} after {curve.total:.0f} s\n    validation: {points}", flush=True
        )
    level = min(max(curve.accuracies) for curve in curves)
    for curve in curves:
        when = next(s for s, accuracy in zip(curve.seconds, curve.accuracies, strict=True) if accuracy >= level)
        print(f"  {curve.name:16s} reaches {level:.3f} on the validation images after {when:.0f} s", flush=True)


def draw(name: str, curves: Sequence[Curve], path: Path) -> None:
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    for curve, line in zip(curves, ("-", "--", ":"), strict=True):
        axes.plot(curve.seconds, curve.accuracies, line, marker=".", label=f"{curve.name} (test {curve.test:.3f})")
    axes.set(title=name, xlabel="seconds of training, compilation included", ylabel="validation accuracy")
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", nargs="*", default=list(ROWS), help=f"of {', '.join(ROWS)}")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cifar10", help="where CIFAR-10 is")
    parser.add_argument("--flowers", help="where the flower photos are")
    parser.add_argument("--limit", type=int, help="images of each split, to try it out")
    parser.add_argument("--out", type=Path, help="a folder to keep runs, curves and plots in")
    options = parser.parse_args()
    if unknown := set(options.rows) - set(ROWS):
        parser.error(f"no row {', '.join(sorted(unknown))}; there are {', '.join(ROWS)}")
    for name in options.rows:
        row = ROWS[name]
        where = getattr(options, row.data[0], None)
        words = ["--data-dir", where] if where else []
        words += ["--limit", str(options.limit)] if options.limit else []
        with tempfile.TemporaryDirectory() as passing:
            folder = (options.out or Path(passing)) / f"{name}-{options.seed}"
            folder.mkdir(parents=True, exist_ok=True)
            curves = measure(row, words, options.seed, folder)
            table(name, row, curves)
            draw(name, curves, folder / "curves.png")


if __name__ == "__main__":
    main()
