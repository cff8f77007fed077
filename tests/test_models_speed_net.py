"""The first weights of `speed_net` that are computed, not drawn."""

import keras
import numpy as np
import pytest

from cnnflow.models.speed_net import speed_net, start_from
from cnnflow.models.whitening import partial_identity, whitening_filters


def smooth_images(count=200, size=12, channels=3, seed=0):
    """Neighbouring pixels and channels agree, as in photographs."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, size // 3, size // 3, 1))
    fine = coarse.repeat(3, axis=1).repeat(3, axis=2) + rng.normal(0, 12, (count, size, size, channels))
    return np.clip(fine, 0, 255).astype(np.uint8)


def responses(images, kernel, bias):
    size, channels = kernel.shape[0], images.shape[-1]
    rows = [
        image[i : i + size, j : j + size].reshape(-1)
        for image in images
        for i in range(image.shape[0] - size + 1)
        for j in range(image.shape[1] - size + 1)
    ]
    return np.stack(rows) @ kernel.reshape(size * size * channels, -1) + bias


@pytest.mark.parametrize(("size", "channels"), [(2, 3), (3, 1)])
def test_responses_to_patches_are_white(size, channels):
    images = smooth_images(channels=channels).astype(np.float32) / 64 - 2
    kernel, bias = whitening_filters(images, size, epsilon=0)
    half = size * size * channels
    assert kernel.shape == (size, size, channels, 2 * half)
    out = responses(images, kernel, bias)
    np.testing.assert_allclose(np.cov(out[:, :half], rowvar=False), np.eye(half), atol=1e-3)
    np.testing.assert_allclose(out.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(out[:, half:], -out[:, :half], atol=1e-4)


def test_directions_without_variance_are_not_blown_up():
    images = np.broadcast_to(np.arange(40, dtype=np.float32).reshape(40, 1, 1, 1), (40, 6, 6, 3))
    kernel, bias = whitening_filters(images, 2)
    assert np.isfinite(kernel).all()
    assert np.abs(responses(images, kernel, bias)).max() < 10
    kernel, _ = whitening_filters(np.zeros((4, 6, 6, 3), np.float32), 2)
    assert np.isfinite(kernel).all()


def test_partial_identity_passes_inputs_through_and_leaves_the_rest():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 6)).astype(np.float32)
    changed = partial_identity(kernel)
    layer = keras.layers.Conv2D(6, 3, padding="same", use_bias=False)
    x = np.random.default_rng(1).normal(size=(2, 5, 5, 4)).astype(np.float32)
    layer(x)
    layer.set_weights([changed])
    np.testing.assert_allclose(np.asarray(layer(x))[..., :4], x, atol=1e-6)
    assert np.array_equal(changed[..., 4:], kernel[..., 4:])
    assert partial_identity(kernel[..., :2]).sum() == 2


def test_start_from_whitens_the_first_layer_and_leaves_it_frozen():
    images = smooth_images()
    model = speed_net((12, 12, 3), 3, widths=(8, 8))
    start_from(model, images)
    whitening = model.get_layer("whitening")
    assert not whitening.trainable_weights
    out = np.asarray(keras.Model(model.input, whitening.output)(images)).reshape(-1, 24)
    strongest = out[:, :4]
    np.testing.assert_allclose(strongest.std(axis=0), 1, atol=0.1)
    assert np.array_equal(
        model.get_layer("block2_conv1").get_weights()[0],
        partial_identity(model.get_layer("block2_conv1").get_weights()[0]),
    )


def test_start_from_depends_on_the_images_alone_for_the_whitening():
    first, second = (speed_net((12, 12, 1), 3, widths=(4,)) for _ in range(2))
    for model in (first, second):
        start_from(model, smooth_images(channels=1))
    assert all(
        map(np.array_equal, first.get_layer("whitening").get_weights(), second.get_layer("whitening").get_weights())
    )
