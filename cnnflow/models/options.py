"""What every factory checks first, and how the options against overfitting become arguments of Keras layers."""

from typing import Any

import keras

from cnnflow.errors import OptionError

InputShape = tuple[int, int, int]


def check_input(name: str, input_shape: InputShape, classes: int, *, smallest: int = 1) -> None:
    """Raise `OptionError` unless `name` can be built for pictures of `input_shape` and this many `classes`.

    Args:
        name: the network, for the message.
        input_shape: `(height, width, channels)` of a picture.
        classes: how many classes there are, at least 2.
        smallest: the least height and width that leave something after the last pooling.
    """
    if len(input_shape) != 3 or min(input_shape) < 1:
        raise OptionError(f"input_shape={input_shape}; it must be (height, width, channels), such as (32, 32, 3)")
    height, width, _ = input_shape
    if min(height, width) < smallest:
        raise OptionError(
            f"{name} cannot take {height}x{width} pictures; the smallest are {smallest}x{smallest}: "
            "give larger ones, or choose another network of `cnnflow models`"
        )
    if classes < 2:
        raise OptionError(f"classes={classes}; a classifier needs at least 2")
    if keras.config.image_data_format() != "channels_last":
        raise OptionError('image_data_format is "channels_first" in keras.json; set it to "channels_last"')


def penalty(l1: float, l2: float) -> Any:
    """The Keras regularizer of kernels, `l1 * sum(abs(w)) + l2 * sum(w**2)`; None where both are 0."""
    return keras.regularizers.L1L2(l1=l1, l2=l2) if l1 or l2 else None
