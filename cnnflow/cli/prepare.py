"""`cnnflow prepare`: a folder of pictures as one NPZ file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cnnflow.cli.options import JsonOption, read_list, read_size
from cnnflow.cli.output import print_json, results, show_events
from cnnflow.config import DataConfig
from cnnflow.errors import OptionError

if TYPE_CHECKING:
    from cnnflow.data.image_set import Dataset


def prepare(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="ROOT/<class>/..., or ROOT/train|val|test/<class>/...")
    ],
    out: Annotated[Path, typer.Argument(metavar="OUT.npz", help="The file to write; one that is there is replaced.")],
    size: Annotated[str, typer.Option(help="Bring pictures to this size: 80 or 160x120 (width first).")] = "80",
    fit: Annotated[str, typer.Option(help="How: stretch, pad or crop.")] = DataConfig.fit,
    color: Annotated[str, typer.Option(help="rgb or gray.")] = DataConfig.color,
    classes: Annotated[str, typer.Option(help="Keep these classes: daisy,dandelion.")] = "",
    strict: Annotated[bool, typer.Option("--strict", help="Stop at a bad file instead of leaving it out.")] = False,
    json: JsonOption = False,
) -> None:
    """Decode the pictures of FOLDER into one compressed file, which `cnnflow fit OUT.npz` trains on.

    The result is the same as that of `cnnflow fit FOLDER`. Bad files are left out and listed.

    Examples: `cnnflow prepare photos/ photos.npz`, `cnnflow prepare photos/ photos.npz --size 160x120 --fit crop`.
    """
    if out.suffix.lower() != ".npz":
        raise OptionError(f"{out} does not end in .npz; call the file {out.name}.npz, say")
    config = DataConfig(
        str(folder), classes=read_list(classes), size=read_size(size), fit=fit, color=color, strict=strict
    )
    from cnnflow.data.classes import keep_classes
    from cnnflow.data.folder import load_folder
    from cnnflow.data.prepared import write_prepared

    with show_events() as on_event:
        dataset = keep_classes(load_folder(folder, config, on_event=on_event), config.classes)
        write_prepared(out, dataset)
    if json:
        print_json(
            {"file": str(out), "bytes": out.stat().st_size, "resize": dataset.resize, "counts": _counts(dataset)}
        )
    else:
        _print(out, dataset)


def _counts(dataset: "Dataset") -> dict[str, dict[str, int]]:
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {split: images.counts() for split, images in splits.items() if images is not None}


def _print(out: Path, dataset: "Dataset") -> None:
    console = results()
    height, width, channels = dataset.train.image_shape
    for split, counts in _counts(dataset).items():
        names = "  ".join(f"{name} {count:,}" for name, count in counts.items())
        console.print(f"{split}: {sum(counts.values()):,} pictures: {names}", soft_wrap=True, markup=False)
    fit = dataset.resize["fit"] if dataset.resize else ""
    line = f"{out}: {height} x {width} x {channels} ({fit}), {out.stat().st_size / 1e6:.1f} MB"
    console.print(line, soft_wrap=True, markup=False)
