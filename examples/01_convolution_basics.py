"""What a convolution, a pooling and a receptive field do to one picture (chapter 1 of the tutorial).

Run it: `python examples/01_convolution_basics.py` (`--quick`: under a minute). Pictures go into examples/output/.
"""

import argparse
import json
from pathlib import Path

import cnnflow  # before Keras: it chooses JAX where KERAS_BACKEND says nothing

# isort: split
import keras
import numpy as np
from numpy.typing import NDArray

from cnnflow.plots.figure import new_figure, save_figure

OUTPUT = Path(__file__).parent / "output"

# A filter is a small picture of what it looks for: bright where it wants light, negative where it wants dark.
FILTERS = {
    "vertical edges": [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    "horizontal edges": [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    "blur": [[1 / 9] * 3] * 3,
    "sharpen": [[0, -1, 0], [-1, 5, -1], [0, -1, 0]],
}


def convolve(picture: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """One convolution by hand: the kernel slides over the picture, and each place gives one sum of products.

    The border is filled with zeros (padding "same"), so that the result is as large as the picture.
    """
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(picture, 1), kernel.shape)
    return np.einsum("yxab,ab->yx", windows, kernel).astype(np.float32)


def pool(picture: NDArray[np.float32]) -> NDArray[np.float32]:
    """Max pooling, 2x2: of each four neighbours the largest stays, so that a quarter of the numbers is left."""
    height, width = picture.shape
    return picture.reshape(height // 2, 2, width // 2, 2).max(axis=(1, 3))


def filter_one_picture(picture: NDArray[np.float32]) -> float:
    """Draw what each filter sees; gives the largest difference between the convolution above and Keras's."""
    figure = new_figure(11, 6.5)
    axes = figure.subplots(3, len(FILTERS) + 1)
    largest = 0.0
    for column, (name, kernel) in enumerate({"the picture": [[0, 0, 0], [0, 1, 0], [0, 0, 0]], **FILTERS}.items()):
        weights = np.array(kernel, np.float32)
        found = convolve(picture, weights)
        theirs = keras.ops.conv(picture[None, :, :, None], weights[:, :, None, None], padding="same")
        largest = max(largest, float(np.abs(found - keras.ops.convert_to_numpy(theirs)[0, :, :, 0]).max()))
        seen = np.maximum(found, 0)  # ReLU: what the filter does not look for counts nothing
        for row, (title, shown) in enumerate([(name, found), ("after ReLU", seen), ("after pooling", pool(seen))]):
            bound = max(float(np.abs(shown).max()), 1e-6)
            axes[row, column].imshow(shown, cmap="RdBu_r", vmin=-bound, vmax=bound)
            axes[row, column].set_title(f"{title}\n{shown.shape[0]}x{shown.shape[1]}", fontsize=9)
            axes[row, column].axis("off")
    save_figure(figure, OUTPUT / "01_filters.png")
    return largest


def change_when_moved(picture: NDArray[np.float32]) -> tuple[float, float]:
    """How different an edge map is (0 to 1) when the picture moves by one pixel: before pooling, and after two."""
    kernel = np.array(FILTERS["vertical edges"], np.float32)
    here, there = (np.maximum(convolve(p, kernel), 0) for p in (picture, np.roll(picture, 1, axis=1)))

    def changed(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
        return float(np.abs(a - b).sum() / (a + b).sum())

    return changed(here, there), changed(pool(pool(here)), pool(pool(there)))


def receptive_field(model: keras.Model, layer: str) -> NDArray[np.bool_]:
    """Which pixels the middle unit of a layer can see, found by trying: light up one pixel at a time, and look."""
    probe = keras.models.clone_model(keras.Model(model.inputs[0], model.get_layer(layer).output))
    # With weights of one nothing is lost in a ReLU: a unit answers to every pixel that has a path to it.
    probe.set_weights([np.ones_like(w) if w.ndim > 1 else np.zeros_like(w) for w in probe.get_weights()])
    height, width, _ = model.input_shape[1:]
    one_pixel_each = 255 * np.eye(height * width, dtype=np.uint8).reshape(-1, height, width, 1)
    answers = keras.ops.convert_to_numpy(probe.predict_on_batch(one_pixel_each))
    middle = answers[:, answers.shape[1] // 2, answers.shape[2] // 2, 0]
    return (middle > 0).reshape(height, width)


def draw_receptive_fields(model: keras.Model, picture: NDArray[np.float32]) -> dict[str, int]:
    """Draw what one unit of each layer sees of the picture; gives the side of each field in pixels."""
    layers = ["conv1", "pool1", "conv2", "pool2"]
    figure = new_figure(10, 3)
    sides = {}
    for axes, layer in zip(figure.subplots(1, len(layers)), layers, strict=True):
        field = receptive_field(model, layer)
        sides[layer] = int(field.any(axis=0).sum())
        axes.imshow(picture, cmap="gray")
        axes.imshow(np.where(field, 1.0, np.nan), cmap="autumn", vmin=0, vmax=1.5, alpha=0.6)
        axes.set_title(f"{layer}: {sides[layer]}x{sides[layer]} pixels")
        axes.axis("off")
    save_figure(figure, OUTPUT / "01_receptive_fields.png")
    return sides


def draw_feature_maps(model: keras.Model, image: NDArray[np.uint8]) -> None:
    """Draw the picture as the first 16 filters of each convolution of a trained network see it."""
    figure = new_figure(12, 6.2)
    for part, layer in zip(figure.subfigures(1, 2), ("conv1", "conv2"), strict=True):
        maps = keras.ops.convert_to_numpy(keras.Model(model.inputs[0], model.get_layer(layer).output)(image[None]))[0]
        part.suptitle(f"{layer}: 16 of {maps.shape[-1]} feature maps of {maps.shape[0]}x{maps.shape[1]}")
        for k, axes in enumerate(part.subplots(4, 4).flat):
            axes.imshow(maps[:, :, k], cmap="magma")
            axes.axis("off")
    save_figure(figure, OUTPUT / "01_feature_maps.png")


def main() -> None:
    """Print what was found, and write it as JSON beside the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="train on 2,000 images instead of 20,000")
    images = 2_000 if parser.parse_args().quick else 20_000

    where = cnnflow.DataConfig("fashion", limit=images)
    splits = cnnflow.split(cnnflow.load(where), where, seed=0)
    image = splits.test.images[splits.test.labels == splits.test.class_names.index("Ankle boot")][0]
    picture = image[:, :, 0].astype(np.float32) / 255

    difference = filter_one_picture(picture)
    print(f"The convolution by hand and Keras's differ by at most {difference:.1e}.")
    before, after = change_when_moved(picture)
    print(f"Moved by one pixel, the edge map differs by {before:.0%}, and by {after:.0%} after two poolings.")

    model = cnnflow.build(cnnflow.ModelConfig("basic_cnn"), (28, 28, 1), 10, seed=0)
    shared, apart = model.get_layer("conv1").count_params(), (28 * 28 + 1) * (28 * 28 * 32)
    print(f"conv1 has {shared} weights; a dense layer from the same pixels to the same map would have {apart:,}.")
    fields = draw_receptive_fields(model, picture)
    print("One unit sees: " + ", ".join(f"{layer} {side}x{side} pixels" for layer, side in fields.items()))

    print(f"Training basic_cnn for an epoch on {len(splits.train):,} images, to see what its filters learn ...")
    result = cnnflow.fit(model, splits.train, splits.validation, cnnflow.Recipe(epochs=1))
    draw_feature_maps(model, image)
    found = {"difference": difference, "changed": before, "changed_after_pooling": after, "conv1_weights": shared}
    found |= {"receptive_fields": fields, "validation_accuracy": result.state.history[-1]["val_accuracy"]}
    (OUTPUT / "01_convolution_basics.json").write_text(json.dumps(found, indent=2))
    print(f"Pictures and figures are in {OUTPUT}.")


if __name__ == "__main__":
    main()
