"""How fast images are augmented, beside others' code in the same run; prints tables (`nox -s bench -- data`).

The tables of augmentations count processor time, so "images/s a core" holds on a busy machine too, and a peer that uses
several cores gains nothing by it. Peers take turns within each round; a speed is the median of the rounds, a ratio the
median of the rounds' ratios. The table of training has both clocks: what augmentation costs in time on this machine,
and in work for its processor.
"""

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from importlib.util import find_spec
from typing import NamedTuple

os.environ.setdefault("KERAS_BACKEND", "jax")

import cnnflow  # noqa: F401 - chooses the backend before Keras is imported

# isort: split
import jax
import keras
import numpy as np
from numpy.typing import NDArray

from cnnflow.batches import Batch, BatchPlan, stream
from cnnflow.config import ModelConfig
from cnnflow.data.image_set import ImageSet
from cnnflow.kernels import accelerate
from cnnflow.models.catalog import build
from cnnflow.transforms import augmentation

BATCH = 64
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
        compare_workers(size, name, options.rounds)
    if options.steps:
        compare_training(options.steps, options.rounds)


def compare_augmentations(size: tuple[int, int, int], name: str, rounds: int) -> None:
    """Print the table of one preset and image size."""
    images = image_set(BATCH * (16 if size[0] < 64 else 6), size)
    works = light_works(images) if name == "light" else tutorial_works(images)
    times = take_turns({peer: work for peer, work in works.items() if callable(work)}, rounds)
    own = [turn.processor for turn in times["cnnflow"]]
    print(f"\n{'x'.join(map(str, size))}, `{name}`\n")
    print("| work | images/s a core | cnnflow is faster by | bar |")
    print("|---|---:|---:|---|")
    for peer, work in works.items():
        if isinstance(work, str):
            print(f"| {peer} | {work} | | |")
            continue
        seconds = [turn.processor for turn in times[peer]]
        speed = len(images) / statistics.median(seconds)
        ratio = statistics.median(theirs / ours for theirs, ours in zip(seconds, own, strict=True))
        print(f"| {peer} | {speed:,.0f} | {ratio:.2f} | {verdict(name, peer, speed, ratio)} |")


def verdict(name: str, peer: str, speed: float, ratio: float) -> str:
    """What is asked of this row, and whether it came about; empty where nothing is."""
    if name == "light" and peer == "cnnflow":
        return f"at least 150,000: {'met' if speed >= 150_000 else 'missed'}"
    if "ImageDataGenerator" in peer:
        return f"at least 4: {'met' if ratio >= 4 else 'missed'}"
    if peer.startswith("albumentations"):
        return f"level (1): {'met' if ratio >= 1 else 'missed'}"
    return ""


def compare_workers(size: tuple[int, int, int], name: str, rounds: int) -> None:
    """Print what threads add to a stream of batches, in wall time.

    One makes batches beside other work. Two gain little on small images: NumPy gives the interpreter's lock back for
    each operation, but an operation on a chunk takes some ten microseconds, about as long as passing the lock on.
    """
    images = image_set(BATCH * (32 if size[0] < 64 else 12), size)
    plan, preset = BatchPlan(len(images), BATCH), augmentation(name, mirror=True)
    works: dict[str, Work] = {
        str(workers): lambda workers=workers: list(stream(images, plan, preset, epochs=1, workers=workers))
        for workers in (0, 1, 2)
    }
    times = take_turns(works, rounds)
    print(f"\nThe same as a stream of batches of {BATCH}, by wall time\n")
    print("| threads | images/s | beside none |")
    print("|---|---:|---:|")
    for workers, turns in times.items():
        speed = len(images) / statistics.median(turn.wall for turn in turns)
        ratio = statistics.median(none.wall / turn.wall for none, turn in zip(times["0"], turns, strict=True))
        print(f"| {workers} | {speed:,.0f} | {ratio:.2f} |")


def compare_training(steps: int, rounds: int) -> None:
    """Print what augmentation costs the training of basic_cnn at 32x32."""
    images = image_set(BATCH * steps, (32, 32, 3))
    plan = BatchPlan(len(images), BATCH)
    ready = list(stream(images, plan, epochs=1, workers=0))
    model = build(ModelConfig("basic_cnn"), (32, 32, 3), 10, seed=0)
    accelerate(model)
    model.compile("adam", "sparse_categorical_crossentropy")

    def train(batches: Iterable[Batch]) -> None:
        pairs = ((batch.images, batch.targets) for batch in batches)
        model.fit(pairs, steps_per_epoch=steps, shuffle=False, verbose=0)

    def train_on_stream(name: str) -> None:
        with stream(images, plan, augmentation(name, mirror=True), epochs=1, workers=1) as batches:
            train(batches)

    works: dict[str, Work] = {"arrays ready in memory": partial(train, ready)}
    works |= {f"`{name}`": partial(train_on_stream, name) for name in ("none", "light", "tutorial")}
    times = take_turns(works, rounds)
    print(f"\nbatches of {BATCH} into the training of basic_cnn at 32x32x3, prepared by one thread\n")
    print("| batches | images/s | cost in time | cost in processor time | bar |")
    print("|---|---:|---:|---:|---|")
    base = times["arrays ready in memory"]
    for label, turns in times.items():
        speed = len(images) / statistics.median(turn.wall for turn in turns)
        cost = statistics.median(turn.wall / first.wall - 1 for turn, first in zip(turns, base, strict=True))
        work = statistics.median(turn.processor / first.processor - 1 for turn, first in zip(turns, base, strict=True))
        bar = f"at most 10%: {'met' if cost <= 0.1 else 'missed'}" if label == "`tutorial`" else ""
        print(f"| {label} | {speed:,.0f} | {cost:+.1%} | {work:+.1%} | {bar} |")


class Turn(NamedTuple):
    """The seconds that one turn of a work took."""

    wall: float
    processor: float


def take_turns(works: Mapping[str, Work], rounds: int) -> dict[str, list[Turn]]:
    """The turns of each work, one a round, after one round that is not counted."""
    turns: dict[str, list[Turn]] = {name: [] for name in works}
    for counted in [False] + [True] * rounds:
        for name, work in works.items():
            wall, processor = time.perf_counter(), time.process_time()
            work()
            if counted:
                turns[name].append(Turn(time.perf_counter() - wall, time.process_time() - processor))
    return turns


def image_set(count: int, size: tuple[int, int, int]) -> ImageSet:
    """Images of noise; no work here depends on what they show."""
    rng = np.random.default_rng(0)
    names = tuple(f"class {k}" for k in range(10))
    labels = rng.integers(0, 10, count)
    pixels = rng.integers(0, 256, (count, *size), dtype=np.uint8)
    return ImageSet(pixels, labels, names, [f"train/{i}" for i in range(count)])


def ours(images: ImageSet, name: str) -> Work:
    """All batches of an epoch of the stream, made one after the other in this thread."""
    plan = BatchPlan(len(images), BATCH)
    preset = augmentation(name, mirror=True)
    return lambda: [batch.images for batch in stream(images, plan, preset, epochs=1, workers=0)]


def light_works(images: ImageSet) -> dict[str, Work | str]:
    """`light` and its peers: a flip and a shift by up to 4 of 32 pixels."""
    layers = [keras.layers.RandomFlip("horizontal"), keras.layers.RandomTranslation(0.125, 0.125)]
    pixels = np.asarray(images.images)
    return {
        "cnnflow": ours(images, "light"),
        "Keras layers (RandomFlip, RandomTranslation; jitted)": jitted_layers(images, layers),
        "NumPy loop (pad, slice, flip)": partial(numpy_loop, pixels),
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
    pixels = np.asarray(images.images)
    return {
        "cnnflow": ours(images, "tutorial"),
        "Keras ImageDataGenerator (SciPy)": image_data_generator(pixels),
        "Keras layers (flip, rotation, translation, zoom, brightness; jitted)": jitted_layers(images, layers),
        "albumentations (OpenCV)": albumentations_loop(pixels),
        "OpenCV alone (one fixed warpAffine an image)": opencv_loop(pixels),
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
    main()
