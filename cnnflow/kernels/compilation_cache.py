"""Compiled training steps kept on the disk, so that the second run's first step comes at once."""

import os
from pathlib import Path

import keras

from cnnflow.data.cache import cache_folder
from cnnflow.kernels.accelerate import engine

SWITCH = "CNNFLOW_COMPILATION_CACHE"
# A step of a small network compiles in 2 to 20 seconds; what is faster than this is not worth a file.
FEWEST_SECONDS = 0.5
MOST_BYTES = 512 * 2**20


def enable_compilation_cache(folder: Path | None = None) -> Path | None:
    """Let JAX keep what it compiles in `folder`, by default in the cache folder of cnnflow; gives the folder used.

    A folder that JAX was already given (`JAX_COMPILATION_CACHE_DIR`, or `jax_compilation_cache_dir` in its
    configuration) stays. JAX keys the files by program, versions, flags and processor, and removes the least recently
    used ones above 512 MB. Does nothing, and gives None, where Keras runs on another backend, with
    CNNFLOW_COMPILATION_CACHE=off, where the folder cannot be made, and where the fast operations are oneDNN's: those
    cannot be kept on the disk, and compile in a second or two.

    Example:
        >>> enable_compilation_cache()  # doctest: +SKIP
        PosixPath('/home/me/.cache/cnnflow/compiled')
    """
    if os.environ.get(SWITCH, "").lower() == "off" or keras.backend.backend() != "jax":
        return None
    import jax

    if jax.config.jax_compilation_cache_dir:
        return Path(jax.config.jax_compilation_cache_dir)
    if engine() == "oneDNN":
        return None
    folder = folder or cache_folder() / "compiled"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", FEWEST_SECONDS)
    jax.config.update("jax_compilation_cache_max_size", MOST_BYTES)
    return folder
