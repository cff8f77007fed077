"""The run that the tests of resume interrupt, and the digest by which its results are compared.

It has all that a resumed run can get wrong: convolutions, BatchNorm, two Dropouts, Adam, augmentation, early stopping,
the plateau rule, the best weights, and snapshots in the middle of epochs.

As a program it trains, or goes on with, that run: `python resume_case.py RUNS`. It prints "step" at its first step,
"writing" whenever a snapshot is being written, and its digest at the end.
"""

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

import cnnflow
from cnnflow.config import DataConfig, FitConfig, ModelConfig, Recipe
from cnnflow.events import Event, StepDone
from cnnflow.training.run_folder import RunFolder, create_run

CONFIG = FitConfig(
    DataConfig("fashion", limit=480),
    ModelConfig("flower_cnn", batch_norm=True),
    Recipe(
        epochs=8,
        batch_size=32,
        augment="tutorial",
        learning_rate=0.003,
        early_stopping=6,
        reduce_on_plateau=1,
        keep_best=True,
    ),
)
# Clocks differ from run to run; everything else must not.
TIMES = {"seconds", "images_per_second", "seconds_training", "snapshot_seconds", "timed_seconds", "timed_images"}


def digest(folder: RunFolder) -> str:
    """sha256 over weights, optimizer, random state, history, metrics and predictions of a complete run."""
    import keras

    from cnnflow.training.snapshot import newest_snapshot

    snapshot = newest_snapshot(folder.state)
    assert snapshot is not None
    parts = hashlib.sha256()
    for name in sorted(snapshot.arrays):
        parts.update(name.encode() + snapshot.arrays[name].tobytes())
    parts.update(json.dumps(without_times(snapshot.facts["state"])).encode())
    parts.update(json.dumps(without_times(json.loads(folder.metrics.read_text()))).encode())
    parts.update(folder.predictions.read_bytes())
    parts.update(folder.split.read_bytes())
    model = keras.saving.load_model(folder.model, compile=False)
    for variable in model.weights:
        parts.update(np.asarray(keras.ops.convert_to_numpy(variable.value)).tobytes())
    return parts.hexdigest()


def without_times(content: Any) -> Any:
    """`content` of JSON's types without the figures that clocks give."""
    if isinstance(content, dict):
        return {name: without_times(value) for name, value in content.items() if name not in TIMES}
    return [without_times(item) for item in content] if isinstance(content, list | tuple) else content


def hurry_snapshots(interval: float) -> None:
    """Take snapshots every `interval` seconds in the middle of epochs, whatever they cost."""
    from functools import partial

    from cnnflow.experiments import run
    from cnnflow.training import saving

    run.Snapshots = partial(run.Snapshots, interval=interval)  # type: ignore[assignment,misc]
    saving._PATIENCE = 0


def main() -> None:
    """Train the case in the folder of runs that the command line names, or go on with it."""
    from cnnflow.experiments.run import resume, run

    hurry_snapshots(0.1)
    fsync = os.fsync

    def slow_fsync(handle: int) -> None:
        # Between the writing of a snapshot and its renaming: the moment that a kill must not hurt.
        if "snapshot" in Path(f"/proc/self/fd/{handle}").readlink().name:
            print("writing", flush=True)
            time.sleep(0.1)
        fsync(handle)

    os.fsync = slow_fsync
    stepped = False

    def on_event(event: Event) -> None:
        nonlocal stepped
        if isinstance(event, StepDone) and not stepped:
            stepped = True
            print("step", flush=True)

    runs = Path(sys.argv[1])
    folder = RunFolder(runs / "case")
    if not folder.config.exists():
        folder = folder if folder.path.exists() else create_run(runs, "case", name="case")
        run(CONFIG, folder, on_event=on_event)
    elif not folder.complete:
        resume(folder, on_event=on_event)
    print(f"digest {digest(folder)}", flush=True)


if __name__ == "__main__":
    assert cnnflow.__version__
    main()
