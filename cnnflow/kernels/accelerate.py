"""Putting the fast operations into a stock Keras model, and taking them out again.

Only the behaviour of the layer objects changes: an attribute of the instance hides the class's method. Classes,
weights, configs and saved files are what they were, so that a model saved from an accelerated one loads where cnnflow
is not installed, and gives the same results there up to rounding.
"""

from collections.abc import Iterator
from typing import Any

import keras

from cnnflow.memory import keep_freed_memory
from cnnflow.process import switch
from cnnflow.xla import has_bfloat16


def accelerate(model: Any) -> int:
    """Make the convolutions and poolings of `model` use the fast operations of this package, where they are faster.

    Models inside the model are walked too. Does nothing where the fast operations do not apply: on another backend
    than JAX, on a GPU or TPU, or with the environment variable CNNFLOW_KERNELS=off. A model that is already compiled
    may be accelerated; its functions are traced anew. Also lets the process keep freed memory (`keep_freed_memory`).

    Args:
        model: any Keras model or layer. Layers of other classes than the stock ones are left alone.

    Returns:
        How many layers were changed.

    Example:
        >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.MaxPooling2D(2)])
        >>> accelerate(model), restore(model)
        (1, 1)
    """
    if not available():
        return 0
    # JAX is imported late, since this module must also be importable with another backend.
    from cnnflow.kernels import layers

    keep_freed_memory()
    handoff = layers.Handoff()
    found = [fast for layer in walk(model) if (fast := layers.replacement(layer, handoff)) is not None]
    for fast in found:
        fast.layer.call = fast
    _trace_anew(model)
    return len(found)


def restore(model: Any) -> int:
    """Undo `accelerate`; gives how many layers were changed back."""
    changed = [layer for layer in walk(model) if _is_fast(vars(layer).get("call"))]
    for layer in changed:
        del layer.call
    _trace_anew(model)
    return len(changed)


def _is_fast(call: Any) -> bool:
    return type(call).__module__ == "cnnflow.kernels.layers"


def available() -> bool:
    """Whether `accelerate` does anything here: Keras runs on JAX, JAX on a CPU, and CNNFLOW_KERNELS is not "off"."""
    return engine() != "off"


def engine() -> str:
    """What computes the convolutions of accelerated models here: "oneDNN", "XLA" or, where there are none, "off".

    The environment variable CNNFLOW_KERNELS=xla chooses "XLA" where oneDNN would be there.
    """
    if switch() == "off" or keras.backend.backend() != "jax":
        return "off"
    import jax

    if jax.default_backend() != "cpu":
        return "off"
    from cnnflow.kernels import onednn

    return "oneDNN" if onednn.available() else "XLA"


def multiplies_bfloat16() -> bool:
    """Whether accelerated models multiply bfloat16 numbers faster here than float32 ones, about twice as fast."""
    return engine() == "oneDNN" and has_bfloat16()


def walk(model: Any) -> Iterator[Any]:
    """The layers of a model, those of the models and wrappers inside it included, each once."""
    seen: set[int] = set()
    waiting = [model]
    while waiting:
        layer = waiting.pop()
        if id(layer) in seen:
            continue
        seen.add(id(layer))
        yield layer
        waiting.extend(getattr(layer, "layers", ()))
        inner = getattr(layer, "layer", None)  # keras.layers.Wrapper
        if isinstance(inner, keras.Layer):
            waiting.append(inner)


def _trace_anew(model: Any) -> None:
    """A compiled model has traced its layers' old behaviour; drop that."""
    for name in ("train_function", "test_function", "predict_function"):
        if getattr(model, name, None) is not None:
            setattr(model, name, None)
