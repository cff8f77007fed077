"""Fast CPU operations for Keras on JAX; the only backend-specific code of cnnflow."""

from cnnflow.kernels.accelerate import accelerate, available, engine, restore
from cnnflow.kernels.compilation_cache import enable_compilation_cache

__all__ = ["accelerate", "available", "enable_compilation_cache", "engine", "restore"]
