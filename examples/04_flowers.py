"""From a folder of photos to a classifier: audit, prepare, train, predict (chapter 4 of the tutorial).

    python examples/04_flowers.py               # daisies and dandelions at 80x80, the tutorial's recipe: minutes
    python examples/04_flowers.py --quick       # fewer pictures and epochs: about a minute
    python examples/04_flowers.py my_photos/    # any folder with a sub-folder for each class

Without a folder it takes the flower photos where they lie beside the repository (../shared/data/flower_photos), and
where they do not, pictures of flowers that it draws itself. On the command line the same is `cnnflow audit`,
`cnnflow prepare`, `cnnflow fit --preset flowers` and `cnnflow predict`.
"""

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

import cnnflow
from cnnflow.data.audit import audit
from cnnflow.data.decode import decode_many
from cnnflow.data.prepared import read_prepared, write_prepared
from cnnflow.data.resize import Resize
from cnnflow.events import Caution, EpochDone, Event
from cnnflow.plots.figure import new_figure, save_figure

OUTPUT = Path(__file__).parent / "output"
PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "flower_photos"


def draw_flowers(folder: Path, count: int) -> Path:
    """Draw `count` daisies (white petals, yellow middle) and as many dandelions (yellow all over) on meadows."""
    rng = np.random.default_rng(0)
    for name, petal, middle in (("daisy", "white", "gold"), ("dandelion", "gold", "orange")):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            meadow = rng.integers((20, 70, 10), (90, 160, 60), (12, 16, 3)).astype(np.uint8)
            picture = Image.fromarray(meadow).resize((160, 120), Image.Resampling.BICUBIC)
            pen, (x, y), size = ImageDraw.Draw(picture), rng.integers((40, 35), (120, 85)), rng.integers(18, 34)
            for angle in np.linspace(0, 2 * np.pi, rng.integers(7, 12), endpoint=False) + rng.random():
                a, b, r = x + size * np.cos(angle), y + size * np.sin(angle), size * 0.35
                pen.ellipse((a - r, b - r, a + r, b + r), fill=petal)
            pen.ellipse((x - size // 2, y - size // 2, x + size // 2, y + size // 2), fill=middle)
            picture.save(folder / name / f"{number:03}.jpg", quality=90)
    return folder


def show(event: Event) -> None:
    """Print what is worth a line; the library itself never prints."""
    if isinstance(event, Caution):
        print(f"caution: {event.message}")
    elif isinstance(event, EpochDone) and len(event.history) % 5 == 1:
        row = event.history[-1]
        print(f"epoch {row['epoch']:2.0f}  training {row['accuracy']:.1%}  validation {row['val_accuracy']:.1%}")


def draw_most_wrong(images: cnnflow.ImageSet, probabilities: np.ndarray, path: Path) -> None:
    """The pictures that the network was most wrong about, with what they are and what it took them for."""
    right = probabilities[np.arange(len(images)), images.labels]
    figure = new_figure(9, 3.4)
    for axes, row in zip(figure.subplots(2, 6).flat, np.argsort(right), strict=False):
        axes.imshow(images.images[row : row + 1][0].squeeze(), cmap="gray")
        guess = images.class_names[int(probabilities[row].argmax())]
        axes.set_title(f"{images.class_names[images.labels[row]]}?\n{guess} {probabilities[row].max():.0%}", fontsize=8)
        axes.axis("off")
    save_figure(figure, path)


def main() -> None:
    """Go the whole way, and write what was found as JSON beside the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="a folder with a sub-folder for each class")
    parser.add_argument("--quick", action="store_true", help="fewer pictures and epochs")
    arguments = parser.parse_args()
    folder, classes = arguments.folder or PHOTOS, ()
    if arguments.folder is None and PHOTOS.is_dir():
        classes = ("daisy", "dandelion")
    elif arguments.folder is None:
        print("The flower photos are not here: these are pictures drawn by this program, and far easier.")
        shutil.rmtree(OUTPUT / "04_drawn", ignore_errors=True)
        folder = draw_flowers(OUTPUT / "04_drawn", 150 if arguments.quick else 600)

    # 1. Audit: what is broken, doubled, in two classes, or just odd? Nothing is changed, and nothing is trained yet.
    found = audit(folder)
    print(f"{found.pictures:,} usable pictures; findings: {found.counts or 'none'}")
    for finding in found.hard:
        print(f"must be looked at: {finding.message}")

    # 2. Prepare: every picture decoded, turned upright and brought to 80x80, in one file that loads in a moment.
    #    Files that cannot be used are left out, and said. The file knows the rule, so that predictions do the same.
    config = cnnflow.DataConfig(str(folder), classes=classes, size=(80, 80), limit=400 if arguments.quick else None)
    write_prepared(OUTPUT / "04_flowers.npz", cnnflow.load(config, on_event=show))
    dataset = read_prepared(OUTPUT / "04_flowers.npz")
    # 70% to learn from, 15% to choose with, 15% to be judged on; pictures that look the same stay on one side.
    splits = cnnflow.split(dataset, config, seed=0)
    for name in ("train", "validation", "test"):
        print(f"{name:10} {getattr(splits, name).counts()}")

    # 3. Train: as soon as the validation loss has not fallen for five epochs, stop, and keep the best weights.
    #    The second time every picture is turned, shifted, zoomed and mirrored a little, anew in each epoch.
    accuracies, model = {}, None
    for augment in ("none", "tutorial"):
        model = cnnflow.build(
            cnnflow.ModelConfig("flower_cnn"), dataset.train.image_shape, len(dataset.train.class_names), seed=0
        )
        recipe = cnnflow.Recipe(
            epochs=8 if arguments.quick else 50,
            batch_size=32,
            augment=augment,
            early_stopping=5 if augment == "none" else 12,
            reduce_on_plateau=3 if augment == "none" else 5,
            keep_best=True,
        )
        cnnflow.fit(model, splits.train, splits.validation, recipe, seed=0, on_event=show)
        probabilities = cnnflow.predict(model, splits.test.images)
        judged = cnnflow.evaluate(probabilities, splits.test.labels, splits.test.class_names)
        accuracies[augment] = judged.accuracy
        print(f"test accuracy with augmentation {augment!r}: {judged.accuracy:.1%}")
    draw_most_wrong(splits.test, probabilities, OUTPUT / "04_most_wrong.png")

    # 4. Predict: new files of any size and format go through the same rule; a bad one does not stop the others.
    broken = OUTPUT / "04_broken.jpg"
    broken.write_bytes(b"this is no picture")
    files = [folder / origin for origin in splits.test.origins[:: max(1, len(splits.test) // 4)]] + [broken]
    refused = 0
    for decoded in decode_many(files, Resize.from_dict(dataset.resize)):
        if decoded.fault is not None:
            refused += 1
            print(f"{decoded.path.name} {decoded.fault.reason}")
            continue
        row = cnnflow.predict(model, decoded.image[None])[0]
        print(
            f"{decoded.path.parent.name}/{decoded.path.name}: {dataset.train.class_names[row.argmax()]} {row.max():.0%}"
        )

    counts = {name: len(getattr(splits, name)) for name in ("train", "validation", "test")}
    result = {
        "pictures": found.pictures,
        "hard": len(found.hard),
        "images": counts,
        "accuracy": accuracies,
        "refused": refused,
    }
    (OUTPUT / "04_flowers.json").write_text(json.dumps(result, indent=2))
    print(f"Pictures and figures are in {OUTPUT}.")


if __name__ == "__main__":
    main()
