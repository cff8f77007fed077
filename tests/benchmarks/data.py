"""How fast images are augmented, beside others' code in the same run; prints tables (`nox -s bench -- data`).

The first tables count processor time, so "images/s a core" holds on a busy machine too, and a peer that uses several
cores gains nothing by it. Peers take turns within each round; figures are medians of the rounds, ratios medians of the
rounds' ratios. The last table counts wall time: what augmentation costs a training.
"""

import argparse
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec

os.environ.setdefault("KERAS_BACKEND", "jax")

import cnnflow  # noqa: F401 - chooses the backend before Keras is imported

# isort: split
import jax
import keras
import numpy as np
from numpy.typing import NDArray

from cnnflow.batches import BatchPlan, stream
from cnnflow.config import ModelConfig
from cnnflow.data.image_set import ImageSet
from cnnflow.kernels import accelerate
from cnnflow.models.catalog import build
from cnnflow.transforms import augmentation

BATCH = 64
ALBUMENTATIONS = "albumentations 2.0.8 (OpenCV)"
Images = NDArray[np.uint8]
Work = Callable[[], object]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="rounds in which all peers take turns")
    parser.add_argument("--steps", type=int, default=120, help="training steps a round; 0 leaves training out")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{os.cpu_count()} cores, NumPy {np.__version__}, Keras {keras.__version__} on {keras.config.backend()}")
    for size, name in (((32, 32, 3), "light"), ((32, 32, 3), "tutorial"), ((80, 80, 3), "tutorial")):
        compare_augmentations(size, name, options.rounds)
    if options.steps:
        compare_training(options.steps, options.rounds)


def compare_augmentations(size: tuple[int, int, int], name: str, rounds: int) -> None:
    """Print the table of one preset and image size."""
    images = image_set(BATCH * (16 if size[0] < 64 else 6), size)
    works = light_works(images) if name == "light" else tutorial_works(images)
    missing = {peer: work for peer, work in works.items() if isinstance(work, str)}
    times = take_turns({peer: work for peer, work in works.items() if callable(work)}, rounds, time.process_time)
    ours = next(iter(times))
    print(f"\n{size[0]}x{size[1]}x{size[2]}, `{name}`\n")
    print("| work | images/s a core | cnnflow's speed by its own |")
    print("|---|---:|---:|")
    for peer, seconds in times.items():
        speed = len(images) / statistics.median(seconds)
        ratio = statistics.median(theirs / own for theirs, own in zip(seconds, times[ours], strict=True))
        print(f"| {peer} | {speed:,.0f} | {ratio:.2f} |")
    for peer, reason in missing.items():
        print(f"| {peer} | {reason} | |")


def compare_training(steps: int, rounds: int) -> None:
    """Print what augmentation costs the training of basic_cnn at 32x32."""
    images = image_set(BATCH * steps, (32, 32, 3))
    plan = BatchPlan(len(images), BATCH)
    ready = list(stream(images, plan, epochs=1, workers=0))
    model = build(ModelConfig("basic_cnn"), (32, 32, 3), 10, seed=0)
    accelerate(model)
    model.compile("adam", "sparse_categorical_crossentropy")

    def train(name: str | None) -> None:
        if name is None:
            batches = iter(ready)
            model.fit(((b.images, b.targets) for b in batches), steps_per_epoch=steps, verbose=0)
            return
        with stream(images, plan, augmentation(name, mirror=True), epochs=1, workers=1) as batches:
            model.fit(((b.images, b.targets) for b in batches), steps_per_epoch=steps, verbose=0)

    names = {"arrays ready in memory": None, "`none`": "none", "`light`": "light", "`tutorial`": "tutorial"}
    times = take_turns({label: partial(train, name) for label, name in names.items()}, rounds, time.perf_counter)
    print(f"\nbatches of {BATCH} into the training of basic_cnn at 32x32x3, one thread that prepares them\n")
    print("| batches | images/s | cost |")
    print("|---|---:|---:|")
    first = times["arrays ready in memory"]
    for label, seconds in times.items():
        cost = statistics.median(own / ready - 1 for own, ready in zip(seconds, first, strict=True))
        print(f"| {label} | {len(images) / statistics.median(seconds):,.0f} | {cost:+.1%} |")


def take_turns(works: dict[str, Work], rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """The seconds of each work in each round, after one round that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for counted in [False] + [True] * rounds:
        for name, work in works.items():
            begin = clock()
            work()
            if counted:
                times[name].append(clock() - begin)
    return times


def image_set(count: int, size: tuple[int, int, int]) -> ImageSet:
    """Images of noise; no work here depends on what they show."""
    rng = np.random.default_rng(0)
    names = tuple(f"class {k}" for k in range(10))
    labels = rng.integers(0, 10, count)
    return ImageSet(rng.integers(0, 256, (count, *size), dtype=np.uint8), labels, names, range(count))


def ours(images: ImageSet, name: str) -> Work:
    """All batches of an epoch of the stream, made one after the other in this thread."""
    plan = BatchPlan(len(images), BATCH)
    preset = augmentation(name, mirror=True)
    return lambda: [batch.images for batch in stream(images, plan, preset, epochs=1, workers=0)]


def light_works(images: ImageSet) -> dict[str, Work | str]:
    """`light` and its peers: a flip and a shift by up to 4 of 32 pixels."""
    layers = [keras.layers.RandomFlip("horizontal"), keras.layers.RandomTranslation(0.125, 0.125)]
    return {
        "cnnflow": ours(images, "light"),
        "Keras layers (RandomFlip, RandomTranslation; jitted)": jitted_layers(images, layers),
        "NumPy loop (pad, slice, flip)": partial(numpy_loop, images.images),
    }


def tutorial_works(images: ImageSet) -> dict[str, Work | str]:
    """`tutorial` and its peers, with the document's ranges."""
    layers = [
        keras.layers.RandomFlip("horizontal"),
        keras.layers.RandomRotation(30 / 360, fill_mode="nearest"),
        keras.layers.RandomTranslation(0.2, 0.2, fill_mode="nearest"),
        keras.layers.RandomZoom((-0.2, 0.2), (-0.2, 0.2), fill_mode="nearest"),
        keras.layers.RandomBrightness(0.2),
    ]
    return {
        "cnnflow": ours(images, "tutorial"),
        "Keras ImageDataGenerator (SciPy)": image_data_generator(images.images),
        "Keras layers (flip, rotation, translation, zoom, brightness; jitted)": jitted_layers(images, layers),
        ALBUMENTATIONS: albumentations_loop(images.images),
        "OpenCV alone (one fixed warpAffine an image)": opencv_loop(images.images),
    }


def numpy_loop(images: Images) -> Images:
    """Pad, slice and flip image by image, as many a training script does."""
    rng = np.random.default_rng(0)
    result = np.empty_like(images)
    for i, image in enumerate(images):
        padded = np.pad(image, ((4, 4), (4, 4), (0, 0)), mode="symmetric")
        row, column = rng.integers(0, 9, 2)
        window = padded[row : row + image.shape[0], column : column + image.shape[1]]
        result[i] = window[:, ::-1] if rng.random() < 0.5 else window
    return result


def jitted_layers(images: ImageSet, layers: list[keras.Layer]) -> Work:
    """Keras's preprocessing layers, compiled, on batches of 64."""
    model = keras.Sequential([keras.Input(images.image_shape), *layers])
    state = [variable.value for variable in model.non_trainable_variables]
    step = jax.jit(lambda state, x: model.stateless_call([], state, x, training=True))

    def work() -> None:
        carried = state
        for start in range(0, len(images), BATCH):
            result, carried = step(carried, images.images[start : start + BATCH].astype(np.float32))
            np.asarray(result)

    return work


def image_data_generator(images: Images) -> Work:
    """The generator of the origin document."""
    from keras._tf_keras.keras.preprocessing.image import ImageDataGenerator

    generator = ImageDataGenerator(
        rotation_range=30,
        width_shift_range=0.2,
        height_shift_range=0.2,
        horizontal_flip=True,
        zoom_range=0.2,
        brightness_range=[0.8, 1.2],
    )

    def work() -> None:
        flow = generator.flow(images, batch_size=BATCH)
        for _ in range(len(flow)):
            next(flow)

    return work


def albumentations_loop(images: Images) -> Work | str:
    """The same augmentation by albumentations, image by image, as it is made to be used."""
    if find_spec("albumentations") is None or find_spec("cv2") is None:
        return "not installed: pip install albumentations==2.0.8 opencv-python-headless"
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"
    import albumentations
    import cv2

    cv2.setNumThreads(1)
    transform = albumentations.Compose(
        [
            albumentations.HorizontalFlip(p=0.5),
            albumentations.Affine(
                rotate=(-30, 30),
                translate_percent=(-0.2, 0.2),
                scale=(0.8, 1.2),
                keep_ratio=False,
                border_mode=cv2.BORDER_REPLICATE,
                p=1,
            ),
            albumentations.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0, p=1),
        ]
    )
    return lambda: np.stack([transform(image=image)["image"] for image in images])


def opencv_loop(images: Images) -> Work | str:
    """OpenCV's own part of such an augmentation, without drawing numbers, flipping or brightness."""
    if find_spec("cv2") is None:
        return "not installed: pip install opencv-python-headless"
    import cv2

    cv2.setNumThreads(1)
    height, width = images.shape[1:3]
    matrix = np.array([[0.9, 0.1, 2.0], [-0.1, 0.9, 1.0]])
    warp = partial(cv2.warpAffine, M=matrix, dsize=(width, height), borderMode=cv2.BORDER_REPLICATE)
    return lambda: np.stack([warp(image) for image in images])


if __name__ == "__main__":
    sys.exit(main())
