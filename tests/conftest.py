"""What all tests share."""

import cnnflow  # noqa: F401 - chooses the backend before a test imports Keras
