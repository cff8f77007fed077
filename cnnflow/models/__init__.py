"""Typed factories of Keras models."""

import os

from cnnflow.process import prepare_for_jax

if os.environ["KERAS_BACKEND"] == "jax":
    # Before the first network is built: JAX starts its threads then, and reads its flags.
    prepare_for_jax()
