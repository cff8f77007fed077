"""Fast CPU operations for Keras on JAX; the only backend-specific code of cnnflow."""

from cnnflow.kernels.accelerate import accelerate, available, engine, restore
from cnnflow.kernels.compilation_cache import enable_compilation_cache
from cnnflow.kernels.memory import keep_freed_memory

__all__ = ["accelerate", "available", "enable_compilation_cache", "engine", "keep_freed_memory", "restore"]
