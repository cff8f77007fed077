"""Transfer learning: a frozen ImageNet network under a small head of your own (the document's section 6.2).

Two stages. First the head alone: the frozen part gives the same features for a picture every time, so that they are
computed once (`features`) and the head (`head`) is trained on them. Then, if wanted, `unfreeze` frees the top of the
backbone, to be trained on with a learning rate 10 to 100 times lower.

Example:
    >>> model = transfer("efficientnet_lite0", (80, 80, 3), 5, hidden=128)
    >>> inputs = features(model, images)  # float32 [n, 1280], once
    >>> train(head(model), inputs, labels)  # shares its layers with `model`
    >>> unfreeze(model, 0.3)
    >>> train(model, images, labels)
"""

import math
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from cnnflow.config import one_of
from cnnflow.data.image_set import Images
from cnnflow.errors import OptionError
from cnnflow.events import Note, OnEvent, Progress, ignore
from cnnflow.models.backbones import BACKBONES, IMAGENET, SMALLEST, load_weights
from cnnflow.models.layers import class_probabilities, dense
from cnnflow.models.options import InputShape, check_input, penalty
from cnnflow.models.seeding import build_seeded

# Below this, ImageNet's filters see too little: features of 80-pixel flowers are better at twice the size.
COMFORTABLE = 128
POOL = "pool"


def transfer(
    backbone: str,
    input_shape: InputShape,
    classes: int,
    *,
    weights: str = IMAGENET,
    dropout: float = 0.2,
    hidden: int = 0,
    l1: float = 0.0,
    l2: float = 0.0,
    batch_norm: bool = False,
    seed: int = 0,
    on_event: OnEvent = ignore,
) -> keras.Model:
    """A frozen `backbone` with its pretrained weights, global average pooling and a dense head, uncompiled.

    Small pictures are enlarged and grey ones made colour inside the model, which `on_event` is told. The backbone
    always runs in inference mode: its BatchNorm keeps the statistics of ImageNet, also after `unfreeze`.

    Args:
        backbone: a name of `cnnflow.models.backbones.BACKBONES`.
        input_shape: `(height, width, channels)` of the pictures, 1 or 3 channels, values 0 to 255.
        classes: at least 2.
        weights: "imagenet", or a file of weights of this backbone.
        dropout: before the output layer.
        hidden: the size of a dense layer before the output layer; 0: none.
        l1: penalty on the head's kernels, `l1 * sum(abs(w))`.
        l2: penalty on the head's kernels, `l2 * sum(w**2)`.
        batch_norm: normalise in the hidden layer.
        seed: decides the head's first weights and the dropout.
        on_event: is told how pictures are changed.

    Raises `OptionError` for an unknown backbone or weights that cannot be had, `DataError` for a wrong file.
    """
    options: dict[str, Any] = {"dropout": dropout, "hidden": hidden, "l1": l1, "l2": l2, "batch_norm": batch_norm}
    model = build_seeded(lambda: assemble(backbone, input_shape, classes, frozen=True, **options), seed)
    load_weights(backbone, model.get_layer(backbone), weights)
    if changes := _changes(input_shape, smallest=COMFORTABLE):
        on_event(Note(f"inside the model, {changes} for {backbone}"))
    return model


def assemble(
    backbone: str,
    input_shape: InputShape,
    classes: int,
    *,
    frozen: bool = False,
    dropout: float = 0.0,
    hidden: int = 0,
    l1: float = 0.0,
    l2: float = 0.0,
    batch_norm: bool = False,
) -> keras.Model:
    """The network that `transfer` returns, with random weights; not `frozen`: to be trained from scratch.

    Raises `OptionError` for an unknown backbone and for pictures that are neither grey nor colour.
    """
    one_of("backbone", backbone, tuple(BACKBONES))
    check_input(backbone, input_shape, classes)
    if input_shape[-1] not in (1, 3):
        raise OptionError(f"{backbone} cannot take {input_shape[-1]} channels; pictures must be grey (1) or RGB (3)")
    regularizer = penalty(l1, l2)
    inputs = layers.Input(input_shape, name="input_layer")
    x = _fit_pictures(inputs, smallest=COMFORTABLE if frozen else SMALLEST)
    if preprocessing := BACKBONES[backbone].preprocessing:
        x = preprocessing()(x)
    network = _network(backbone, tuple(x.shape[1:]))
    network.trainable = not frozen
    x = network(x, training=False) if frozen else network(x)
    x = layers.GlobalAveragePooling2D(name=POOL)(x)
    if hidden:
        for layer in dense("dense1", hidden, batch_norm=batch_norm, regularizer=regularizer):
            x = layer(x)
    if dropout:
        x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(inputs, class_probabilities(classes, regularizer=regularizer)(x), name=f"{backbone}_classifier")


def extractor(model: keras.Model) -> keras.Model:
    """The part of a `transfer` model from pictures to features `[n, d]`; it shares its weights with `model`."""
    return keras.Model(model.input, model.get_layer(POOL).output, name="features")


def head(model: keras.Model) -> keras.Model:
    """The part of a `transfer` model from features `[n, d]` to probabilities; training it trains `model`."""
    names = [layer.name for layer in model.layers]
    inputs = x = layers.Input(model.get_layer(POOL).output.shape[1:], name="features")
    for layer in model.layers[names.index(POOL) + 1 :]:
        x = layer(x)
    return keras.Model(inputs, x, name="head")


def features(
    model: keras.Model, images: Images, *, batch_size: int = 64, on_event: OnEvent = ignore
) -> NDArray[np.float32]:
    """What the frozen part of a `transfer` model makes of `images`, computed once.

    Args:
        model: from `transfer`, not yet unfrozen.
        images: uint8 `[n, height, width, channels]`.
        batch_size: images computed at a time.
        on_event: is told the progress.

    Returns:
        float32 `[n, d]`, the input of `head(model)`.
    """
    part, parts = extractor(model), []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        # The last batch is filled up, since another shape would be compiled once more.
        filled = np.resize(batch, (batch_size, *batch.shape[1:])) if len(batch) < batch_size else batch
        parts.append(np.asarray(keras.ops.convert_to_numpy(part.predict_on_batch(filled)))[: len(batch)])
        on_event(Progress("features", start + len(batch), len(images)))
    return np.concatenate(parts).astype(np.float32, copy=False)


def unfreeze(model: keras.Model, share: float) -> int:
    """Free the top `share` of the backbone's layers for training; the number of weights that are now trained.

    BatchNorm layers stay frozen and in inference mode: their statistics are those of ImageNet, and a few small
    batches would ruin them. Train on with a learning rate 10 to 100 times lower than the head's, and with an
    optimizer made after this call.

    Args:
        model: from `transfer`.
        share: above 0, at most 1: how much of the backbone, counted in layers that have weights.
    """
    if not 0 < share <= 1:
        raise OptionError(f"share={share}; it must be above 0 and at most 1, such as 0.3")
    (network,) = (layer for layer in model.layers if isinstance(layer, keras.Model))
    network.trainable = True
    with_weights = [layer for layer in network.layers if layer.weights]
    free = set(map(id, with_weights[-math.ceil(share * len(with_weights)) :]))
    for layer in network.layers:
        layer.trainable = id(layer) in free and not isinstance(layer, layers.BatchNormalization)
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def _network(backbone: str, input_shape: InputShape) -> keras.Model:
    network = BACKBONES[backbone].network(input_shape, None)
    network.name = backbone
    return network


def _fit_pictures(x: Any, *, smallest: int) -> Any:
    """Grey to colour, and small pictures enlarged, by stock layers."""
    height, width, channels = x.shape[1:]
    if (height, width) != (size := _enlarged(height, width, smallest)):
        x = layers.Resizing(*size, interpolation="bilinear", name="enlarge")(x)
    return layers.Concatenate(name="grey_to_colour")([x, x, x]) if channels == 1 else x


def _enlarged(height: int, width: int, smallest: int) -> tuple[int, int]:
    factor = max(1, math.ceil(smallest / min(height, width)))
    return height * factor, width * factor


def _changes(input_shape: InputShape, *, smallest: int) -> str:
    height, width, channels = input_shape
    to = _enlarged(height, width, smallest)
    changes = [f"pictures of {height}x{width} are enlarged to {to[0]}x{to[1]}"] if to != (height, width) else []
    return " and ".join(changes + (["grey ones are made colour"] if channels == 1 else []))
