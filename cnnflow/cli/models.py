"""`cnnflow models`: the networks there are, what they cost, and when to choose which."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from cnnflow.cli.options import JsonOption
from cnnflow.cli.output import print_json, results

if TYPE_CHECKING:
    from cnnflow.models.catalog import Entry

_UNITS = ((10**9, "G"), (10**6, "M"), (10**3, "k"))


def models(json: JsonOption = False) -> None:
    """List the networks: parameters, multiply-adds of one picture, the size made for, when to choose which."""
    from cnnflow.models.backbones import BACKBONES
    from cnnflow.models.catalog import MODELS

    if json:
        print_json({"models": [_facts(name, entry, name in BACKBONES) for name, entry in MODELS.items()]})
    else:
        _print(MODELS)


def _facts(name: str, entry: "Entry", is_backbone: bool) -> dict[str, Any]:
    return {
        "name": name,
        "summary": entry.summary,
        "choose": entry.choose,
        "input_shape": list(entry.input_shape),
        "classes": entry.classes,
        "parameters": entry.parameters,
        "multiply_adds": entry.multiply_adds,
        "backbone": is_backbone,
    }


def _print(entries: Mapping[str, "Entry"]) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    table.add_column("weights", justify="right", no_wrap=True)
    table.add_column("mult-adds", justify="right", no_wrap=True)
    table.add_column("made for", no_wrap=True)
    table.add_column("choose it for")
    for name, entry in entries.items():
        size = "x".join(map(str, entry.input_shape))
        table.add_row(name, short(entry.parameters), short(entry.multiply_adds), size, entry.choose)
    console = results()
    console.print(table)
    console.print("Weights and multiply-adds are those at the size a network was made for; others work too.")


def short(number: int) -> str:
    """`number` to three digits with a unit: 421642 is "422 k", 15346635776 is "15.3 G"."""
    for size, unit in _UNITS:
        # From 999.5 on, three digits round up to the next unit.
        if number >= 0.9995 * size:
            scaled = number / size
            return f"{scaled:.{max(0, 3 - len(str(int(scaled + 0.0005))))}f} {unit}"
    return str(number)
