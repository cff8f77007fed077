"""Every script of `examples/` in its quick version, and what it found; run by `nox -s examples`.

An example writes what it found into `examples/output/NAME.json`; here stands what must be true of it.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
OUTPUT = EXAMPLES / "output"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("[0-9][0-9]_*.py"))
SECONDS = 600

Found = dict[str, Any]


def convolution_basics(found: Found) -> None:
    assert found["difference"] < 1e-5
    # Two 2x2 poolings let less than half of the change through.
    assert found["changed_after_pooling"] < found["changed"] / 2
    assert found["conv1_weights"] == 320
    # By the arithmetic of 3x3 convolutions and 2x2 poolings: 3, 3+1, 4+2*2, 8+2.
    assert found["receptive_fields"] == {"conv1": 3, "pool1": 4, "conv2": 8, "pool2": 10}
    assert found["validation_accuracy"] > 0.5


def fashion_mnist(found: Found) -> None:
    assert found["parameters"] == 421_642
    assert found["losses"] == sorted(found["losses"], reverse=True)
    assert found["test_accuracy"] > 0.75
    assert found["gap"] == pytest.approx(found["train_accuracy"] - found["test_accuracy"])
    assert found["gap"] > 0


def dense_vs_cnn(found: Found) -> None:
    assert found["cnn_accuracy"] > found["dense_accuracy"] > 0.5
    assert found["gain"] > 0
    assert found["cnn_shuffled"] < found["dense_shuffled"]


def flowers(found: Found) -> None:
    assert found["pictures"] >= sum(found["images"].values())
    assert min(found["images"].values()) > 40
    assert max(found["accuracy"].values()) > 0.55
    assert found["refused"] == 1


def overfitting(found: Found) -> None:
    assert found["best_loss"] < found["last_loss"], "the validation loss rises again"
    assert found["gap"] > 0.05
    assert found["augmentation"]["tutorial"] < found["augmentation"]["none"]
    assert {"none", "dropout", "L2", "batch norm"} <= set(found["regularization"])


def transfer_learning(found: Found) -> None:
    assert found["frozen"] > 0.7
    assert found["frozen"] > found["scratch"] - 0.05, "ImageNet does not help"
    assert found["fine_tuned"] > found["frozen"] - 0.1, "fine-tuning forgets"
    assert 100_000 < found["free"] < 3_413_024
    assert found["times_faster"] > 2


def any_backend(found: Found) -> None:
    assert found["accuracy"] > 0.6
    assert found["trained_on"] in found["differences"]
    assert set(found["differences"]) | set(found["missing"]) == {"jax", "torch", "tensorflow"}
    assert max(found["differences"].values()) < 1e-5


CHECKS: dict[str, Callable[[Found], None]] = {
    "01_convolution_basics": convolution_basics,
    "02_fashion_mnist": fashion_mnist,
    "03_dense_vs_cnn": dense_vs_cnn,
    "04_flowers": flowers,
    "05_overfitting": overfitting,
    "06_transfer_learning": transfer_learning,
    "09_any_backend": any_backend,
}


@pytest.mark.usefixtures("uncached")
@pytest.mark.parametrize("name", SCRIPTS)
def test_example(name: str) -> None:
    figures = OUTPUT / f"{name}.json"
    for old in [figures, *OUTPUT.glob(f"{name[:2]}_*.png")]:
        old.unlink(missing_ok=True)
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), "--quick"],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    assert "Traceback" not in done.stderr
    assert len(done.stdout.splitlines()) >= 4, done.stdout
    found = json.loads(figures.read_text(encoding="utf-8"))
    assert found
    CHECKS.get(name, lambda _: None)(found)
    for picture in OUTPUT.glob(f"{name[:2]}_*.png"):
        with Image.open(picture) as opened:
            low, high = opened.convert("L").getextrema()
            assert high - low > 50, f"{picture} shows nothing"


def test_there_are_examples_and_each_says_what_it_teaches() -> None:
    assert {"01_convolution_basics", "02_fashion_mnist", "09_any_backend"} <= set(SCRIPTS)
    for name in SCRIPTS:
        lines = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith('"""'), name
        assert 40 <= len(lines) <= 150, f"{name} has {len(lines)} lines"


def test_no_check_is_left_without_its_example() -> None:
    assert set(CHECKS) <= set(SCRIPTS)
