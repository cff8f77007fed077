"""The same model in another floating-point precision, without Keras's global policy."""

from typing import Any

import keras

# What prepares pixels stays exact, since bfloat16 has 8 bits for what uint8 fills already; so does the way from
# logits to probabilities, where small differences of large numbers count.
EXACT_CLASSES = ("Rescaling", "Normalization", "Resizing")
EXACT_LAYERS = ("logits", "logits_scale", "output_layer")


def with_precision(model: keras.Model, policy: str) -> keras.Model:
    """A copy of `model` whose layers compute in `policy`; its weights are copies, in float32 for a mixed policy.

    Layers that prepare pixels, and the last ones, stay in float32. To save a model that was trained like this, copy
    its weights into one that was not: `plain.set_weights(fast.get_weights())`.

    Args:
        model: uncompiled, of the factories of this package.
        policy: a Keras policy, such as "mixed_bfloat16" or "float32".

    Example:
        >>> with_precision(basic_cnn((28, 28, 1), 10), "mixed_bfloat16").get_layer("conv1").compute_dtype
        'bfloat16'
    """
    copy = type(model).from_config(_change(model.get_config(), policy))
    copy.set_weights(model.get_weights())
    return copy


def _change(config: Any, policy: str) -> Any:
    if isinstance(config, list | tuple):
        return type(config)(_change(item, policy) for item in config)
    if not isinstance(config, dict):
        return config
    if _stays_exact(config):
        return config
    if config.get("class_name") == "DTypePolicy":
        return {**config, "config": {**config["config"], "name": policy}}
    return {key: _change(value, policy) for key, value in config.items()}


def _stays_exact(config: dict[str, Any]) -> bool:
    name = config["config"].get("name") if isinstance(config.get("config"), dict) else None
    return config.get("class_name") in EXACT_CLASSES or name in EXACT_LAYERS
