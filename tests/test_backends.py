"""The same command on torch and on TensorFlow: the same batches, models that load anywhere, exact resume."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

OTHERS = [pytest.param("torch", marks=pytest.mark.torch), pytest.param("tensorflow", marks=pytest.mark.tensorflow)]


def run(code: str, backend: str, *arguments: str) -> str:
    """The stdout of a Python program in a process of its own, on `backend`."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | {"KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


FIT = """
import sys
from cnnflow.cli.main import run
sys.argv = ["cnnflow", "fit", "fashion", "--preset", "tutorial", "--limit", "600", "--epochs", "2",
            "--augment", "light", "--precision", sys.argv[2], "--json", "--runs", sys.argv[1],
            "--name", "run"]
run()
"""
PREDICT = """
import sys, numpy as np, cnnflow
from pathlib import Path
from cnnflow.training.trained import load_trained
images = np.load(sys.argv[2])
np.save(sys.argv[3], cnnflow.predict(load_trained(cnnflow.find_run(Path(sys.argv[1]), "run")).model, images))
"""
BATCHES = """
import hashlib, numpy as np, keras
from cnnflow import BatchPlan, DataConfig, augmentation, load, stream
train = load(DataConfig("fashion")).train.take(np.arange(300))
digest = hashlib.sha256()
with stream(train, BatchPlan(300, 64, 5), augmentation("tutorial", mirror=True), epochs=2) as batches:
    for batch in batches:
        digest.update(batch.images.tobytes() + batch.targets.tobytes() + batch.weights.tobytes())
print(keras.backend.backend(), digest.hexdigest())
"""


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("backend", OTHERS)
def test_a_model_trained_on_one_backend_predicts_the_same_on_jax(backend: str, precision: str, tmp_path: Path) -> None:
    metrics: dict[str, Any] = json.loads(run(FIT, backend, str(tmp_path), precision))
    assert (metrics["backend"], metrics["precision"]) == (backend, precision)
    assert metrics["test_accuracy"] > 0.55
    rng = np.random.default_rng(0)
    np.save(tmp_path / "images.npy", rng.integers(0, 256, (50, 28, 28, 1), np.uint8))
    answers = []
    for name in (backend, "jax"):
        out = tmp_path / f"{name}.npy"
        run(PREDICT, name, str(tmp_path), str(tmp_path / "images.npy"), str(out))
        answers.append(np.load(out))
    assert np.abs(answers[0] - answers[1]).max() < 1e-5


@pytest.mark.parametrize("backend", OTHERS)
def test_the_batches_are_the_same(backend: str) -> None:
    (name, there), (_, here) = (run(BATCHES, b).split() for b in (backend, "jax"))
    assert name == backend
    assert there == here


@pytest.mark.parametrize("backend", OTHERS)
def test_jax_is_chosen_only_where_nothing_is(backend: str) -> None:
    code = "import cnnflow, keras; print(keras.backend.backend())"
    assert run(code, backend).strip() == backend


@pytest.mark.torch
def test_killed_on_torch_it_resumes_to_the_last_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    import torture

    monkeypatch.setenv("KERAS_BACKEND", "torch")
    done = torture.torture(kills=4)
    assert done["different"] == 0
    assert done["equal"] >= 1
