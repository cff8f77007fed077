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

_EXAMPLES = 5


def audit(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="ROOT/<class>/..., or ROOT/train|val|test/<class>/...")
    ],
    every: Annotated[
        bool, typer.Option("--all", help="List every finding, not five of each kind that may be as it should.")
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
    console.print(f"{found.folder}: {found.pictures:,} usable pictures", soft_wrap=True, markup=False)
    for split, classes in found.classes.items():
        counts = "  ".join(f"{name} {count:,}" for name, count in classes.items())
        console.print(f"{split}: {counts}", soft_wrap=True, markup=False)
    if found.findings:
        console.print(_table(found, every))
    hard = len(found.hard)
    verdict = f"{hard} must be looked at" if hard else "nothing must be looked at"
    console.print(f"{len(found.findings)} findings, {verdict}", style="red" if hard else "green")


def _table(found: "Audit", every: bool) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table()
    for title in ("severity", "kind", "number"):
        table.add_column(title, justify="right" if title == "number" else "left", no_wrap=True)
    table.add_column("what", overflow="fold")
    for kind, group in groupby(found.findings, lambda finding: finding.kind):
        findings = list(group)
        severity = findings[0].severity
        lines = _lines(findings, every or severity == "hard")
        style = "red" if severity == "hard" else ""
        table.add_row(Text(severity, style), Text(kind, style), str(len(findings)), Text("\n".join(lines)))
    return table


def _lines(findings: "list[Finding]", every: bool) -> list[str]:
    shown = findings if every else findings[:_EXAMPLES]
    more = len(findings) - len(shown)
    return [finding.message for finding in shown] + ([f"and {more} more; --all lists them"] if more else [])
