"""Batches: the same bytes at a position whatever ran before, and the options of a plan."""

import hashlib
import os
import subprocess
import sys
from collections import Counter
from dataclasses import FrozenInstanceError, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transform_cases import smooth_pictures

from cnnflow.batches import Batch, BatchPlan, class_balance, epoch_order, make_batch, stream
from cnnflow.config import AUGMENTATIONS
from cnnflow.data.image_set import ImageSet
from cnnflow.errors import OptionError
from cnnflow.transforms import Augmentation, augmentation


def image_set(count, size=(12, 12, 3), classes=3):
    labels = (np.arange(count) * 7 % classes).astype(np.int64)
    names = tuple(f"class {k}" for k in range(classes))
    return ImageSet(smooth_pictures((count, *size)), labels, names, [f"train/{i}" for i in range(count)])


SET = image_set(53)
PLAN = BatchPlan(53, 8, seed=5)
STRONG = augmentation("strong", mirror=True)


def digest(batch):
    """A hash of every byte of a batch, and of the types."""
    parts = [batch.images, batch.targets, np.array([]) if batch.weights is None else batch.weights]
    content = b"".join(f"{part.dtype} {part.shape}".encode() + part.tobytes() for part in parts)
    return hashlib.sha256(content).hexdigest()[:16]


# Position


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_same_bytes_for_any_number_of_workers(name):
    options = {"epochs": 3, "weights": class_balance(SET.labels, 3)}
    streams = [
        [digest(batch) for batch in stream(SET, PLAN, augmentation(name, mirror=True), workers=workers, **options)]
        for workers in (0, 1, 2, 7)
    ]
    assert len(streams[0]) == 3 * PLAN.steps == 21
    assert len(set(streams[0])) == 21
    assert streams[1:] == [streams[0]] * 3


def test_the_same_bytes_from_any_start():
    whole = [digest(batch) for batch in stream(SET, PLAN, STRONG, epochs=2, workers=2)]
    for position in range(2 * PLAN.steps + 1):
        epoch, step = divmod(position, PLAN.steps)
        for workers in (0, 2):
            rest = stream(SET, PLAN, STRONG, epochs=2, start_epoch=epoch, start_step=step, workers=workers)
            assert [digest(batch) for batch in rest] == whole[position:]


def test_a_stream_is_make_batch_at_each_position_in_any_order():
    streamed = [digest(batch) for batch in stream(SET, PLAN, STRONG, epochs=2, workers=2)]
    for position in np.random.default_rng(0).permutation(2 * PLAN.steps).tolist():
        epoch, step = divmod(position, PLAN.steps)
        assert digest(make_batch(SET, PLAN, STRONG, epoch=epoch, step=step)) == streamed[position]


def test_the_end_of_an_epoch_is_the_start_of_the_next():
    late = stream(SET, PLAN, STRONG, epochs=2, start_step=PLAN.steps, workers=0)
    next_epoch = stream(SET, PLAN, STRONG, epochs=2, start_epoch=1, workers=0)
    assert [digest(batch) for batch in late] == [digest(batch) for batch in next_epoch]


def test_seed_stream_epoch_and_step_each_give_other_numbers_and_never_swap():
    drawn = {}

    def note(images, rng):
        drawn[key] = rng.integers(0, 2**62)
        return images

    for seed in (0, 1, 2):
        for number in (0, 1, 2):
            for epoch in (0, 1, 2):
                for step in (0, 1, 2):
                    key = (seed, number, epoch, step)
                    plan = BatchPlan(53, 8, seed, stream=number)
                    make_batch(SET, plan, Augmentation(note), epoch=epoch, step=step)
    assert len(set(drawn.values())) == 81


def test_images_and_mix_draw_from_generators_of_their_own():
    def greedy(images, rng):
        rng.random(99)
        return images

    seen = []

    def note(images, targets, rng):
        seen.append(rng.random())
        return images, targets

    for change in (None, greedy):
        make_batch(SET, PLAN, Augmentation(change, note), epoch=0, step=0)
    assert seen[0] == seen[1]


GOLDEN = {
    ("none", (32, 32, 3)): ["801d34c25b696cf0", "b3ec8794bb10b184", "e53903b7605c84de"],
    ("none", (28, 28, 1)): ["fbdf5cad0720a265", "305fb939bb1958f3", "0d5241a23de87bd7"],
    ("light", (32, 32, 3)): ["fa88858d696562f1", "7a810a2732744aff", "61e50c9c9c329d9d"],
    ("light", (28, 28, 1)): ["784026082945d130", "623804211571ee6e", "689a2fdd3c287a60"],
    ("erase", (32, 32, 3)): ["13e996920f998b84", "35cb900454d1a642", "1c75e1979ca3e115"],
    ("erase", (28, 28, 1)): ["c2ac97ef3784af10", "f33eb02aee876682", "c1c7dee9859d7362"],
    ("tutorial", (32, 32, 3)): ["8ec6d51e64b2b0ee", "36194f80de172790", "ccab54489dd0abd3"],
    ("tutorial", (28, 28, 1)): ["b3d9ae7f3eef843e", "61c9e1f82aed1de1", "9c6fea18fcc49a96"],
    ("strong", (32, 32, 3)): ["f9ec9df0a98576f7", "911194d22c488b47", "1d71d35b12e69821"],
    ("strong", (28, 28, 1)): ["c68aa6bd9ea4bfca", "1eff7dd9821c6cfb", "eff5d5b9397ea516"],
}


@pytest.mark.parametrize("size", [(32, 32, 3), (28, 28, 1)])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_golden_bytes(name, size):
    # These change only with a new major version: runs of an older one could not be repeated.
    images = image_set(20, size)
    plan = BatchPlan(20, 8, seed=123)
    found = [
        digest(make_batch(images, plan, augmentation(name, mirror=True), epoch=epoch, step=step))
        for epoch, step in ((0, 0), (0, 2), (7, 1))
    ]
    assert found == GOLDEN[name, size]


def test_golden_orders():
    labels = np.array([0] * 7 + [1] * 2 + [2])
    orders = {
        order: epoch_order(BatchPlan(10, 4, seed=9, order=order), 3, labels=labels).tolist()
        for order in ("shuffled", "balanced", "sequential")
    }
    assert orders == {
        "shuffled": [7, 0, 6, 4, 2, 9, 5, 3, 8, 1],
        "balanced": [8, 2, 4, 9, 5, 8, 9, 9, 7, 7],
        "sequential": list(range(10)),
    }


BACKEND_SCRIPT = """
import sys
sys.path[:0] = sys.argv[1:]
import keras
from test_batches import PLAN, SET, STRONG, digest, stream
assert keras.backend.backend() == keras.config.backend()
print(keras.config.backend(), *(digest(batch) for batch in stream(SET, PLAN, STRONG, epochs=1, workers=2)))
"""


@pytest.mark.parametrize("backend", ["jax", "torch", "tensorflow"])
def test_the_same_bytes_whichever_backend_is_loaded(backend):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    paths = [str(Path(__file__).parent), *sys.path]
    command = [sys.executable, "-c", BACKEND_SCRIPT, *paths]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    expected = [digest(batch) for batch in stream(SET, PLAN, STRONG, epochs=1, workers=0)]
    assert done.stdout.split() == [backend, *expected]


# Orders


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 200), seed=st.integers(0, 2**32 - 1), epoch=st.integers(0, 2**32 - 1))
def test_an_epoch_shows_each_image_once(count, seed, epoch):
    order = epoch_order(BatchPlan(count, 8, seed), epoch)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(count))


def test_each_epoch_has_an_order_of_its_own_and_a_sequential_one_has_not():
    orders = [epoch_order(PLAN, epoch).tolist() for epoch in range(5)]
    assert len({tuple(order) for order in orders}) == 5
    plan = replace(PLAN, order="sequential")
    assert all(epoch_order(plan, epoch).tolist() == list(range(53)) for epoch in range(3))


@settings(max_examples=50, deadline=None)
@given(
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_balanced_order_shows_each_class_equally_often_and_its_images_evenly(counts, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    plan = BatchPlan(len(labels), 8, seed, order="balanced")
    order = epoch_order(plan, 0, labels=labels)
    assert len(order) == len(labels)
    shown = np.bincount(labels[order], minlength=len(counts))
    assert shown.max() - shown.min() <= 1
    often = np.bincount(order, minlength=len(labels))
    for k in range(len(counts)):
        assert often[labels == k].max() - often[labels == k].min() <= 1


def test_a_balanced_order_over_epochs_shows_every_image():
    labels = np.array([0] * 30 + [1] * 3)
    plan = BatchPlan(33, 8, order="balanced")
    seen = Counter(i for epoch in range(12) for i in epoch_order(plan, epoch, labels=labels).tolist())
    assert set(seen) == set(range(33))


# The tail


def test_a_padded_batch_keeps_its_shape_and_weighs_the_added_images_nothing():
    batches = list(stream(SET, PLAN, epochs=1, workers=0))
    assert {batch.images.shape for batch in batches} == {(8, 12, 12, 3)}
    assert all(batch.weights.dtype == np.float32 for batch in batches)
    np.testing.assert_array_equal(np.concatenate([batch.weights for batch in batches]), [1] * 53 + [0] * 3)
    order = epoch_order(PLAN, 0)
    np.testing.assert_array_equal(batches[-1].images[5:], SET.images[order[:3]])


def test_a_kept_tail_is_smaller_and_needs_no_weights():
    plan = replace(PLAN, tail="keep", order="sequential")
    batches = list(stream(SET, plan, epochs=1, workers=0))
    assert [len(batch.images) for batch in batches] == [8] * 6 + [5]
    assert all(batch.weights is None for batch in batches)
    np.testing.assert_array_equal(np.concatenate([batch.images for batch in batches]), SET.images)
    np.testing.assert_array_equal(np.concatenate([batch.targets for batch in batches]), SET.labels)


def test_no_weights_where_the_count_divides():
    assert all(batch.weights is None for batch in stream(image_set(16), BatchPlan(16, 8), epochs=1, workers=0))


def test_a_set_smaller_than_a_batch_is_repeated_to_fill_it():
    batch = make_batch(image_set(3), BatchPlan(3, 8), epoch=0, step=0)
    assert batch.images.shape[0] == 8
    assert batch.weights.tolist() == [1, 1, 1, 0, 0, 0, 0, 0]
    assert BatchPlan(3, 8).steps == 1


# Targets and weights


def test_targets_are_classes_and_with_mixing_their_shares():
    plain = make_batch(SET, PLAN, augmentation("tutorial", mirror=True), epoch=0, step=0)
    assert (plain.targets.dtype, plain.targets.shape) == (np.int64, (8,))
    np.testing.assert_array_equal(plain.targets, SET.labels[epoch_order(PLAN, 0)[:8]])
    mixed = make_batch(SET, PLAN, STRONG, epoch=0, step=0)
    assert (mixed.targets.dtype, mixed.targets.shape) == (np.float32, (8, 3))
    np.testing.assert_allclose(mixed.targets.sum(axis=1), 1, atol=1e-6)


def test_class_balance_gives_each_class_the_same_total():
    labels = np.array([0] * 6 + [2] * 3 + [3])
    weights = class_balance(labels, 4)
    assert weights.dtype == np.float32
    totals = np.bincount(labels, weights)
    np.testing.assert_allclose(totals, [10 / 3, 0, 10 / 3, 10 / 3], rtol=1e-6)
    assert abs(weights.mean() - 1) < 1e-6


def test_weights_follow_their_images_and_are_nothing_for_padding():
    weights = np.arange(53, dtype=np.float32) + 1
    for step in range(PLAN.steps):
        batch = make_batch(SET, PLAN, epoch=0, step=step, weights=weights)
        chosen = epoch_order(PLAN, 0)[step * 8 : step * 8 + 8]
        np.testing.assert_array_equal(batch.weights[: len(chosen)], weights[chosen])
        np.testing.assert_array_equal(batch.weights[len(chosen) :], 0)


def test_a_mixed_image_weighs_what_its_parts_weigh():
    weights = np.where(SET.labels == 0, 4, 1).astype(np.float32)

    def halves(images, targets, rng):
        return images, (targets + targets[::-1]) / 2

    batch = make_batch(SET, PLAN, Augmentation(None, halves), epoch=0, step=0, weights=weights)
    chosen = epoch_order(PLAN, 0)[:8]
    own, other = weights[chosen], weights[chosen][::-1]
    np.testing.assert_allclose(batch.weights, (own + other) / 2)
    # The loss is linear in the target, so the weighted target is what counts.
    eye = np.eye(3)[SET.labels[chosen]]
    expected = (eye * own[:, None] + eye[::-1] * other[:, None]) / 2
    np.testing.assert_allclose(batch.targets * batch.weights[:, None], expected, rtol=1e-6)
    np.testing.assert_allclose(batch.targets.sum(axis=1), 1, rtol=1e-6)


def test_stored_images_are_asked_for_rows_only():
    class Stored:
        shape, dtype = SET.images.shape, SET.images.dtype

        def __len__(self):
            return len(SET.images)

        def __getitem__(self, index):
            assert index.dtype == np.int64
            assert index.shape == (8,)
            return SET.images[index]

    stored = replace(SET, images=Stored())
    from_file = [digest(batch) for batch in stream(stored, PLAN, STRONG, epochs=1, workers=2)]
    assert from_file == [digest(batch) for batch in stream(SET, PLAN, STRONG, epochs=1, workers=0)]


def test_a_batch_may_be_written_to_without_changing_the_set():
    before = SET.images.tobytes()
    for name in AUGMENTATIONS:
        batch = make_batch(SET, PLAN, augmentation(name, mirror=True), epoch=0, step=0)
        batch.images[:] = 0
    assert SET.images.tobytes() == before


# Errors


def test_an_error_in_a_transform_reaches_the_caller_with_its_own_traceback():
    def broken(images, rng):
        raise ZeroDivisionError("in the transform")

    for workers in (0, 1, 3):
        with pytest.raises(ZeroDivisionError, match="in the transform") as caught:
            next(stream(SET, PLAN, Augmentation(broken), epochs=1, workers=workers))
        assert caught.traceback[-1].name == "broken"


LAST = 2**32 - 1
WRONG = [
    (lambda: BatchPlan(53, 0), f"batch_size=0; it must be a whole number from 1 to {LAST - 1}"),
    (lambda: BatchPlan(53, 2.5), f"batch_size=2.5; it must be a whole number from 1 to {LAST - 1}"),
    (lambda: BatchPlan(0, 8), f"count=0; it must be a whole number from 1 to {LAST - 1}"),
    (lambda: BatchPlan(53, 8, -1), f"seed=-1; it must be a whole number from 0 to {LAST}"),
    (lambda: BatchPlan(53, 8, stream=2**32), f"stream={2**32}; it must be a whole number from 0 to {LAST}"),
    (lambda: BatchPlan(53, 8, order="shuffle"), "no order 'shuffle'; did you mean shuffled?"),
    (lambda: BatchPlan(53, 8, tail="drop"), "no tail 'drop'; choose one of pad, keep"),
    (lambda: make_batch(SET, PLAN, epoch=0, step=7), "step=7; it must be a whole number from 0 to 6"),
    (lambda: make_batch(SET, PLAN, epoch=-1, step=0), f"epoch=-1; it must be a whole number from 0 to {LAST}"),
    (
        lambda: make_batch(SET, BatchPlan(52, 8), epoch=0, step=0),
        "a plan for 52 images with 53; make it with BatchPlan(len(images))",
    ),
    (
        lambda: make_batch(SET, PLAN, epoch=0, step=0, weights=np.ones(3, np.float32)),
        "weights of shape [3]; they must be [53], one an image",
    ),
    (lambda: stream(SET, PLAN, epochs=1, workers=-1), "workers=-1; it must be a whole number from 0 to 256"),
    (lambda: stream(SET, PLAN, epochs=1, start_step=8), "start_step=8; it must be a whole number from 0 to 7"),
    (
        lambda: epoch_order(BatchPlan(5, 2, order="balanced"), 0),
        "labels of shape None for order='balanced'; pass those of all 5 images",
    ),
]


@pytest.mark.parametrize(("call", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_option_gives_one_line_with_the_value_and_the_rule(call, message):
    with pytest.raises(OptionError) as caught:
        call()
    assert str(caught.value) == message


def test_plans_and_batches_are_frozen():
    with pytest.raises(FrozenInstanceError):
        PLAN.batch_size = 9
    batch = make_batch(SET, PLAN, epoch=0, step=0)
    assert isinstance(batch, Batch)
    with pytest.raises(FrozenInstanceError):
        batch.weights = None
    assert hash(PLAN) == hash(BatchPlan(53, 8, seed=5))
