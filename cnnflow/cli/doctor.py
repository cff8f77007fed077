"""`cnnflow doctor`: what works on this machine, and what is missing."""

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import typer

import cnnflow
from cnnflow.cli.options import BACKENDS, BackendOption, JsonOption, use_backend
from cnnflow.cli.output import print_json, results

_PACKAGES = (
    "keras",
    "jax",
    "jaxlib",
    "numpy",
    "pillow",
    "tensorflow-datasets",
    "torch",
    "tensorflow",
    "tensorflow-cpu",
)


def doctor(backend: BackendOption = None, json: JsonOption = False) -> None:
    """Show versions, backend, devices, cores, cache and data, and what is missing.

    Exit code 1 where something that cnnflow needs does not work.
    """
    use_backend(backend)
    facts = {**_versions(), **_training(), **_files()}
    problems = _problems(facts)
    if json:
        print_json({"facts": facts, "problems": problems})
    else:
        _print(facts, problems)
    if problems:
        raise typer.Exit(1)


def _print(facts: dict[str, Any], problems: list[str]) -> None:
    from rich.table import Table

    table = Table(show_header=False)
    for name, value in facts.items():
        table.add_row(name, str(value))
    console = results()
    console.print(table)
    for problem in problems:
        console.print(problem, style="red", soft_wrap=True)
    console.print("Everything that is needed works." if not problems else f"{len(problems)} thing(s) to mend.")


def _versions() -> dict[str, str]:
    found = {"cnnflow": cnnflow.__version__}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _training() -> dict[str, str]:
    """What Keras sees, and one multiplication on it, which shows that the backend works."""
    import keras

    from cnnflow.kernels import engine, multiplies_bfloat16
    from cnnflow.training.fingerprint import available_cores, devices

    product = keras.ops.matmul(keras.ops.ones((2, 2)), keras.ops.ones((2, 2)))
    works = bool((keras.ops.convert_to_numpy(product) == 2).all())
    return {
        "backend": keras.backend.backend() + ("" if works else " (broken)"),
        "other backends": ", ".join(name for name in BACKENDS if find_spec(name) and name != keras.backend.backend())
        or "none installed",
        "devices": ", ".join(devices()),
        "cores": str(available_cores()),
        "fast convolutions": engine() + (", bfloat16 too" if multiplies_bfloat16() else ""),
    }


def _files() -> dict[str, str]:
    from cnnflow.data.cache import cache_folder
    from cnnflow.data.places import keras_datasets
    from cnnflow.data.sources import SOURCES
    from cnnflow.plots.fonts import lettering

    folder, korean = cache_folder(), lettering(["바지"])
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.exists() else 0
    return {
        "cache": f"{folder} ({size / 2**20:,.0f} MB)",
        "Keras cache": str(keras_datasets()),
        "data here": ", ".join(name for name, source in SOURCES.items() if source.is_here()) or "none",
        "Korean font for plots": korean.family[-1] if korean.names[0] == "바지" else "none; plots show class numbers",
    }


def _problems(facts: dict[str, Any]) -> list[str]:
    problems = []
    if "(broken)" in facts["backend"]:
        problems.append(f"backend {facts['backend']}: a matrix product is wrong; reinstall it")
    return problems
