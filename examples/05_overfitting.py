"""Overfitting: how to see it, and what helps against it.

With few pictures a network soon knows each of them by heart, and the validation loss turns upwards while the training
loss goes on falling. This script makes that happen, and then studies two remedies, one at a time: regularisation of
the network (dropout, batch normalisation, L1, L2) and augmentation of the pictures.

    python examples/05_overfitting.py            # 5,000 pictures, three seeds; half an hour
    python examples/05_overfitting.py --quick    # 400 pictures, one seed; about a minute
"""

import argparse
import json
import shutil
from pathlib import Path

import cnnflow
from cnnflow.events import Event, Note
from cnnflow.experiments.markdown import study_figures, table
from cnnflow.experiments.study import Part, StudyPlan, study
from cnnflow.plots.curves import plot_curves

OUTPUT = Path(__file__).parent / "output"


def show(event: Event) -> None:
    """Long work reports through one function; this one prints which trial it is at."""
    if isinstance(event, Note) and event.message.startswith("trial"):
        print("  " + event.message)


def watch_it_happen(splits: cnnflow.Splits, epochs: int) -> dict[str, float]:
    """Train a plain network for long, and find the epoch after which it only learned by heart."""
    model = cnnflow.basic_cnn(splits.train.image_shape, len(splits.train.class_names))
    history = cnnflow.fit(model, splits.train, splits.validation, cnnflow.Recipe(epochs=epochs)).state.history
    plot_curves(history, OUTPUT / "05_curves.png")
    best = min(history, key=lambda row: row["val_loss"])
    last = history[-1]
    print(f"validation loss was lowest after epoch {best['epoch']:.0f} of {epochs}: {best['val_loss']:.3f}")
    print(f"at the end it was {last['val_loss']:.3f}, with a training accuracy of {last['accuracy']:.1%}")
    print("Early stopping keeps the weights of that epoch: Recipe(early_stopping=5, keep_best=True)\n")
    return {
        "best_epoch": best["epoch"],
        "best_loss": best["val_loss"],
        "last_loss": last["val_loss"],
        "gap": last["accuracy"] - last["val_accuracy"],
    }


def tell(part: Part) -> None:
    """The ranked table of a factor, and in words what is shown by it and what is not."""
    print(f"\n{part.factor}, ranked by validation accuracy:\n\n{table(*study_figures(part))}\n")
    for pair in part.comparison.pairs:
        print(f"- {pair.sentence}")
    print(f"The best on the validation images is {part.best!r}: {part.command}")


def main(quick: bool) -> dict[str, object]:
    """Overfit, then study the remedies; returns the figures that were found."""
    data = cnnflow.DataConfig("fashion", limit=400 if quick else 5000)
    dataset = cnnflow.load(data)
    seen = watch_it_happen(cnnflow.split(dataset, data, seed=0), epochs=25)

    # One factor at a time from one base recipe: whatever differs, the factor did it.
    # Small batches, since batch normalisation needs a few hundred steps to know what is usual.
    recipe = cnnflow.Recipe(epochs=15 if quick else 20, batch_size=16 if quick else 64)
    base = cnnflow.FitConfig(data, cnnflow.ModelConfig("basic_cnn"), recipe)
    plan = StudyPlan(base, ("regularization", "augmentation"), seeds=1 if quick else 3)
    folder = OUTPUT / f"05_study{'_quick' if quick else ''}"
    if quick:
        # The long version goes on where it was interrupted; the quick one starts anew.
        shutil.rmtree(folder, ignore_errors=True)
    parts = study(plan, folder, dataset=dataset, on_event=show)
    for part in parts:
        tell(part)

    figures = {**seen, **{part.factor: {row.variant: row.gap for row in part.comparison.rows} for part in parts}}
    (OUTPUT / "05_overfitting.json").write_text(json.dumps(figures, indent=2))
    print(f"\nPlots, run folders and figures are in {OUTPUT}")
    return figures


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="400 pictures and one seed")
    OUTPUT.mkdir(exist_ok=True)
    main(parser.parse_args().quick)
