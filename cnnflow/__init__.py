"""cnnflow: from a dataset name or a folder of pictures to a trained, tested CNN image classifier."""

import os

# Keras reads this when it is first imported. JAX is a dependency of this package; another backend is the user's choice.
os.environ.setdefault("KERAS_BACKEND", "jax")

__version__ = "0.1.0"
