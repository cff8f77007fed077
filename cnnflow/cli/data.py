"""`cnnflow data list`, `show` and `get`: which datasets there are, what is in one, and having it here."""

import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cnnflow.cli.options import JsonOption, LanguageOption, read_list, read_size
from cnnflow.cli.output import print_json, results, show_events
from cnnflow.config import DataConfig
from cnnflow.errors import OptionError
from cnnflow.events import Caution, OnEvent

if TYPE_CHECKING:
    from cnnflow.data.image_set import Dataset, ImageSet
    from cnnflow.data.sources import Source
    from cnnflow.data.statistics import ImageStatistics

group = typer.Typer(help="List datasets, look into one, or fetch it.")

DataArgument = Annotated[
    str, typer.Argument(metavar="DATA", help="A dataset name, tfds:NAME, a folder of class folders, or an .npz file.")
]
DataDirOption = Annotated[Path | None, typer.Option(help="Where a named dataset's files are.")]

_ENGLISH = "en"
_FORMS = (
    ("tfds:NAME", "any image classification dataset of TFDS, such as tfds:mnist"),
    ("FOLDER", "your own pictures: a folder with one folder for each class"),
    ("FILE.npz", "x_train, y_train, x_test and y_test, or a file of `cnnflow prepare`"),
)


@group.command("list")
def list_datasets(json: JsonOption = False) -> None:
    """List the datasets that have a name, and what else DATA may be.

    Example: `cnnflow data list`.
    """
    from cnnflow.data.sources import SOURCES

    if json:
        print_json([_described(source) for source in SOURCES.values()])
        return
    from rich.table import Table

    table = Table("DATA", "what it is", "where it is")
    for source in SOURCES.values():
        table.add_row(source.name, source.summary, _where(source))
    table.add_section()
    for name, summary in _FORMS:
        table.add_row(name, summary, "")
    results().print(table)


def _described(source: "Source") -> dict[str, Any]:
    return {
        "name": source.name,
        "summary": source.summary,
        "here": source.is_here(),
        "languages": source.languages,
        "mirror": source.mirror,
    }


def _where(source: "Source") -> str:
    if source.cached_as is None:
        return "comes with cnnflow"
    return "in the cache" if source.is_here() else "fetched when first used"


@group.command("show")
def show(
    data: DataArgument,
    out: Annotated[Path | None, typer.Option(help="The PNG to write; default: DATA-samples.png here.")] = None,
    augment: Annotated[
        str | None, typer.Option(help="Draw originals beside variants by: light, erase, tutorial or strong.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, max=50, help="Pictures in a row.")] = 10,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Of the choice of pictures and of variants.")] = 0,
    language: LanguageOption = _ENGLISH,
    data_dir: DataDirOption = None,
    classes: Annotated[str, typer.Option(help="Show these classes: daisy,dandelion.")] = "",
    size: Annotated[str | None, typer.Option(help="Bring pictures of a folder to this size: 80 or 160x120.")] = None,
    fit: Annotated[str, typer.Option(help="How: stretch, pad or crop.")] = DataConfig.fit,
    color: Annotated[str, typer.Option(help="rgb or gray.")] = DataConfig.color,
    json: JsonOption = False,
) -> None:
    """Show the classes of DATA with their counts, the values of its pixels, and a picture of samples.

    Examples: `cnnflow data show fashion --language ko`, `cnnflow data show flowers --augment tutorial --out some.png`.
    """
    config = DataConfig(
        data,
        data_dir=None if data_dir is None else str(data_dir),
        classes=read_list(classes),
        size=None if size is None else read_size(size),
        fit=fit,
        color=color,
    )
    from cnnflow.data.sources import load
    from cnnflow.data.statistics import image_statistics

    with show_events() as on_event:
        dataset = load(config, on_event=on_event)
        names = _names(dataset, language)
        path = out or Path(f"{_slug(dataset.name)}-{augment or 'samples'}.png")
        _draw(dataset, _drawable(names, dataset, on_event), path, augment=augment, columns=samples, seed=seed)
        statistics = image_statistics(dataset.train.images)
    if json:
        print_json(_facts(dataset, names, language, statistics, path))
    else:
        _print(dataset, names, language, statistics, path)


@group.command("get")
def get(data: DataArgument, data_dir: DataDirOption = None, json: JsonOption = False) -> None:
    """Fetch DATA, check it, and keep it in the cache; with --data-dir, check what is there.

    Example: `cnnflow data get cifar10`.
    """
    from cnnflow.data.cache import cache_folder
    from cnnflow.data.sources import load

    with show_events() as on_event:
        dataset = load(DataConfig(data, data_dir=None if data_dir is None else str(data_dir)), on_event=on_event)
    counts = {split: len(images) for split, images in _splits(dataset).items()}
    if json:
        print_json({"name": dataset.name, "images": counts, "cache": str(cache_folder())})
        return
    images = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    where = f"checked in {data_dir}" if data_dir else f"cache: {cache_folder()}"
    results().print(f"{dataset.name}: {images} images; {where}", soft_wrap=True, markup=False)


def _splits(dataset: "Dataset") -> "dict[str, ImageSet]":
    splits = {"train": dataset.train, "validation": dataset.validation, "test": dataset.test}
    return {name: images for name, images in splits.items() if images is not None}


def _names(dataset: "Dataset", language: str) -> tuple[str, ...]:
    """The class names in `language`."""
    translated = {_ENGLISH: dataset.train.class_names, **(dataset.labels_in or {})}
    if language not in translated:
        raise OptionError(f"no class names in {language!r} for {dataset.name}; it has {', '.join(translated)}")
    return translated[language]


def _drawable(names: tuple[str, ...], dataset: "Dataset", on_event: OnEvent) -> tuple[str, ...]:
    from cnnflow.plots.fonts import can_draw

    if can_draw(names):
        return names
    on_event(Caution("no font here has the letters of these class names; the picture shows the English ones"))
    return dataset.train.class_names


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", Path(name).name).strip("-.") or "data"


def _draw(
    dataset: "Dataset", names: tuple[str, ...], path: Path, *, augment: str | None, columns: int, seed: int
) -> None:
    from cnnflow.plots.samples import plot_samples, plot_variants
    from cnnflow.transforms.presets import augmentation

    if augment is None:
        title = f"{dataset.name}: training images"
        plot_samples(dataset.train, path, names=names, columns=columns, seed=seed, title=title)
        return
    transform = augmentation(augment, mirror=dataset.mirror).images
    if transform is None:
        raise OptionError(f"augment {augment!r} changes no picture; choose light, erase, tutorial or strong")
    title = f"{dataset.name} with --augment {augment}"
    plot_variants(dataset.train, transform, path, names=names, columns=columns, seed=seed, title=title)


def _facts(
    dataset: "Dataset", names: tuple[str, ...], language: str, statistics: "ImageStatistics", path: Path
) -> dict[str, Any]:
    counts = {split: images.counts() for split, images in _splits(dataset).items()}
    return {
        "name": dataset.name,
        "images": {split: len(images) for split, images in _splits(dataset).items()},
        "image_shape": dataset.train.image_shape,
        "classes": [
            {"label": label, "name": name, language: shown, **{split: of[name] for split, of in counts.items()}}
            for label, (name, shown) in enumerate(zip(dataset.train.class_names, names, strict=True))
        ],
        "training_pixels": asdict(statistics),
        "mirror": dataset.mirror,
        "resize": dataset.resize,
        "picture": str(path),
    }


def _print(
    dataset: "Dataset", names: tuple[str, ...], language: str, statistics: "ImageStatistics", path: Path
) -> None:
    from rich.table import Table

    splits = _splits(dataset)
    counts = [images.counts() for images in splits.values()]
    translated = language != _ENGLISH
    table = Table("label", "class", *([language] if translated else []), title=dataset.name, title_justify="left")
    for split in splits:
        table.add_column(split, justify="right")
    for label, (name, shown) in enumerate(zip(dataset.train.class_names, names, strict=True)):
        table.add_row(str(label), name, *([shown] if translated else []), *(f"{of[name]:,}" for of in counts))
    table.add_section()
    table.add_row("", "all", *([""] if translated else []), *(f"{len(images):,}" for images in splits.values()))
    console = results()
    console.print(table)
    for line in _lines(dataset, statistics, path):
        console.print(line, soft_wrap=True, markup=False)


def _lines(dataset: "Dataset", statistics: "ImageStatistics", path: Path) -> list[str]:
    height, width, channels = dataset.train.image_shape
    kind = "grey" if channels == 1 else "colour"
    rule = f" (brought to size: {dataset.resize['fit']})" if dataset.resize else ""
    mean, deviation = (
        " ".join(f"{value / 255:.4f}" for value in values) for values in (statistics.mean, statistics.deviation)
    )
    low, high = min(statistics.minimum), max(statistics.maximum)
    return [
        f"images: {height} x {width}, {kind}{rule}",
        f"training pixels, of 0 to 1: mean {mean}, standard deviation {deviation}; of 0 to 255: {low} to {high}",
        f"mirrored pictures {'still show' if dataset.mirror else 'may not show'} their class",
        f"samples: {path}",
    ]
