"""Why convolutions? A dense network against a CNN, and what each of them makes of shuffled pixels.

A dense network flattens a picture: it never learns which pixels were neighbours. So it cannot mind if all pictures'
pixels are shuffled, as long as they are shuffled alike. A CNN looks at neighbours, and must mind. This script trains
both on pictures as they are and on shuffled ones, and asks the statistics what is shown by it.

    python examples/03_dense_vs_cnn.py            # CIFAR-10; ten minutes or more
    python examples/03_dense_vs_cnn.py --quick    # a part of Fashion-MNIST, scattered; about a minute
"""

import argparse
import dataclasses
import json
from pathlib import Path

import numpy as np

import cnnflow
from cnnflow.evaluation.statistics import Interval, difference, mcnemar
from cnnflow.plots.comparison import plot_class_differences, plot_learning

OUTPUT = Path(__file__).parent / "output"


def shuffle_pixels(images: cnnflow.ImageSet) -> cnnflow.ImageSet:
    """Every picture with its pixels in another order, which is the same for all of them."""
    height, width, channels = images.image_shape
    order = np.random.default_rng(0).permutation(height * width)
    flat = np.asarray(images.images[:]).reshape(len(images), height * width, channels)
    return dataclasses.replace(images, images=flat[:, order].reshape(-1, height, width, channels))


def scatter(images: cnnflow.ImageSet, *, side: int = 40) -> cnnflow.ImageSet:
    """Every picture somewhere on a larger black one. Fashion-MNIST is centred, which spares a dense network much."""
    height, width, channels = images.image_shape
    canvas = np.zeros((len(images), side, side, channels), np.uint8)
    places = np.random.default_rng(len(images)).integers(0, [side - height + 1, side - width + 1], (len(images), 2))
    for picture, (top, left), target in zip(images.images[:], places, canvas, strict=True):
        target[top : top + height, left : left + width] = picture
    return dataclasses.replace(images, images=canvas)


def train(name: str, splits: cnnflow.Splits, recipe: cnnflow.Recipe, seed: int) -> tuple[np.ndarray, tuple]:
    """Which test images a network of this seed gets right, bool `[images]`, and its history."""
    train_images, test = splits.train, splits.test
    model = cnnflow.build(cnnflow.ModelConfig(name), train_images.image_shape, len(train_images.class_names), seed=seed)
    result = cnnflow.fit(model, train_images, splits.validation, recipe, seed=seed)
    answers = cnnflow.predict(model, test.images).argmax(axis=1)
    return answers == test.labels, result.state.history


def in_points(found: Interval) -> str:
    return f"{100 * found.value:+.1f} points ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def main(quick: bool) -> dict[str, float]:
    """Train, compare, draw; returns the figures that were found."""
    config = cnnflow.DataConfig("fashion", limit=1500) if quick else cnnflow.DataConfig("cifar10")
    networks = ("dense_net", "basic_cnn" if quick else "comparison_cnn")
    recipe, seeds = cnnflow.Recipe(epochs=6 if quick else 10), range(3)
    splits = cnnflow.split(cnnflow.load(config), config, seed=0)
    if quick:
        splits = cnnflow.Splits(*(scatter(part) for part in (splits.train, splits.validation, splits.test)))
    shuffled = cnnflow.Splits(*(shuffle_pixels(part) for part in (splits.train, splits.validation, splits.test)))
    print(f"{config.source}: {len(splits.train):,} training and {len(splits.test):,} test images")

    correct, histories = {}, {}
    for picture, images in (("as they are", splits), ("shuffled", shuffled)):
        for name in networks:
            found = [train(name, images, recipe, seed) for seed in seeds]
            correct[name, picture] = np.stack([right for right, _ in found])  # [seeds, images]
            histories[f"{name}, pixels {picture}"] = [history for _, history in found]
            print(f"  {name:15} pixels {picture:12} test accuracy {correct[name, picture].mean():.2%}")

    # The same pictures were shown to all: each difference is taken picture by picture, which is far sharper than
    # comparing two accuracies. The seeds are nested in it: 3 seeds do not make 4,500 pictures of 1,500.
    dense, cnn = (correct[name, "as they are"] for name in networks)
    gain = difference(dense, cnn)
    print(f"\nThe CNN against the dense network: {in_points(gain)}")
    print(f"McNemar's test on the first seed: p = {mcnemar(dense[:1], cnn[:1]).p_value:.2g}")

    losses = {name: difference(correct[name, "as they are"], correct[name, "shuffled"]) for name in networks}
    for name, loss in losses.items():
        print(f"What shuffling does to {name}: {in_points(loss)}")
    print("A dense network sees the same numbers in another order. The CNN loses what it was built for: neighbours.")

    names = np.array(splits.test.class_names)[splits.test.labels]
    per_class = {name: difference(dense[:, names == name], cnn[:, names == name]) for name in splits.test.class_names}
    best = max(per_class, key=lambda name: per_class[name].value)
    print(f"The class that gains most by convolutions is {best}: {in_points(per_class[best])}")

    plot_learning(histories, OUTPUT / "03_learning.png")
    plot_class_differences(*networks, per_class, OUTPUT / "03_classes.png")
    figures = {
        "dense_accuracy": float(dense.mean()),
        "cnn_accuracy": float(cnn.mean()),
        "gain": gain.value,
        "dense_shuffled": losses["dense_net"].value,
        "cnn_shuffled": losses[networks[1]].value,
    }
    (OUTPUT / "03_dense_vs_cnn.json").write_text(json.dumps(figures, indent=2))
    print(f"\nPlots and figures are in {OUTPUT}")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a part of Fashion-MNIST instead of CIFAR-10")
    OUTPUT.mkdir(exist_ok=True)
    main(parser.parse_args().quick)
