"""`cnnflow audit`: what is broken, doubled, misplaced or odd in a folder of pictures."""

from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnflow.cli.options import JsonOption
from cnnflow.cli.output import print_json, results, show_events

if TYPE_CHECKING:
    from cnnflow.data.audit import Audit, Finding

_EXAMPLES = 3


def audit(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="ROOT/<class>/..., or ROOT/train|val|test/<class>/...")
    ],
    every: Annotated[
        bool, typer.Option("--all", help="List every finding, not three of each kind that may be as it should.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Look at every picture of FOLDER before training; the exit code is 1 when something must be looked at.

    Hard findings must be looked at: files that cannot be read, one picture in two classes or two splits, classes that
    are empty or differ between splits. Soft ones may be as they should: duplicates, dark, blurred or grey pictures.

    Examples: `cnnflow audit photos/`, `cnnflow audit photos/ --all --json`.
    """
    from cnnflow.data.audit import audit as look_at

    with show_events() as on_event:
        found = look_at(folder, on_event=on_event)
    if json:
        print_json(_as_dict(found))
    else:
        _print(found, every)
    if found.hard:
        raise typer.Exit(1)


def _as_dict(found: "Audit") -> dict[str, Any]:
    return {
        "folder": found.folder,
        "pictures": found.pictures,
        "classes": found.classes,
        "hard": len(found.hard),
        "soft": len(found.findings) - len(found.hard),
        "counts": found.counts,
        "findings": [asdict(finding) for finding in found.findings],
    }


def _print(found: "Audit", every: bool) -> None:
    console = results()

    def line(text: str, style: str | None = None) -> None:
        console.print(text, style=style, soft_wrap=True, markup=False)

    line(f"{found.folder}: {found.pictures:,} usable picture{'' if found.pictures == 1 else 's'}")
    for split, classes in found.classes.items():
        line(f"{split}: " + "  ".join(f"{name} {count:,}" for name, count in classes.items()))
    if found.findings:
        console.print(_table(found))
    for _, findings in groupby(found.findings, lambda finding: finding.kind):
        group = list(findings)
        hard = group[0].severity == "hard"
        for text in _lines(group, every or hard):
            line(f"{group[0].kind}: {text}", "red" if hard else None)
    total = f"{len(found.findings)} finding{'' if len(found.findings) == 1 else 's'}"
    if found.hard:
        line(f"{len(found.hard)} of {total} must be looked at before training", "red")
    else:
        line(f"{total}, none that must be looked at before training", "green")


def _table(found: "Audit") -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    table.add_column("severity")
    table.add_column("kind", no_wrap=True)
    table.add_column("number", justify="right")
    table.add_column("first file", overflow="ellipsis", no_wrap=True)
    first = {finding.kind: finding for finding in reversed(found.findings)}
    for kind, number in found.counts.items():
        style = "red" if first[kind].severity == "hard" else ""
        table.add_row(first[kind].severity, kind, str(number), Text(first[kind].files[0]), style=style)
    return table


def _lines(findings: "list[Finding]", every: bool) -> list[str]:
    shown = findings if every else findings[:_EXAMPLES]
    more = len(findings) - len(shown)
    return [finding.message for finding in shown] + ([f"and {more} more; --all lists them"] if more else [])
