"""The command line: help, exit codes, JSON, signals, pipes.

Processes of their own where that is what is tested; elsewhere `run` is called here, since importing Keras for each
call would take most of the time.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cnnflow.cli import models
from cnnflow.cli.main import app, run

# Nothing of these may be loaded before a command needs it: each takes from a fifth of a second to several.
HEAVY = ("keras", "jax", "jaxlib", "torch", "tensorflow", "tensorflow_datasets", "matplotlib", "sklearn", "scipy")
SMALL = ("--preset", "tutorial", "--limit", "64", "--batch-size", "32")
SECONDS = 240

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


def command(*words: str) -> list[str]:
    # -P: the installed package, and not the folder that the tests are started in.
    return [sys.executable, "-P", "-m", "cnnflow", *words]


def environment(**changes: str) -> dict[str, str]:
    return os.environ | {"COLUMNS": "80"} | changes


def process(*words: str, cwd: Path | None = None, **changes: str) -> Done:
    """Run `cnnflow WORDS` in a process of its own."""
    return subprocess.run(
        command(*words),
        cwd=cwd,
        env=environment(**changes),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture
def cnnflow(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    """Run `cnnflow WORDS` in this process."""

    def here(*words: str, cwd: Path | None = None) -> Done:
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setenv("KERAS_BACKEND", os.environ["KERAS_BACKEND"])
        monkeypatch.setattr(sys, "argv", ["cnnflow", *words])
        if cwd is not None:
            monkeypatch.chdir(cwd)
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            run()
        code = ended.value.code
        return Done(words, code if isinstance(code, int) else 0, *capfd.readouterr())

    return here


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working folder with a small run "first" in it."""
    folder = tmp_path_factory.mktemp("cli")
    done = process("fit", "fashion", *SMALL, "--epochs", "1", "--name", "first", cwd=folder)
    assert done.returncode == 0, done.stderr
    (folder / "said").write_text(done.stdout + "\0" + done.stderr, encoding="utf-8")
    return folder


# Help


def walk(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of the command line with its words, groups included."""
    yield path, group
    for name, inner in getattr(group, "commands", {}).items():
        yield from walk(inner, (*path, name))


COMMANDS = dict(walk(typer.main.get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_option_and_argument_has_help(words: tuple[str, ...]) -> None:
    found = COMMANDS[words]
    assert found.help, f"cnnflow {' '.join(words)} has no help"
    for parameter in found.params:
        assert getattr(parameter, "help", None), f"{parameter.name} of cnnflow {' '.join(words)} has no help"


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_help_fits_80_columns(words: tuple[str, ...], cnnflow: Run) -> None:
    done = cnnflow(*words, "--help")
    assert done.returncode == 0, done.stderr
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize("words", [["--help"], ["fit", "--help"], ["--version"], ["predict", "--help"]])
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    code = """
import sys
from cnnflow.cli.main import run
try:
    run()
finally:
    print(*{name.partition(".")[0] for name in sys.modules}, file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0
    loaded = set(done.stderr.split())
    assert "typer" in loaded
    assert not loaded & set(HEAVY)


def test_help_is_quick() -> None:
    """Under 0.4 s on a quiet machine; beside other work only processor time can be measured."""

    def seconds(code: str) -> float:
        before = os.times()
        subprocess.run([sys.executable, "-c", code, "--help"], stdout=subprocess.DEVNULL, timeout=60, check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    # Interleaved with Python's own start-up, so that a slow moment of the machine meets both.
    pairs = [(seconds("from cnnflow.cli.main import run; run()"), seconds("pass")) for _ in range(5)]
    fastest, start = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    assert fastest - start < 0.4, f"--help took {fastest:.2f} s, of which Python itself {start:.2f} s"


# Wrong words


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["fit", "fasion"], "did you mean fashion"),
        (["fit", "fashion", "--model", "basic_cn"], "did you mean basic_cnn"),
        (["fit", "fashion", "--preset", "tutorail"], "did you mean tutorial"),
        (["fit", "fashion", "--optimizer", "adma"], "did you mean adam"),
        (["fit", "fashion", "--augment", "ligth"], "did you mean light"),
        (["fit", "fashion", "--backend", "tensorflw"], "did you mean tensorflow"),
        (["fit", "fashion", "--epoch", "3"], "--epochs"),
        (["fti", "fashion"], "fit"),
        (["predict", "last", "x.png", "--format", "cvs"], "did you mean csv"),
        (["evaluate", "frist"], "did you mean first"),
    ],
)
def test_unknown_names_suggest_the_nearest(words: list[str], said: str, runs: Path, cnnflow: Run) -> None:
    done = cnnflow(*words, cwd=runs)
    assert done.returncode == 2
    assert said.lower() in done.stderr.lower()
    assert one_line(done)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "Usage"),
        (["fit"], "no DATA"),
        (["fit", "fashion", "--epochs", "0"], "epochs=0; it must be at least 1"),
        (["fit", "fashion", "--epochs", "many"], "--epochs"),
        (["fit", "fashion", "--learning-rate", "-1"], "learning_rate=-1.0; it must be above 0"),
        (["fit", "fashion", "--dropout", "1"], "dropout=1.0; it must be at least 0 and below 1"),
        (["fit", "fashion", "--time-limit", "soon"], "write it as 90s, 8m or 1.5h"),
        (["fit", "fashion", "--regularize", "dropuot=1"], "it takes dropout=0.3"),
        (["fit", "fashion", "--limit", "0"], "limit=0"),
        (["fit", "--resume", "last", "--epochs", "3"], "--resume together with --epochs"),
        (["fit", "no/such/folder"], "no/such/folder"),
        (["fit", "--config", "none.toml"], "none.toml"),
        (["predict", "first", "no.png"], "no such file, folder or match: no.png"),
        (["predict", "first"], "PATH"),
        (["predict", "first", "x.png", "--top", "0"], "--top 0; it must be at least 1"),
        (["compare", "fashion"], "two or more MODELs"),
        (["study", "fashion"], "--vary"),
        (["audit", "no-folder"], "no-folder"),
    ],
)
def test_bad_input_is_one_line_and_code_2(words: list[str], said: str, runs: Path, cnnflow: Run) -> None:
    done = cnnflow(*words, cwd=runs)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr + done.stdout
    assert "Traceback" not in done.stderr + done.stdout
    if words:
        assert one_line(done)
    assert [path.name for path in (runs / "runs").iterdir()] == ["first"], "a run that never began left a folder"


def one_line(done: Done) -> bool:
    return done.stderr.startswith("error: ") and done.stderr.count("\n") == 1 and done.stdout == ""


def test_a_traceback_only_with_debug() -> None:
    words = ["fit", "fashion", "--epochs", "0"]
    assert "Traceback" not in process(*words).stderr
    for place in (["--debug", *words], [*words, "--debug"]):
        shown = process(*place)
        assert shown.returncode == 1, "Python's own code for an exception that nobody caught"
        assert "Traceback" in shown.stderr
        assert "OptionError: epochs=0" in shown.stderr


# Results


def test_fit_says_what_it_did(runs: Path) -> None:
    output, remarks = (runs / "said").read_text(encoding="utf-8").split("\0")
    for part in ("train accuracy", "validation accuracy", "test accuracy", "generalization gap", "images/s", "421,642"):
        assert part in output
    assert "--limit 64 images of each split" in output
    assert "Everything is in runs/first" in output
    assert re.search(r"epoch +1/1  loss \d", remarks), "a plain line an epoch where there is no terminal"
    for text in (output, remarks):
        assert "\x1b" not in text, "no colours in a pipe"
        assert "\r" not in text, "no progress bars in a pipe"
    assert max(map(len, output.splitlines())) <= 80


def test_a_run_folder_holds_everything(runs: Path) -> None:
    found = {path.name for path in (runs / "runs" / "first").iterdir()}
    assert found >= {
        "config.toml",
        "environment.json",
        "split.json",
        "history.csv",
        "log.txt",
        "model.keras",
        "classes.json",
        "metrics.json",
        "predictions.csv",
        "state",
        "plots",
    }
    metrics = json.loads((runs / "runs" / "first" / "metrics.json").read_text())
    assert metrics["limit"] == 64
    assert set(metrics) >= {"seconds_training", "images_per_second", "generalization_gap", "per_class", "ece"}


@pytest.fixture(scope="module")
def picture(runs: Path) -> Path:
    """A colour picture of no particular size."""
    import numpy as np
    from PIL import Image

    path = runs / "a picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "first"],
        ["predict", "first", "a picture.png"],
        ["models"],
        ["doctor"],
        ["advise", "fashion"],
        ["audit", "photos"],
        ["prepare", "photos", "photos.npz", "--size", "16"],
        ["compare", "fashion", "dense_net", "basic_cnn", *SMALL, "--epochs", "1", "--seeds", "1", "--runs", "others"],
        ["fit", "fashion", *SMALL, "--epochs", "1", "--runs", "others"],
    ],
    ids=lambda words: words[0],
)
def test_json_is_one_document_and_nothing_else(words: list[str], runs: Path, picture: Path, cnnflow: Run) -> None:
    photos(runs)
    done = cnnflow(*words, "--json", cwd=runs)
    assert done.returncode in (0, 1), done.stderr
    assert json.loads(done.stdout)
    assert done.stdout.endswith(("}\n", "]\n"))


def photos(folder: Path) -> None:
    if not (folder / "photos").exists():
        from drawn_pictures import photo_folder

        photo_folder(folder / "photos", {"daisy": 12, "dandelion": 12})


def test_code_1_when_a_check_fails(runs: Path, picture: Path, cnnflow: Run) -> None:
    (runs / "broken.png").write_bytes(b"not a picture")
    done = cnnflow("predict", "first", str(picture), "broken.png", "--format", "csv", cwd=runs)
    assert done.returncode == 1
    header, good, bad = done.stdout.splitlines()
    assert header.startswith("file,label,probability,")
    assert good.startswith(str(picture))
    assert bad.startswith("broken.png,")
    assert "JPEG, PNG, WebP or BMP" in bad


def test_a_broken_pipe_is_no_error(runs: Path) -> None:
    with subprocess.Popen(
        command("models", "--json"), cwd=runs, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait(SECONDS) == 0


def test_a_full_disk_is_said_in_a_line(runs: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("models", "--json"), cwd=runs, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert done.stderr.startswith("error: the disk is full; free some space")
    assert done.stderr.count("\n") == 1


# Signals


def wait_for(ready: Callable[[], bool], running: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + SECONDS
    while not ready():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.05)


@pytest.mark.parametrize(("fast", "used"), [(True, "mixed_bfloat16"), (False, "float32")])
def test_a_run_writes_down_what_auto_was(
    fast: bool, used: str, tmp_path: Path, cnnflow: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cnnflow.training.precision.multiplies_bfloat16", lambda: fast)
    words = ("fit", "fashion", *SMALL, "--model", "dense_net", "--epochs", "1", "--name", "run")
    done = cnnflow(*words, "--precision", "auto", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["precision"] == used
    assert f'precision = "{used}"' in (tmp_path / "runs" / "run" / "config.toml").read_text()


def test_a_preset_tells_what_it_chose_and_what_was_said_instead(tmp_path: Path, cnnflow: Run) -> None:
    words = ("fit", "fashion", "--preset", "best", "--limit", "64", "--model", "dense_net", "--epochs", "1")
    done = cnnflow(*words, "--precision", "mixed_bfloat16", "--name", "run", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert "preset best, but as you said: model dense_net, epochs 1, precision mixed_bfloat16" in said
    assert "training computes in mixed_bfloat16" in said
    assert json.loads(done.stdout)["precision"] == "mixed_bfloat16"
    assert "validation = 0.05" in (tmp_path / "runs" / "run" / "config.toml").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_signal_ends_fit_with_a_snapshot_and_the_command_to_go_on(
    number: signal.Signals, tmp_path: Path, cnnflow: Run
) -> None:
    words = (
        "fit",
        "fashion",
        "--preset",
        "tutorial",
        "--limit",
        "64",
        "--batch-size",
        "4",
        "--epochs",
        "40",
        "--name",
        "short",
    )
    with subprocess.Popen(
        command(*words), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        wait_for(lambda: (tmp_path / "runs" / "short" / "history.csv").exists(), running)
        running.send_signal(number)
        output, remarks = running.communicate(timeout=SECONDS)
    assert running.returncode == 130, remarks
    assert output == ""
    assert "Traceback" not in remarks
    assert "caution: stopping at the end of this step, with a snapshot; once more ends at once" in remarks
    assert remarks.splitlines()[-1] == "stopped; go on with: cnnflow fit --resume short"
    run_folder = tmp_path / "runs" / "short"
    assert list((run_folder / "state").glob("snapshot-*.bin"))
    assert not (run_folder / "metrics.json").exists()

    early = cnnflow("evaluate", "short", cwd=tmp_path)
    assert early.returncode == 2, "a run that is not complete has no figures"
    done = cnnflow("fit", "--resume", "last", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    metrics = json.loads(done.stdout)
    assert (metrics["epochs"], metrics["stopped"]) == (40, "epochs")
    epochs = [float(line.split(",")[0]) for line in (run_folder / "history.csv").read_text().splitlines()[1:]]
    assert epochs == list(range(1, 41)), "no epoch is lost or done twice"
    again = cnnflow("fit", "--resume", "short", cwd=tmp_path)
    assert again.returncode == 2
    assert "is complete; there is nothing to resume" in again.stderr


def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    """A process whose step never ends, so that the first signal is only heard, must still be stoppable."""
    code = """
import os, signal, sys, time
from cnnflow.training.stopping import stop_on_signals
with stop_on_signals(lambda: print("asked", flush=True)) as should_stop:
    print("ready", flush=True)
    time.sleep(60 if not should_stop() else 0)
    while True:
        time.sleep(1)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == "ready\n"
        running.send_signal(signal.SIGINT)
        assert running.stdout.readline() == "asked\n"
        assert running.poll() is None
        running.send_signal(signal.SIGINT)
        assert running.wait(10) == 130


def test_ctrl_c_outside_training_is_code_130(cnnflow: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(models, "print_json", interrupt)
    done = cnnflow("models", "--json")
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
