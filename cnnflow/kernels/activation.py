"""GELU in operations that XLA's loops do many of at a time."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp

# Abramowitz and Stegun, Handbook of Mathematical Functions (1964), 26.2.17: absolute error below 7.5e-8.
_SCALE = 0.2316419
_POWERS = (0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429)


@partial(jax.custom_vjp, nondiff_argnums=())
def gelu(x: Any) -> Any:
    """`x` times the share of a standard normal variable that is below it; any shape.

    Half precision is computed in float32 and rounded once.

    Hendrycks and Gimpel 2016, arXiv:1606.08415, section 2. JAX computes that share by `erfc`, of which XLA's older
    emitters make slow loops: a step of `speed_net` (128 images of 28x28) spends 10 ms in them, 4 ms in these.

    Example:
        >>> float(gelu(jnp.float32(0.0)))
        0.0
    """
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return (wide * _share_below(wide)).astype(x.dtype)


def _forward(x: Any) -> tuple[Any, Any]:
    return gelu(x), x


def _backward(x: Any, gradient: Any) -> tuple[Any]:
    wide = x.astype(jnp.promote_types(x.dtype, jnp.float32))
    return ((gradient * (_share_below(wide) + wide * _density(wide))).astype(x.dtype),)


gelu.defvjp(_forward, _backward)


def _density(x: Any) -> Any:
    """Of the standard normal distribution."""
    return jnp.exp(-0.5 * x * x) * (1 / math.sqrt(2 * math.pi))


def _share_below(x: Any) -> Any:
    """The standard normal distribution function."""
    t = 1 / (1 + _SCALE * jnp.abs(x))
    sum_of_powers = jnp.zeros_like(x)
    for factor in reversed(_POWERS):
        sum_of_powers = t * (sum_of_powers + factor)
    tail = _density(x) * sum_of_powers
    return jnp.where(x < 0, tail, 1 - tail)
