"""Typed factories of Keras models."""

import os

from cnnflow.memory import keep_freed_memory

if os.environ["KERAS_BACKEND"] == "jax":
    # Before the first network is built: JAX starts its threads then, and they keep the memory arenas that they have.
    keep_freed_memory()
