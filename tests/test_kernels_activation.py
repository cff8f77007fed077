"""GELU against SciPy's normal distribution in float64."""

import jax
import keras
import numpy as np
import pytest
from scipy.stats import norm

from cnnflow import accelerate, restore
from cnnflow.kernels.activation import gelu

PLACES = np.concatenate([np.linspace(-12, 12, 4801), [0.0, -0.0, 1e-30, -1e-30, 80.0, -80.0]]).astype(np.float32)


def test_values():
    exact = PLACES.astype(np.float64) * norm.cdf(PLACES.astype(np.float64))
    np.testing.assert_allclose(gelu(PLACES), exact, rtol=2e-7, atol=5e-7)


def test_gradient():
    x = PLACES.astype(np.float64)
    exact = norm.cdf(x) + x * norm.pdf(x)
    np.testing.assert_allclose(jax.vmap(jax.grad(gelu))(PLACES), exact, atol=5e-7)


def test_gradient_of_the_gradient():
    x = PLACES.astype(np.float64)
    exact = (2 - x**2) * norm.pdf(x)
    # The polynomial's own slope is less exact than the polynomial.
    np.testing.assert_allclose(jax.vmap(jax.grad(jax.grad(gelu)))(PLACES), exact, atol=5e-5)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_rounded_once(dtype):
    half = PLACES.astype(dtype)
    np.testing.assert_array_equal(gelu(half), gelu(half.astype(np.float32)).astype(dtype))
    assert jax.grad(lambda x: gelu(x).sum())(jax.numpy.asarray(half)).dtype == dtype


@pytest.mark.parametrize("filters", [1, 16, 18])
@pytest.mark.parametrize("shape", [(9, 7, 3), (12,)])
def test_in_a_stock_model(filters, shape):
    body = keras.layers.Conv2D(filters, 3) if len(shape) == 3 else keras.layers.Dense(filters)
    model = keras.Sequential([keras.Input(shape), body, keras.layers.Activation("gelu")])
    body.set_weights([np.random.default_rng(0).normal(size=w.shape) for w in body.get_weights()])
    images = np.random.default_rng(1).normal(size=(5, *shape)).astype(np.float32)
    stock = model.predict(images, verbose=0)
    assert accelerate(model) == 2
    np.testing.assert_allclose(model.predict(images, verbose=0), stock, atol=1e-5)
    restore(model)
    np.testing.assert_array_equal(model.predict(images, verbose=0), stock)
