"""Fast CPU operations for Keras on JAX; the only backend-specific code of cnnflow."""

from cnnflow.kernels.accelerate import accelerate, available, engine, multiplies_bfloat16, restore, walk
from cnnflow.kernels.compilation_cache import enable_compilation_cache

__all__ = [
    "accelerate",
    "available",
    "enable_compilation_cache",
    "engine",
    "multiplies_bfloat16",
    "restore",
    "walk",
]
