"""`cnnflow advise`: where to start with a dataset, and why."""

from pathlib import Path
from typing import Annotated

import typer

from cnnflow.cli.experiment import ClassesOption, DataDirOption, SizeOption, data_config
from cnnflow.cli.options import JsonOption
from cnnflow.cli.output import print_json, results, show_events


def advise(
    data: Annotated[
        str,
        typer.Argument(metavar="DATA", help="A dataset name, tfds:NAME, a folder of class folders, or an .npz file."),
    ],
    classes: ClassesOption = None,
    data_dir: DataDirOption = None,
    size: SizeOption = None,
    json: JsonOption = False,
) -> None:
    """Look at DATA and say which network and preset to start with, and why.

    Examples: `cnnflow advise fashion`, `cnnflow advise photos/`.
    """
    from cnnflow.experiments.advise import advise as find_advice
    from cnnflow.experiments.advise import describe, refuse_table

    refuse_table(data)
    from cnnflow.data.sources import load
    from cnnflow.presets import find_preset

    where = data_config(
        data, validation=None, limit=None, classes=classes, data_dir=data_dir, size=size, preset=find_preset("tutorial")
    )
    with show_events() as on_event:
        advice = find_advice(load(where, on_event=on_event), _shown(data))
    if json:
        print_json(advice.to_dict())
        return
    console = results()
    for name, value in describe(advice.figures).items():
        console.print(f"{name + ':':20}{value}")
    console.print(f"\nStart with {advice.family}:", style="bold")
    console.print(f"  {advice.command}", soft_wrap=True, markup=False)
    for reason in advice.reasons:
        console.print(f"- {reason}", soft_wrap=True, markup=False)


def _shown(data: str) -> str:
    """The dataset as it is written in a command that works from here."""
    return str(Path(data)) if Path(data).exists() else data
