"""Run folders: numbered, found, locked."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cnnflow.errors import OptionError, RunError
from cnnflow.training.run_folder import create_run, find_run


def test_runs_that_start_together_never_share_a_folder(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: create_run(tmp_path / "runs", "fashion").name, range(50)))
    assert sorted(found) == [f"fashion-{n:03d}" for n in range(1, 51)]


def test_numbers_go_on_after_the_highest(tmp_path: Path) -> None:
    (tmp_path / "fashion-041").mkdir()
    (tmp_path / "fashion-basic-777").mkdir()
    assert create_run(tmp_path, "fashion").name == "fashion-042"


def test_names_are_plain(tmp_path: Path) -> None:
    assert create_run(tmp_path, "a b/c*").name == "a-b-c-001"
    assert create_run(tmp_path, "꽃").name == "꽃-001"
    assert create_run(tmp_path, "x", name="mine").name == "mine"
    with pytest.raises(RunError, match=r"there is a run .*mine already"):
        create_run(tmp_path, "x", name="mine")
    for bad in ("../up", "", "last", ".hidden", "a/b"):
        with pytest.raises(OptionError, match="run name"):
            create_run(tmp_path, "x", name=bad)


def test_runs_are_found_by_path_name_and_age(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no run"):
        find_run(tmp_path, "last")
    first, second = create_run(tmp_path, "a"), create_run(tmp_path, "a")
    for run in (first, second):
        run.config.write_text("")
    assert find_run(tmp_path, "last") == second
    assert find_run(tmp_path, "a-001") == first
    assert find_run(tmp_path / "elsewhere", str(first.path)) == first
    with pytest.raises(RunError, match="did you mean a-001"):
        find_run(tmp_path, "a-01")


HOLD = """
import sys, time
from pathlib import Path
from cnnflow.training.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_and_a_killed_one_leaves_no_lock(tmp_path: Path) -> None:
    run = create_run(tmp_path, "a")
    with subprocess.Popen([sys.executable, "-c", HOLD, str(run.path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="in use by another process"), run.locked():
            pass
        holder.kill()
        holder.wait()
    with run.locked():
        pass


def test_what_a_killed_process_was_writing_is_removed(tmp_path: Path) -> None:
    run = create_run(tmp_path, "a")
    (run.path / ".model-0123abcd.keras").write_text("half")
    (run.path / ".notes").write_text("mine")
    with run.locked():
        assert not (run.path / ".model-0123abcd.keras").exists()
    assert (run.path / ".notes").exists()
