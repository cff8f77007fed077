"""Options that several commands take, and the reading of their values."""

import os
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from cnnflow.config import one_of
from cnnflow.errors import OptionError
from cnnflow.process import prepare_for_jax

BACKENDS = ("jax", "torch", "tensorflow")

JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else on stdout.")]
RunsOption = Annotated[Path, typer.Option("--runs", help="The folder that holds the run folders.")]
BackendOption = Annotated[
    str | None, typer.Option("--backend", help="jax, torch or tensorflow; default: $KERAS_BACKEND, else jax.")
]
LanguageOption = Annotated[
    str, typer.Option("--language", help="Show class names in this language, where the dataset has them: en, ko.")
]
TtaOption = Annotated[
    str | None,
    typer.Option(help="Average over each picture's views: none, mirror or shift; default: as the run did."),
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, its name, or `last`.")]

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def use_backend(name: str | None) -> None:
    """Choose Keras's backend for this process, before Keras is imported; what JAX compiles is kept for the next one."""
    if name is not None:
        one_of("backend", name, BACKENDS)
        os.environ["KERAS_BACKEND"] = name
    chosen = os.environ["KERAS_BACKEND"]
    one_of("backend", chosen, BACKENDS)
    if find_spec(chosen) is None:
        raise OptionError(f"backend {chosen} is not installed; pip install 'cnnflow[{chosen}]'")
    if chosen == "jax":
        # Before anything of JAX is imported, since its threads keep the memory arenas that they start with.
        prepare_for_jax()
    from cnnflow.kernels import enable_compilation_cache

    enable_compilation_cache()


def read_duration(text: str) -> float:
    """Seconds in "90", "90s", "8m" or "1.5h"."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    if found is None:
        raise OptionError(f"duration {text!r}; write it as 90s, 8m or 1.5h")
    return float(found[1]) * _SECONDS[found[2]]


def read_size(text: str) -> tuple[int, int]:
    """`(height, width)` in "80" or "160x120" (width x height, as people write it)."""
    found = re.fullmatch(r"(\d+)(?:x(\d+))?", text.strip())
    if found is None:
        raise OptionError(f"size {text!r}; write it as 80 or as 160x120, width first")
    return int(found[2] or found[1]), int(found[1])


def read_list(text: str) -> tuple[str, ...]:
    """The names in "daisy,dandelion"."""
    return tuple(name.strip() for name in text.split(",") if name.strip())
