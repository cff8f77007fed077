"""Fast CPU operations for Keras on JAX; the only backend-specific code of cnnflow."""

from cnnflow.kernels.accelerate import accelerate, available, restore

__all__ = ["accelerate", "available", "restore"]
