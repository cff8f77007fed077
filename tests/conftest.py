"""What all tests share."""

import os
import tempfile
from pathlib import Path

# Many tests train the same small networks: each is compiled once.
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(tempfile.gettempdir()) / "cnnflow-tests-compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import cnnflow  # noqa: F401 - chooses the backend before a test imports Keras
