"""The floating-point precision that a network is trained in, without Keras's global policy."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from cnnflow.kernels import multiplies_bfloat16, walk

# What prepares pixels stays exact, since bfloat16 has 8 bits for what uint8 fills already; so does the way from
# logits to probabilities, where small differences of large numbers count.
_EXACT_CLASSES = (keras.layers.InputLayer, keras.layers.Rescaling, keras.layers.Normalization, keras.layers.Resizing)
_EXACT_LAYERS = ("logits", "logits_scale", "output_layer")


def chosen(precision: str) -> str:
    """The Keras policy that `Recipe.precision` means on this device: "float32" or "mixed_bfloat16"."""
    if precision == "auto":
        return "mixed_bfloat16" if multiplies_bfloat16() else "float32"
    return precision


@contextmanager
def computing_in(model: keras.Model, precision: str) -> Iterator[None]:
    """Have the layers of `model` compute in `precision` for a while; its weights are float32 throughout.

    Layers that prepare pixels, and the last ones, stay in float32. Afterwards the model is what it was, so that its
    file says nothing of the precision that it was trained in. A function that Keras has compiled keeps the precision
    that it first ran in: train and predict with two models over the same layers.

    Micikevicius et al. 2018, "Mixed Precision Training" (arXiv:1710.03740), section 3.1: weights are kept in single
    precision. Kalamkar et al. 2019 (arXiv:1905.12322): bfloat16 needs no scaling of the loss.

    Args:
        model: uncompiled, of the factories of this package.
        precision: as `Recipe.precision`: "float32", "mixed_bfloat16" or "auto".

    Example:
        >>> with computing_in(model, "mixed_bfloat16"):
        ...     model.get_layer("conv1").compute_dtype
        'bfloat16'
    """
    policy = chosen(precision)
    layers = [layer for layer in walk(model) if _changes(layer, policy)]
    before = [layer.dtype_policy for layer in layers]
    for layer in layers:
        layer.dtype_policy = policy
    try:
        yield
    finally:
        for layer, old in zip(layers, before, strict=True):
            layer.dtype_policy = old


def _changes(layer: keras.Layer, policy: str) -> bool:
    # A model would bring what it is given into its own precision, before its first layers can.
    exact = isinstance(layer, (keras.Model, *_EXACT_CLASSES)) or layer.name in _EXACT_LAYERS
    return not exact and layer.dtype_policy.name != policy
