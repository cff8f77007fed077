"""A first CNN on Fashion-MNIST: train it, watch its curves, and see how far it overfits (chapter 2 of the tutorial).

Run it: `python examples/02_fashion_mnist.py` (15 epochs; `--quick`: under a minute). Pictures go into examples/output/.
The command line does the same, and keeps everything in a run folder: `cnnflow fit fashion`.
"""

import argparse
import json
from pathlib import Path

import numpy as np

import cnnflow
from cnnflow.events import EpochDone, Event
from cnnflow.plots.confusion import plot_confusion
from cnnflow.plots.curves import plot_curves
from cnnflow.plots.figure import new_figure, save_figure
from cnnflow.plots.fonts import lettering

OUTPUT = Path(__file__).parent / "output"


def draw_samples(images: cnnflow.ImageSet, path: Path) -> None:
    """Draw eight images of each class, a row a class."""
    figure = new_figure(7, 8)
    for row, (part, name) in enumerate(zip(figure.subfigures(10, 1), lettering(images.class_names).names, strict=True)):
        for column, axes in enumerate(part.subplots(1, 8)):
            axes.imshow(images.images[np.flatnonzero(images.labels == row)[column], :, :, 0], cmap="gray_r")
            axes.axis("off")
        part.suptitle(name, x=0.02, ha="left", fontsize=8)
    save_figure(figure, path)


def show(event: Event) -> None:
    """Print a line an epoch; the library itself never prints."""
    if isinstance(event, EpochDone):
        row = event.history[-1]
        print(
            f"epoch {row['epoch']:2.0f}  training {row['accuracy']:.2%}  validation {row['val_accuracy']:.2%}  "
            f"({row['seconds']:.0f} s)"
        )


def main() -> None:
    """Print what was found, and write it as JSON beside the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="5 epochs on 3,000 images")
    quick = parser.parse_args().quick

    # 1. The data: 60,000 grey pictures of 28x28 to learn from and 10,000 to be tested on; they came with the package.
    #    A fifth of the first is held back: those validation images show overfitting while training goes on.
    where = cnnflow.DataConfig("fashion", validation=0.2, limit=3_000 if quick else None)
    dataset = cnnflow.load(where)
    splits = cnnflow.split(dataset, where, seed=0)
    for name in ("train", "validation", "test"):
        images = getattr(splits, name)
        print(f"{name:10} {images.images.shape} {images.images.dtype}")
    for label, (english, korean) in enumerate(zip(dataset.train.class_names, dataset.labels_in["ko"], strict=True)):
        print(f"{label}  {english:12} {korean}")
    draw_samples(splits.train, OUTPUT / "02_samples.png")

    # 2. The network: two convolutions, each with a pooling, find features; two dense layers decide on them.
    #    It takes bytes: the division by 255 is its first layer, so that no caller can forget it.
    model = cnnflow.build(cnnflow.ModelConfig("basic_cnn"), (28, 28, 1), 10, seed=0)
    for layer in model.layers:
        print(f"{layer.name:13} {layer.output.shape[1:]!s:14} {layer.count_params():>8,} weights")

    # 3. Training: an epoch shows every training image once, in batches of 64, in an order that the seed fixes.
    recipe = cnnflow.Recipe(epochs=5 if quick else 15, batch_size=64, optimizer="adam")
    result = cnnflow.fit(model, splits.train, splits.validation, recipe, seed=0, on_event=show)
    plot_curves(result.state.history, OUTPUT / "02_curves.png")

    # 4. The test images were never used until here. How much better the network is on the images that it learned from
    #    is the generalisation gap.
    train, test = (
        cnnflow.evaluate(cnnflow.predict(model, images.images), images.labels, images.class_names)
        for images in (splits.train, splits.test)
    )
    plot_confusion(test.confusion, splits.test.class_names, OUTPUT / "02_confusion.png")
    gap = train.accuracy - test.accuracy
    hardest = min(test.per_class, key=lambda name: test.per_class[name].f1)
    print(f"training {train.accuracy:.2%}, test {test.accuracy:.2%}, gap {100 * gap:.1f} points")
    print("The tutorial found: training 98 to 99%, test about 90%, gap 8 to 9 points.")
    print(f"Hardest class: {hardest}; 02_confusion.png shows what it is taken for.")

    # 5. What narrows the gap is the subject of 05_overfitting.py.
    losses = [row["loss"] for row in result.state.history]
    found = {
        "parameters": model.count_params(),
        "losses": losses,
        "train_accuracy": train.accuracy,
        "test_accuracy": test.accuracy,
        "gap": gap,
        "hardest": hardest,
    }
    (OUTPUT / "02_fashion_mnist.json").write_text(json.dumps(found, indent=2))
    print(f"Pictures and figures are in {OUTPUT}.")


if __name__ == "__main__":
    main()
