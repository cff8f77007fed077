"""`plan.json`: what an experiment was asked to do, so that it can go on where it was interrupted."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cnnflow.errors import RunError
from cnnflow.files import write_json

PLAN = "plan.json"


def save_plan(folder: Path, command: str, content: Mapping[str, Any]) -> None:
    """Write the plan of an experiment into its folder; raises `RunError` where the folder has another one."""
    plan = {"command": command, **content}
    path = folder / PLAN
    if not path.exists():
        write_json(path, plan)
    elif read_plan(folder, command) != json.loads(json.dumps(plan)):
        raise RunError(f"{folder} has the plan of another experiment; go on with --resume, or choose another --name")


def read_plan(folder: Path, command: str | None) -> dict[str, Any]:
    """The plan of the experiment in `folder`, of `command` or (None) of any.

    Raises:
        RunError: there is none, or one of another command.
    """
    path = folder / PLAN
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({error}); name the folder of an experiment") from error
    if command is not None and content.get("command") != command:
        raise RunError(f"{folder} is of `cnnflow {content.get('command')}`; use that command with --resume")
    return content


def find_experiment(runs: Path, name: str, command: str) -> Path:
    """The folder of the experiment called `name` in `runs`: a path, a name, or "last" for that command's newest.

    Raises:
        RunError: there is none.
    """
    if name == "last":
        plans = [path for path in runs.glob(f"*/{PLAN}") if read_plan(path.parent, None)["command"] == command]
        if not plans:
            raise RunError(f"there is no `cnnflow {command}` in {runs} yet; start one without --resume")
        return max(plans, key=lambda path: path.stat().st_mtime_ns).parent
    for folder in (Path(name), runs / name):
        if (folder / PLAN).is_file():
            return folder
    raise RunError(f"no `cnnflow {command}` called {name!r} in {runs}; `--resume last` is the newest")
