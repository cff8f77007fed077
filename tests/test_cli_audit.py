"""`cnnflow audit` and `cnnflow prepare` as a user meets them."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from drawn_pictures import encoded, photo_folder, scene, write
from typer.testing import CliRunner

from cnnflow.cli.main import app
from cnnflow.data.prepared import read_prepared


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """A cache folder of the test's own."""
    monkeypatch.setenv("CNNFLOW_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def folder(tmp_path):
    return photo_folder(tmp_path / "photos", {"daisy": 55, "rose": 55}, width=200, height=150)


@pytest.fixture
def bad_folder(folder):
    write(folder / "daisy" / "empty.jpg", b"")
    write(folder / "rose" / "0000-again.png", encoded(scene(0, width=200, height=150), "PNG"))
    return folder


def called(*words, width=100):
    return CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": str(width)})


def in_a_process(*words):
    """What the installed command does: exit code and output."""
    script = "from cnnflow.cli.main import run; run()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "100"}
    words = [str(word) for word in words]
    return subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, env=environment)


def test_a_clean_folder_is_fine(folder):
    result = called("audit", folder)
    assert result.exit_code == 0
    assert "110 usable pictures" in result.stdout
    assert "train: daisy 55  rose 55" in result.stdout
    assert "0 findings, none that must be looked at before training" in result.stdout


def test_what_must_be_looked_at_gives_exit_code_1(bad_folder):
    result = called("audit", bad_folder)
    assert result.exit_code == 1
    assert "empty: daisy/empty.jpg is empty; copy it again or delete it" in result.stdout
    assert "near label conflict: daisy/0000.jpg, rose/0000-again.png look the same" in result.stdout
    assert "1 of 2 findings must be looked at before training" in result.stdout
    assert "│ hard     │ empty               │      1 │ daisy/empty.jpg" in result.stdout


def test_soft_findings_alone_give_exit_code_0(folder):
    write(folder / "rose" / "notes.txt", b"in May")
    result = called("audit", folder)
    assert result.exit_code == 0
    assert "1 finding, none that must be looked at" in result.stdout


def test_soft_findings_are_shortened_and_all_shows_them(folder):
    for number in range(8):
        write(folder / "rose" / f"notes{number}.txt", b"in May")
    short, whole = called("audit", folder).stdout, called("audit", folder, "--all").stdout
    assert "other file: and 5 more; --all lists them" in short
    assert "notes7.txt" not in short
    assert all(f"notes{number}.txt" in whole for number in range(8))


def test_json_is_one_document_and_nothing_else(bad_folder):
    done = in_a_process("audit", bad_folder, "--json")
    assert done.returncode == 1
    content = json.loads(done.stdout)
    assert content["pictures"] == 111
    assert content["classes"] == {"train": {"daisy": 55, "rose": 56}}
    assert content["counts"] == {"empty": 1, "near label conflict": 1}
    assert (content["hard"], content["soft"]) == (1, 1)
    assert content["findings"][0] == {
        "kind": "empty",
        "severity": "hard",
        "files": ["daisy/empty.jpg"],
        "message": "daisy/empty.jpg is empty; copy it again or delete it",
    }


def test_a_folder_that_is_none_gives_exit_code_2_and_one_line(tmp_path):
    done = in_a_process("audit", tmp_path / "nowhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: no folder")
    assert done.stderr.count("\n") == 1


def test_prepare_writes_a_file_that_can_be_trained_on(bad_folder, tmp_path):
    out = tmp_path / "out" / "photos.npz"
    done = in_a_process("prepare", bad_folder, out, "--size", "20x10", "--fit", "pad", "--color", "gray")
    assert done.returncode == 0, done.stderr
    assert "train: 111 pictures: daisy 55  rose 56" in done.stdout
    assert "10 x 20 x 1 (pad)" in done.stdout
    assert "caution: empty: daisy/empty.jpg is empty" in done.stderr
    dataset = read_prepared(out)
    assert dataset.train.image_shape == (10, 20, 1)
    assert dataset.train.images.any()


def test_prepare_json(folder, tmp_path):
    result = called("prepare", folder, tmp_path / "p.npz", "--size", "16", "--classes", "rose,daisy", "--json")
    content = json.loads(result.stdout)
    assert content["counts"] == {"train": {"rose": 55, "daisy": 55}}
    assert content["resize"]["height"] == 16
    assert content["bytes"] == (tmp_path / "p.npz").stat().st_size
    assert np.array_equal(np.unique(read_prepared(tmp_path / "p.npz").train.labels), [0, 1])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["out.zip"], "out.zip does not end in .npz"),
        (["out.npz", "--size", "big"], "size 'big'; write it as 80 or as 160x120"),
        (["out.npz", "--size", "5000"], "size=(5000, 5000)"),
        (["out.npz", "--fit", "strech"], "did you mean stretch?"),
        (["out.npz", "--classes", "rose,lily"], "no class 'lily'"),
        (["out.npz", "--strict"], "strict, and 1 bad file: daisy/empty.jpg is empty"),
    ],
)
def test_prepare_refuses_in_one_line(bad_folder, tmp_path, options, message):
    done = in_a_process("prepare", bad_folder, *options)
    assert done.returncode == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert message in line
    assert not list(tmp_path.glob("*.npz"))


def test_help_of_both_loads_nothing_heavy():
    script = (
        "import sys\n"
        "from typer.testing import CliRunner\n"
        "from cnnflow.cli.main import app\n"
        "for command in ('audit', 'prepare'):\n"
        "    result = CliRunner().invoke(app, [command, '--help'])\n"
        "    assert result.exit_code == 0 and 'Examples' in result.output, result.output\n"
        "print([name for name in ('keras', 'jax', 'PIL', 'scipy', 'imagehash') if name in sys.modules])"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)
    assert done.stdout.strip() == "[]", done.stderr
