"""`cnnflow predict`: classify pictures with a trained model."""

import csv
import glob
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnflow.cli.options import BackendOption, LanguageOption, RunArgument, RunsOption, TtaOption, use_backend
from cnnflow.cli.output import print_json, results, show_events
from cnnflow.config import one_of
from cnnflow.errors import DataError, OptionError

if TYPE_CHECKING:
    from cnnflow.experiments.classify import Classified

_FORMATS = ("table", "csv", "json")


def predict(
    run: RunArgument,
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Pictures, folders of them, or globs.")],
    top: Annotated[int, typer.Option(help="How many classes to show for each picture.")] = 3,
    output: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    tta: TtaOption = None,
    language: LanguageOption = "en",
    runs: RunsOption = Path("runs"),
    backend: BackendOption = None,
) -> None:
    """Classify pictures of any size; those that cannot be read are listed with the reason, and the exit code is 1.

    Examples: `cnnflow predict last photo.jpg`, `cnnflow predict last photos/ --top 1 --format csv`.
    """
    one_of("--format", output, _FORMATS)
    if top < 1:
        raise OptionError(f"--top {top}; it must be at least 1")
    files = find_pictures(paths)
    use_backend(backend)
    from cnnflow.experiments.classify import classify
    from cnnflow.training.run_folder import find_run
    from cnnflow.training.trained import load_trained

    trained = load_trained(find_run(runs, run))
    with show_events() as on_event:
        found = list(classify(trained, files, top=top, tta=tta, on_event=on_event))
    _print(found, "json" if json else output, trained.names_in(language))
    if any(picture.reason for picture in found):
        raise typer.Exit(1)


def find_pictures(paths: Sequence[str]) -> list[Path]:
    """The files that `paths` mean: files as they are, the pictures of folders, and what globs match.

    Raises:
        DataError: a path is neither, or a folder holds no picture.
    """
    return list(dict.fromkeys(file for path in paths for file in _expand(path)))


def _expand(path: str) -> Iterator[Path]:
    from cnnflow.data.listing import list_pictures

    if Path(path).is_dir():
        if not (files := list_pictures(Path(path))):
            raise DataError(f"no pictures in the folder {path}; it must hold JPEG, PNG, WebP or BMP files")
        yield from files
    elif Path(path).exists():
        yield Path(path)
    elif matches := sorted(glob.glob(path, recursive=True)):  # noqa: PTH207 - Path.glob takes no absolute patterns
        for match in matches:
            yield from _expand(match)
    else:
        raise DataError(f"no such file, folder or match: {path}; check the path")


def _print(found: Sequence["Classified"], output: str, names: Sequence[str]) -> None:
    if output == "json":
        print_json([_as_dict(picture, names) for picture in found])
    elif output == "csv":
        _print_csv(found, names)
    else:
        _print_table(found, names)


def _as_dict(picture: "Classified", names: Sequence[str]) -> dict[str, Any]:
    if picture.reason is not None:
        return {"file": str(picture.path), "error": picture.reason}
    top = [{"label": names[k], "probability": round(p, 6)} for k, p in picture.top]
    return {"file": str(picture.path), **top[0], "top": top}


def _print_csv(found: Sequence["Classified"], names: Sequence[str]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    places = max((len(picture.top) for picture in found), default=1)
    ranks = [f"{column}_{rank}" for rank in range(2, places + 1) for column in ("label", "probability")]
    writer.writerow(["file", "label", "probability", *ranks, "error"])
    for picture in found:
        cells = [cell for k, p in picture.top for cell in (names[k], f"{p:.6f}")]
        cells += [""] * (2 * places - len(cells))
        writer.writerow([picture.path, *cells, picture.reason or ""])


def _print_table(found: Sequence["Classified"], names: Sequence[str]) -> None:
    from rich.table import Table

    table = Table()
    table.add_column("file", overflow="fold")
    table.add_column("prediction")
    for picture in found:
        said = "  ".join(f"{names[k]} {p:.1%}" for k, p in picture.top)
        table.add_row(str(picture.path), f"[red]{picture.reason}[/red]" if picture.reason else said)
    results().print(table)
