"""What all tests share."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

# Many tests train the same small networks: each is compiled once. Programs with oneDNN cannot be kept, so that these
# trainings go by XLA's convolutions; `uncached` is for tests of what a user has.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / "cnnflow-tests-compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import pytest

import cnnflow  # noqa: F401 - chooses the backend before a test imports Keras


@pytest.fixture(scope="module")
def uncached() -> Iterator[None]:
    """JAX without its persistent cache, here and in child processes: convolutions are oneDNN's where there is one."""
    import jax
    from jax.experimental.compilation_cache import compilation_cache

    folder = jax.config.jax_compilation_cache_dir
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("JAX_COMPILATION_CACHE_DIR")
        jax.config.update("jax_compilation_cache_dir", None)
        compilation_cache.reset_cache()
        yield
        jax.config.update("jax_compilation_cache_dir", folder)
        compilation_cache.reset_cache()
