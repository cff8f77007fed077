"""The README: its commands and code run, and it names every command and option.

The option tables between its marks are generated: `python tests/test_readme.py` writes them anew.

A fenced block of the README is run as it stands, in one folder for all, in their order: `console` blocks line by line
(what follows "$ "), `python` blocks as programs. A comment above a block changes that:

    <!-- test: --limit 200 -->         adds these words to each command, but where the block is run as it stands
    <!-- test: slow --limit 200 -->    and it is one of the slow tests
    <!-- test: skip, REASON -->        the block is not run
"""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer

from cnnflow.cli.main import app
from cnnflow.presets import PRESETS

README = Path(__file__).resolve().parent.parent / "README.md"
START, END = "<!-- options: written by tests/test_readme.py -->", "<!-- end of options -->"
SHARED = README.parent.parent / "shared" / "data" / "flower_photos"
SECONDS = 1800
pytestmark = pytest.mark.usefixtures("uncached")


def text() -> str:
    return README.read_text(encoding="utf-8")


# The blocks


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its lines, its first line's number, and what the comment above it says."""

    language: str
    content: str
    line: int
    test: str

    @property
    def commands(self) -> list[str]:
        """What a reader would type."""
        if self.language == "console":
            return [line.removeprefix("$ ") for line in self.content.splitlines() if line.startswith("$ ")]
        return []


def blocks() -> list[Block]:
    found = []
    fence = re.compile(r"(?:<!-- test: (?P<test>[^\n]*) -->\n)?```(?P<language>\w*)\n(?P<content>.*?)^```", re.S | re.M)
    for match in fence.finditer(text()):
        line = text().count("\n", 0, match.start("content"))
        found.append(Block(match["language"], match["content"], line, match["test"] or ""))
    return found


BLOCKS = [block for block in blocks() if block.language in ("console", "python")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the README's reader works: a folder of photos, and `cnnflow` on the path."""
    from drawn_pictures import encoded, photo_folder, scene, write

    work = tmp_path_factory.mktemp("readme")
    photo_folder(work / "photos", {"daisy": 12, "dandelion": 14}, width=60, height=48)
    for number, name in enumerate(sorted(set(re.findall(r"photos/(\w+/[\w-]+\.jpg)", text())))):
        write(work / "photos" / name, encoded(scene(1000 + number)))
    program = work / "bin" / "cnnflow"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nfrom cnnflow.cli.main import run\nrun()\n")
    program.chmod(0o755)
    return work


def run(words: list[str], folder: Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    path = f"{folder / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        words,
        cwd=folder,
        env=os.environ | {"PATH": path, "COLUMNS": "80"} | options,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def run_block(block: Block, folder: Path, quick: bool) -> None:
    if block.language == "python":
        done = run([sys.executable, "-c", block.content], folder)
        assert done.returncode == 0, done.stderr[-3000:]
        return
    for line in block.commands:
        typed = f"{line} {block.test.removeprefix('slow')}" if quick else line
        done = run(["bash", "-c", typed], folder)
        # The audit of real photos may have something to say, with code 1.
        fine = (0, 1) if line.startswith("cnnflow audit") else (0,)
        assert done.returncode in fine, f"$ {typed}\n{done.stdout[-1500:]}{done.stderr[-1500:]}"


def runnable() -> list[Any]:
    return [
        pytest.param(block, id=f"line {block.line}", marks=[pytest.mark.slow] * block.test.startswith("slow"))
        for block in BLOCKS
        if not block.test.startswith("skip") and (block.language == "python" or block.commands)
    ]


@pytest.mark.parametrize("block", runnable())
def test_the_blocks_run(block: Block, folder: Path) -> None:
    run_block(block, folder, quick=True)


@pytest.mark.slow
def test_the_blocks_run_as_they_stand(folder: Path, tmp_path: Path) -> None:
    """In their full length, on real photos where they are."""
    if SHARED.is_dir():
        for kind in ("daisy", "dandelion"):
            (tmp_path / "photos" / kind).mkdir(parents=True)
            named = [SHARED / kind / name for name in re.findall(rf"photos/{kind}/([\w-]+\.jpg)", text())]
            for photo in {*sorted((SHARED / kind).glob("*"))[:200], *named}:
                (tmp_path / "photos" / kind / photo.name).write_bytes(photo.read_bytes())
    else:
        (tmp_path / "photos").symlink_to(folder / "photos")
    (tmp_path / "bin").symlink_to(folder / "bin")
    for parameter in runnable():
        run_block(parameter.values[0], tmp_path, quick=False)


def test_what_is_not_run_has_a_reason() -> None:
    skipped = [block for block in BLOCKS if block.test.startswith("skip")]
    assert all(re.fullmatch(r"skip, .{10,}", block.test) for block in skipped)
    assert len(skipped) <= 4
    assert len(runnable()) >= 8


@pytest.mark.slow
def test_the_first_command_in_a_fresh_environment(tmp_path: Path) -> None:
    """`pip install . && cnnflow fit fashion`, with a few images; needs a package registry."""
    first = next(command for block in BLOCKS for command in block.commands if "pip install ." in command)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True, timeout=120)
    source = shlex.quote(str(README.parent))
    command = first.replace("pip install .", f"pip install -q {source}") + " --limit 200 --epochs 1 --json"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        ["bash", "-c", f". venv/bin/activate && {command}"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout)["limit"] == 200


def test_what_a_run_folder_holds_is_what_the_readme_says(folder: Path) -> None:
    """Each file of the README's listing is in the run that the blocks above made, and the other way round."""
    listing = next(block for block in blocks() if block.content.startswith("runs/"))
    told = {line.split()[0].rstrip("/") for line in listing.content.splitlines()[1:] if re.match(r"  \S", line)}
    (run_folder, *_) = sorted((folder / "runs").glob("fashion-speed_net-*"))
    assert {path.name for path in run_folder.iterdir()} == told


# The reference


def walk(group: Any, words: tuple[str, ...] = ("cnnflow",)) -> Iterator[tuple[str, Any]]:
    """Each command that does something, with its words."""
    for name, inner in group.commands.items():
        if hasattr(inner, "commands"):
            yield from walk(inner, (*words, name))
        else:
            yield " ".join((*words, name)), inner


COMMANDS = dict(walk(typer.main.get_command(app)))


def names_of(parameter: Any) -> list[str]:
    """What is typed for a parameter: `--epochs`, or `--keep-best` and `--keep-last`, or DATA."""
    if parameter.param_type_name == "argument":
        return [parameter.metavar or parameter.name.upper()]
    return [name for name in (*parameter.opts, *parameter.secondary_opts) if name.startswith("--")]


def reference() -> str:
    """The tables of all commands, arguments and options, as the README has them."""
    lines = []
    for words, command in COMMANDS.items():
        parameters = [p for p in command.params if p.name != "help"]
        arguments = [names_of(p)[0].strip("[]") for p in parameters if p.param_type_name == "argument"]
        lines += [f"#### `{' '.join([words, *arguments])}`", "", command.help.split("\n\n")[0].replace("\n", " "), ""]
        lines += ["| | |", "|---|---|"]
        for parameter in parameters:
            names = ", ".join(f"`{name.strip('[]')}`" for name in names_of(parameter))
            lines.append(f"| {names} | {_escape(parameter.help)}{_default(parameter)} |")
        lines.append("")
    return "\n".join(lines).rstrip()


def _escape(help_text: str) -> str:
    return help_text.replace("|", "\\|").replace("<", "&lt;")


def _default(parameter: Any) -> str:
    value = parameter.default
    if parameter.param_type_name == "argument" or isinstance(value, bool) or value is None or value == "":
        return ""
    return f" Default: {value}."


def test_every_preset_is_told() -> None:
    for name in PRESETS:
        assert re.search(rf"^\| `{name}` \| .{{20,}} \|$", text(), re.M), f"preset {name} is not in the table"


@pytest.mark.parametrize("words", COMMANDS)
def test_every_command_is_shown_and_its_options_are_told(words: str) -> None:
    told, _, rest = text().partition(START)
    options, _, _ = rest.partition(END)
    assert re.search(rf"(?<![\w-]){words}(?![\w-])", told), f"no words about {words} before the reference"
    section = options.partition(f"#### `{words}")[2].partition("#### `")[0]
    assert section, f"{words} is not in the reference; run python tests/test_readme.py"
    for parameter in COMMANDS[words].params:
        assert parameter.name == "help" or parameter.help, f"{words}: {parameter.name} has no help"
        for name in names_of(parameter):
            assert parameter.name == "help" or f"`{name.strip('[]')}`" in section, f"{words} {name} is missing"


def test_the_reference_is_of_today() -> None:
    written = text().partition(START)[2].partition(END)[0].strip()
    assert written == reference(), "run python tests/test_readme.py"


def test_no_command_or_option_is_told_that_there_is_not() -> None:
    """What the README shows of `cnnflow` exists: an option that went away must go from here too."""
    known = {name for command in COMMANDS.values() for p in command.params for name in names_of(p)}
    known |= {"--version", "--debug", "--help", "--install-completion", "--show-completion"}
    shown = re.findall(r"cnnflow( [a-z][^\n`|]*)", text())
    for words in shown:
        for option in re.findall(r"(?<=\s)--[a-z-]+", words):
            assert option in known, f"cnnflow{words}: there is no {option}"


if __name__ == "__main__":
    before, _, rest = text().partition(START)
    README.write_text(f"{before}{START}\n\n{reference()}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8")
