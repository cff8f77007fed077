"""Fast CPU operations for Keras on JAX."""
